//! `[kubernetes].tolerations_yaml`: the application silently ignores a string that is not a YAML list, and passes the
//! keys of its entries to a Python constructor, which raises an error for an unknown key.

use granit_parser::{Event, Parser, ScalarStyle};
use serde_json::Value as Json;

use crate::object::yaml;

use super::format::LabelKey;

const KEYS: &[&str] = &["effect", "key", "operator", "toleration_seconds", "value"];
const OPERATORS: &[&str] = &["Exists", "Equal"];
const EFFECTS: &[&str] = &["NoSchedule", "PreferNoSchedule", "NoExecute"];

/// The first error in the value.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TolerationMistake {
    pub message: String,
    pub label: String,
    /// The offending word, if the error is about a single word.
    pub word: Option<String>,
}

impl TolerationMistake {
    fn new(message: impl Into<String>, label: impl Into<String>) -> Self {
        Self { message: message.into(), label: label.into(), word: None }
    }

    fn at(self, word: &str) -> Self {
        Self { word: Some(word.to_owned()), ..self }
    }
}

/// Checks every entry; returns the first error.
pub(super) fn check(text: &str) -> Result<(), TolerationMistake> {
    let not_a_list = |label: String| {
        let message =
            "`kubernetes.tolerations_yaml` is not a YAML list; the application would silently ignore it";
        TolerationMistake::new(message, label)
    };
    plain_scalars(text).iter().try_for_each(|text| read_alike(text))?;
    let parsed = yaml::read(text).map_err(|error| not_a_list(yaml::reason(&error)))?;
    let Json::Array(entries) = parsed else {
        return Err(not_a_list("a list is expected: `- key: example.com/gpu`".to_owned()));
    };
    entries.iter().try_for_each(entry)
}

/// Returns the values and keys that are written without quotes and without a tag, up to the first syntax error.
fn plain_scalars(text: &str) -> Vec<String> {
    let events = Parser::new_from_str(text).map_while(Result::ok);
    let plain = events.filter_map(|(event, _)| match event {
        Event::Scalar(text, ScalarStyle::Plain, _, None) => Some(text.into_owned()),
        _ => None,
    });
    plain.collect()
}

/// Rejects a value without quotes that the application reads otherwise than YAML 1.2, by whose rules the rest is checked.
fn read_alike(text: &str) -> Result<(), TolerationMistake> {
    let Some(kind) = read_by_python(text) else { return Ok(()) };
    let message = format!(
        "`kubernetes.tolerations_yaml` has `{text}` without quotes, which the application reads as {kind}; no conversation \
         would start as it is meant"
    );
    Err(TolerationMistake::new(message, "put a text in quotes; write a number with decimal digits only")
        .at(text))
}

/// Returns how the application's `yaml.safe_load` (`PyYAML`, YAML 1.1) reads a value that YAML 1.2 reads otherwise
/// (`resolver.py`: the patterns of the implicit resolvers).
fn read_by_python(text: &str) -> Option<&'static str> {
    let words = ["yes", "no", "on", "off"];
    let is_cased = |word: &&str| {
        let capital = word[..1].to_ascii_uppercase() + &word[1..];
        text == *word || text == capital || text == word.to_ascii_uppercase()
    };
    if words.iter().any(is_cased) {
        return Some("a boolean");
    }
    if text == "=" {
        return Some("something that it cannot construct");
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let has_only = |text: &str, allowed: &str| {
        text.contains(|c: char| c != '_') && text.chars().all(|c| allowed.contains(c) || c == '_')
    };
    if let Some(rest) = digits.strip_prefix("0o") {
        // YAML 1.2 writes octal numbers so.
        return has_only(rest, "01234567").then_some("a text");
    }
    if digits.strip_prefix("0b").is_some_and(|rest| has_only(rest, "01"))
        || digits.strip_prefix("0x").is_some_and(|rest| has_only(rest, "0123456789abcdefABCDEF"))
    {
        return Some("a number");
    }
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    if digits.len() > 1 && digits.starts_with('0') && digits.chars().all(|c| c.is_ascii_digit() || c == '_') {
        return Some(if has_only(digits, "01234567") { "an octal number" } else { "a text" });
    }
    if is_date(text) {
        return Some("a date");
    }
    if is_sexagesimal(digits) {
        return Some("a number in base 60");
    }
    let is_number = has_only(digits, "0123456789.") && digits.matches('.').count() <= 1;
    (is_number && digits.contains('_')).then_some("a number")
}

/// `2024-01-01`, also with a time.
fn is_date(text: &str) -> bool {
    let (date, has_time) = match text.split_once(['T', 't', ' ', '\t']) {
        Some((date, _)) => (date, true),
        None => (text, false),
    };
    // PyYAML's resolver accepts one digit only where a time follows.
    let lengths: &[usize] = if has_time { &[1, 2] } else { &[2] };
    let parts: Vec<&str> = date.split('-').collect();
    let is_part = |part: &str, lengths: &[usize]| {
        lengths.contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    matches!(&parts[..], [year, month, day] if is_part(year, &[4]) && is_part(month, lengths) && is_part(day, lengths))
}

/// `1:30`: 90.
fn is_sexagesimal(digits: &str) -> bool {
    let mut parts = digits.split(':');
    let is_first = parts.next().is_some_and(|first| {
        first.starts_with(|c: char| c.is_ascii_digit())
            && first.bytes().all(|b| b.is_ascii_digit() || b == b'_')
    });
    let mut rest = parts.peekable();
    let is_part = |part: &str| {
        let (whole, fraction) = part.split_once('.').unwrap_or((part, ""));
        let is_whole = whole.parse::<u8>().is_ok_and(|number| number < 60) && whole.len() <= 2;
        is_whole && fraction.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_')
    };
    is_first && rest.peek().is_some() && rest.all(is_part)
}

/// Returns the byte range of a word in the source of the value; None if the source spells it differently.
pub(super) fn range_of(word: &str, source: &str) -> Option<std::ops::Range<usize>> {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
    source.match_indices(word).map(|(at, matched)| at..at + matched.len()).find(|range| {
        let before = source[..range.start].chars().next_back();
        let after = source[range.end..].chars().next();
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

/// Returns the entries of a checked value. Their keys are those of Kubernetes, except `toleration_seconds`.
pub(super) fn entries(text: &str) -> Vec<Json> {
    match yaml::read(text) {
        Ok(Json::Array(entries)) => entries,
        _ => Vec::new(),
    }
}

fn entry(entry: &Json) -> Result<(), TolerationMistake> {
    let Json::Object(fields) = entry else {
        let message =
            "`kubernetes.tolerations_yaml` has an entry that is not a mapping; no conversation would start";
        return Err(TolerationMistake::new(message, "as in `- key: example.com/gpu`"));
    };
    for (name, value) in fields {
        if !KEYS.contains(&name.as_str()) {
            let message = format!(
                "`kubernetes.tolerations_yaml` has the unknown key `{name}`; no conversation would start"
            );
            let label = match name.as_str() {
                "tolerationSeconds" => "write toleration_seconds".to_owned(),
                _ => format!("keys: {}", KEYS.join(", ")),
            };
            return Err(TolerationMistake::new(message, label).at(name));
        }
        field(name, value)?;
    }
    Ok(())
}

/// Rejects values that the API server would reject when the first conversation starts.
fn field(name: &str, value: &Json) -> Result<(), TolerationMistake> {
    let reject = |label: String| {
        let message =
            format!("`kubernetes.tolerations_yaml` has an invalid `{name}`; no conversation would start");
        let word = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        Err(TolerationMistake::new(message, label).at(&word))
    };
    let one_of = |allowed: &[&str]| match value.as_str() {
        Some(text) if allowed.contains(&text) => Ok(()),
        _ => reject(format!("one of {}", allowed.join(", "))),
    };
    match name {
        "operator" => one_of(OPERATORS),
        "effect" => one_of(EFFECTS),
        "toleration_seconds" if !value.is_i64() => reject("a whole number of seconds".to_owned()),
        "key" => match value.as_str().map(LabelKey::check) {
            Some(Ok(())) => Ok(()),
            Some(Err(error)) => reject(error.message),
            None => reject("a string".to_owned()),
        },
        "value" if !value.is_string() => reject("a string: put it in quotes".to_owned()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_only_lists_with_known_keys() {
        assert_eq!(check("- key: a\n  operator: Exists\n  toleration_seconds: 30\n"), Ok(()));
        assert_eq!(check("[]"), Ok(()));
        for invalid in ["key: a", "- a", "- tolerationSeconds: 3", "- [", "just text"] {
            assert!(check(invalid).is_err(), "{invalid}");
        }
    }

    /// Compared with `yaml.safe_load` of `PyYAML` 6.0.
    #[test]
    fn value_that_python_reads_otherwise_is_an_error() {
        for text in [
            "yes",
            "No",
            "ON",
            "off",
            "1_000",
            "0100",
            "08",
            "0b1",
            "0x1F",
            "-0x1F",
            "0o17",
            "1:30",
            "1:30.5",
            "2024-01-01",
            "2024-1-1T10:00:00Z",
            "1_0.5",
            "=",
        ] {
            for entry in [format!("- {{key: {text}}}"), format!("- key: a\n  toleration_seconds: {text}\n")] {
                let mistake = check(&entry).expect_err(&entry);
                assert_eq!(mistake.word.as_deref(), Some(text), "{entry}: {mistake:?}");
                assert!(mistake.message.contains("which the application reads as"), "{mistake:?}");
            }
            assert_eq!(check(&format!("- {{key: a, value: '{text}'}}")), Ok(()), "{text}");
            assert_eq!(check("- {key: a, value: 2024-1-1}"), Ok(()), "a text for PyYAML");
        }
        for text in ["y", "yEs", "a_1", "1a", "1-2", "example.com/gpu", "on-demand", "0-1", "1.2.3", "a:1"] {
            assert_eq!(check(&format!("- {{key: a, value: {text}}}")), Ok(()), "{text}");
        }
        for number in ["0", "30", "-1"] {
            assert_eq!(check(&format!("- {{key: a, toleration_seconds: {number}}}")), Ok(()), "{number}");
        }
    }

    #[test]
    fn error_names_offending_word_and_range() {
        let word = |text: &str| check(text).unwrap_err().word;
        assert_eq!(word("- tolerationSeconds: 3").as_deref(), Some("tolerationSeconds"));
        assert_eq!(word("- operator: exists").as_deref(), Some("exists"));
        assert_eq!(word("- {key: a, effect: NoRun}").as_deref(), Some("NoRun"));
        assert_eq!(word("- {key: 'a b'}").as_deref(), Some("a b"));
        assert_eq!(word("- {key: a, value: 3}").as_deref(), Some("3"));
        assert_eq!(word("- {key: a, toleration_seconds: x}").as_deref(), Some("x"));
        assert_eq!(range_of("exists", "- key: exists-not\n  operator: exists\n"), Some(30..36));
        assert_eq!(range_of("a", "- key: ab"), None);
    }
}
