//! Follows the rollout: what the watches show goes to the judge, and its verdict ends the wait.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::evidence;
use crate::catalogue::Id;
use crate::cluster::client::api::Api;
use crate::cluster::watch::observe::show_change;
use crate::cluster::watch::outage::OutageTracker;
use crate::cluster::watch::watcher::Watches;
use crate::error::{Error, Kind, Result};
use crate::event::{Event, Events};
use crate::object::ObjectId;
use crate::object::kind::CLAIM;
use crate::status::{Evaluation, Expected, Finding, GracePeriods, ObservedState, Verdict, evaluate};

/// How often it is said what is waited for.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// What the judge is to judge, and how patient it is.
pub struct RolloutWatch {
    /// What the watches have shown so far.
    pub state: ObservedState,
    /// The members as they were sent or found.
    pub expected: Vec<Expected>,
    /// How long what may heal is waited for.
    pub grace: GracePeriods,
    /// When the command's own time is over.
    pub deadline: Instant,
}

/// How the rollout ended.
pub enum RolloutResult {
    /// Everything is as it should be: `deployment.apps/openhands 1/1`.
    Ready(String),
    /// It cannot succeed; root cause first, evidence complete.
    Failed(Vec<Finding>),
}

/// Waits until the rollout is over.
///
/// # Errors
/// Exit 10 when the command's deadline passes, with what used the time.
pub async fn follow(
    api: &Api,
    watches: &mut Watches,
    rollout: &mut RolloutWatch,
    events: &Events,
) -> Result<RolloutResult> {
    let mut said: BTreeMap<ObjectId, (bool, String)> = BTreeMap::new();
    let mut warned: BTreeSet<Id> = BTreeSet::new();
    let mut sight = OutageTracker::new(api.traffic());
    let mut next_word = Instant::now() + HEARTBEAT;
    loop {
        while let Some(seen) = watches.try_next() {
            show_change(&mut rollout.state, watches, seen, api.traffic().server_time())?;
        }
        let now = api.traffic().server_time();
        let judgement = evaluate(&rollout.state, &rollout.expected, &rollout.grace, now);
        report_changes(&judgement, &mut said, events).await;
        warn_of_unreachable_registries(&judgement, &rollout.grace, &mut warned, events).await;
        let clears = sight.poll(events).await;
        let until = match judgement.verdict {
            Verdict::Ready => return Ok(RolloutResult::Ready(workloads(&judgement))),
            // What has passed its grace unseen may have healed unseen.
            Verdict::Failed if clears.is_some() => None,
            Verdict::Failed => {
                let mut findings = judgement.findings;
                collect_evidence(api, &mut findings).await;
                for finding in &findings {
                    events.send(Event::Finding(Box::new(finding.clone()))).await;
                }
                return Ok(RolloutResult::Failed(findings));
            }
            Verdict::Waiting { until } => until,
        };
        let until = until.map(|until| Instant::now() + duration_between(now, until));
        let wake = [until, clears].into_iter().flatten().fold(next_word, Instant::min);
        tokio::select! {
            () = sight.changed() => {}
            seen = watches.next() => match seen {
                Some(seen) => show_change(&mut rollout.state, watches, seen, api.traffic().server_time())?,
                None => return Err(Error::internal("all watches ended")),
            },
            () = tokio::time::sleep_until(wake.min(rollout.deadline)) => {}
        }
        if Instant::now() >= rollout.deadline {
            return Err(deadline_passed(&judgement, sight.outage()));
        }
        if Instant::now() >= next_word {
            next_word += HEARTBEAT;
            report_waiting(&judgement, sight.outage(), rollout.deadline, events).await;
        }
    }
}

/// Reads the evidence that the watched objects do not carry.
pub async fn collect_evidence(api: &Api, findings: &mut [Finding]) {
    for finding in findings {
        evidence::collect(api, finding).await;
    }
}

fn duration_between(now: Timestamp, until: Timestamp) -> Duration {
    Duration::try_from(until.duration_since(now)).unwrap_or_default() + Duration::from_millis(5)
}

async fn report_changes(
    judgement: &Evaluation,
    said: &mut BTreeMap<ObjectId, (bool, String)>,
    events: &Events,
) {
    for state in &judgement.objects {
        let word = (state.ready, state.message.clone());
        if said.get(&state.id) == Some(&word) {
            continue;
        }
        said.insert(state.id.clone(), word);
        let (object, ready, message) = (state.id.clone(), state.ready, state.message.clone());
        events.send(Event::Rollout { object, ready, message }).await;
    }
}

/// A registry that cannot be reached is told at once, and once: it is waited for, and whoever watches may know why.
async fn warn_of_unreachable_registries(
    judgement: &Evaluation,
    tolerance: &GracePeriods,
    warned: &mut BTreeSet<Id>,
    events: &Events,
) {
    for finding in judgement.pending.iter().filter(|finding| finding.id == Id::ImageUnavailable) {
        if warned.insert(finding.id) {
            let seconds = tolerance.image_pull.as_secs();
            let message = format!("{}: {}; tried again for {seconds} s", finding.object, finding.message);
            events.warn(finding.id, message).await;
        }
    }
}

/// What stands: claims have nothing to say once they are bound.
fn workloads(judgement: &Evaluation) -> String {
    let workloads = judgement.objects.iter().filter(|state| state.id.kind != CLAIM.kind);
    workloads.map(|state| format!("{} {}", state.id, state.message)).collect::<Vec<_>>().join(", ")
}

async fn report_waiting(
    judgement: &Evaluation,
    outage: Option<Duration>,
    deadline: Instant,
    events: &Events,
) {
    let left = Some(deadline.saturating_duration_since(Instant::now()));
    if let Some(message) = outage.map(outage_message) {
        events.send(Event::Waiting { object: None, message, left }).await;
        return;
    }
    // A claim waits for its pod more often than a pod for its claim.
    let mut waits = judgement.objects.iter().filter(|state| !state.ready);
    let first = waits.clone().next();
    if let Some(state) = waits.find(|state| state.id.kind != CLAIM.kind).or(first) {
        let (object, message) = (Some(state.id.clone()), state.message.clone());
        events.send(Event::Waiting { object, message, left }).await;
    }
}

fn outage_message(outage: Duration) -> String {
    format!("the API server has not answered for {} s", outage.as_secs())
}

fn deadline_passed(judgement: &Evaluation, outage: Option<Duration>) -> Error {
    let mut error =
        Error::new(Id::DeadlinePassed, Kind::Deadline, "the command's time is over before the rollout is");
    for state in judgement.objects.iter().filter(|state| !state.ready) {
        error = error.fact("waiting", format!("{}  {}", state.id, state.message));
    }
    if let Some(outage) = outage {
        error = error.fact("waiting", outage_message(outage));
    }
    error
        .hint("what was applied stays and goes on; handsctl status shows how far it is")
        .hint("--timeout gives more time")
}
