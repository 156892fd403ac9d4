//! `config edit`: opens the config file in the user's editor.

use std::io::Write as _;

use clap::Args;
use tempfile::NamedTempFile;

use super::set::remaining;
use crate::error::Error;
use crate::flags::Global;
use crate::phrase;
use crate::reason;
use crate::report::{Answer, Streams};
use crate::session::config_file::ConfigFile;
use crate::session::editor::Editor;

/// Edit config.toml in your editor and check it before it is written
///
/// In order: copies the config file, opens the copy in the editor of VISUAL, EDITOR or vi, checks it as `config check`
/// does, and replaces the file atomically. After a mistake it asks whether to open the editor again. Without a terminal,
/// or if the answer is no, the file is not changed and the copy is kept.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  handsctl config edit\n  EDITOR='code --wait' handsctl config edit --config prod.toml"
)]
pub struct ConfigEditArgs {}

/// Runs `config edit`.
pub(crate) async fn run(global: &Global, streams: &Streams) -> anyhow::Result<u8> {
    let file = ConfigFile::read(global)?;
    let copy = copy_of(file.text())?;
    match edit(global, &file, &copy, streams).await {
        Ok(()) => Ok(0),
        Err(error) if is_changed(&copy, file.text()) => Err(kept(copy, error).into()),
        Err(error) => Err(error.into()),
    }
}

async fn edit(
    global: &Global,
    file: &ConfigFile,
    copy: &NamedTempFile,
    streams: &Streams,
) -> Result<(), Error> {
    let name = file.name();
    let editor = Editor::from_environment();
    loop {
        editor.open(copy.path()).await?;
        let text = std::fs::read_to_string(copy.path()).map_err(|error| unreadable(copy, error))?;
        if text == file.text() {
            streams.err(&format!("{name}  unchanged\n"));
            return Ok(());
        }
        let check = file.check(global, &text, &[], streams);
        if check.errors.is_empty() {
            file.replace(&text)?;
            check.warnings.iter().for_each(|warning| streams.diagnostic(warning));
            streams.err(&format!("{name}  changed\n{}", remaining(check.remaining)));
            return Ok(());
        }
        if !streams.can_ask() {
            return Err(file.rejected(check.errors));
        }
        check.errors.iter().for_each(|error| streams.diagnostic(error));
        let errors = phrase::count(check.errors.len(), "error");
        match streams.prompt(&format!("{name} would have {errors}. Open the editor again?")).await? {
            Answer::Yes => {}
            // The errors are on the terminal already.
            Answer::No | Answer::NotAsked => {
                return Err(Error::config(format!("{name} was not changed"), Vec::new()));
            }
        }
    }
}

/// Creates a copy that only this user may read, because the file may contain a secret.
fn copy_of(text: &str) -> Result<NamedTempFile, Error> {
    let create = || {
        let mut copy = tempfile::Builder::new().prefix("handsctl-config-").suffix(".toml").tempfile()?;
        copy.write_all(text.as_bytes())?;
        copy.flush()?;
        Ok(copy)
    };
    create().map_err(|error| Error::io("cannot create a copy of the config file", error))
}

fn unreadable(copy: &NamedTempFile, error: std::io::Error) -> Error {
    Error::io(format!("cannot read {}", copy.path().display()), error)
}

fn is_changed(copy: &NamedTempFile, text: &str) -> bool {
    std::fs::read_to_string(copy.path()).map_or(true, |edited| edited != text)
}

/// Keeps the copy, so that the user's work is not lost.
fn kept(copy: NamedTempFile, error: Error) -> Error {
    match copy.into_temp_path().keep() {
        Ok(path) => error.hint(format!("your edited copy is {}", path.display())),
        Err(cause) => {
            error.hint(format!("the edited copy could not be kept: {}", reason::of_io(&cause.error)))
        }
    }
}
