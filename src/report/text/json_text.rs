//! Makes JSON safe to print: masks secrets in its strings and escapes what a terminal or GitHub's runner would execute.
//! Programs read the same values as before, except for the secrets. Pure.

use std::fmt::Write as _;

use super::sanitize::is_harmful;

/// Returns the JSON with each string masked by `hidden` and escaped. Numbers stay, also those that look like a secret.
pub(crate) fn safe(json: &str, hidden: impl Fn(&str) -> String, github: bool) -> String {
    let mut output = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(start) = rest.find('"') {
        let end = start + literal_length(&rest[start..]);
        output.push_str(&rest[..start]);
        output.push_str(&safe_literal(&rest[start..end], &hidden, github));
        rest = &rest[end..];
    }
    output.push_str(rest);
    output
}

/// Returns the length of the string literal at the beginning of the text, with its quotation marks.
fn literal_length(text: &str) -> usize {
    let mut escaped = false;
    let closing = text.char_indices().skip(1).find_map(|(at, character)| {
        let closes = character == '"' && !escaped;
        escaped = character == '\\' && !escaped;
        closes.then_some(at + 1)
    });
    closing.unwrap_or(text.len())
}

fn safe_literal(literal: &str, hidden: &impl Fn(&str) -> String, github: bool) -> String {
    let masked = serde_json::from_str::<String>(literal).ok().and_then(|text| {
        let masked = hidden(&text);
        if masked == text { None } else { serde_json::to_string(&masked).ok() }
    });
    escaped(masked.as_deref().unwrap_or(literal), github)
}

fn escaped(literal: &str, github: bool) -> String {
    let mut escaped = String::with_capacity(literal.len());
    for character in literal.chars() {
        if is_harmful(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _infallible = write!(escaped, "\\u{unit:04x}");
            }
        } else {
            escaped.push(character);
        }
    }
    // The runner executes `##[command]` anywhere in a line.
    if github { escaped.replace("##[", "#\\u0023[") } else { escaped }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_strings_are_masked_and_escaped() {
        let json = r###"{"a":123456,"b":"x\"123456\\","\u0063":["##[error]","\u009bü"]}"###;
        let json = json.replace("\\u009b", "\u{9b}") + "\n";
        let safe = safe(&json, |text| text.replace("123456", "(redacted)"), true);
        assert_eq!(
            safe,
            r##"{"a":123456,"b":"x\"(redacted)\\","\u0063":["#\u0023[error]","\u009bü"]}"##.to_owned() + "\n"
        );
        let before: serde_json::Value = serde_json::from_str(&json).unwrap();
        let after: serde_json::Value = serde_json::from_str(&safe).unwrap();
        assert_eq!(before["c"], after["c"]);
    }
}
