//! `config edit`: opens the config file in the user's editor.

use std::io::{ErrorKind, Write as _};

use clap::Args;
use tempfile::NamedTempFile;

use super::set::remaining;
use crate::catalogue::Id;
use crate::error::{Error, Kind};
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
        Err(error) => Err(if has_work(&copy, file.text()) { kept(copy, error) } else { error }.into()),
    }
}

async fn edit(
    global: &Global,
    file: &ConfigFile,
    copy: &NamedTempFile,
    streams: &Streams,
) -> Result<(), Error> {
    let name = file.name();
    let editor = Editor::from_environment(streams.can_ask())?;
    loop {
        let unchanged = |error: Error| error.state(format!("{name} was not changed"));
        editor.open(copy.path()).await.map_err(unchanged)?;
        let text = std::fs::read_to_string(copy.path()).map_err(|error| unchanged(unreadable(error)))?;
        if text.trim().is_empty() && !file.text().trim().is_empty() {
            return Err(unchanged(emptied(&name)));
        }
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
    create().map_err(|error| Error::file("cannot create a copy of the config file", error))
}

/// The command that begins again.
const AGAIN: &str = "handsctl config edit opens it again";

/// Returns the error for a copy that cannot be read: the editor deleted it, or wrote something else than text.
fn unreadable(error: std::io::Error) -> Error {
    let message = match error.kind() {
        ErrorKind::NotFound => "the editor deleted the copy of the config file",
        ErrorKind::InvalidData => "the edited copy of the config file is not UTF-8 text",
        _ => "cannot read the edited copy of the config file",
    };
    Error::file(message, error).hint(AGAIN)
}

/// Returns the error for an empty copy. An editor that fails may leave one, so it is no request to empty the file.
fn emptied(name: &str) -> Error {
    let message = "the editor left an empty copy of the config file";
    Error::new(Id::EditorFailed, Kind::Prerequisite, message)
        .hint(AGAIN)
        .hint(format!("to use the defaults of every key: mv {name} {name}.old"))
}

/// Whether the copy is a file with work that would be lost.
fn has_work(copy: &NamedTempFile, text: &str) -> bool {
    std::fs::read(copy.path())
        .is_ok_and(|edited| !edited.trim_ascii().is_empty() && edited != text.as_bytes())
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
