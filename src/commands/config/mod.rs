//! `config check` and `config show`: the configuration, without a cluster.

use serde_json::{Value, json};

use super::session;
use crate::cli::{ConfigCheckArgs, ConfigCommand, ConfigShowArgs, Global};
use crate::diagnostic::{Diagnostic, Severity};
use crate::report::{self, Output, Streams};
use crate::settings::{Origin, Setting};

/// Runs one of the commands.
pub(super) fn run(global: &Global, command: &ConfigCommand, streams: &Streams) -> anyhow::Result<u8> {
    match command {
        ConfigCommand::Check(arguments) => check(global, arguments, streams),
        ConfigCommand::Show(arguments) => show(global, arguments, streams),
    }
}

fn check(global: &Global, arguments: &ConfigCheckArgs, streams: &Streams) -> anyhow::Result<u8> {
    let output = super::output(Some(arguments.output));
    let loaded = match session::load_without_secrets(global) {
        Ok(loaded) => loaded,
        Err(error) if output != Output::Human && !error.diagnostics().is_empty() => {
            let _nobody_reads = streams.value(&found(error.message(), error.diagnostics()), output)?;
            return Ok(error.kind().exit_code());
        }
        Err(error) => return Err(error.into()),
    };
    if output == Output::Human {
        for warning in &loaded.warnings {
            streams.diagnostic(warning);
        }
        let _nobody_reads = streams.out(&format!("{}  ok\n", loaded.summary))?;
    } else {
        let _nobody_reads = streams.value(&found(&loaded.summary, &loaded.warnings), output)?;
    }
    Ok(0)
}

/// For editors: byte ranges, and lines and columns for people.
fn found(summary: &str, diagnostics: &[Diagnostic]) -> Value {
    let list: Vec<Value> = diagnostics
        .iter()
        .map(|diagnostic| {
            let location = diagnostic.location.as_ref().map(|location| {
                let (line, column) = location.line_column();
                json!({
                    "file": location.source.name,
                    "line": line,
                    "column": column,
                    "start": location.span.start,
                    "end": location.span.end,
                })
            });
            json!({
                "id": diagnostic.id.code(),
                "severity": if diagnostic.severity == Severity::Error { "error" } else { "warning" },
                "message": diagnostic.message,
                "label": diagnostic.label,
                "location": location,
            })
        })
        .collect();
    json!({ "summary": summary, "diagnostics": list })
}

fn show(global: &Global, arguments: &ConfigShowArgs, streams: &Streams) -> anyhow::Result<u8> {
    let loaded = session::load_without_secrets(global)?;
    for warning in &loaded.warnings {
        streams.diagnostic(warning);
    }
    let settings = loaded.settings.origins();
    let output = super::output(Some(arguments.output));
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

fn words(origin: &Origin) -> String {
    match origin {
        Origin::Default => "default".to_owned(),
        Origin::File(location) => location.to_string(),
        Origin::Environment(name) => format!("environment {name}"),
        Origin::Set => "--set".to_owned(),
        Origin::Flag => "flag".to_owned(),
        Origin::Handsctl => "handsctl".to_owned(),
    }
}
