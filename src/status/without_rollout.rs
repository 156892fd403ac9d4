//! Objects that no rollout waits for and that cannot do their work: an autoscaler, a `CronJob`, a disruption budget, an
//! object of another controller that was not ready before. The application serves without them.

use std::time::Duration;

use jiff::Timestamp;

use super::finding::Finding;
use super::grace::{GracePeriods, later};
use super::observed::state::{ObservedState, TrackedKind};
use super::observed::untyped::UntypedObject;
use super::rules::custom;
use super::verdict::Expected;
use crate::catalogue::Id;
use crate::object::ObjectId;
use crate::phrase;

/// How long an autoscaler may lack metrics: metrics-server reads a new pod's use once a minute.
const FIRST_METRICS: Duration = Duration::from_secs(120);
/// The conditions of an autoscaler that tell whether it can scale.
const SCALES: [&str; 2] = ["AbleToScale", "ScalingActive"];

/// Returns a finding for each of these members, given with its UID, that has no rollout and cannot do its work.
#[must_use]
pub fn without_effect<'a>(
    observed: &ObservedState,
    members: impl IntoIterator<Item = (&'a ObjectId, &'a str)>,
    now: Timestamp,
) -> Vec<Finding> {
    let of_member = |(id, uid): (&ObjectId, &str)| {
        let object = observed.untyped.get(uid)?;
        match TrackedKind::from_id(id)? {
            TrackedKind::Autoscaler => autoscaler(id, object, now),
            TrackedKind::CronJob => cron_job(id, object),
            TrackedKind::DisruptionBudget => disruption_budget(id, object),
            _ => None,
        }
    };
    members.into_iter().filter_map(of_member).collect()
}

/// Returns a finding for each object of another controller that the run has not changed, and that was not ready before:
/// the rollout has not waited for it.
#[must_use]
pub fn unready_before(observed: &ObservedState, expected: &[Expected], grace: &GracePeriods) -> Vec<Finding> {
    let of_object = |expected: &Expected| {
        let is_custom = TrackedKind::from_id(&expected.id) == Some(TrackedKind::Custom);
        let object = observed.untyped.get(&expected.uid).filter(|_| is_custom)?;
        custom::unready_before(observed, expected, object, grace)
    };
    expected.iter().filter_map(of_object).collect()
}

/// A target that is scaled to zero switches the autoscaler off, which is no fault.
fn autoscaler(id: &ObjectId, object: &UntypedObject, now: Timestamp) -> Option<Finding> {
    let conditions = SCALES.iter().filter_map(|name| object.condition(name));
    let failed = conditions
        .filter(|condition| condition.is_false() && condition.reason() != "ScalingDisabled")
        .find(|condition| condition.since.is_none_or(|since| later(since, FIRST_METRICS) <= now))?;
    let finding = Finding::new(Id::AutoscalerInactive, id.clone(), failed.text())
        .evidence([format!("condition {}={}", failed.name, failed.status)]);
    let reads_pod_metrics = ["FailedGetResourceMetric", "FailedGetContainerResourceMetric"];
    Some(if reads_pod_metrics.contains(&failed.reason().as_str()) {
        let namespace = id.namespace.as_deref().unwrap_or_default();
        finding.hint(format!("kubectl get podmetrics -n {namespace}"))
    } else {
        finding
    })
}

/// The controller records when a run was started and when one succeeded, and removes an ended run from the active ones
/// (`pkg/controller/cronjob/cronjob_controllerv2.go`).
fn cron_job(id: &ObjectId, object: &UntypedObject) -> Option<Finding> {
    let is_active = object.status()["active"].as_array().is_some_and(|active| !active.is_empty());
    let started = object.time("lastScheduleTime")?;
    let succeeded = object.time("lastSuccessfulTime");
    if object.spec()["suspend"] == true
        || is_active
        || succeeded.is_some_and(|succeeded| succeeded >= started)
    {
        return None;
    }
    let message = format!("its run of {} did not succeed", phrase::date_and_time(started));
    let last = match succeeded {
        Some(succeeded) => format!("the last successful run ended at {}", phrase::date_and_time(succeeded)),
        None => "no run has succeeded yet".to_owned(),
    };
    let namespace = id.namespace.as_deref().unwrap_or_default();
    let command = format!("kubectl get jobs -n {namespace} --sort-by=.metadata.creationTimestamp");
    Some(Finding::new(Id::CronJobFailed, id.clone(), message).evidence([last]).hint(command))
}

/// A budget without a disruption to give blocks no rollout. One that the controller cannot compute blocks every drain.
fn disruption_budget(id: &ObjectId, object: &UntypedObject) -> Option<Finding> {
    let allowed = object.condition("DisruptionAllowed")?;
    (allowed.is_false() && allowed.reason() == "SyncFailed")
        .then(|| Finding::new(Id::BudgetNotComputed, id.clone(), allowed.text()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NOW: &str = "2026-11-21T07:10:00Z";

    fn found(group: &str, kind: &str, spec: &Value, status: &Value) -> Vec<Finding> {
        let id = ObjectId::namespaced(group, kind, "hands", "x");
        let object = json!({ "kind": kind, "metadata": { "name": "x", "namespace": "hands", "uid": "u" },
            "spec": spec, "status": status });
        let mut observed = ObservedState::default();
        let now: Timestamp = NOW.parse().unwrap();
        observed.apply(0, TrackedKind::from_id(&id).unwrap(), &object, now).unwrap();
        without_effect(&observed, [(&id, "u")], now)
    }

    fn autoscaler_with(name: &str, reason: &str, since: &str) -> Vec<Finding> {
        let other = if name == "AbleToScale" { "ScalingActive" } else { "AbleToScale" };
        let status = json!({ "conditions": [
            { "type": other, "status": "True", "reason": "SucceededGetScale" },
            { "type": name, "status": "False", "reason": reason, "lastTransitionTime": since,
              "message": "the HPA was unable to compute the replica count: failed to get cpu utilization: unable to get \
                  metrics for resource cpu: unable to fetch metrics from resource metrics API: the server could not find \
                  the requested resource (get pods.metrics.k8s.io)" },
        ] });
        found("autoscaling", "HorizontalPodAutoscaler", &json!({}), &status)
    }

    #[test]
    fn autoscaler_without_metrics_is_found_after_two_minutes() {
        let old = "2026-11-21T07:08:00Z";
        let findings = autoscaler_with("ScalingActive", "FailedGetResourceMetric", old);
        assert_eq!(findings[0].id, Id::AutoscalerInactive);
        assert!(
            findings[0].message.starts_with("FailedGetResourceMetric: the HPA was unable"),
            "{findings:?}"
        );
        assert_eq!(findings[0].hints, ["kubectl get podmetrics -n hands"]);
        let new = "2026-11-21T07:08:01Z";
        assert!(autoscaler_with("ScalingActive", "FailedGetResourceMetric", new).is_empty());
        assert!(autoscaler_with("ScalingActive", "ScalingDisabled", old).is_empty());
        assert!(autoscaler_with("ScalingLimited", "DesiredWithinRange", old).is_empty());
        assert!(autoscaler_with("AbleToScale", "FailedGetScale", old)[0].hints.is_empty());
    }

    #[test]
    fn last_run_of_a_cron_job_that_did_not_succeed_is_found() {
        let (before, last) = ("2026-11-21T06:00:00Z", "2026-11-21T07:00:00Z");
        let run = |suspend: bool, active: &Value, succeeded: &Value| {
            let status =
                json!({ "active": active, "lastScheduleTime": last, "lastSuccessfulTime": succeeded });
            found("batch", "CronJob", &json!({ "suspend": suspend }), &status)
        };
        let findings = run(false, &Value::Null, &json!(before));
        assert_eq!(findings[0].message, "its run of 2026-11-21 07:00:00 UTC did not succeed");
        assert_eq!(findings[0].evidence, ["the last successful run ended at 2026-11-21 06:00:00 UTC"]);
        assert_eq!(run(false, &Value::Null, &Value::Null)[0].evidence, ["no run has succeeded yet"]);
        assert!(run(true, &Value::Null, &json!(before)).is_empty(), "suspended");
        assert!(run(false, &json!([{ "name": "x-29" }]), &json!(before)).is_empty(), "it runs");
        assert!(run(false, &Value::Null, &json!("2026-11-21T07:00:05Z")).is_empty());
        assert!(found("batch", "CronJob", &json!({}), &json!({})).is_empty(), "it has never run");
    }

    #[test]
    fn budget_without_a_disruption_to_give_is_no_finding() {
        let with = |reason: &str| {
            let condition =
                json!({ "type": "DisruptionAllowed", "status": "False", "reason": reason, "message": "m" });
            found("policy", "PodDisruptionBudget", &json!({}), &json!({ "conditions": [condition] }))
        };
        assert!(with("InsufficientPods").is_empty());
        assert_eq!(with("SyncFailed")[0].id, Id::BudgetNotComputed);
    }
}
