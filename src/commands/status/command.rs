//! `status`: prints one verdict with its reasons and exits with the verdict's code.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::all;
use super::judge::{Drift, exit_code, read_judged};
use super::output::value;
use super::print::{rows, text, verdict_text};
use super::read::StatusReport;
use super::wait;
use super::watch::{self, View};
use crate::command_line::RepeatedFlags;
use crate::error::Result;
use crate::event::{Events, Finished};
use crate::flags::{Format, Global, ReadArgs};
use crate::report::{Output, ReadingProgress, Streams};
use crate::session::cluster_session::{self, Secrets, Session};
use crate::session::long_calls::read_until;
use crate::session::output::output_form;
use crate::session::reading::{Interrupts, ReadInvocation};
use crate::session::step::Deadline;
use crate::status::MetricHistory;

/// Show whether the application is healthy
///
/// Exit code 0: healthy; 11: degraded; 12: down, or nothing is deployed.
///
/// In order: read the installation's record and objects, compare them, probe the application, measure the metrics of
/// [deploy.thresholds], print the verdict with its reasons. With --wait-for=healthy these steps are taken again after each
/// change in the cluster, until the application is healthy or --timeout (5m by default) is over; with -w until Ctrl-C, and
/// --timeout limits the first reading.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  handsctl status\n  handsctl status -o json | jq .verdict\n  handsctl status --watch\n  handsctl status --drift\n  handsctl status --all-namespaces\n  handsctl status --wait-for=healthy --timeout 10m"
)]
pub struct StatusArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened into the flags of the command")]
    pub read: ReadArgs,
    /// The verdict of every installation in the cluster, by its objects and its application's answer; the exit code is that
    /// of the worst
    #[arg(short = 'A', long, conflicts_with_all = ["namespace", "name", "wait_for", "watch"])]
    pub all_namespaces: bool,
    /// Show each change until Ctrl-C: on a terminal the whole status, with the readings of each metric as bars, else a line
    /// for each change
    #[arg(short, long, conflicts_with = "wait_for")]
    pub watch: bool,
    /// Fields that others changed since the deploy degrade the verdict; without this flag each has a note
    #[arg(long, conflicts_with = "all_namespaces")]
    pub drift: bool,
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
    if arguments.all_namespaces {
        return run_all(global, arguments, streams).await;
    }
    if arguments.watch {
        return run_watching(global, arguments, streams).await;
    }
    let reading = reading(global, arguments, streams);
    let (deadline, output, drift) = (reading.deadline, reading.output, drift(arguments));
    let work = async |events: &Events| {
        let session = open(global, deadline, streams, events).await?;
        let read = async || read_judged(&session, drift).await;
        let judging = async {
            match arguments.wait_for {
                Some(AwaitedState::Healthy) => {
                    wait::until_healthy(deadline.at, events, read, || deadline.passed(None)).await
                }
                None => read().await,
            }
        };
        let report = read_until(deadline, &session, streams, judging).await;
        let mut report = report.map_err(|error| session.with_credentials_hint(error))?;
        let flags = RepeatedFlags::new(global);
        report.map_hints(|hint| flags.insert_into(hint));
        if arguments.wait_for.is_none() {
            wait::report_components(&report, &mut BTreeMap::new(), events).await;
        }
        wait::report_findings(&report, &mut BTreeSet::new(), events).await;
        let finished = finished(&report);
        Ok(((session, report), finished))
    };
    let (session, report) = reading.run(work).await?;
    let exit = exit_code(&report.health.verdict);
    streams.summary_table("status", &session.target(), &rows(&report, exit));
    let _written = match output {
        Output::Human => streams.text(&RepeatedFlags::new(global).insert_into(&text(
            &session,
            &report,
            &MetricHistory::default(),
            streams,
        )))?,
        output => streams.result(&value(&session, &report), output)?,
    };
    Ok(exit)
}

async fn run_all(global: &Global, arguments: &StatusArgs, streams: &Streams) -> anyhow::Result<u8> {
    let reading = reading(global, arguments, streams);
    let work = async |events: &Events| {
        let session = open(global, reading.deadline, streams, events).await?;
        let judged = read_until(reading.deadline, &session, streams, all::read(&session)).await;
        let judged = judged.map_err(|error| session.with_credentials_hint(error))?;
        let finished = all::finished(&judged);
        let exit = finished.exit;
        Ok(((session, judged, exit), finished))
    };
    let (session, judged, exit) = reading.run(work).await?;
    let context = &session.connection.choice.context;
    let _written = match reading.output {
        Output::Human if judged.is_empty() => {
            streams.err(&format!("no installations; context {context}\n"));
            return Ok(exit);
        }
        Output::Human => {
            let text = all::text(&judged, session.connection.api.clock().now(), streams);
            streams.text(&RepeatedFlags::new(global).insert_into(&text))?
        }
        output => streams.results(&judged.iter().map(all::value).collect::<Vec<_>>(), output)?,
    };
    Ok(exit)
}

async fn run_watching(global: &Global, arguments: &StatusArgs, streams: &Streams) -> anyhow::Result<u8> {
    let (reading, drift) = (reading(global, arguments, streams), drift(arguments));
    let prepare = async |events: &Events| {
        let session = open(global, reading.deadline, streams, events).await?;
        let report = read_until(reading.deadline, &session, streams, read_judged(&session, drift)).await;
        let report = report.map_err(|error| session.with_credentials_hint(error))?;
        Ok((session, report))
    };
    let follow = async |(session, report): (Session, StatusReport), events: &Events| {
        let flags = RepeatedFlags::new(global);
        let view = View::new(reading.output, flags, streams);
        watch::follow(session, drift, report, view, events).await
    };
    reading.follow(Interrupts::EndCommand, prepare, follow).await
}

fn reading<'a>(global: &'a Global, arguments: &StatusArgs, streams: &'a Streams) -> ReadInvocation<'a> {
    let (default, progress) = match arguments.wait_for {
        Some(AwaitedState::Healthy) => (WAIT_TIMEOUT, ReadingProgress::Shown),
        None => (ReadArgs::DEFAULT, ReadingProgress::EventsOnly),
    };
    let deadline = Deadline::of(arguments.read.timeout, default);
    let output = output_form(Some(arguments.output));
    ReadInvocation { global, command: "status", progress, deadline, output, streams }
}

fn drift(arguments: &StatusArgs) -> Drift {
    if arguments.drift { Drift::Degrades } else { Drift::Noted }
}

async fn open(global: &Global, deadline: Deadline, streams: &Streams, events: &Events) -> Result<Session> {
    let loaded = cluster_session::load_until(deadline, global, Secrets::Unneeded, streams).await?;
    let session = Session::to_read(global, loaded, streams, deadline).await?;
    events.target("status", session.target()).await;
    Ok(session)
}

/// Returns the verdict for the last event.
fn finished(report: &StatusReport) -> Finished {
    Finished {
        exit: exit_code(&report.health.verdict),
        message: verdict_text(&report.health.verdict),
        revision: report.revision.as_ref().map(|revision| revision.number),
        ..Finished::default()
    }
}
