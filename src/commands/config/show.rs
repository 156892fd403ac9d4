//! `config show`: prints the keys that have a value.

use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::flags::{Format, Global};
use crate::report::{self, Output, Streams};
use crate::session::cluster_session::{self, Secrets};
use crate::session::output::output_form;
use crate::settings::KeyValue;

/// Print the keys that have a value
///
/// The values are those that deploy would use: of the files, the environment, --set and the flags, and the defaults of
/// handsctl. A key without one is left out: OpenHands' own default applies, which `config explain KEY` prints. Secrets are
/// not shown.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  handsctl config show --origin\n  handsctl config show -o json")]
pub struct ConfigShowArgs {
    /// Print the origin of each value: default, file, environment or flag
    #[arg(long)]
    pub origin: bool,
    /// Output format of the result
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub output: Format,
}

/// Runs `config show`.
pub(crate) fn run(global: &Global, arguments: &ConfigShowArgs, streams: &Streams) -> anyhow::Result<u8> {
    let loaded = cluster_session::load(global, Secrets::Unread, streams)?;
    for warning in &loaded.warnings {
        streams.diagnostic(warning);
    }
    let settings = cluster_session::for_chosen_cluster(global, loaded.settings)?.origins();
    let output = output_form(Some(arguments.output));
    let _written = if output == Output::Human {
        streams.out(&table(&settings, arguments.origin, streams.width()))?
    } else {
        let list: Vec<ShownKey<'_>> =
            settings.iter().map(|setting| value(setting, arguments.origin)).collect();
        streams.results(&list, output)?
    };
    Ok(0)
}

fn table(settings: &[KeyValue], with_origin: bool, width: usize) -> String {
    if with_origin {
        let rows: Vec<Vec<String>> = settings
            .iter()
            .map(|setting| vec![setting.key.clone(), setting.value.clone(), setting.origin.to_string()])
            .collect();
        return report::table(&["KEY", "VALUE", "ORIGIN"], &rows, width);
    }
    let rows: Vec<Vec<String>> =
        settings.iter().map(|setting| vec![setting.key.clone(), setting.value.clone()]).collect();
    report::table(&["KEY", "VALUE"], &rows, width)
}

/// A key of the result.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ShownKey<'a> {
    key: &'a str,
    /// The value with its type: a text, a number, a truth value, a list or an object.
    value: Value,
    /// Where the value was set, with `--origin`.
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<String>,
}

fn value(setting: &KeyValue, with_origin: bool) -> ShownKey<'_> {
    let origin = with_origin.then(|| setting.origin.to_string());
    ShownKey { key: &setting.key, value: typed(&setting.value), origin }
}

/// Returns the value that a text in TOML has. A text that is not TOML is the value itself, such as `(redacted)`.
fn typed(text: &str) -> Value {
    let table: Option<toml::Table> = toml::from_str(&format!("value = {text}")).ok();
    let value = table.and_then(|mut table| table.remove("value"));
    value.and_then(|value| serde_json::to_value(value).ok()).unwrap_or_else(|| Value::from(text))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_keep_their_type() {
        for (text, value) in [
            ("\"localhost\"", json!("localhost")),
            ("80", json!(80)),
            ("0.5", json!(0.5)),
            ("true", json!(true)),
            ("[\"a\", \"b\"]", json!(["a", "b"])),
            ("{ env = \"KEY\" }", json!({ "env": "KEY" })),
            ("(redacted)", json!("(redacted)")),
        ] {
            assert_eq!(typed(text), value, "{text}");
        }
    }
}
