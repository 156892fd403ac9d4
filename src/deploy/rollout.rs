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
use crate::object::ObjectId;
use crate::session::runner::Run;
use crate::settings::Settings;
use crate::status::{self, Finding, GracePeriods, ObservedState, TrackedKind, Verdict, evaluate};

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
pub(crate) async fn warn_beside_rollout(
    run: &Run<'_>,
    applied: &[Applied],
    observed: &ObservedSet,
    rollout: &RolloutWatch,
) {
    let now = run.api().clock().now();
    let mut findings = status::unready_before(&observed.state, &rollout.expected, &rollout.grace);
    findings.extend(without_effect(&observed.state, applied, now));
    for finding in findings {
        run.events().warn(finding.id, warning(&finding)).await;
    }
    let unwatched = observed_set::unwatched(applied, &observed.state);
    let ids: Vec<String> = unwatched.iter().map(ToString::to_string).collect();
    if !ids.is_empty() {
        run.events().warn(Id::NotWatched, format!("applied, not watched: {}", ids.join(", "))).await;
    }
}

/// Returns what cannot do its work, except for what this run may have fixed: the last run of a changed `CronJob` was that
/// of its former template, and an autoscaler has no metrics of new pods for a minute.
fn without_effect(observed: &ObservedState, applied: &[Applied], now: Timestamp) -> Vec<Finding> {
    let replaces_pods = applied.iter().any(|applied| applied.is_changed() && runs_pods(&applied.id));
    let is_judged = |applied: &&Applied| match TrackedKind::from_id(&applied.id) {
        Some(TrackedKind::CronJob) => !applied.is_changed(),
        Some(TrackedKind::Autoscaler) => !replaces_pods,
        _ => true,
    };
    let judged = applied.iter().filter(is_judged);
    status::without_effect(observed, judged.filter_map(|applied| Some((&applied.id, applied.uid()?))), now)
}

fn runs_pods(id: &ObjectId) -> bool {
    use TrackedKind::{Deployment, ReplicaSet, StatefulSet};
    matches!(TrackedKind::from_id(id), Some(Deployment | StatefulSet | ReplicaSet))
}

/// Returns a finding as one line: the object, the message and the first hint, else the first line of evidence.
fn warning(finding: &Finding) -> String {
    let more = finding.hints.first().or(finding.evidence.first());
    let more = more.map(|more| format!("; {more}")).unwrap_or_default();
    format!("{}: {}{more}", finding.object, finding.message)
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::event::Action;

    fn applied(group: &str, kind: &str, action: Action, status: &serde_json::Value) -> Applied {
        let id = ObjectId::namespaced(group, kind, "n", "x");
        let object = json!({ "kind": kind, "metadata": { "name": "x", "namespace": "n", "uid": kind }, "spec": {},
            "status": status });
        Applied { id, action, object: Some(object) }
    }

    fn found(applied: &[Applied]) -> Vec<Id> {
        let mut observed = ObservedState::default();
        for applied in applied.iter().filter(|applied| !runs_pods(&applied.id)) {
            let kind = TrackedKind::from_id(&applied.id).unwrap();
            observed.apply(0, kind, applied.object.as_ref().unwrap(), Timestamp::UNIX_EPOCH).unwrap();
        }
        let now = "2026-11-21T08:00:00Z".parse().unwrap();
        without_effect(&observed, applied, now).into_iter().map(|finding| finding.id).collect()
    }

    #[test]
    fn what_this_run_may_have_fixed_is_not_warned_about() {
        let failed = json!({ "lastScheduleTime": "2026-11-21T07:00:00Z" });
        let cron_job = |action| applied("batch", "CronJob", action, &failed);
        assert_eq!(found(&[cron_job(Action::Unchanged)]), [Id::CronJobFailed]);
        assert_eq!(found(&[cron_job(Action::Configured)]), []);
        let inactive = json!({ "conditions": [{ "type": "ScalingActive", "status": "False",
            "reason": "FailedGetResourceMetric", "lastTransitionTime": "2026-11-21T07:00:00Z" }] });
        let scaled = |action| {
            let autoscaler = applied("autoscaling", "HorizontalPodAutoscaler", Action::Unchanged, &inactive);
            found(&[autoscaler, applied("apps", "Deployment", action, &json!({}))])
        };
        assert_eq!(scaled(Action::Unchanged), [Id::AutoscalerInactive]);
        assert_eq!(scaled(Action::Configured), []);
    }

    #[test]
    fn warning_has_the_first_hint_else_the_first_evidence() {
        let id = ObjectId::namespaced("batch", "CronJob", "n", "x");
        let finding = Finding::new(Id::CronJobFailed, id, "failed").evidence(["no run yet".to_owned()]);
        assert_eq!(warning(&finding), "cronjob.batch/x: failed; no run yet");
        assert_eq!(warning(&finding.hint("kubectl get jobs")), "cronjob.batch/x: failed; kubectl get jobs");
    }
}
