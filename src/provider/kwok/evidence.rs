//! Saves the evidence of a failed creation or start: the components' logs in one file, before they are deleted.

use std::io::{self, Write as _};
use std::path::PathBuf;

use super::folder::KwokFolder;
use crate::error::{Error, Result};
use crate::object::assignment;
use crate::provider::assets::component::ControlPlaneComponent;
use crate::provider::{log_end, private_file};

/// Size limit of each log, in bytes.
const MAX_LOG: u64 = 2 << 20;
/// Size limit of a log's end in an error, in bytes.
const MAX_TAIL: u64 = 16 << 10;

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
        match log_end::read(&log(folder, component), MAX_LOG) {
            Ok(text) => file.write_all(assignment::masked(&text).as_bytes())?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => writeln!(file, "(not started)")?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Returns the last lines of a component's log, for the error.
pub(super) fn tail(folder: &KwokFolder, component: ControlPlaneComponent, lines: usize) -> Option<String> {
    let text = log_end::read(&log(folder, component), MAX_TAIL).ok()?;
    let all: Vec<&str> = text.lines().collect();
    let tail = all[all.len().saturating_sub(lines)..].join("\n");
    (!tail.is_empty()).then_some(tail)
}

fn log(folder: &KwokFolder, component: ControlPlaneComponent) -> PathBuf {
    folder.logs().join(format!("{}.log", component.name()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_log_is_cut_in_the_evidence_and_in_the_error() {
        let state = tempfile::tempdir().unwrap();
        let folder = KwokFolder::new(state.path(), "a");
        std::fs::create_dir_all(folder.logs()).unwrap();
        let component = ControlPlaneComponent::Etcd;
        let line = format!("{}\n", "a".repeat(99));
        std::fs::write(log(&folder, component), line.repeat(50_000) + "the cause\n").unwrap();
        let saved = std::fs::read_to_string(save(&folder).unwrap()).unwrap();
        assert!(saved.len() < 3 << 20, "{}", saved.len());
        assert!(saved.contains("(the last 2097152 of 5000010 bytes)\n") && saved.contains("\nthe cause\n"));
        let end = tail(&folder, component, 1000).unwrap();
        assert!(
            end.starts_with("(the last 16384 of 5000010 bytes)\n") && end.ends_with("\nthe cause"),
            "{end}"
        );
        assert_eq!(tail(&folder, component, 1).unwrap(), "the cause");
    }
}
