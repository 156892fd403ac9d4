//! `config set`: sets keys in the config file.

use std::sync::Arc;

use clap::Args;

use super::meant_assignment::{self, WithoutEquals};
use crate::catalogue::Id;
use crate::diagnostic::{Diagnostic, Location, Severity, SourceText};
use crate::error::{Error, Result};
use crate::flags::Global;
use crate::phrase;
use crate::report::Streams;
use crate::session::config_file::ConfigFile;
use crate::settings::{self, KeyReference};

/// Set keys in config.toml and keep its comments
///
/// In order: reads the config file, checks each KEY=VALUE as `config check` does, sets the keys, and replaces the file
/// atomically. A key that is commented out is set in its place. KEY= without a value means that the key is not set. With a
/// new error nothing is written.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  handsctl config set llm.model=openai/gpt-5\n  handsctl config set deploy.host=hands.example.org deploy.exposure=acknowledged\n  handsctl config set 'llm.api_key={ env = \"OPENAI_API_KEY\" }'\n  handsctl config set --config prod.toml deploy.storage_size=20Gi"
)]
pub struct ConfigSetArgs {
    /// A dotted key and its value: TOML, else a string
    #[arg(value_name = "KEY=VALUE", required = true)]
    pub assignments: Vec<String>,
}

/// Runs `config set`.
pub(crate) fn run(global: &Global, arguments: &ConfigSetArgs, streams: &Streams) -> anyhow::Result<u8> {
    let file = ConfigFile::read(global)?;
    let reference = KeyReference::default();
    let wrong = meant_assignment::without_equals(&reference, &arguments.assignments);
    if !wrong.is_empty() {
        return Err(without_equals(&file, &reference, &wrong)?.into());
    }
    // This check shows mistakes in the arguments, the next one those in the file.
    let of_arguments = file.check(global, file.text(), &arguments.assignments, streams).errors;
    if !of_arguments.is_empty() {
        let mut error = file.rejected(of_arguments.into_iter().map(in_argument).collect());
        for assignment in &arguments.assignments {
            let commands = meant_assignment::with_table(&reference, assignment)?;
            error = commands.into_iter().fold(error, Error::hint);
        }
        return Err(error.into());
    }
    let text = settings::with_keys_set(file.text(), &arguments.assignments)?;
    let name = file.name();
    if text == file.text() {
        streams.err(&format!("{name}  unchanged\n"));
        return Ok(0);
    }
    let check = file.check(global, &text, &[], streams);
    if !check.errors.is_empty() {
        return Err(file.rejected(check.errors).into());
    }
    file.replace(&text)?;
    for warning in &check.warnings {
        streams.diagnostic(warning);
    }
    let keys: Vec<String> =
        arguments.assignments.iter().filter_map(|text| settings::assigned_key(text)).collect();
    streams.err(&format!("{name}  set {}\n{}", keys.join(", "), remaining(check.remaining)));
    for warning in file.overridden(global, &keys, &text) {
        streams.diagnostic(&warning);
    }
    Ok(0)
}

/// The name of an argument as the source of a diagnostic.
const ARGUMENT: &str = "argument";

/// Returns the line about errors that the file had before the edit.
pub(super) fn remaining(errors: usize) -> String {
    if errors == 0 {
        return String::new();
    }
    format!("it still has {}: handsctl config check\n", phrase::count(errors, "error"))
}

/// Returns the error for arguments without `=`, with the commands that were meant. A word that is not a key may be a
/// secret.
fn without_equals(file: &ConfigFile, reference: &KeyReference, wrong: &[WithoutEquals<'_>]) -> Result<Error> {
    let (mut diagnostics, mut hints) = (Vec::new(), Vec::new());
    for argument in wrong {
        let (text, label) = match argument {
            WithoutEquals::Key { key, value } => {
                hints.extend(meant_assignment::commands(reference, key, *value)?);
                ((*key).to_owned(), "`=` and the value are expected behind the key, without blanks")
            }
            WithoutEquals::Other(word) => {
                (settings::masked_set(word)?, "a dotted key is expected before `=`, as in deploy.replicas=1")
            }
        };
        diagnostics.push(Diagnostic {
            id: Id::BadValue,
            severity: Severity::Error,
            message: "config set takes KEY=VALUE".to_owned(),
            location: Some(Location {
                span: 0..text.len(),
                source: Arc::new(SourceText { name: ARGUMENT.to_owned(), text }),
            }),
            label: label.to_owned(),
            masked: false,
        });
    }
    Ok(hints.into_iter().fold(file.rejected(diagnostics), Error::hint))
}

/// Names the argument as the source of a diagnostic; it was checked like a `--set`.
fn in_argument(mut diagnostic: Diagnostic) -> Diagnostic {
    if let Some(Location { source, .. }) = &mut diagnostic.location
        && source.name == "--set"
    {
        *source = Arc::new(SourceText { name: ARGUMENT.to_owned(), text: source.text.clone() });
    }
    diagnostic
}
