//! Writes one file per object, and deletes those of a former render whose objects are no longer there.

use std::collections::BTreeSet;
use std::path::Path;

use super::file_name::{file_name, first_namespace, is_of_former_render};
use super::rendering::RenderedObject;
use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};
use crate::phrase;

/// Writes the files of the installation `set` into a folder. Returns what was written, in one line.
///
/// # Errors
/// Exit 2 if the folder is a file; exit 3 if a file cannot be written or deleted.
pub(super) fn write(folder: &Path, documents: &[RenderedObject], set: &str) -> Result<String> {
    if folder.exists() && !folder.is_dir() {
        let message = format!("--split needs a folder, and {} is a file", folder.display());
        return Err(
            Error::new(Id::Usage, Kind::Usage, message).hint("handsctl render > FILE writes one file")
        );
    }
    let failed = |path: &Path, error| Error::file(format!("cannot write {}", path.display()), error);
    std::fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    let namespace = first_namespace(documents);
    let mut names = BTreeSet::new();
    for RenderedObject { id, wave, text } in documents {
        let name = file_name(id, *wave, namespace);
        let path = folder.join(&name);
        std::fs::write(&path, text).map_err(|error| failed(&path, error))?;
        names.insert(name);
    }
    let deleted = delete_former(folder, &names, set, namespace)?;
    let deleted =
        if deleted.is_empty() { String::new() } else { format!("; deleted {}", deleted.join(", ")) };
    Ok(format!("{} in {}{deleted}", phrase::count(names.len(), "file"), folder.display()))
}

/// Deletes the files of a former render that this one has not written. Returns their names.
fn delete_former(
    folder: &Path,
    written: &BTreeSet<String>,
    set: &str,
    namespace: Option<&str>,
) -> Result<Vec<String>> {
    let unlisted = |error| Error::file(format!("cannot list {}", folder.display()), error);
    let mut deleted = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unlisted)? {
        let entry = entry.map_err(unlisted)?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let is_candidate = Path::new(&name).extension().is_some_and(|extension| extension == "yaml")
            && !written.contains(&name);
        // A link leads to a file of somebody else, and what cannot be read is not ours.
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        if !is_candidate || !is_file {
            continue;
        }
        let Ok(text) = std::fs::read_to_string(entry.path()) else { continue };
        if is_of_former_render(&name, &text, set, namespace) {
            let failed = |error| Error::file(format!("cannot delete {}", entry.path().display()), error);
            std::fs::remove_file(entry.path()).map_err(failed)?;
            deleted.push(name);
        }
    }
    deleted.sort_unstable();
    Ok(deleted)
}
