//! `config get`: prints the effective value of a key.

use clap::Args;
use serde_json::{Value, json};

use super::explain::unknown_key;
use crate::flags::{Format, Global};
use crate::report::{Output, Streams};
use crate::session::cluster_session::{self, Secrets};
use crate::session::output::output_form;
use crate::settings::{self, KeyReference, KeyValue};

/// Print the value of a key as a deploy would use it
///
/// The value comes from the default, config.toml, the environment or a flag. A secret is printed as (redacted). A key
/// without a value prints nothing.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  handsctl config get deploy.host\n  handsctl config get kubernetes          # every key of a table\n  handsctl config get deploy.env.LOG_LEVEL -o json"
)]
pub struct ConfigGetArgs {
    /// A key or a table, with dots
    #[arg(value_name = "KEY")]
    pub key: String,
    /// Output format of the result
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub output: Format,
}

/// Runs `config get`.
pub(crate) fn run(global: &Global, arguments: &ConfigGetArgs, streams: &Streams) -> anyhow::Result<u8> {
    let reference = KeyReference::default();
    let unknown = || unknown_key(&reference, &arguments.key, "config get");
    let path = settings::key_path(&arguments.key).ok_or_else(unknown)?;
    let doc = reference.doc(&path.iter().map(String::as_str).collect::<Vec<_>>());
    let key = settings::dotted_key(&path);

    let loaded = cluster_session::load(global, Secrets::Unread, streams)?;
    let settings = cluster_session::for_chosen_cluster(global, loaded.settings)?.origins();
    let prefix = format!("{key}.");
    let is_asked = |setting: &&KeyValue| setting.key == key || setting.key.starts_with(&prefix);
    let values: Vec<&KeyValue> = settings.iter().filter(is_asked).collect();
    if values.is_empty() && doc.is_none() {
        return Err(unknown().into());
    }
    // A named table, such as [llm.fast], has the values of another table instead of the defaults.
    let default = doc.filter(|doc| doc.key == key).and_then(|doc| doc.default);
    let output = output_form(Some(arguments.output));
    let _written = match (&values[..], output) {
        ([value], Output::Human) if value.key == key => streams.out(&line(&value.value))?,
        ([], Output::Human) => streams.out(&default.as_deref().map(line).unwrap_or_default())?,
        (values, Output::Human) => {
            let lines: Vec<String> = values
                .iter()
                .map(|value| format!("{} = {}  # {}\n", value.key, value.value, value.origin))
                .collect();
            streams.out(&lines.concat())?
        }
        ([value], _) if value.key == key => streams.value(&json_value(&value.value), output)?,
        ([], _) => streams.value(&default.as_deref().map_or(Value::Null, json_value), output)?,
        (values, _) => {
            let entry = |value: &&KeyValue| json!({ "key": value.key, "value": json_value(&value.value) });
            streams.results(&values.iter().map(entry).collect::<Vec<_>>(), output)?
        }
    };
    Ok(0)
}

/// Returns a value for the use in a shell: a string without quotes.
fn line(toml: &str) -> String {
    match parsed(toml) {
        Some(toml::Value::String(text)) => format!("{text}\n"),
        _ => format!("{toml}\n"),
    }
}

fn json_value(toml: &str) -> Value {
    // A redacted secret is no TOML.
    let text = || Value::String(toml.to_owned());
    parsed(toml).map_or_else(text, |value| serde_json::to_value(value).unwrap_or_else(|_| text()))
}

fn parsed(toml: &str) -> Option<toml::Value> {
    format!("v = {toml}").parse::<toml::Table>().ok()?.remove("v")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn string_has_no_quotes_and_json_has_types() {
        assert_eq!(line("\"a \\\"b\\\"\""), "a \"b\"\n");
        assert_eq!(line("[\"a\"]"), "[\"a\"]\n");
        assert_eq!(line("(redacted)"), "(redacted)\n");
        assert_eq!(json_value("7"), json!(7));
        assert_eq!(json_value("{ a = \"b\" }"), json!({ "a": "b" }));
        assert_eq!(json_value("(redacted)"), json!("(redacted)"));
    }
}
