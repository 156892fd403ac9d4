//! `config check`: reports every error of the configuration at once.

use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;

use crate::catalogue::Id;
use crate::command_line::RepeatedFlags;
use crate::diagnostic::{Diagnostic, Severity};
use crate::event::{Events, Finished};
use crate::flags::{Format, Global, ReadArgs};
use crate::plan::{self, SecretNaming};
use crate::report::{ConfigCheck, JunitFile, Output, ReadingProgress, Streams};
use crate::session::cluster_session::{self, Secrets};
use crate::session::output::output_form;
use crate::session::output_files;
use crate::session::reading::ReadInvocation;
use crate::session::step::Deadline;
use crate::settings::Loaded;
use crate::settings::handsctl::Provider;

/// Report every error of the config file
///
/// In order: read the files, the environment and --set, check each key and value, check that they fit together, build
/// the objects, print every error and warning with its line. Exit code 3: there is an error. The values of secrets are not read.
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
pub(crate) async fn run(
    global: &Global,
    arguments: &ConfigCheckArgs,
    streams: &Streams,
) -> anyhow::Result<u8> {
    let (progress, output) = (ReadingProgress::EventsOnly, output_form(Some(arguments.output)));
    output_files::ensure_distinct(global)?;
    let junit = global.junit.clone().map(JunitFile::create).transpose()?;
    // Its JUnit XML has a case for each mistake; the reporter's would have one for the command.
    let reported = Global { junit: None, ..global.clone() };
    let deadline = Deadline::after(ReadArgs::DEFAULT);
    let reading =
        ReadInvocation { global: &reported, command: "config check", progress, deadline, output, streams };
    let work = async |events: &Events| {
        let loaded = cluster_session::load_until(deadline, global, Secrets::Checked, streams).await;
        let loaded = loaded.and_then(|loaded| {
            // What `deploy` rejects before it sends anything.
            plan::build(&loaded.settings, SecretNaming::Placeholder, &[])?;
            Ok(loaded)
        });
        let finished = match &loaded {
            Ok(loaded) => {
                cluster_session::report_config(loaded, Secrets::Checked, events).await;
                Finished { message: format!("{}  ok", loaded.summary), ..Finished::default() }
            }
            Err(error) => Finished::of_error(error),
        };
        Ok((loaded, finished))
    };
    let loaded = match reading.run(work).await? {
        Ok(loaded) => loaded,
        Err(error) => {
            if let Some(file) = junit {
                let (summary, diagnostics) = (error.message(), error.diagnostics());
                let check = ConfigCheck { summary, diagnostics, is_valid: false };
                streams.junit_of_configuration(file, &check)?;
            }
            if output == Output::Human || error.diagnostics().is_empty() {
                return Err(error.into());
            }
            let _written = streams.result(&check_result(error.message(), error.diagnostics()), output)?;
            return Ok(error.kind().exit_code());
        }
    };
    if let Some(file) = junit {
        let (summary, diagnostics) = (loaded.summary.as_str(), loaded.warnings.as_slice());
        streams.junit_of_configuration(file, &ConfigCheck { summary, diagnostics, is_valid: true })?;
    }
    if output == Output::Human {
        let _written = streams.text(&format!("{}  ok\n", loaded.summary))?;
        if streams.out_is_terminal()
            && !global.quiet
            && let Some(next) = next_command(global, &loaded)
        {
            streams.err(&format!("next: {}\n", RepeatedFlags::new(global).insert_into(next)));
        }
    } else {
        let _written = streams.result(&check_result(&loaded.summary, &loaded.warnings), output)?;
    }
    Ok(0)
}

/// Returns the command that applies the configuration. None: it would fail, because it cannot read a secret.
fn next_command(global: &Global, loaded: &Loaded) -> Option<&'static str> {
    if loaded.warnings.iter().any(|warning| warning.id == Id::SecretNotReadable) {
        return None;
    }
    let cluster = &loaded.settings.cluster;
    let has_cluster = cluster.provider == Provider::Existing || global.context.is_some() || global.in_cluster;
    Some(if has_cluster || cluster.context.is_some() { "handsctl deploy" } else { "handsctl up" })
}

/// The result of `config check`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct CheckResult<'a> {
    summary: &'a str,
    diagnostics: Vec<CheckDiagnostic<'a>>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct CheckDiagnostic<'a> {
    id: &'static str,
    /// `error` or `warning`.
    severity: &'static str,
    message: &'a str,
    label: &'a str,
    location: Option<CheckLocation<'a>>,
}

/// A range of bytes in a file for editors, with its line and column, counted from 1, for people.
#[derive(Debug, Serialize, JsonSchema)]
struct CheckLocation<'a> {
    file: &'a str,
    line: usize,
    column: usize,
    start: usize,
    end: usize,
}

/// Returns the diagnostics for programs.
fn check_result<'a>(summary: &'a str, diagnostics: &'a [Diagnostic]) -> CheckResult<'a> {
    let diagnostics = diagnostics.iter().map(|diagnostic| {
        let location = diagnostic.location.as_ref().map(|location| {
            let (line, column) = location.line_column();
            let (start, end) = (location.span.start, location.span.end);
            CheckLocation { file: &location.source.name, line, column, start, end }
        });
        CheckDiagnostic {
            id: diagnostic.id.code(),
            severity: if diagnostic.severity == Severity::Error { "error" } else { "warning" },
            message: &diagnostic.message,
            label: &diagnostic.label,
            location,
        }
    });
    CheckResult { summary, diagnostics: diagnostics.collect() }
}
