//! `status`: prints one verdict with its reasons and exits with the verdict's code.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::output::value;
use super::print::{describe_verdict, rows, text};
use super::read::{StatusReport, read_status};
use super::wait;
use crate::cluster::app::probe::ProbeResult;
use crate::command_line::RepeatedFlags;
use crate::error::{Kind, Result};
use crate::event::{Event, Events, Finished};
use crate::flags::{Format, Global, ReadArgs};
use crate::report::{Output, ReadingProgress, Streams};
use crate::session::cluster_session::{self, Secrets, Session};
use crate::session::long_calls::read_until;
use crate::session::output::output_form;
use crate::session::reading::ReadInvocation;
use crate::session::step::Deadline;
use crate::status::{HealthVerdict, Metric};

/// Show whether the application is healthy
///
/// Exit code 0: healthy; 11: degraded; 12: down, or nothing is deployed.
///
/// In order: read the installation's record and objects, compare them, probe the application, measure the metrics of
/// [deploy.thresholds], print the verdict with its reasons. With --wait-for=healthy these steps are taken again after each
/// change in the cluster, until the application is healthy or --timeout (5m by default) is over.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  handsctl status\n  handsctl status -o json | jq .verdict\n  handsctl status --wait-for=healthy --timeout 10m"
)]
pub struct StatusArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened into the flags of the command")]
    pub read: ReadArgs,
    /// Wait until the application is healthy: exit 0; at the time limit exit 11 or 12, as without this flag
    #[arg(long, value_name = "STATE")]
    pub wait_for: Option<AwaitedState>,
    /// Output format of the result
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub output: Format,
}

/// A state that `status` can wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AwaitedState {
    /// The verdict is "healthy".
    Healthy,
}

/// The time limit of a command that waits, without `--timeout`.
const WAIT_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// Runs `status`.
pub(crate) async fn run(global: &Global, arguments: &StatusArgs, streams: &Streams) -> anyhow::Result<u8> {
    let (default, progress) = match arguments.wait_for {
        Some(AwaitedState::Healthy) => (WAIT_TIMEOUT, ReadingProgress::Shown),
        None => (ReadArgs::DEFAULT, ReadingProgress::EventsOnly),
    };
    let deadline = Deadline::of(arguments.read.timeout, default);
    let output = output_form(Some(arguments.output));
    let reading = ReadInvocation { global, command: "status", progress, deadline, output, streams };
    let work = async |events: &Events| {
        let loaded = cluster_session::load_until(deadline, global, Secrets::Unneeded, streams).await?;
        let session = Session::to_read(global, loaded, streams, deadline).await?;
        events.target("status", session.target()).await;
        let read = async || read_judged(&session).await;
        let reading = async {
            match arguments.wait_for {
                Some(AwaitedState::Healthy) => {
                    wait::until_healthy(deadline.at, events, read, || deadline.passed(None)).await
                }
                None => read().await,
            }
        };
        let report = read_until(deadline, &session, streams, reading).await;
        let mut report = report.map_err(|error| session.with_credentials_hint(error))?;
        let flags = RepeatedFlags::new(global);
        for finding in report.findings.iter_mut().chain(&mut report.notes) {
            *finding = finding.map_hints(|hint| flags.insert_into(hint));
        }
        if arguments.wait_for.is_none() {
            wait::report_components(&report, &mut BTreeMap::new(), events).await;
        }
        for finding in &report.findings {
            events.send(Event::Finding(Box::new(finding.clone()))).await;
        }
        let finished = finished(&report);
        Ok(((session, report), finished))
    };
    let (session, report) = reading.run(work).await?;
    let exit = exit_code(&report.health.verdict);
    streams.summary_table("status", &session.target(), &rows(&report, exit));
    let _written = match output {
        Output::Human => {
            streams.text(&RepeatedFlags::new(global).insert_into(&text(&session, &report, streams)))?
        }
        output => streams.result(&value(&session, &report), output)?,
    };
    Ok(exit)
}

/// Reads the state of the set, with its verdict.
///
/// # Errors
/// As [`read_status`].
pub(in crate::commands) async fn read_judged(session: &Session) -> Result<StatusReport> {
    read_status(session).await.map(judged)
}

/// Adds what the probe and the metrics of a healthy application say to its verdict.
fn judged(mut report: StatusReport) -> StatusReport {
    let mut reasons: Vec<String> = report.metrics.iter().filter_map(Metric::reason).collect();
    if let Some(ProbeResult::Unreachable(why)) = &report.alive {
        reasons.insert(0, format!("/alive does not answer: {why}"));
    }
    if report.health.verdict == HealthVerdict::Healthy && !reasons.is_empty() {
        report.health.verdict = HealthVerdict::Degraded(reasons);
    }
    report
}

/// Returns the verdict for the last event.
fn finished(report: &StatusReport) -> Finished {
    let (word, reasons) = describe_verdict(&report.health.verdict);
    let reasons = if reasons.is_empty() { String::new() } else { format!(": {}", reasons.join(", ")) };
    Finished {
        exit: exit_code(&report.health.verdict),
        message: format!("{word}{reasons}"),
        revision: report.revision.as_ref().map(|revision| revision.number),
        ..Finished::default()
    }
}

fn exit_code(verdict: &HealthVerdict) -> u8 {
    match verdict {
        HealthVerdict::Healthy => 0,
        HealthVerdict::Degraded(_) => Kind::Degraded.exit_code(),
        HealthVerdict::Down(_) | HealthVerdict::Absent => Kind::Down.exit_code(),
    }
}
