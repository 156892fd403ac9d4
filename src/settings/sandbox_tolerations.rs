//! `[kubernetes].tolerations_yaml`: the application silently ignores a string that is not a YAML list, and passes the
//! keys of its entries to a Python constructor, which raises an error for an unknown key.

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
    let parsed: Json = serde_saphyr::from_str(text).map_err(|error| not_a_list(yaml::reason(&error)))?;
    let Json::Array(entries) = parsed else {
        return Err(not_a_list("a list is expected: `- key: example.com/gpu`".to_owned()));
    };
    entries.iter().try_for_each(entry)
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
    match serde_saphyr::from_str(text) {
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
