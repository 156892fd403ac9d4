//! Files and folders that only this user may read: they contain credentials of local clusters.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

/// Creates a folder with its parents. An existing one of this user loses the rights of others.
pub(super) fn folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    let metadata = std::fs::metadata(path)?;
    let is_ours = metadata.uid() == rustix::process::geteuid().as_raw();
    if is_ours && metadata.mode() & 0o077 != 0 {
        std::fs::set_permissions(path, Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Creates a file, or empties an existing one.
pub(super) fn file(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file)
}

/// Returns why others may have changed a file or folder; None: only this user and root can.
pub(super) fn changeable_by_others(path: &Path) -> io::Result<Option<String>> {
    let metadata = std::fs::metadata(path)?;
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    if metadata.uid() != uid && metadata.uid() != 0 {
        return Ok(Some(format!("it belongs to the user with ID {}", metadata.uid())));
    }
    // With the usual umask of 002, the user's own group may write.
    let mode = metadata.mode() & 0o7777;
    let is_writable = mode & 0o002 != 0 || (mode & 0o020 != 0 && metadata.gid() != gid);
    Ok(is_writable.then(|| format!("its mode is {mode:04o}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn only_the_user_may_read_created_files() {
        let root = tempfile::tempdir().unwrap();
        let (parent, path) = (root.path().join("a"), root.path().join("a/b"));
        folder(&path).unwrap();
        assert_eq!((mode(&parent), mode(&path)), (0o700, 0o700));
        std::fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        folder(&path).unwrap();
        assert_eq!(mode(&path), 0o700, "a folder of an earlier version");
        let log = path.join("log");
        std::fs::write(&log, "old").unwrap();
        std::fs::set_permissions(&log, Permissions::from_mode(0o644)).unwrap();
        file(&log).unwrap();
        assert_eq!((mode(&log), std::fs::read(&log).unwrap()), (0o600, Vec::new()));
    }

    #[test]
    fn file_that_everybody_may_write_is_changeable() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("kubectl");
        std::fs::write(&path, "").unwrap();
        for (mode, expected) in [(0o755, None), (0o775, None), (0o757, Some("its mode is 0757"))] {
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert_eq!(changeable_by_others(&path).unwrap().as_deref(), expected, "{mode:o}");
        }
        assert!(changeable_by_others(&root.path().join("missing")).is_err());
    }
}
