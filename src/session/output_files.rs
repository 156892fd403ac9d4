//! The files that a command writes beside its result: none of them is a file that it reads, or another one of them.

use std::path::{Path, PathBuf};

use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};
use crate::flags::Global;

/// The configuration without `--config`.
const DEFAULT_CONFIG: &str = "config.toml";

/// Checks the files of `--events`, `--junit` and `--report`, before one of them is truncated.
///
/// # Errors
/// Exit 2 with the flag and the file.
pub(crate) fn ensure_distinct(global: &Global) -> Result<()> {
    let outputs = [("--events", &global.events), ("--junit", &global.junit), ("--report", &global.report)];
    let outputs = outputs.into_iter().filter_map(|(flag, path)| Some((flag, path.as_deref()?)));
    let default = [PathBuf::from(DEFAULT_CONFIG)];
    let inputs = if global.config.is_empty() { &default[..] } else { &global.config };
    let mut taken: Vec<(&str, PathBuf)> = inputs.iter().map(|path| ("--config", location(path))).collect();
    for (flag, path) in outputs {
        let place = location(path);
        if let Some((other, _)) = taken.iter().find(|(_, other)| *other == place) {
            let message = match *other {
                "--config" => format!("{flag} would overwrite the configuration {}", path.display()),
                other => format!("{flag} and {other} name the same file {}", path.display()),
            };
            return Err(Error::new(Id::Usage, Kind::Usage, message).hint("name another file"));
        }
        taken.push((flag, place));
    }
    Ok(())
}

/// Returns the path of a file that may not exist yet, without links where it does.
fn location(path: &Path) -> PathBuf {
    path.canonicalize().or_else(|_absent| std::path::absolute(path)).unwrap_or_else(|_| path.to_owned())
}
