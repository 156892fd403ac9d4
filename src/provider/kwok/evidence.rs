//! Saves the evidence of a failed creation or start: the components' logs in one file, before they are deleted.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::PathBuf;

use super::folder::KwokFolder;
use crate::error::{Error, Result};
use crate::provider::assets::component::ControlPlaneComponent;

/// Writes the logs of all components to one file and returns its path.
pub(super) fn save(folder: &KwokFolder) -> Result<PathBuf> {
    write(folder).map_err(|error| {
        Error::io(format!("cannot write the logs to {}", folder.evidence.display()), error)
    })?;
    Ok(folder.evidence.clone())
}

fn write(folder: &KwokFolder) -> io::Result<()> {
    if let Some(parent) = folder.evidence.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let mut file = File::create(&folder.evidence)?;
    for component in ControlPlaneComponent::ALL {
        writeln!(file, "==> {} <==", component.name())?;
        match File::open(folder.logs().join(format!("{}.log", component.name()))) {
            Ok(mut log) => io::copy(&mut log, &mut file).map(drop)?,
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
