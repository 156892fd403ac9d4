//! `[kubernetes].tolerations_yaml`: the application ignores a text that is no YAML list without a word, and hands the
//! keys of its entries to a Python constructor, which raises on one that it does not know.

use serde_json::Value as Json;

use super::format::LabelKey;

const KEYS: &[&str] = &["effect", "key", "operator", "toleration_seconds", "value"];
const OPERATORS: &[&str] = &["Exists", "Equal"];
const EFFECTS: &[&str] = &["NoSchedule", "PreferNoSchedule", "NoExecute"];

/// What is wrong with the text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TolerationMistake {
    pub message: String,
    pub label: String,
    /// The offending word of the text, where it is one.
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

/// Looks at every entry; the first fault counts.
pub(super) fn check(text: &str) -> Result<(), TolerationMistake> {
    let ignored = |label: String| {
        let message =
            "`kubernetes.tolerations_yaml` is not a YAML list; the application would silently ignore it";
        TolerationMistake::new(message, label)
    };
    let parsed: Json = serde_saphyr::from_str(text).map_err(|error| {
        let text = error.to_string();
        ignored(text.lines().next().unwrap_or_default().to_owned())
    })?;
    let Json::Array(entries) = parsed else {
        return Err(ignored("a list: `- key: example.com/gpu`".to_owned()));
    };
    entries.iter().try_for_each(entry)
}

/// Where a word stands in the source of the text, by bytes; None where the source spells it otherwise.
pub(super) fn place_of(word: &str, source: &str) -> Option<std::ops::Range<usize>> {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
    source.match_indices(word).map(|(at, found)| at..at + found.len()).find(|range| {
        let before = source[..range.start].chars().next_back();
        let after = source[range.end..].chars().next();
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

/// The entries of a text that was checked, with Kubernetes' names of their fields where these are one word.
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

/// What the API server would refuse when the first conversation starts.
fn field(name: &str, value: &Json) -> Result<(), TolerationMistake> {
    let refused = |label: String| {
        let message =
            format!("`kubernetes.tolerations_yaml` has a wrong `{name}`; no conversation would start");
        let word = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        Err(TolerationMistake::new(message, label).at(&word))
    };
    let one_of = |allowed: &[&str]| match value.as_str() {
        Some(text) if allowed.contains(&text) => Ok(()),
        _ => refused(format!("one of {}", allowed.join(", "))),
    };
    match name {
        "operator" => one_of(OPERATORS),
        "effect" => one_of(EFFECTS),
        "toleration_seconds" if !value.is_i64() => refused("a whole number of seconds".to_owned()),
        "key" => match value.as_str().map(LabelKey::check) {
            Some(Ok(())) => Ok(()),
            Some(Err(error)) => refused(error.message),
            None => refused("a text".to_owned()),
        },
        "value" if !value.is_string() => refused("a text: put it in quotes".to_owned()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_known_keys() {
        assert_eq!(check("- key: a\n  operator: Exists\n  toleration_seconds: 30\n"), Ok(()));
        assert_eq!(check("[]"), Ok(()));
        for wrong in ["key: a", "- a", "- tolerationSeconds: 3", "- [", "just text"] {
            assert!(check(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_offending_word_is_known_and_found() {
        let word = |text: &str| check(text).unwrap_err().word;
        assert_eq!(word("- tolerationSeconds: 3").as_deref(), Some("tolerationSeconds"));
        assert_eq!(word("- operator: exists").as_deref(), Some("exists"));
        assert_eq!(word("- {key: a, effect: NoRun}").as_deref(), Some("NoRun"));
        assert_eq!(word("- {key: 'a b'}").as_deref(), Some("a b"));
        assert_eq!(word("- {key: a, value: 3}").as_deref(), Some("3"));
        assert_eq!(word("- {key: a, toleration_seconds: x}").as_deref(), Some("x"));
        assert_eq!(place_of("exists", "- key: exists-not\n  operator: exists\n"), Some(30..36));
        assert_eq!(place_of("a", "- key: ab"), None);
    }
}
