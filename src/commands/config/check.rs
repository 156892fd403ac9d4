//! `config check`: reports every error of the configuration at once.

use clap::Args;
use serde_json::{Value, json};

use crate::diagnostic::{Diagnostic, Severity};
use crate::flags::{Format, Global};
use crate::report::{Output, Streams};
use crate::session::cluster_session::{self, Secrets};
use crate::session::output::output_form;

/// Report every error of the config file
///
/// In order: read the files, the environment and --set, check each key and value, check that they fit together, print
/// every error and warning with its line. Exit code 3: there is an error. The values of secrets are not read.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  handsctl config check\n  handsctl config check --config base.toml --config prod.toml -o json"
)]
pub struct ConfigCheckArgs {
    /// Output format of the result
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub output: Format,
}

/// Runs `config check`.
pub(crate) fn run(global: &Global, arguments: &ConfigCheckArgs, streams: &Streams) -> anyhow::Result<u8> {
    let output = output_form(Some(arguments.output));
    let loaded = match cluster_session::load(global, Secrets::Checked, streams) {
        Ok(loaded) => loaded,
        Err(error) if output != Output::Human && !error.diagnostics().is_empty() => {
            let _written = streams.value(&check_result(error.message(), error.diagnostics()), output)?;
            return Ok(error.kind().exit_code());
        }
        Err(error) => return Err(error.into()),
    };
    if output == Output::Human {
        for warning in &loaded.warnings {
            streams.diagnostic(warning);
        }
        let _written = streams.text(&format!("{}  ok\n", loaded.summary))?;
    } else {
        let _written = streams.value(&check_result(&loaded.summary, &loaded.warnings), output)?;
    }
    Ok(0)
}

/// Returns the diagnostics as JSON, with byte ranges for editors and with lines and columns for people.
fn check_result(summary: &str, diagnostics: &[Diagnostic]) -> Value {
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
