//! The candidates as each shell reads them. Pure.

use crate::command_line::is_plain_word;
use crate::report::one_line;

/// Who reads the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader {
    Bash,
    Zsh,
    Fish,
    /// Through `kubectl_complete-hands`, as kubectl reads it.
    Kubectl,
}

impl Reader {
    /// Returns the reader of this name, which its script passes.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "bash" => Self::Bash,
            "zsh" => Self::Zsh,
            "fish" => Self::Fish,
            "kubectl" => Self::Kubectl,
            _ => return None,
        })
    }
}

/// A value for the word, and what it means; empty without a meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) value: String,
    pub(super) meaning: String,
}

impl Candidate {
    pub(super) fn new(value: impl Into<String>, meaning: impl Into<String>) -> Self {
        Self { value: value.into(), meaning: meaning.into() }
    }
}

/// What can stand instead of the word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Completion {
    /// These values.
    Values(Vec<Candidate>),
    /// The name of a file, which the shell completes.
    Files,
}

/// The most characters of a meaning in a list.
const MEANING_WIDTH: usize = 80;

/// The directives of Cobra that kubectl reads
/// (<https://github.com/spf13/cobra/blob/main/site/content/completions/_index.md>): `ShellCompDirectiveDefault`,
/// `ShellCompDirectiveNoFileComp`, and that one with `ShellCompDirectiveNoSpace`.
const DEFAULT: &str = ":0";
const NO_FILES: &str = ":4";
const NO_FILES_NO_SPACE: &str = ":6";

impl Completion {
    /// Returns the text for the reader.
    pub(super) fn text(&self, reader: Reader) -> String {
        let values = match self {
            Self::Files => &[],
            Self::Values(values) => values.as_slice(),
        };
        let lines: String = values.iter().map(|candidate| line(candidate, reader) + "\n").collect();
        // More characters follow a table of config.toml and a key that gets a value.
        let has_parts = values.iter().any(|candidate| candidate.value.ends_with(['.', '=']));
        match (self, reader) {
            (Self::Files, Reader::Kubectl) => format!("{DEFAULT}\n"),
            (Self::Values(_), Reader::Kubectl) if has_parts => format!("{lines}{NO_FILES_NO_SPACE}\n"),
            (Self::Values(_), Reader::Kubectl) => format!("{lines}{NO_FILES}\n"),
            (Self::Files, _) => "files\n".to_owned(),
            (Self::Values(_), _) if has_parts => format!("parts\n{lines}"),
            (Self::Values(_), _) => format!("values\n{lines}"),
        }
    }
}

fn line(candidate: &Candidate, reader: Reader) -> String {
    let Candidate { value, meaning } = candidate;
    // A meaning may be an annotation of the cluster, and the shell writes it to the terminal.
    let line = one_line(meaning.lines().next().unwrap_or_default());
    let meaning: String = line.chars().take(MEANING_WIDTH).collect();
    match reader {
        Reader::Zsh if meaning.is_empty() => value.replace(':', "\\:"),
        Reader::Zsh => format!("{}:{meaning}", value.replace(':', "\\:")),
        Reader::Fish | Reader::Kubectl if !meaning.is_empty() => format!("{value}\t{meaning}"),
        Reader::Bash | Reader::Fish | Reader::Kubectl => value.clone(),
    }
}

/// Whether a name of the cluster or the kubeconfig can stand on a command line as it is: it has no character that a shell
/// or a terminal would execute, and is no option.
pub(super) fn is_plain(name: &str) -> bool {
    !name.starts_with('-') && is_plain_word(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const READERS: [Reader; 4] = [Reader::Bash, Reader::Zsh, Reader::Fish, Reader::Kubectl];

    fn texts(answer: &Completion) -> [String; 4] {
        READERS.map(|reader| answer.text(reader))
    }

    #[test]
    fn values_have_the_form_of_their_reader() {
        let values = vec![Candidate::new("arn:aws:a", ""), Candidate::new("b", "good, 3 h\nmore")];
        assert_eq!(
            texts(&Completion::Values(values)),
            [
                "values\narn:aws:a\nb\n",
                "values\narn\\:aws\\:a\nb:good, 3 h\n",
                "values\narn:aws:a\nb\tgood, 3 h\n",
                "arn:aws:a\nb\tgood, 3 h\n:4\n",
            ]
        );
    }

    #[test]
    fn meaning_has_no_control_characters() {
        for text in texts(&Completion::Values(vec![Candidate::new("3", "\u{1b}]0;x\u{7}good\tx")])) {
            assert!(!text.contains(['\u{1b}', '\u{7}']) && text.matches('\t').count() <= 1, "{text:?}");
        }
    }

    #[test]
    fn no_space_follows_a_table_or_a_key() {
        for value in ["deploy.", "deploy.host="] {
            let [bash, _, _, kubectl] = texts(&Completion::Values(vec![Candidate::new(value, "")]));
            assert_eq!(
                (bash.as_str(), kubectl.as_str()),
                (&*format!("parts\n{value}\n"), &*format!("{value}\n:6\n"))
            );
        }
    }

    #[test]
    fn files_and_nothing_are_told_apart() {
        assert_eq!(texts(&Completion::Files), ["files\n", "files\n", "files\n", ":0\n"]);
        assert_eq!(texts(&Completion::Values(Vec::new())), ["values\n", "values\n", "values\n", ":4\n"]);
    }

    #[test]
    fn names_that_a_shell_would_execute_are_not_plain() {
        for name in ["prod", "arn:aws:eks:eu:1:cluster/a", "ana@prod", "a_b.c-d", "k=v"] {
            assert!(is_plain(name), "{name}");
        }
        for name in
            ["", "--yes", "a b", "$(id)", "a;id", "a`id`", "a\nb", "\u{1b}[2J", "a'b", "a\\b", "*", "ä"]
        {
            assert!(!is_plain(name), "{name:?}");
        }
    }
}
