//! Saves the evidence of a failed creation before the cleanup: the output of kind and the engine and the logs of the
//! nodes, in one file.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::folder::KindFolder;
use crate::error::{Error, Result};
use crate::object::assignment;
use crate::provider::command::{ChildCommand, ChildFailure};
use crate::provider::engine::Client;
use crate::provider::{log_end, private_file};

/// Timeout of `kind export logs`. A node that hangs exports none.
const EXPORT: Duration = Duration::from_secs(30);
/// Size limit of each log, in bytes. Its end is kept, because it has the cause of the failure.
const MAX_LOG: u64 = 2 << 20;

/// Writes the evidence to one file and returns its path. `nodes`: the nodes of the failed cluster, perhaps none; nodes of
/// another cluster of the same name are not read.
pub(super) async fn save(
    folder: &KindFolder,
    client: &Client,
    kind: &Path,
    nodes: &[String],
    failure: &ChildFailure,
) -> Result<PathBuf> {
    let failed =
        |error| Error::file(format!("cannot write the evidence to {}", folder.evidence.display()), error);
    let exported = tempfile::tempdir().map_err(failed)?;
    let output = ("kind create cluster".to_owned(), format!("$ {}\n{}", failure.command, failure.stderr));
    if nodes.is_empty() {
        write(folder, &[output], exported.path()).map_err(failed)?;
        return Ok(folder.evidence.clone());
    }
    let export = ChildCommand::new(kind, EXPORT)
        .variable("KIND_EXPERIMENTAL_PROVIDER", client.engine.name())
        .arguments(["export", "logs", "--name", folder.name.as_str()])
        .arguments([exported.path()]);
    let names: Vec<&str> = nodes.iter().map(String::as_str).collect();
    let (logs, inspected) = tokio::join!(export.run(), client.inspect(&names));
    let mut parts = vec![
        output,
        (format!("{} inspect", client.engine), inspected.unwrap_or_else(|failure| failure.summary())),
    ];
    // A failed export leaves the logs of the other nodes, which are still written.
    if let Err(failure) = logs {
        parts.push(("kind export logs".to_owned(), failure.summary()));
    }
    write(folder, &parts, exported.path()).map_err(failed)?;
    Ok(folder.evidence.clone())
}

fn write(folder: &KindFolder, parts: &[(String, String)], exported: &Path) -> io::Result<()> {
    if let Some(parent) = folder.evidence.parent() {
        private_file::folder(parent)?;
    }
    let mut file = private_file::file(&folder.evidence)?;
    for (name, text) in parts {
        writeln!(file, "==> {name} <==\n{}", assignment::masked(text))?;
    }
    let mut logs = Vec::new();
    files(exported, &mut logs)?;
    logs.sort();
    for log in logs {
        writeln!(file, "==> {} <==", log.strip_prefix(exported).unwrap_or(&log).display())?;
        writeln!(file, "{}", assignment::masked(&log_end::read(&log, MAX_LOG)?))?;
    }
    Ok(())
}

fn files(folder: &Path, logs: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files(&path, logs)?;
        } else if path.is_file() {
            logs.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn evidence_is_private_and_masked() {
        let state = tempfile::tempdir().unwrap();
        let exported = tempfile::tempdir().unwrap();
        std::fs::write(exported.path().join("kubelet.log"), "proxy http://me:planted@p\nAPI_KEY=planted\n")
            .unwrap();
        let folder = KindFolder::new(state.path(), "a");
        let inspected = "\"Env\": [\"HTTPS_PROXY=http://me:planted@p\", \"REGISTRY_TOKEN=planted\"]";
        write(&folder, &[("docker inspect".to_owned(), inspected.to_owned())], exported.path()).unwrap();
        let text = std::fs::read_to_string(&folder.evidence).unwrap();
        assert!(!text.contains("planted") && text.contains("proxy http://me:(redacted)@p"), "{text}");
        let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!((mode(&folder.evidence), mode(folder.evidence.parent().unwrap())), (0o600, 0o700));
    }
}
