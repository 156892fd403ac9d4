//! The part of `deploy` after the last object is sent: follow the rollout, and make an error of what stops it.

use jiff::Timestamp;

use crate::cluster::rollout::follow::{self, RolloutResult, RolloutWatch};
use crate::cluster::watch::observed_set::{self, ObservedSet};
use crate::error::{Error, Kind, Result};
use crate::event::{Events, Phase, Progress};
use crate::session::cluster_session::Session;
use crate::settings::Settings;
use crate::status::{Finding, GracePeriods, Verdict, evaluate};

/// The patience that the configuration asks for.
pub(crate) fn grace_periods(settings: &Settings, begun: Timestamp) -> GracePeriods {
    let tolerate = &settings.deploy.tolerate;
    GracePeriods {
        unschedulable: tolerate.unschedulable.as_std(),
        image_pull: tolerate.image_pull.as_std(),
        no_storage_class: tolerate.no_storage_class.as_std(),
        crash_restarts: tolerate.crash_restarts,
        ..GracePeriods::starting_at(begun)
    }
}

/// Whether this run changed nothing of a set that is not as it should be: what is wrong with it happened before.
pub(crate) fn is_stalled(session: &Session, rollout: &RolloutWatch) -> bool {
    let now = session.connection.api.traffic().server_time();
    rollout.expected.iter().all(|expected| !expected.changed)
        && evaluate(&rollout.state, &rollout.expected, &rollout.grace, now).verdict != Verdict::Ready
}

/// Waits until the set is as it should be.
///
/// # Errors
/// Exit 9 with the cause where it cannot be, exit 10 where the time is over.
pub(crate) async fn follow(
    session: &Session,
    live: &mut ObservedSet,
    rollout: &mut RolloutWatch,
    events: &Events,
) -> Result<()> {
    events.begin(Phase::Track, "rollout", "").await;
    let ending = follow::follow(&session.connection.api, &mut live.watches, rollout, events).await;
    let failed = match ending {
        Ok(RolloutResult::Ready(workloads)) => {
            events.done(Phase::Track, "rollout", workloads).await;
            return Ok(());
        }
        Ok(RolloutResult::Failed(findings)) => rollout_failed(&findings, rollout, &session.settings),
        Err(error) => error,
    };
    events.step(Phase::Track, "rollout", Progress::Failed, "").await;
    Err(failed)
}

/// The error that a finding of the set is: what, where, why, which key, what next.
fn rollout_failed(findings: &[Finding], rollout: &RolloutWatch, settings: &Settings) -> Error {
    let error = explained(findings);
    let id = error.id();
    error
        .at_config(id.entry().key.and_then(|key| settings.locate(key)))
        .state(state(rollout))
        .hint("mend it and run handsctl deploy again")
        .hint(format!("handsctl explain {id}"))
}

/// The error that findings are, the root cause first: what, where, why.
pub(crate) fn explained(findings: &[Finding]) -> Error {
    let Some(first) = findings.first() else {
        return Error::internal("the rollout failed without a finding");
    };
    let entry = first.id.entry();
    let object = match &first.container {
        Some(container) => format!("{}, container {container}", first.object),
        None => first.object.to_string(),
    };
    let mut error = Error::new(first.id, Kind::Rollout, entry.title).fact("object", object);
    if let Some((count, of)) = first.affected.filter(|(_, of)| *of > 1) {
        error = error.fact("affected", format!("{count}/{of} pods"));
    }
    error = error.fact("evidence", first.message.clone());
    for line in &first.evidence {
        error = error.fact("evidence", line.clone());
    }
    if !first.log.is_empty() {
        error = error.fact("log", first.log.join("\n"));
    }
    for other in &findings[1..] {
        error = error.fact("also", format!("{}: {}: {}", other.object, other.id.title(), other.message));
    }
    for hint in &first.hints {
        error = error.hint(hint.clone());
    }
    error
}

/// What people who use the application see meanwhile.
fn state(rollout: &RolloutWatch) -> &'static str {
    if observed_set::ready_pods(&rollout.state).is_empty() {
        "what was applied stays; nothing is serving"
    } else {
        "what was applied stays; a pod of before is still serving"
    }
}
