//! Replaces a file atomically: a reader sees the earlier content or the new one, also after a crash. A new file has its
//! name only when it is complete.

use std::fs::{File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// Replaces the content of a file and keeps its mode. A symbolic link stays a link to the file. A new file is readable by
/// its owner only.
///
/// # Errors
/// The folder cannot be written.
pub fn replace(path: &Path, text: &str) -> io::Result<()> {
    // Renaming onto a link would replace the link itself.
    let target = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mode = std::fs::metadata(&target).map_or(0o600, |metadata| metadata.permissions().mode());
    let folder = folder_of(&target);
    let mut file = NamedTempFile::new_in(folder)?;
    file.as_file().set_permissions(Permissions::from_mode(mode))?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(&target)?;
    File::open(folder)?.sync_all()
}

/// A file that is being written beside its final path. Dropping it deletes it.
#[derive(Debug)]
pub struct NewFile {
    file: NamedTempFile,
    path: PathBuf,
}

impl NewFile {
    /// Creates the file in the folder of `path`, with mode 0600.
    ///
    /// # Errors
    /// The path exists, or its folder cannot be written.
    pub fn create(path: &Path) -> io::Result<Self> {
        if path.symlink_metadata().is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file =
            tempfile::Builder::new().prefix(".handsctl-").suffix(".part").tempfile_in(folder_of(path))?;
        Ok(Self { file, path: path.to_owned() })
    }

    /// Returns a writer of the file.
    ///
    /// # Errors
    /// There are too many open files.
    pub fn writer(&self) -> io::Result<File> {
        self.file.as_file().try_clone()
    }

    /// Gives the complete file its name. Returns its size.
    ///
    /// # Errors
    /// The path exists meanwhile, or the disk does not accept the file.
    pub fn finish(self) -> io::Result<u64> {
        self.file.as_file().sync_all()?;
        let size = self.file.as_file().metadata()?.len();
        self.file.persist_noclobber(&self.path)?;
        File::open(folder_of(&self.path))?.sync_all()?;
        Ok(size)
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaced_file_keeps_its_mode_and_its_link() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("config.toml"), folder.path().join("link"));
        std::fs::write(&file, "old").unwrap();
        std::fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink("config.toml", &link).unwrap();
        replace(&link, "new").unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "new");
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "no temporary file is left");
        assert!(replace(&folder.path().join("no/such/file"), "x").is_err());
    }

    #[test]
    fn unfinished_file_is_deleted_and_a_finished_one_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("backup.tar.gz");
        let file = NewFile::create(&path).unwrap();
        file.writer().unwrap().write_all(b"abc").unwrap();
        assert!(!path.exists());
        drop(file);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let (file, late) = (NewFile::create(&path).unwrap(), NewFile::create(&path).unwrap());
        file.writer().unwrap().write_all(b"abc").unwrap();
        assert_eq!(file.finish().unwrap(), 3);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        late.writer().unwrap().write_all(b"other").unwrap();
        assert_eq!(late.finish().unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(NewFile::create(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "abc");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
