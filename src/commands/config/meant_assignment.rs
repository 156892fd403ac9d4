//! The `config set` that wrong arguments mean: `deploy.storage_size 10Gi`, `storage_size=10Gi`. Pure.

use crate::command_line::quoted;
use crate::error::Result;
use crate::settings::{self, KeyReference, ValueForm};

/// The most commands that one argument leads to.
const MOST: usize = 3;

/// An argument without `=`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum WithoutEquals<'a> {
    /// A key of config.toml, and the word after it, if that is its value.
    Key { key: &'a str, value: Option<&'a str> },
    /// A word that may be a secret.
    Other(&'a str),
}

/// Returns the arguments without `=`. The value after a key is a part of it.
pub(super) fn without_equals<'a>(
    reference: &KeyReference,
    arguments: &'a [String],
) -> Vec<WithoutEquals<'a>> {
    let is_key = |word: &str| !keys(reference, word).is_empty();
    let mut wrong = Vec::new();
    let mut words = arguments.iter().map(String::as_str).peekable();
    while let Some(word) = words.next() {
        if settings::assigned_key(word).is_some() {
            continue;
        }
        if !is_key(word) {
            wrong.push(WithoutEquals::Other(word));
            continue;
        }
        // `KEY = VALUE`, and `KEY =VALUE`.
        let _equals = words.next_if_eq(&"=");
        let value = words.next_if(|next| settings::assigned_key(next).is_none() && !is_key(next));
        let value = value.map(|value| value.strip_prefix('=').unwrap_or(value));
        wrong.push(WithoutEquals::Key { key: word, value });
    }
    wrong
}

/// Returns the commands that set the key that was meant.
///
/// # Errors
/// The schema of the settings cannot be read.
pub(super) fn commands(reference: &KeyReference, key: &str, value: Option<&str>) -> Result<Vec<String>> {
    keys(reference, key).iter().take(MOST).map(|key| command(key, value)).collect()
}

/// Returns the commands for a `KEY=VALUE` whose key lacks its table. Empty for another one.
///
/// # Errors
/// The schema of the settings cannot be read.
pub(super) fn with_table(reference: &KeyReference, assignment: &str) -> Result<Vec<String>> {
    match assignment.split_once('=') {
        Some((key, value)) if !key.contains('.') => commands(reference, key.trim(), Some(value)),
        _ => Ok(Vec::new()),
    }
}

/// Returns the keys that a word means, without tables.
fn keys(reference: &KeyReference, word: &str) -> Vec<String> {
    let is_leaf = |key: &String| {
        let path: Vec<&str> = key.split('.').collect();
        path.len() > 1 && reference.doc(&path).is_some_and(|doc| !matches!(doc.value, ValueForm::Table(_)))
    };
    reference.keys_meant(word).into_iter().filter(is_leaf).collect()
}

/// Returns the command with the value, unless that is a secret.
fn command(key: &str, value: Option<&str>) -> Result<String> {
    let assignment = value.map(|value| format!("{key}={value}"));
    let shown = match assignment {
        Some(assignment) if settings::masked_set(&assignment)? == assignment => quoted(&assignment),
        _ => format!("{key}=VALUE"),
    };
    Ok(format!("handsctl config set {shown}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn word_after_a_key_is_its_value() {
        let reference = KeyReference::default();
        let key = |key, value| WithoutEquals::Key { key, value };
        let arguments =
            words(&["deploy.storage_size", "=", "10Gi", "llm.model=m", "deploy.host", "sk-planted"]);
        assert_eq!(
            without_equals(&reference, &arguments),
            [key("deploy.storage_size", Some("10Gi")), key("deploy.host", Some("sk-planted"))]
        );
        let arguments = words(&["deploy.host", "=a.localhost"]);
        assert_eq!(without_equals(&reference, &arguments), [key("deploy.host", Some("a.localhost"))]);
        let arguments = words(&["sk-planted", "deploy.host", "deploy.name", "deploy.none"]);
        assert_eq!(
            without_equals(&reference, &arguments),
            [
                WithoutEquals::Other("sk-planted"),
                key("deploy.host", None),
                key("deploy.name", Some("deploy.none")),
            ]
        );
    }

    #[test]
    fn command_has_the_table_and_no_secret() {
        let reference = KeyReference::default();
        let set = |assignment| with_table(&reference, assignment).unwrap();
        assert_eq!(set("storage_size=10Gi"), ["handsctl config set deploy.storage_size=10Gi"]);
        assert_eq!(set("host=a b")[0], "handsctl config set 'deploy.host=a b'");
        let keys = set("api_key=sk-planted");
        assert!(keys.contains(&"handsctl config set llm.api_key=VALUE".to_owned()), "{keys:?}");
        assert!(keys.iter().all(|command| !command.contains("sk-planted")), "{keys:?}");
        assert_eq!(set("foo=bar"), Vec::<String>::new());
        assert_eq!(set("deploy.hots=bar"), Vec::<String>::new());
        let key = commands(&reference, "llm.api_key", Some("sk-planted")).unwrap();
        assert_eq!(key, ["handsctl config set llm.api_key=VALUE"]);
    }
}
