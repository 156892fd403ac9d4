//! Makes untrusted text safe for a terminal: a pod's log must not move the cursor, rename the window or hide the next
//! lines.

use std::borrow::Cow;

/// Removes escape sequences, control characters except newline and tab, and characters that change the text direction.
pub(crate) fn sanitize(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_harmful) {
        return Cow::Borrowed(text);
    }
    let without_sequences = console::strip_ansi_codes(text);
    Cow::Owned(without_sequences.chars().filter(|character| !is_harmful(*character)).collect())
}

/// Sanitizes a text and joins its lines with spaces. Tabs become spaces as well.
pub(crate) fn one_line(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    sanitize(&lines.join(" ")).replace('\t', " ")
}

fn is_harmful(character: char) -> bool {
    let bidirectional = matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    bidirectional || (character.is_control() && character != '\n' && character != '\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_and_control_characters_are_removed() {
        assert_eq!(sanitize("\x1b[2J\x1b[1;31mred\x1b[0m\x07 a\tb\r\nc"), "red a\tb\nc");
        assert_eq!(sanitize("\u{9b}31mx"), "x");
        assert_eq!(sanitize("name\u{202e}gpj.exe"), "namegpj.exe");
        assert!(!sanitize("\x1b]0;title\x07after").contains(['\x1b', '\x07']));
        assert!(matches!(sanitize("ümläut → ✓"), Cow::Borrowed(_)));
    }

    #[test]
    fn one_line_has_no_line_breaks() {
        assert_eq!(one_line("a\r\n  b\n\nc\td\n"), "a b c d");
    }
}
