//! `[kubernetes].tolerations_yaml`: the application ignores a text that is no YAML list without a word, and hands the
//! keys of its entries to a Python constructor, which raises on one that it does not know.

use serde_json::Value as Json;

const KEYS: &[&str] = &["effect", "key", "operator", "toleration_seconds", "value"];

/// What is wrong, as message and label.
pub(super) fn check(text: &str) -> Result<(), (String, String)> {
    let ignored = |label: String| {
        let message =
            "`kubernetes.tolerations_yaml` is not a YAML list; the application would silently ignore it";
        (message.to_owned(), label)
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

/// The entries of a text that was checked, with Kubernetes' names of their fields where these are one word.
pub(super) fn entries(text: &str) -> Vec<Json> {
    match serde_saphyr::from_str(text) {
        Ok(Json::Array(entries)) => entries,
        _ => Vec::new(),
    }
}

fn entry(entry: &Json) -> Result<(), (String, String)> {
    let Json::Object(fields) = entry else {
        let message =
            "`kubernetes.tolerations_yaml` has an entry that is not a mapping; no conversation would start";
        return Err((message.to_owned(), "as in `- key: example.com/gpu`".to_owned()));
    };
    for name in fields.keys() {
        if !KEYS.contains(&name.as_str()) {
            let message = format!(
                "`kubernetes.tolerations_yaml` has the unknown key `{name}`; no conversation would start"
            );
            let label = match name.as_str() {
                "tolerationSeconds" => "write toleration_seconds".to_owned(),
                _ => format!("keys: {}", KEYS.join(", ")),
            };
            return Err((message, label));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn a_list_of_known_keys() {
        assert_eq!(check("- key: a\n  operator: Exists\n  toleration_seconds: 30\n"), Ok(()));
        assert_eq!(check("[]"), Ok(()));
        for wrong in ["key: a", "- a", "- tolerationSeconds: 3", "- [", "just text"] {
            assert!(check(wrong).is_err(), "{wrong}");
        }
    }
}
