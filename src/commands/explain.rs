//! `explain`: prints the meaning of an id or an exit code, offline.

use std::fmt::Write as _;

use clap::Args;

use crate::catalogue::Id;
use crate::command_line::RepeatedFlags;
use crate::error::{Error, Kind};
use crate::flags::{Global, number};
use crate::next_commands;
use crate::report::Streams;
use crate::settings::KeyReference;

/// Columns of the texts, as in the guides.
const COLUMNS: usize = 80;

/// Explain an id (HC4103) or an exit code
///
/// Prints its meaning, the config key that it belongs to, and the commands to type next. For what can go wrong in a cluster, also:
/// what the cluster says, how to find out more, how to fix it, and what handsctl does. Without an argument: list all ids and
/// exit codes.
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
pub(crate) fn run(global: &Global, arguments: &ExplainArgs, streams: &Streams) -> anyhow::Result<u8> {
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
    let _written = streams.out(&RepeatedFlags::new(global).insert_into(&text))?;
    Ok(0)
}

/// Lists all ids with their titles, then the exit codes.
fn everything() -> String {
    let mut entries: Vec<_> = Id::ALL.iter().map(|id| id.entry()).collect();
    entries.sort_by_key(|entry| entry.code);
    let ids = entries.iter().fold(String::new(), |mut text, entry| {
        let _infallible = writeln!(text, "{}  {}", entry.code, entry.title);
        text
    });
    format!("{ids}\nExit codes:\n{}", exit_codes())
}

fn id(typed: &str) -> Result<String, Error> {
    let letters = typed.trim_matches(['[', ']']).to_ascii_uppercase();
    let code = if letters.starts_with("HC") { letters } else { format!("HC{letters}") };
    let Some(id) = Id::from_code(&code) else {
        let error = Error::new(Id::Usage, Kind::Usage, format!("there is no id `{typed}`"));
        let is_key = !KeyReference::default().keys_meant(typed).is_empty();
        let error = if is_key { error.hint(format!("handsctl config explain {typed}")) } else { error };
        return Err(error.hint("ids are printed in brackets: error[HC4103]; handsctl explain lists all"));
    };
    let entry = id.entry();
    let key = entry.key.map_or_else(String::new, |key| format!("config key: {key}\n\n"));
    let next = next_commands::describe(&next_commands::for_id(id));
    let explanation = wrapped(entry.explanation);
    let guide = id.guide().map_or_else(String::new, |guide| format!("{}\n", without_marks(guide)));
    Ok(format!("{}: {}\n\n{explanation}\n\n{key}{guide}{next}", entry.code, entry.title))
}

/// Wraps a paragraph as wide as the guides are. A command between backquotes stays on one line, so that it can be copied.
fn wrapped(text: &str) -> String {
    const KEPT_SPACE: &str = "\u{a0}";
    let spans = text.split('`').enumerate();
    let kept = spans.map(|(index, span)| match index % 2 {
        0 => span.to_owned(),
        _ => span.replace(' ', KEPT_SPACE),
    });
    let options = textwrap::Options::new(COLUMNS).word_splitter(textwrap::WordSplitter::NoHyphenation);
    textwrap::fill(&kept.collect::<Vec<_>>().join("`"), options).replace(KEPT_SPACE, " ")
}

/// Returns the guide as a terminal shows it: headings without their marks.
fn without_marks(guide: &str) -> String {
    guide.lines().flat_map(|line| [line.strip_prefix("## ").unwrap_or(line), "\n"]).collect()
}

fn exit_code(number: u8) -> Result<String, Error> {
    if number == 0 {
        return Ok("0: done, or healthy\n".to_owned());
    }
    match Kind::ALL.iter().find(|kind| kind.exit_code() == number) {
        Some(kind) => {
            let next = next_commands::describe(&next_commands::for_exit(*kind));
            Ok(format!("{number}: {}\n\n{}{next}", kind.meaning(), causes(*kind)))
        }
        None => Err(Error::new(Id::Usage, Kind::Usage, format!("handsctl never exits with {number}"))
            .hint("handsctl explain exit-code")),
    }
}

/// The ids of a range that cause another exit code or none: those of a warning, of `status`, or of another class.
const OTHERS: &[(Kind, &str)] = &[
    (Kind::Config, "HC0171"),
    (Kind::Config, "HC0172"),
    (Kind::Config, "HC0173"),
    (Kind::Rollout, "HC4106"),
    (Kind::Rollout, "HC4107"),
    (Kind::Rollout, "HC4420"),
    (Kind::Rollout, "HC4603"),
    (Kind::Rollout, "HC4604"),
    (Kind::Rollout, "HC4605"),
    (Kind::Prerequisite, "HC2021"),
    (Kind::Prerequisite, "HC2022"),
    (Kind::Prerequisite, "HC2025"),
    (Kind::Prerequisite, "HC2042"),
    (Kind::Prerequisite, "HC2043"),
    (Kind::Prerequisite, "HC2044"),
    (Kind::Prerequisite, "HC2045"),
    (Kind::Prerequisite, "HC2046"),
    (Kind::Prerequisite, "HC2047"),
    (Kind::Prerequisite, "HC2049"),
    (Kind::Prerequisite, "HC2051"),
    (Kind::Prerequisite, "HC2090"),
];

/// Lists the ids that explain an exit code of many causes; empty for the other codes.
fn causes(kind: Kind) -> String {
    let ranges: &[&str] = match kind {
        Kind::Config => &["HC01", "HC2022"],
        Kind::Unreachable => &["HC1001", "HC1002", "HC1010", "HC1011", "HC1081"],
        Kind::Unauthenticated => &["HC1020", "HC1021"],
        Kind::Ownership => &["HC0171", "HC0172", "HC3006", "HC3007", "HC3008", "HC3060", "HC3061", "HC3062"],
        Kind::Rollout => &["HC41", "HC42", "HC43", "HC44", "HC45", "HC46"],
        Kind::Prerequisite => &["HC0331", "HC20", "HC3011", "HC3012", "HC4203"],
        _ => &[],
    };
    let is_cause =
        |code: &str| ranges.iter().any(|range| code.starts_with(range)) && !OTHERS.contains(&(kind, code));
    let causes = Id::ALL.iter().map(|id| id.entry()).filter(|entry| is_cause(entry.code));
    let list = causes.fold(String::new(), |list, entry| list + "  " + entry.code + "  " + entry.title + "\n");
    if list.is_empty() { list } else { format!("The error names the cause by its id:\n{list}\n") }
}

fn exit_codes() -> String {
    let rest = Kind::ALL.iter().map(|kind| format!("{:>3}  {}\n", kind.exit_code(), kind.meaning()));
    std::iter::once("  0  done, or healthy\n".to_owned()).chain(rest).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::golden;

    #[test]
    fn id_is_explained_with_its_guide() {
        let expected = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/explain/HC4103.txt");
        golden::assert_matches(&expected, &id("HC4103").unwrap());
    }

    #[test]
    fn key_is_explained_by_another_command() {
        let hints = |word: &str| id(word).unwrap_err().hints().to_vec();
        assert_eq!(hints("deploy.host")[0], "handsctl config explain deploy.host");
        assert_eq!(hints("storage_size")[0], "handsctl config explain storage_size");
        assert!(hints("deploy.hots")[0].starts_with("ids are printed"));
    }

    #[test]
    fn exit_code_of_a_rollout_lists_its_causes() {
        let text = exit_code(9).unwrap();
        assert!(
            text.contains("\n  HC4203  a Secret, ConfigMap or key") && text.contains("\n\nnext: "),
            "{text}"
        );
        assert!(!text.contains("HC3007"), "{text}");
        assert!(!exit_code(13).unwrap().contains("by its id"));
    }

    #[test]
    fn exit_codes_before_the_first_write_list_their_causes() {
        for (number, codes) in [
            (7, &["HC0171", "HC0172", "HC3007", "HC3060", "HC3061", "HC3062"][..]),
            (14, &["HC2001", "HC2050", "HC4203"][..]),
        ] {
            let text = exit_code(number).unwrap();
            for code in codes {
                assert!(text.contains(&format!("\n  {code}  ")), "{code}: {text}");
            }
        }
    }

    #[test]
    fn ids_of_another_exit_code_are_not_listed() {
        for (number, codes) in [
            (3, &["HC0171", "HC0172", "HC0173"][..]),
            (4, &["HC1020", "HC1030"]),
            (5, &["HC1010", "HC1030"]),
            (9, &["HC4106", "HC4604"]),
            (14, &["HC2022", "HC2045", "HC2051"]),
        ] {
            let text = exit_code(number).unwrap();
            assert!(text.contains("by its id"), "{number}");
            for code in codes {
                assert!(!text.contains(code), "{code}: {text}");
            }
        }
    }

    #[test]
    fn commands_stay_on_one_line() {
        let command = "`handsctl cluster up --recreate`";
        let text = format!("{} {command} {}", "word ".repeat(13).trim(), "word ".repeat(13).trim());
        let wrapped = wrapped(&text);
        assert!(wrapped.lines().count() > 1 && wrapped.contains(command), "{wrapped}");
        assert_eq!(wrapped.replace('\n', " "), text);
    }
}
