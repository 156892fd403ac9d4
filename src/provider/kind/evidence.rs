//! What is kept when a cluster could not be made: what kind, the engine and the nodes say, in one file, before anything
//! is cleaned up.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::folder::KindFolder;
use crate::error::{Error, Result};
use crate::provider::command::{ChildCommand, ChildFailure};
use crate::provider::engine::Client;

/// How long the logs may take; a node that hangs has none.
const EXPORT: Duration = Duration::from_secs(30);
/// What is kept of each file: the end says what went wrong.
const MOST: u64 = 2 << 20;

/// Writes everything into one file. Returns it.
pub(super) async fn keep(
    folder: &KindFolder,
    client: &Client,
    kind: &Path,
    nodes: &[String],
    failure: &ChildFailure,
) -> Result<PathBuf> {
    let failed =
        |error| Error::io(format!("cannot keep the evidence in {}", folder.evidence.display()), error);
    let exported = tempfile::tempdir().map_err(failed)?;
    let export = ChildCommand::new(kind, EXPORT)
        .variable("KIND_EXPERIMENTAL_PROVIDER", client.engine.name())
        .arguments(["export", "logs", "--name", folder.name.as_str()])
        .arguments([exported.path()]);
    let names: Vec<&str> = nodes.iter().map(String::as_str).collect();
    let (logs, inspected) = tokio::join!(export.run(), client.inspect(&names));
    let mut parts = vec![
        ("kind create cluster".to_owned(), format!("$ {}\n{}", failure.command, failure.stderr)),
        (format!("{} inspect", client.engine), inspected.unwrap_or_else(|failure| failure.summary())),
    ];
    // What could be exported is there, also where something else could not.
    if let Err(failure) = logs {
        parts.push(("kind export logs".to_owned(), failure.summary()));
    }
    write(folder, &parts, exported.path()).map_err(failed)?;
    Ok(folder.evidence.clone())
}

fn write(folder: &KindFolder, parts: &[(String, String)], exported: &Path) -> io::Result<()> {
    if let Some(parent) = folder.evidence.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let mut file = File::create(&folder.evidence)?;
    for (name, text) in parts {
        writeln!(file, "==> {name} <==\n{text}")?;
    }
    let mut logs = Vec::new();
    files(exported, &mut logs)?;
    logs.sort();
    for log in logs {
        writeln!(file, "==> {} <==", log.strip_prefix(exported).unwrap_or(&log).display())?;
        copy_end(&log, &mut file)?;
    }
    Ok(())
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files(&path, found)?;
        } else if path.is_file() {
            found.push(path);
        }
    }
    Ok(())
}

fn copy_end(log: &Path, into: &mut File) -> io::Result<()> {
    let mut log = File::open(log)?;
    let length = log.metadata()?.len();
    if length > MOST {
        writeln!(into, "(the last {MOST} of {length} bytes)")?;
        log.seek(SeekFrom::Start(length - MOST))?;
    }
    let mut text = Vec::new();
    log.take(MOST).read_to_end(&mut text)?;
    into.write_all(&text)?;
    writeln!(into)
}
