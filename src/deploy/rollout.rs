//! Follows the rollout and turns its findings into an error.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use crate::catalogue::Id;
use crate::cluster::apply::applied::Applied;
use crate::cluster::rollout::finding_error::finding_error;
use crate::cluster::rollout::follow::{self, RolloutResult, RolloutWatch};
use crate::cluster::watch::observed_set::{self, ObservedSet};
use crate::error::{Error, Result};
use crate::event::{Phase, Progress};
use crate::session::runner::Run;
use crate::settings::Settings;
use crate::status::{self, Finding, GracePeriods, Verdict, evaluate};

/// Returns the grace periods of `[deploy.tolerate]` for a rollout that started at `started`.
pub(crate) fn grace_periods(settings: &Settings, started: Timestamp) -> GracePeriods {
    let tolerate = &settings.deploy.tolerate;
    GracePeriods {
        unschedulable: tolerate.unschedulable.as_std(),
        image_pull: tolerate.image_pull.as_std(),
        no_storage_class: tolerate.no_storage_class.as_std(),
        crash_restarts: tolerate.crash_restarts,
        ..GracePeriods::starting_at(started)
    }
}

/// Warns about applied objects that cannot do their work although nothing waits for them, and about those of which
/// nothing tells whether they work.
pub(crate) async fn warn_beside_rollout(run: &Run<'_>, applied: &[Applied], observed: &ObservedSet) {
    let now = run.api().clock().now();
    let members = applied.iter().filter_map(|applied| Some((&applied.id, applied.uid()?)));
    for finding in status::without_effect(&observed.state, members, now) {
        run.events().warn(finding.id, format!("{}: {}", finding.object, finding.message)).await;
    }
    let unwatched = observed_set::unwatched(applied, &observed.state);
    let ids: Vec<String> = unwatched.iter().map(ToString::to_string).collect();
    if !ids.is_empty() {
        run.events().warn(Id::NotWatched, format!("applied, not watched: {}", ids.join(", "))).await;
    }
}

/// Waits until the set is ready.
///
/// # Errors
/// Exit 9 with the cause if it cannot become ready, exit 10 if the deadline passes.
pub(crate) async fn follow(run: &Run<'_>, observed: &mut ObservedSet, rollout: &RolloutWatch) -> Result<()> {
    if is_stalled(run, observed, rollout) {
        for error in observed.load_past_events(run.api(), &run.session.set()).await? {
            run.events().warn(Id::EvidenceMissing, error.with_causes()).await;
        }
    }
    run.events().begin(Phase::Track, "rollout", "").await;
    let error = match follow::follow(run.api(), observed, rollout, Some(run.settings()), run.events()).await {
        Ok(RolloutResult::Ready(workloads)) => {
            run.events().done(Phase::Track, "rollout", workloads).await;
            return Ok(());
        }
        Ok(RolloutResult::Failed(findings)) => {
            follow::report_findings(&findings, run.events()).await;
            rollout_failed(run, &findings, observed, rollout.grace.started)
        }
        Ok(RolloutResult::Expired(error, findings)) => {
            follow::report_findings(&findings, run.events()).await;
            error
        }
        Err(error) => error,
    };
    run.events().step(Phase::Track, "rollout", Progress::Failed, "").await;
    Err(error)
}

/// Returns true if the set is not ready although this run changed nothing. The Events that explain it are then in the
/// past.
fn is_stalled(run: &Run<'_>, observed: &ObservedSet, rollout: &RolloutWatch) -> bool {
    let now = run.api().clock().now();
    rollout.expected.iter().all(|expected| !expected.changed)
        && evaluate(&observed.state, &rollout.expected, &rollout.grace, now).verdict != Verdict::Ready
}

/// Turns findings into an error with the config key, the state of the application and the next command.
fn rollout_failed(run: &Run<'_>, findings: &[Finding], observed: &ObservedSet, started: Timestamp) -> Error {
    let pods = observed.ready_pods(&run.session.set());
    let is_new =
        |pod: &&Pod| pod.metadata.creation_timestamp.as_ref().is_some_and(|created| created.0 >= started);
    let serving = if pods.is_empty() {
        "the applied objects are kept; no pod is serving"
    } else if pods.iter().any(is_new) {
        "the applied objects are kept; the application's new pod is serving"
    } else {
        "the applied objects are kept; the previous pod is still serving"
    };
    finding_error(findings).state(serving)
}
