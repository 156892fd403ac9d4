//! The paths and links that an archive may have: none of them leads out of its folder.

use std::collections::BTreeMap;

/// Returns the path of an entry without a leading `./` and a trailing slash; the root itself is empty.
///
/// # Errors
/// The reason if the path is absolute, contains `..`, or is not text.
pub(super) fn relative(path: &[u8]) -> Result<String, &'static str> {
    let path = std::str::from_utf8(path).map_err(|_| "its name is not UTF-8")?;
    if path.starts_with('/') {
        return Err("its path is absolute");
    }
    if path.contains('\0') {
        return Err("its name has a zero byte");
    }
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => return Err("its path contains `..`"),
            part => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}

/// Checks that a symbolic link at `path` leads to a place inside of the folder that both are in.
///
/// # Errors
/// The reason if it leads out of it.
pub(super) fn ensure_link_inside(path: &str, target: &[u8]) -> Result<(), &'static str> {
    const OUTSIDE: &str = "a link that leads out of the volume";
    let target = std::str::from_utf8(target).map_err(|_| "a link whose target is not UTF-8")?;
    if target.starts_with('/') || target.is_empty() {
        return Err(OUTSIDE);
    }
    let mut depth = path.split('/').count() - 1;
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => depth = depth.checked_sub(1).ok_or(OUTSIDE)?,
            _ => depth += 1,
        }
    }
    Ok(())
}

/// The entries of a folder that were seen so far.
#[derive(Debug, Default)]
pub(super) struct SeenPaths {
    /// What is not a folder; true for a symbolic link.
    leaves: BTreeMap<String, bool>,
}

impl SeenPaths {
    /// Adds an entry that is not a folder, or checks a folder.
    ///
    /// # Errors
    /// The reason if the path was there before, or leads through a link or a file.
    pub(super) fn add(&mut self, path: &str, is_folder: bool, is_link: bool) -> Result<(), &'static str> {
        let parents = path.char_indices().filter(|(_, c)| *c == '/').map(|(index, _)| &path[..index]);
        for parent in parents {
            match self.leaves.get(parent) {
                Some(true) => return Err("its path leads through a link"),
                Some(false) => return Err("its folder is a file"),
                None => {}
            }
        }
        if self.leaves.contains_key(path) {
            return Err("its path is there twice");
        }
        if !is_folder {
            self.leaves.insert(path.to_owned(), is_link);
        }
        Ok(())
    }

    /// Returns whether this path is a regular file that was added before.
    pub(super) fn is_file(&self, path: &str) -> bool {
        self.leaves.get(path) == Some(&false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entry_through_a_link_is_refused() {
        let mut seen = SeenPaths::default();
        seen.add("a", true, false).unwrap();
        seen.add("a/link", false, true).unwrap();
        seen.add("a/file", false, false).unwrap();
        assert!(seen.is_file("a/file") && !seen.is_file("a/link") && !seen.is_file("a"));
        assert_eq!(seen.add("a/link/x", false, false), Err("its path leads through a link"));
        assert_eq!(seen.add("a/file/x/y", true, false), Err("its folder is a file"));
        assert_eq!(seen.add("a/file", false, false), Err("its path is there twice"));
        assert_eq!(seen.add("a/file", true, false), Err("its path is there twice"));
        seen.add("a/linked", false, false).unwrap();
    }

    #[test]
    fn path_stays_inside_of_its_folder() {
        for (path, expected) in [
            ("./a/b", Ok("a/b")),
            ("a//b/", Ok("a/b")),
            (".", Ok("")),
            ("a/..b/...", Ok("a/..b/...")),
            ("/a", Err("its path is absolute")),
            ("..", Err("its path contains `..`")),
            ("a/../b", Err("its path contains `..`")),
            ("a\0b", Err("its name has a zero byte")),
        ] {
            assert_eq!(relative(path.as_bytes()).as_deref(), expected.as_ref().copied(), "{path}");
        }
        assert_eq!(relative(b"\xff"), Err("its name is not UTF-8"));
    }

    #[test]
    fn link_stays_inside_of_its_folder() {
        for (path, target, is_inside) in [
            ("a", "b", true),
            ("a/b", "../c", true),
            ("a/b", "../../c", false),
            ("a", "..", false),
            ("a/b/c", "../x/../../y", true),
            ("a/b/c", "../../../y", false),
            ("a", "/etc/passwd", false),
            ("a", "", false),
        ] {
            assert_eq!(ensure_link_inside(path, target.as_bytes()).is_ok(), is_inside, "{path} → {target}");
        }
        assert!(ensure_link_inside("a", b"\xff").is_err());
    }
}
