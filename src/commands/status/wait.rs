//! `status --wait-for=healthy`: reads the status again after each watched change, until it is healthy.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};

use super::print::describe_verdict;
use super::read::StatusReport;
use crate::cluster::watch::watcher::Watches;
use crate::error::{Error, Result};
use crate::event::{Event, Events, Phase, Progress};
use crate::object::ObjectId;
use crate::status::{Finding, HealthVerdict};

/// Changes that follow each other within this time are one change: each reading costs a request per kind.
pub(super) const SETTLE: Duration = Duration::from_secs(1);
/// How often to read without a watched change: no watch shows that the application answers, or that a namespace appears.
const UNWATCHED: Duration = Duration::from_secs(10);

/// Reads until the status is healthy, or until the deadline. Returns the last status that was read.
///
/// # Errors
/// Those of `read`. At the deadline only if nothing was read until then.
pub(super) async fn until_healthy(
    deadline: Instant,
    events: &Events,
    read: impl AsyncFn() -> Result<StatusReport>,
    timed_out: impl FnOnce() -> Error,
) -> Result<StatusReport> {
    let left = Some(deadline.saturating_duration_since(Instant::now()));
    events.begin(Phase::Track, "health", "").await;
    events.send(Event::Waiting { object: None, message: "the application's health".to_owned(), left }).await;
    let mut reported = BTreeMap::new();
    let mut last = None;
    loop {
        let Ok(report) = timeout_at(deadline, read()).await else { break };
        let mut report = report?;
        report_components(&report, &mut reported, events).await;
        if report.health.verdict == HealthVerdict::Healthy {
            events.done(Phase::Track, "health", "healthy").await;
            return Ok(report);
        }
        let read_at = Instant::now();
        let (word, reasons) = describe_verdict(&report.health.verdict);
        events.begin(Phase::Track, "health", [&[word.to_owned()], reasons].concat().join(", ")).await;
        let wake = deadline.min(read_at + UNWATCHED);
        tokio::select! {
            () = changed(&mut report.watches) => sleep_until(deadline.min(read_at + SETTLE)).await,
            () = sleep_until(wake) => {}
        }
        last = Some(report);
        if Instant::now() >= deadline {
            break;
        }
    }
    events.step(Phase::Track, "health", Progress::Failed, "").await;
    last.ok_or_else(timed_out)
}

/// Waits for a change of a watched object; pending if no watch runs.
pub(super) async fn changed(watches: &mut Watches) {
    if watches.next().await.is_none() {
        std::future::pending::<()>().await;
    }
}

/// Reports the findings that the last reading did not have.
pub(super) async fn report_findings(
    report: &StatusReport,
    reported: &mut BTreeSet<(&'static str, ObjectId)>,
    events: &Events,
) {
    let key = |finding: &Finding| (finding.id.code(), finding.object.clone());
    for finding in report.findings.iter().filter(|finding| !reported.contains(&key(finding))) {
        events.send(Event::Finding(Box::new(finding.clone()))).await;
    }
    *reported = report.findings.iter().map(key).collect();
}

/// Reports each component whose state has changed, as a deploy does.
pub(super) async fn report_components(
    report: &StatusReport,
    reported: &mut BTreeMap<ObjectId, String>,
    events: &Events,
) {
    for component in &report.health.components {
        let message = component.message.clone();
        if reported.insert(component.id.clone(), message.clone()).as_ref() == Some(&message) {
            continue;
        }
        let ready = component.desired > 0 && component.ready == component.desired;
        let object = component.id.clone();
        events.send(Event::Rollout { object, ready, message, fails_in: None }).await;
    }
}
