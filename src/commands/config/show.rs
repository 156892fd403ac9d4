//! `config show`: every key with its value.

use serde_json::{Value, json};

use crate::cli::{ConfigShowArgs, Global};
use crate::commands::{output, session};
use crate::report::{self, Output, Streams};
use crate::settings::{Origin, Setting};

/// Runs `config show`.
pub(super) fn run(global: &Global, arguments: &ConfigShowArgs, streams: &Streams) -> anyhow::Result<u8> {
    let loaded = session::load_without_secrets(global)?;
    for warning in &loaded.warnings {
        streams.diagnostic(warning);
    }
    let settings = loaded.settings.origins();
    let output = output(Some(arguments.output));
    let _nobody_reads = if output == Output::Human {
        streams.out(&table(&settings, arguments.origin))?
    } else {
        let list: Vec<Value> = settings.iter().map(|setting| value(setting, arguments.origin)).collect();
        streams.value(&list, output)?
    };
    Ok(0)
}

fn table(settings: &[Setting], with_origin: bool) -> String {
    if with_origin {
        let rows: Vec<Vec<String>> = settings
            .iter()
            .map(|setting| vec![setting.key.clone(), setting.value.clone(), words(&setting.origin)])
            .collect();
        return report::table(&["KEY", "VALUE", "ORIGIN"], &rows);
    }
    let rows: Vec<Vec<String>> =
        settings.iter().map(|setting| vec![setting.key.clone(), setting.value.clone()]).collect();
    report::table(&["KEY", "VALUE"], &rows)
}

fn value(setting: &Setting, with_origin: bool) -> Value {
    let mut value = json!({ "key": setting.key, "value": setting.value });
    if with_origin {
        value["origin"] = json!(words(&setting.origin));
    }
    value
}

pub(super) fn words(origin: &Origin) -> String {
    match origin {
        Origin::Default => "default".to_owned(),
        Origin::File(location) => location.to_string(),
        Origin::Environment(name) => format!("environment {name}"),
        Origin::Set => "--set".to_owned(),
        Origin::Flag => "flag".to_owned(),
        Origin::Profile(name) => format!("profile {name}"),
        Origin::Handsctl => "handsctl".to_owned(),
    }
}
