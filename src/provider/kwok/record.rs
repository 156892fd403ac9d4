//! Reads and writes a cluster's record.

use std::io::{self, Write as _};
use std::path::Path;

use super::folder::{Folder, RECORD, clusters};
use super::spec::{Record, SCHEMA};
use crate::error::{Error, Result};

/// The record; None where there is none.
///
/// # Errors
/// `HC9003` where it cannot be read or was written by another version of handsctl.
pub(super) fn read(folder: &Folder) -> Result<Option<Record>> {
    read_file(&folder.record())
}

fn read_file(path: &Path) -> Result<Option<Record>> {
    let text = match std::fs::read_to_string(path) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        text => text.map_err(|error| Error::io(format!("cannot read {}", path.display()), error))?,
    };
    let record: Record = serde_json::from_str(&text).map_err(|error| malformed(path, error.into()))?;
    if record.schema != SCHEMA {
        return Err(malformed(path, format!("schema {}, not {SCHEMA}", record.schema).into()));
    }
    Ok(Some(record))
}

fn malformed(path: &Path, cause: crate::error::Source) -> Error {
    Error::io(
        format!("{} was not written by this version of handsctl", path.display()),
        io::Error::other(cause),
    )
    .hint("`handsctl cluster down` removes the cluster, `handsctl cluster up` makes it anew")
}

/// Replaces the record in one step, so that an interrupt leaves the old or the new one.
pub(super) fn write(folder: &Folder, record: &Record) -> Result<()> {
    let failed = |error| Error::io(format!("cannot write {}", folder.record().display()), error);
    let text = serde_json::to_string_pretty(record).map_err(|error| failed(error.into()))?;
    let replace = || -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&folder.own)?;
        file.write_all(text.as_bytes())?;
        file.persist(folder.record())?;
        Ok(())
    };
    replace().map_err(failed)
}

/// The records of every cluster that handsctl made, running or not.
pub(super) fn all(state: &Path) -> Result<Vec<Record>> {
    let folder = clusters(state);
    let failed = |error| Error::io(format!("cannot list {}", folder.display()), error);
    let mut records = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(failed)? {
        // One that cannot be read is its own cluster's matter, and tells nothing here.
        if let Ok(Some(record)) = read_file(&entry.map_err(failed)?.path().join(RECORD)) {
            records.push(record);
        }
    }
    Ok(records)
}
