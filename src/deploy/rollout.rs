//! Follows the rollout, and makes an error of what stops it.

use jiff::Timestamp;

use crate::cluster::rollout::finding_error::finding_error;
use crate::cluster::rollout::follow::{self, RolloutResult, RolloutWatch};
use crate::cluster::watch::observed_set::ObservedSet;
use crate::error::{Error, Result};
use crate::event::{Phase, Progress};
use crate::session::runner::Run;
use crate::settings::Settings;
use crate::status::{Finding, GracePeriods, Verdict, evaluate};

/// The grace periods of `[deploy.tolerate]`.
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

/// Waits until the set is ready.
///
/// # Errors
/// Exit 9 with the cause where it cannot become ready, exit 10 where the time is over.
pub(crate) async fn follow(run: &Run<'_>, observed: &mut ObservedSet, rollout: &RolloutWatch) -> Result<()> {
    if is_stalled(run, observed, rollout) {
        observed.load_past_events(run.api(), &run.session.set()).await?;
    }
    run.events().begin(Phase::Track, "rollout", "").await;
    let failed = match follow::follow(run.api(), observed, rollout, run.events()).await {
        Ok(RolloutResult::Ready(workloads)) => {
            run.events().done(Phase::Track, "rollout", workloads).await;
            return Ok(());
        }
        Ok(RolloutResult::Failed(findings)) => rollout_failed(run, &findings, observed),
        Err(error) => error,
    };
    run.events().step(Phase::Track, "rollout", Progress::Failed, "").await;
    Err(failed)
}

/// Whether this run changed nothing of a set that is not ready: the events that explain it happened before.
fn is_stalled(run: &Run<'_>, observed: &ObservedSet, rollout: &RolloutWatch) -> bool {
    let now = run.api().clock().now();
    rollout.expected.iter().all(|expected| !expected.changed)
        && evaluate(&observed.state, &rollout.expected, &rollout.grace, now).verdict != Verdict::Ready
}

/// The error of a finding of the set: what, where, why, which key, what next.
fn rollout_failed(run: &Run<'_>, findings: &[Finding], observed: &ObservedSet) -> Error {
    let error = finding_error(findings);
    let id = error.id();
    let serving = if observed.ready_pods(&run.session.set()).is_empty() {
        "what was applied stays; nothing is serving"
    } else {
        "what was applied stays; a pod of before is still serving"
    };
    error
        .at_config(id.entry().key.and_then(|key| run.settings().locate(key)))
        .state(serving)
        .hint("mend it and run handsctl deploy again")
        .hint(format!("handsctl explain {id}"))
}
