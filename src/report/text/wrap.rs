//! Wraps lines at spaces for a narrow terminal. Pure.

use textwrap::{Options, WordSplitter};

use super::style::DEFAULT_WIDTH;

/// Wraps a line that begins after `used` columns at the width of a terminal. Further lines are indented. A word that is
/// too long stays whole, and so do the columns of a table.
///
/// A stream that is not a terminal has [`DEFAULT_WIDTH`]: whoever searches its lines finds whole ones.
#[must_use]
pub(crate) fn wrapped(line: &str, used: usize, indent: usize, width: usize) -> String {
    if width >= DEFAULT_WIDTH || line.is_empty() || line.contains("  ") {
        return line.to_owned();
    }
    let (first, further) = (" ".repeat(used), " ".repeat(indent));
    let options = Options::new(width)
        .initial_indent(&first)
        .subsequent_indent(&further)
        .word_splitter(WordSplitter::NoHyphenation)
        .break_words(false);
    textwrap::fill(line, options).split_off(used)
}

/// Wraps a row whose columns are separated by two spaces, and indents further lines. The columns stay beside each other as
/// long as their text has a space to break at, and so do a number and its unit: `20 s old`.
#[must_use]
pub(crate) fn wrapped_row(row: &str, indent: usize, width: usize) -> String {
    const SEPARATOR: &str = "\u{a0}\u{a0}";
    let joined = with_joined_units(&row.replace("  ", SEPARATOR));
    let text = wrapped(&joined, 0, indent, width).replace(KEPT_SPACE, " ");
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// A space at which no line is broken.
const KEPT_SPACE: char = '\u{a0}';

/// Keeps each number on the line of its unit, and of the `old` or `ago` behind it.
fn with_joined_units(text: &str) -> String {
    const UNITS: &[&str] = &["s", "m", "h", "d", "ms", "%", "B", "KiB", "MiB", "GiB"];
    let (mut joined, mut is_number, mut is_age) = (String::with_capacity(text.len()), false, false);
    for (index, word) in text.split(' ').enumerate() {
        let bare = word.split(KEPT_SPACE).next().unwrap_or_default();
        let bare = bare.trim_end_matches([',', ';', ':', ')']);
        let is_unit = is_number && UNITS.contains(&bare);
        if index > 0 {
            let is_kept = is_unit || is_age && ["old", "ago"].contains(&bare);
            joined.push(if is_kept { KEPT_SPACE } else { ' ' });
        }
        joined += word;
        // The last column of a word that has several, such as `1/1  20`.
        let last = word.rsplit(KEPT_SPACE).next().unwrap_or_default().trim_start_matches('(');
        is_number = last.starts_with(|c: char| c.is_ascii_digit()) && last.parse::<f64>().is_ok();
        is_age = is_unit && bare == word;
    }
    joined
}

/// Wraps a hint. A command in it stays on one line, which the terminal breaks if it is too long: a copied one has no line
/// break then.
#[must_use]
pub(crate) fn wrapped_hint(line: &str, used: usize, indent: usize, width: usize) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    let mut kept = String::with_capacity(line.len());
    let mut at = 0;
    while let Some(first) = words.get(at) {
        let length = command_length(&words[at..]).max(1);
        let command = words[at..at + length].join(&KEPT_SPACE.to_string());
        // `NAME=value handsctl up`.
        let has_program = words.get(at + 1).is_some_and(|next| PROGRAMS.iter().any(|(name, _)| name == next));
        let is_variable = first.split_once('=').is_some_and(|(name, _)| is_variable_name(name));
        kept += &command;
        at += length;
        if at < words.len() {
            kept.push(if is_variable && has_program { KEPT_SPACE } else { ' ' });
        }
    }
    wrapped(&kept, used, indent, width).replace(KEPT_SPACE, " ")
}

/// Programs in hints, with the number of lowercase words behind them that are no prose: `cluster up`, `get pods NAME`.
const PROGRAMS: &[(&str, usize)] = &[
    ("handsctl", 1),
    ("kubectl", 3),
    ("docker", 2),
    ("podman", 2),
    ("nerdctl", 2),
    ("kind", 2),
    ("sudo", 1),
    ("watch", 2),
];
/// Words behind `handsctl` that another word of the command follows.
const GROUPS: &[&str] = &["cluster", "config", "image"];

/// Returns the number of words of the command that a text begins with; 0: it begins with none. A command ends before the
/// first word of prose, which is no value of a flag, and behind a punctuation mark.
fn command_length(words: &[&str]) -> usize {
    const CLOSING: &[char] = &[',', ';', ':', '.', '`', ')', '?'];
    let Some((first, others)) = words.split_first() else { return 0 };
    let program = first.trim_start_matches(['`', '(', '"']);
    let Some(&(_, mut names)) = PROGRAMS.iter().find(|(name, _)| *name == program) else { return 0 };
    let is_group = program == "handsctl" && others.first().is_some_and(|word| GROUPS.contains(word));
    names += usize::from(is_group);
    let (mut length, mut is_value, mut is_quoted) = (1, false, false);
    for word in others {
        let bare = word.trim_end_matches(CLOSING);
        let is_word = !bare.is_empty() && bare.chars().all(|c| c.is_ascii_lowercase());
        if is_word && !is_value && !is_quoted {
            let Some(fewer) = names.checked_sub(1) else { break };
            names = fewer;
        }
        length += 1;
        is_quoted ^= word.matches('\'').count() % 2 == 1;
        let is_flag = bare.starts_with('-');
        if !is_word && !is_flag && !is_value {
            // Behind `deployment/openhands` only flags follow.
            names = 0;
        }
        is_value = is_flag && !bare.contains('=');
        if bare.len() < word.len() && !is_quoted {
            return length;
        }
    }
    // A name at the end: `handsctl cluster down trial`.
    if is_group && length + 1 == words.len() { words.len() } else { length }
}

fn is_variable_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_whole_and_lines_fit() {
        let text = "the quota has no room for three more objects";
        assert_eq!(wrapped(text, 4, 4, 24), "the quota has no\n    room for three more\n    objects");
        assert_eq!(wrapped(text, 4, 4, DEFAULT_WIDTH), text, "no terminal");
        assert_eq!(wrapped("a b", 30, 4, 24), "a\n    b");
        let long = "x".repeat(40);
        assert_eq!(wrapped(&format!("a {long} b"), 2, 2, 24), format!("a\n  {long}\n  b"));
        assert_eq!(wrapped("field  manager  value", 2, 2, 10), "field  manager  value");
        let colored = "\u{1b}[1merror\u{1b}[0m of a long kind";
        assert_eq!(wrapped(colored, 0, 2, 14), "\u{1b}[1merror\u{1b}[0m of a\n  long kind");
    }

    #[test]
    fn row_breaks_in_its_text_and_not_between_columns() {
        let row = "app        1/1   image:0.59   2 restarts, last 3 m ago: exit code 1";
        let lines =
            ["app        1/1   image:0.59", "           2 restarts, last", "           3 m ago: exit code"];
        assert_eq!(wrapped_row(row, 11, 30), lines.join("\n") + "\n           1");
        assert_eq!(wrapped_row(row, 11, 80), row);
        let aged = "app  1/1   image:0.59   0 restarts   20 s old";
        assert_eq!(wrapped_row(aged, 5, 43), "app  1/1   image:0.59   0 restarts\n     20 s old");
        let revision = "hands  healthy   kind / n · revision 3, 2 h 5 m ago by ana";
        assert_eq!(
            wrapped_row(revision, 2, 47),
            "hands  healthy   kind / n · revision 3, 2 h\n  5 m ago by ana"
        );
    }

    #[test]
    fn command_in_a_hint_is_one_line() {
        let command = "kubectl --context prod delete deployment.apps/openhands -n openhands";
        let hint = |line: &str, width| wrapped_hint(line, 6, 6, width);
        assert_eq!(hint(command, 40), command);
        assert_eq!(
            hint("log in again, or choose another user", 24),
            "log in again, or\n      choose another\n      user"
        );
    }

    #[test]
    fn prose_around_a_command_is_wrapped() {
        let hint = |line: &str| wrapped_hint(line, 6, 6, 40);
        assert_eq!(
            hint("handsctl cluster up --recreate deletes the cluster with everything in it"),
            "handsctl cluster up --recreate deletes\n      the cluster with everything in it"
        );
        assert_eq!(
            hint("or stop the program that listens: handsctl cluster down trial"),
            "or stop the program that listens:\n      handsctl cluster down trial"
        );
        assert_eq!(
            hint(
                "handsctl config set llm.model=m 'llm.api_key={ env = \"A\" }', then handsctl deploy -n two"
            ),
            "handsctl config set llm.model=m 'llm.api_key={ env = \"A\" }',\n      then handsctl deploy -n two"
        );
        assert_eq!(
            hint("KIND_NODE_IMAGE=kindest/node:v1.34.4 handsctl up uses an image that docker has"),
            "KIND_NODE_IMAGE=kindest/node:v1.34.4 handsctl up\n      uses an image that docker has"
        );
        assert_eq!(
            hint("did you mean `handsctl history`? It lists all of them"),
            "did you mean `handsctl history`?\n      It lists all of them"
        );
    }

    #[test]
    fn command_ends_before_prose() {
        let length = |line: &str| command_length(&line.split(' ').collect::<Vec<_>>());
        for (line, words) in [
            ("handsctl logs -f follows the logs", 4),
            ("handsctl status -n openhands shows the state", 4),
            ("handsctl config get deploy.host prints it again", 4),
            ("handsctl up, then something else", 2),
            ("kubectl scale deployment/oh -n two --replicas=0 stops the app", 6),
            ("kubectl --kubeconfig k.yaml delete lease oh -n two", 8),
            ("docker network prune deletes networks that", 3),
            ("log in again", 0),
        ] {
            assert_eq!(length(line), words, "{line}");
        }
    }
}
