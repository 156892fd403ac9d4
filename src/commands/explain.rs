//! `explain`: prints the meaning of an id or an exit code, offline.

use std::fmt::Write as _;

use clap::Args;

use crate::catalogue::Id;
use crate::error::{Error, Kind};
use crate::flags::number;
use crate::next_commands;
use crate::report::Streams;

/// Explain an id (HC4103) or an exit code
///
/// Prints its meaning, the config key that it belongs to, and the commands to type next. Without an argument: list all ids and exit codes.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  handsctl explain HC4103\n  handsctl explain exit-code 9\n  handsctl explain"
)]
pub struct ExplainArgs {
    /// An id as printed in brackets, with or without its letters; `exit-code`; or the number of an exit code
    pub subject: Option<String>,
    /// The number after `exit-code`
    #[arg(value_parser = number(0..=u8::MAX, "an exit code is a number from 0 to 255"))]
    pub number: Option<u8>,
}

/// Runs `explain`.
pub(crate) fn run(arguments: &ExplainArgs, streams: &Streams) -> anyhow::Result<u8> {
    let text = match (arguments.subject.as_deref(), arguments.number) {
        (None, _) => everything(),
        (Some("exit-code"), Some(number)) => exit_code(number)?,
        (Some("exit-code"), None) => exit_codes(),
        (Some(subject), None) => match subject.parse() {
            Ok(number) => exit_code(number)?,
            Err(_not_a_small_number) => id(subject)?,
        },
        (Some(subject), Some(_)) => {
            return Err(Error::new(
                Id::Usage,
                Kind::Usage,
                format!("a number is only allowed after `exit-code`, not after `{subject}`"),
            )
            .hint("handsctl explain exit-code 9")
            .into());
        }
    };
    let _written = streams.out(&text)?;
    Ok(0)
}

/// Lists all ids with their titles, then the exit codes.
fn everything() -> String {
    let ids = Id::ALL.iter().map(|id| id.entry()).fold(String::new(), |mut text, entry| {
        let _infallible = writeln!(text, "{}  {}", entry.code, entry.title);
        text
    });
    format!("{ids}\nExit codes:\n{}", exit_codes())
}

fn id(typed: &str) -> Result<String, Error> {
    let letters = typed.trim_matches(['[', ']']).to_ascii_uppercase();
    let code = if letters.starts_with("HC") { letters } else { format!("HC{letters}") };
    let Some(id) = Id::from_code(&code) else {
        return Err(Error::new(Id::Usage, Kind::Usage, format!("there is no id `{typed}`"))
            .hint("ids are printed in brackets: error[HC4103]; handsctl explain lists all"));
    };
    let entry = id.entry();
    let key = entry.key.map_or_else(String::new, |key| format!("config key: {key}\n"));
    let next = next_commands::describe(&next_commands::for_id(id));
    Ok(format!("{}: {}\n\n{}\n\n{key}{next}", entry.code, entry.title, entry.explanation))
}

fn exit_code(number: u8) -> Result<String, Error> {
    if number == 0 {
        return Ok("0: done, or healthy\n".to_owned());
    }
    match Kind::ALL.iter().find(|kind| kind.exit_code() == number) {
        Some(kind) => {
            let next = next_commands::describe(&next_commands::for_exit(*kind));
            Ok(format!("{number}: {}\n\n{next}", kind.meaning()))
        }
        None => Err(Error::new(Id::Usage, Kind::Usage, format!("handsctl never exits with {number}"))
            .hint("handsctl explain exit-code")),
    }
}

fn exit_codes() -> String {
    let rest = Kind::ALL.iter().map(|kind| format!("{:>3}  {}\n", kind.exit_code(), kind.meaning()));
    std::iter::once("  0  done, or healthy\n".to_owned()).chain(rest).collect()
}
