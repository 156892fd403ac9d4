//! Saves the evidence of a failed creation or start: the components' logs in one file, before they are deleted.

use std::io::{self, Write as _};
use std::path::PathBuf;

use super::folder::KwokFolder;
use crate::error::{Error, Result};
use crate::object::assignment;
use crate::provider::assets::component::ControlPlaneComponent;
use crate::provider::private_file;

/// Writes the logs of all components to one file and returns its path.
pub(super) fn save(folder: &KwokFolder) -> Result<PathBuf> {
    write(folder).map_err(|error| {
        Error::file(format!("cannot write the logs to {}", folder.evidence.display()), error)
    })?;
    Ok(folder.evidence.clone())
}

fn write(folder: &KwokFolder) -> io::Result<()> {
    if let Some(parent) = folder.evidence.parent() {
        private_file::folder(parent)?;
    }
    let mut file = private_file::file(&folder.evidence)?;
    for component in ControlPlaneComponent::ALL {
        writeln!(file, "==> {} <==", component.name())?;
        match std::fs::read(folder.logs().join(format!("{}.log", component.name()))) {
            Ok(log) => file.write_all(assignment::masked(&String::from_utf8_lossy(&log)).as_bytes())?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => writeln!(file, "(not started)")?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Returns the last lines of a component's log, for the error.
pub(super) fn tail(folder: &KwokFolder, component: ControlPlaneComponent, lines: usize) -> Option<String> {
    let text = std::fs::read(folder.logs().join(format!("{}.log", component.name()))).ok()?;
    let text = String::from_utf8_lossy(&text);
    let all: Vec<&str> = text.lines().collect();
    let tail = all[all.len().saturating_sub(lines)..].join("\n");
    (!tail.is_empty()).then_some(tail)
}
