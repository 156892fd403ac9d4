//! `explain`: prints the meaning of an id or an exit code, offline.

use clap::Args;

use crate::catalogue::Id;
use crate::error::{Error, Kind};
use crate::report::Streams;

/// Explain an id (HC4103) or an exit code
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  handsctl explain HC4103\n  handsctl explain exit-code 9")]
pub struct ExplainArgs {
    /// An id, as printed in brackets, or `exit-code`
    pub subject: String,
    /// The number after `exit-code`
    pub number: Option<u8>,
}

/// Runs `explain`.
pub(crate) fn run(arguments: &ExplainArgs, streams: &Streams) -> anyhow::Result<u8> {
    let text = match (arguments.subject.as_str(), arguments.number) {
        ("exit-code", Some(number)) => exit_code(number)?,
        ("exit-code", None) => exit_codes(),
        (code, None) => id(code)?,
        (subject, Some(_)) => {
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

fn id(code: &str) -> Result<String, Error> {
    let Some(id) = Id::from_code(code) else {
        return Err(Error::new(Id::Usage, Kind::Usage, format!("there is no id `{code}`"))
            .hint("ids are printed in brackets: error[HC4103]"));
    };
    let entry = id.entry();
    let key = entry.key.map_or_else(String::new, |key| format!("\nconfig key: {key}\n"));
    Ok(format!("{}: {}\n\n{}\n{key}", entry.code, entry.title, entry.explanation))
}

fn exit_code(number: u8) -> Result<String, Error> {
    if number == 0 {
        return Ok("0: done, or healthy\n".to_owned());
    }
    match Kind::ALL.iter().find(|kind| kind.exit_code() == number) {
        Some(kind) => Ok(format!("{number}: {}\n", kind.meaning())),
        None => Err(Error::new(Id::Usage, Kind::Usage, format!("handsctl never exits with {number}"))
            .hint("handsctl explain exit-code")),
    }
}

fn exit_codes() -> String {
    let rest = Kind::ALL.iter().map(|kind| format!("{:>3}  {}\n", kind.exit_code(), kind.meaning()));
    std::iter::once("  0  done, or healthy\n".to_owned()).chain(rest).collect()
}
