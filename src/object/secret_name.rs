//! Names of variables, keys and headers whose value is a secret. Pure.

use serde_json::Value;

use super::mask::REDACTED;

/// Endings of names that mark a secret.
pub const ENDINGS: &[&str] = &[
    "API_KEY",
    "APIKEY",
    "TOKEN",
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "PASS",
    "PWD",
    "PAT",
    "SECRET",
    "SECRET_KEY",
    "ACCESS_KEY",
    "ACCESS_KEY_ID",
    "PRIVATE_KEY",
    "CREDENTIALS",
    "CREDS",
    "AUTH_HEADER",
    "WEBHOOK",
    "WEBHOOK_URL",
    "AUTHORIZATION",
    "DSN",
    "DATABASE_URL",
    "CONNECTION_STRING",
];

/// The same, but not as a whole name: `{ key = "…" }` is a key of something else.
const SECOND_WORDS: &[&str] = &["KEY"];
/// The same, also without a separator before it: `PGPASSWORD`.
const LAST_LETTERS: &[&str] = &["PASSWORD"];
/// Names with such an ending that are not secret.
const PUBLIC: &[&str] = &["PUBLIC_KEY"];

/// Whether a name marks its value as a secret: `GITHUB_TOKEN`, `X-Session-API-Key`.
#[must_use]
pub fn is_sensitive(name: &str) -> bool {
    let name = name.to_ascii_uppercase().replace('-', "_");
    if PUBLIC.iter().any(|public| name.ends_with(public)) {
        return false;
    }
    let rest = |ending: &&str| name.strip_suffix(*ending);
    ENDINGS.iter().filter_map(rest).any(|rest| rest.is_empty() || rest.ends_with('_'))
        || SECOND_WORDS.iter().filter_map(rest).any(|rest| rest.ends_with('_'))
        || LAST_LETTERS.iter().any(|ending| name.ends_with(ending))
}

/// Returns the value with each variable of a secret name hidden: `{ name = "DB_PASSWORD", value = "…" }` in the `env` of a
/// container, wherever it is.
#[must_use]
pub fn without_variables(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(without_variables).collect(),
        Value::Object(mut map) => {
            let is_secret = map.get("name").and_then(Value::as_str).is_some_and(is_sensitive);
            if let Some(value) = map.get_mut("value").filter(|value| is_secret && value.is_string()) {
                *value = Value::String(REDACTED.to_owned());
            }
            Value::Object(map.into_iter().map(|(key, value)| (key, without_variables(value))).collect())
        }
        value => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_names_are_sensitive() {
        for name in [
            "GITHUB_TOKEN",
            "api_key",
            "X-Session-API-Key",
            "Authorization",
            "DB_PASS",
            "jwt_secret",
            "DATABASE_URL",
            "SMTP_PASS",
            "MYSQL_PWD",
            "AZURE_DEVOPS_PAT",
            "ENCRYPTION_KEY",
            "SENTRY_DSN",
            "DSN",
            "SSH_PASSPHRASE",
            "PGPASSWORD",
            "LLM_CREDS",
            "AUTH_HEADER",
            "SLACK_WEBHOOK",
            "STORAGE_CONNECTION_STRING",
        ] {
            assert!(is_sensitive(name), "{name}");
        }
        for name in [
            "max_output_tokens",
            "MONKEY",
            "LLM_MODEL",
            "KEYBOARD",
            "BYPASS",
            "key",
            "TURKEY",
            "COMPASS",
            "SSH_PUBLIC_KEY",
            "PATH",
            "FORMAT",
        ] {
            assert!(!is_sensitive(name), "{name}");
        }
    }

    #[test]
    fn variables_of_a_secret_name_are_hidden() {
        let variable = |name: &str, value: &str| serde_json::json!({ "name": name, "value": value });
        let container =
            serde_json::json!({ "name": "a", "env": [variable("DB_PASSWORD", "p"), variable("MODE", "m")] });
        let hidden = without_variables(container);
        assert_eq!(hidden["env"][0], variable("DB_PASSWORD", REDACTED));
        assert_eq!(hidden["env"][1], variable("MODE", "m"));
    }
}
