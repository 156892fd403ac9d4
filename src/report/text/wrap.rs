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
/// long as their text has a space to break at.
#[must_use]
pub(crate) fn wrapped_row(row: &str, indent: usize, width: usize) -> String {
    const SEPARATOR: &str = "\u{a0}\u{a0}";
    let text = wrapped(&row.replace("  ", SEPARATOR), 0, indent, width).replace(SEPARATOR, "  ");
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// Wraps a hint. A command stays on one line, which the terminal breaks: a copied one has no line break then.
#[must_use]
pub(super) fn wrapped_hint(line: &str, indent: usize, width: usize) -> String {
    let is_command = line.contains("handsctl ") || line.contains("kubectl ");
    if is_command { line.to_owned() } else { wrapped(line, indent, indent, width) }
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
        let expected =
            "app        1/1   image:0.59\n           2 restarts, last 3\n           m ago: exit code 1";
        assert_eq!(wrapped_row(row, 11, 30), expected);
        assert_eq!(wrapped_row(row, 11, 80), row);
    }

    #[test]
    fn command_in_a_hint_is_one_line() {
        let command = "kubectl --context prod delete deployment.apps/openhands -n openhands";
        assert_eq!(wrapped_hint(command, 6, 40), command);
        assert_eq!(
            wrapped_hint("log in again, or choose another user", 6, 24),
            "log in again, or\n      choose another\n      user"
        );
    }
}
