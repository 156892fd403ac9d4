//! Makes untrusted text safe for a terminal: a pod's log must not move the cursor, rename the window or hide the next
//! lines.

use std::borrow::Cow;

/// Removes escape sequences, control characters except newline and tab, and characters that change the text direction
/// or are invisible line breaks and marks.
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

/// Sanitizes a text that handsctl has composed: its own colours stay. The last step before a terminal, for what was not
/// sanitized where it was inserted.
pub(crate) fn sanitize_colored(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_harmful) {
        return Cow::Borrowed(text);
    }
    let (mut safe, mut plain, mut from) = (String::with_capacity(text.len()), 0, 0);
    while let Some(start) = text[from..].find("\x1b[").map(|at| from + at) {
        from = start + 2;
        let is_parameter = |c: char| c.is_ascii_digit() || c == ';';
        let end = text[from..].find(|c| !is_parameter(c)).map(|length| from + length);
        if let Some(end) = end.filter(|end| text[*end..].starts_with('m')) {
            safe.push_str(&sanitize(&text[plain..start]));
            safe.push_str(&text[start..=end]);
            plain = end + 1;
        }
    }
    safe.push_str(&sanitize(&text[plain..]));
    Cow::Owned(safe)
}

/// Whether a character must not reach a terminal.
pub(crate) fn is_harmful(character: char) -> bool {
    let is_direction_or_mark = matches!(
        character,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{206f}' | '\u{feff}'
            | '\u{e0000}'..='\u{e007f}'
    );
    is_direction_or_mark || (character.is_control() && character != '\n' && character != '\t')
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
        assert_eq!(sanitize("a\u{200e}b\u{200f}c\u{61c}d\u{2028}e\u{feff}f\u{e0041}g"), "abcdefg");
        assert!(matches!(sanitize("ümläut → ✓ 👩\u{200d}💻"), Cow::Borrowed(_)));
    }

    #[test]
    fn own_colours_stay_and_other_sequences_go() {
        assert_eq!(
            sanitize_colored("\x1b[1;31merror\x1b[0m \x1b[2Ja\u{9b}2Jb\x1b]0;x\x07 \x1b[mc\r\n"),
            "\x1b[1;31merror\x1b[0m ab \x1b[mc\n"
        );
        assert_eq!(sanitize_colored("\x1b[31"), "");
        assert!(matches!(sanitize_colored("a\n"), Cow::Borrowed(_)));
    }

    #[test]
    fn one_line_has_no_line_breaks() {
        assert_eq!(one_line("a\r\n  b\n\nc\td\n"), "a b c d");
    }
}
