//! The typed words, and the options among them that choose the cluster. Pure.

use clap::{Arg, Command, Parser};

use crate::flags::Global;

/// The words of a command line whose last word is completed.
#[derive(Debug, Clone)]
pub(super) struct Line {
    /// The global options that are typed completely.
    pub(super) global: Global,
    /// The other words, without the program. clap's engine would take the value of an option before the command for a
    /// command: a namespace may be named `dev`.
    pub(super) words: Vec<String>,
}

#[derive(Parser)]
struct Options {
    #[command(flatten)]
    global: Global,
}

impl Line {
    /// Reads the words behind the program; `root` defines the command line. None: a typed option is invalid.
    pub(super) fn new(root: &Command, words: &[String]) -> Option<Self> {
        let mut options = vec!["handsctl".to_owned()];
        let mut others = Vec::new();
        let mut rest = words;
        while let [word, behind @ ..] = rest {
            rest = behind;
            match form(root, word) {
                _ if behind.is_empty() => others.push(word.clone()),
                Form::End => {
                    others.push(word.clone());
                    others.extend_from_slice(behind);
                    break;
                }
                Form::Complete => options.push(word.clone()),
                Form::NeedsValue if behind.len() > 1 => {
                    options.extend_from_slice(&[word.clone(), behind[0].clone()]);
                    rest = &behind[1..];
                }
                Form::NeedsValue | Form::Other => others.push(word.clone()),
            }
        }
        let Options { global } = Options::try_parse_from(options).ok()?;
        Some(Self { global, words: others })
    }

    /// The word that is completed.
    pub(super) fn current(&self) -> &str {
        self.words.last().map_or("", String::as_str)
    }
}

/// A word as a part of the global options.
enum Form {
    /// `--`: no options follow.
    End,
    /// An option with its value, or one that takes none.
    Complete,
    /// An option whose value is the next word.
    NeedsValue,
    /// Another word.
    Other,
}

fn form(root: &Command, word: &str) -> Form {
    if word == "--" {
        return Form::End;
    }
    let takes_value = |flag: &Arg| flag.get_action().takes_values();
    let global = || root.get_arguments().filter(|flag| flag.is_global_set());
    if let Some(long) = word.strip_prefix("--") {
        let (name, has_value) = long.split_once('=').map_or((long, false), |(name, _)| (name, true));
        return match global().find(|flag| flag.get_long() == Some(name)) {
            Some(flag) if has_value || !takes_value(flag) => Form::Complete,
            Some(_) => Form::NeedsValue,
            None => Form::Other,
        };
    }
    let mut letters = word.strip_prefix('-').unwrap_or_default().chars();
    let short = letters.next().and_then(|letter| global().find(|flag| flag.get_short() == Some(letter)));
    match short {
        Some(flag) if takes_value(flag) && letters.as_str().is_empty() => Form::NeedsValue,
        Some(flag) if takes_value(flag) => Form::Complete,
        _ => Form::Other,
    }
}

/// Removes the quotes of a word as bash passes it. A quote without its end is removed, too.
pub(super) fn unquoted(word: &str) -> String {
    let mut text = String::with_capacity(word.len());
    let mut quote = None;
    let mut characters = word.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (None, '\'' | '"') => quote = Some(character),
            (Some(open), close) if open == close => quote = None,
            (None | Some('"'), '\\') => text.extend(characters.next()),
            _ => text.push(character),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::definition;

    fn line(words: &str) -> Line {
        let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        Line::new(&definition(), &words).unwrap()
    }

    #[test]
    fn global_options_are_taken_out_of_the_words() {
        for words in [
            "-n dev --context=prod --config a.toml logs -f -c ",
            "--context prod -ndev logs --config a.toml -f -c ",
            "logs -f --namespace dev --config=a.toml --context prod -c ",
        ] {
            let line = line(words);
            assert_eq!(line.words, ["logs", "-f", "-c", ""], "{words}");
            assert_eq!(line.global.namespace.as_deref(), Some("dev"), "{words}");
            assert_eq!(line.global.context.as_deref(), Some("prod"), "{words}");
            assert_eq!(line.global.config, [std::path::PathBuf::from("a.toml")], "{words}");
            assert_eq!(line.current(), "");
        }
    }

    #[test]
    fn option_that_is_being_typed_stays_a_word() {
        assert_eq!(line("-n dev logs --context ").words, ["logs", "--context", ""]);
        assert_eq!(line("logs --context=pr").words, ["logs", "--context=pr"]);
        assert_eq!(line("logs -n").words, ["logs", "-n"]);
        assert_eq!(line("--in-cluster logs ").words, ["logs", ""]);
        assert!(line("--in-cluster logs ").global.in_cluster);
    }

    #[test]
    fn words_behind_two_dashes_are_no_options() {
        let line = line("dev -n a -- kubectl -n b get ");
        assert_eq!(line.words, ["dev", "--", "kubectl", "-n", "b", "get", ""]);
        assert_eq!(line.global.namespace.as_deref(), Some("a"));
    }

    #[test]
    fn invalid_option_gives_no_line() {
        let words = ["--color", "purple", ""].map(str::to_owned);
        assert!(Line::new(&definition(), &words).is_none());
    }

    #[test]
    fn quotes_of_bash_are_removed() {
        for (typed, meant) in [
            (r#"'deploy.host="a b"'"#, r#"deploy.host="a b""#),
            (r#""a\"b"c"#, "a\"bc"),
            (r"a\ b", "a b"),
            ("'deploy.", "deploy."),
            ("plain", "plain"),
        ] {
            assert_eq!(unquoted(typed), meant);
        }
    }
}
