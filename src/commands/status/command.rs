//! `status`: prints one verdict with its reasons and exits with the verdict's code.

use clap::Args;

use super::print::{text, value};
use super::read::read_status;
use crate::cluster::app::probe::ProbeResult;
use crate::command_line::RepeatedFlags;
use crate::error::Kind;
use crate::flags::{Format, Global, ReadArgs};
use crate::report::{Output, Streams};
use crate::session::cluster_session::{self, Secrets, Session};
use crate::session::long_calls::read_until;
use crate::session::output::output_form;
use crate::session::step::Deadline;
use crate::status::{HealthVerdict, Metric};

/// Show whether the application is healthy
///
/// Exit code 0: healthy; 11: degraded; 12: down, or nothing is deployed.
///
/// In order: read the set's record and objects, compare them, probe the application, measure the metrics of
/// [deploy.thresholds], print the verdict with its reasons.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  handsctl status\n  handsctl status -o json | jq .verdict")]
pub struct StatusArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened into the flags of the command")]
    pub read: ReadArgs,
    /// Output format of the result
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub output: Format,
}

/// Runs `status`.
pub(crate) async fn run(global: &Global, arguments: &StatusArgs, streams: &Streams) -> anyhow::Result<u8> {
    let deadline = Deadline::of(arguments.read.timeout, ReadArgs::DEFAULT);
    let loaded = cluster_session::load_until(deadline, global, Secrets::Unneeded, streams).await?;
    let session = Session::to_read(global, loaded, streams, deadline).await?;
    let report = read_until(deadline, &session, streams, read_status(&session)).await;
    let mut report = report.map_err(|error| session.with_credentials_hint(error))?;
    let mut reasons: Vec<String> = report.metrics.iter().filter_map(Metric::reason).collect();
    if let Some(ProbeResult::Unreachable(why)) = &report.alive {
        reasons.insert(0, format!("/alive does not answer: {why}"));
    }
    if report.health.verdict == HealthVerdict::Healthy && !reasons.is_empty() {
        report.health.verdict = HealthVerdict::Degraded(reasons);
    }
    let _written = match output_form(Some(arguments.output)) {
        Output::Human => {
            streams.text(&RepeatedFlags::new(global).insert_into(&text(&session, &report, streams)))?
        }
        output => streams.value(&value(&session, &report), output)?,
    };
    Ok(exit_code(&report.health.verdict))
}

fn exit_code(verdict: &HealthVerdict) -> u8 {
    match verdict {
        HealthVerdict::Healthy => 0,
        HealthVerdict::Degraded(_) => Kind::Degraded.exit_code(),
        HealthVerdict::Down(_) | HealthVerdict::Absent => Kind::Down.exit_code(),
    }
}
