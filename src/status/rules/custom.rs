//! The health of an object of another controller, by the conditions that most controllers report: the rules of kstatus
//! (<https://github.com/kubernetes-sigs/cli-utils/blob/master/pkg/kstatus/README.md>).

use std::time::Duration;

use super::fault::Fault;
use super::object_status::{ObjectHealth, Stability, with_reason};
use super::text;
use crate::catalogue::Id;
use crate::status::finding::Finding;
use crate::status::grace::{FinalAt, GracePeriods, final_after, later};
use crate::status::observed::state::ObservedState;
use crate::status::observed::untyped::{ReportedCondition, UntypedObject, observed_generation};
use crate::status::verdict::Expected;

/// Conditions that decide whether an object is ready, the first one of an object counts.
const DECIDING: [&str; 2] = ["Ready", "Available"];
/// Conditions that say that the controller has given up.
const FAILED: [&str; 2] = ["Stalled", "Failed"];
/// Conditions that say that the controller is at work. cert-manager issues a certificate with `Ready=False`.
const WORKING: [&str; 3] = ["Reconciling", "Progressing", "Issuing"];
/// How long a controller may take to report the first status of a new object.
const FIRST_STATUS: Duration = Duration::from_secs(5);

/// The annotation with which a user pauses the controller
/// (<https://docs.crossplane.io/latest/managed-resources/managed-resources/#paused>).
const PAUSED: &str = "crossplane.io/paused";

const NOT_OBSERVED: &str = "its controller has not observed the change";

/// Returns the condition that decides whether the object is ready; None if its controller reports none.
fn deciding(object: &UntypedObject) -> Option<ReportedCondition<'_>> {
    DECIDING.iter().find_map(|name| object.condition(name))
}

/// Returns whether the controller reports conditions that the evaluation understands.
pub(crate) fn reports_health(object: &UntypedObject) -> bool {
    deciding(object).is_some() || FAILED.iter().any(|name| object.condition(name).is_some())
}

/// Evaluates an object of another controller. Without a condition nothing tells whether it works, and it is ready. An
/// object that a run has neither changed nor broken does not block it.
pub(crate) fn evaluate(
    observed: &ObservedState,
    expected: &Expected,
    object: &UntypedObject,
    grace: &GracePeriods,
) -> ObjectHealth {
    if is_suspended(object) {
        return ObjectHealth::ready("suspended");
    }
    let health = reported(observed, expected, object, grace);
    if !health.ready && was_unready_before(expected, object, grace) {
        return ObjectHealth::ready(with_reason("unchanged", &health.message));
    }
    health
}

/// Returns a finding for an object that a run has not changed, and that was not ready when the run began.
pub(crate) fn unready_before(
    observed: &ObservedState,
    expected: &Expected,
    object: &UntypedObject,
    grace: &GracePeriods,
) -> Option<Finding> {
    if is_suspended(object) || !was_unready_before(expected, object, grace) {
        return None;
    }
    let health = reported(observed, expected, object, grace);
    let reported = health.faults.into_iter().next().map(|fault| fault.finding);
    let waiting = || Finding::new(Id::NotReadyByController, expected.id.clone(), health.message);
    (!health.ready).then(|| reported.unwrap_or_else(waiting))
}

/// Returns whether a user has told the controller to leave the object alone: Flux and the batch API have `suspend`, Argo
/// and Cluster API `paused`, Crossplane an annotation.
fn is_suspended(object: &UntypedObject) -> bool {
    let annotations = object.metadata.annotations.as_ref();
    let is_paused =
        annotations.and_then(|annotations| annotations.get(PAUSED)).is_some_and(|it| it == "true");
    is_paused || object.spec()["suspend"] == true || object.spec()["paused"] == true
}

/// Returns whether the run has not changed the object, and the condition that decides has been as it is since before the
/// run.
fn was_unready_before(expected: &Expected, object: &UntypedObject, grace: &GracePeriods) -> bool {
    let failed = FAILED.iter().find_map(|name| object.condition(name).filter(ReportedCondition::is_true));
    let since = failed.or_else(|| deciding(object)).and_then(|condition| condition.since);
    grace.is_of_run() && !expected.changed && since.is_none_or(|since| since < grace.started)
}

/// Returns the health that the controller reports.
fn reported(
    observed: &ObservedState,
    expected: &Expected,
    object: &UntypedObject,
    grace: &GracePeriods,
) -> ObjectHealth {
    let generation = object.metadata.generation.unwrap_or_default().max(expected.generation);
    let is_stale = |observed: Option<i64>| observed.is_some_and(|observed| observed < generation);
    if is_stale(observed_generation(object.status())) {
        return ObjectHealth::waiting(NOT_OBSERVED);
    }
    let is_true =
        |name: &&str| object.condition(name).filter(|it| it.is_true() && !is_stale(it.observed_generation));
    if let Some(failed) = FAILED.iter().find_map(&is_true) {
        let fault = fault(observed, expected, object, failed).final_at(FinalAt::Now);
        return ObjectHealth::faulty(failed.name, fault);
    }
    let working = WORKING.iter().find_map(is_true);
    let Some(ready) = deciding(object) else { return undecided(expected, object, working) };
    let state = format!("{}={}", ready.name, ready.status);
    if is_stale(ready.observed_generation) {
        return ObjectHealth::waiting(with_reason(&state, NOT_OBSERVED));
    }
    if ready.is_true() && working.is_none_or(|working| working.name != "Reconciling") {
        return ObjectHealth::ready(ready.name);
    }
    if ready.is_false() && working.is_none() {
        let fault = fault(observed, expected, object, ready);
        return ObjectHealth::faulty(&state, fault.final_at(end_of_not_ready(ready, grace)));
    }
    let reason = working.filter(ReportedCondition::has_message).unwrap_or(ready).text();
    ObjectHealth::waiting(with_reason(&state, &reason))
}

/// Returns when `Ready=False` is final. Many controllers report it while they create what the object asks for, so a
/// rollout waits until its deadline; kstatus calls it `InProgress`.
fn end_of_not_ready(ready: ReportedCondition<'_>, grace: &GracePeriods) -> FinalAt {
    if grace.is_of_run() { FinalAt::Never } else { final_after(ready.since, grace.image_pull) }
}

/// Returns the health of an object without a deciding condition. The first status of a new object is waited for, and so
/// is a controller at work.
fn undecided(
    expected: &Expected,
    object: &UntypedObject,
    working: Option<ReportedCondition<'_>>,
) -> ObjectHealth {
    if let Some(working) = working {
        return ObjectHealth::waiting(with_reason(working.name, &working.text()));
    }
    let created = object.metadata.creation_timestamp.as_ref().map(|time| time.0);
    let is_new = expected.changed && object.conditions().next().is_none();
    let stable_at = created.filter(|_| is_new).map(|created| Stability {
        at: later(created, FIRST_STATUS),
        reason: "its controller has not reported a status",
    });
    ObjectHealth { stable_at, ..ObjectHealth::ready("exists") }
}

/// Returns the fault that a condition reports.
fn fault(
    observed: &ObservedState,
    expected: &Expected,
    object: &UntypedObject,
    condition: ReportedCondition<'_>,
) -> Fault {
    let said = condition.text();
    let others = object.conditions().filter(|other| other.name != condition.name && !other.is_true());
    // Several conditions often have one message, and so has the last Event.
    let mut texts = vec![said.clone()];
    let is_new = |texts: &[String], text: &str| !texts.iter().any(|known| known.contains(text));
    let mut evidence = vec![format!("condition {}={}", condition.name, condition.status)];
    for other in others.filter(ReportedCondition::has_message) {
        if is_new(&texts, &other.text()) {
            texts.push(other.text());
            evidence.push(format!("condition {}={}: {}", other.name, other.status, other.text()));
        }
    }
    let event = observed.events.about(expected.uid.as_str()).max_by_key(|event| event.last);
    let event = event.filter(|event| is_new(&texts, event.message.trim()));
    evidence.extend(event.map(|event| format!("{}: {}", text::occurrences(event), event.message)));
    Fault::new(Id::NotReadyByController, expected.id.clone(), &said, condition.reason())
        .created(object.metadata.creation_timestamp.as_ref().map(|time| time.0))
        .evidence(evidence)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::{Value, json};

    use super::*;
    use crate::object::ObjectId;
    use crate::status::observed::state::TrackedKind;
    use crate::status::verdict::{Evaluation, Verdict};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn condition(name: &str, status: &str, since: i64) -> Value {
        json!({ "type": name, "status": status, "reason": "Because", "message": "of that",
            "lastTransitionTime": at(since).to_string() })
    }

    /// A database of generation 2, created at second 0.
    fn database(spec: &Value, status: &Value) -> Value {
        json!({
            "apiVersion": "acme.example/v1", "kind": "Database",
            "metadata": { "name": "db", "namespace": "n", "uid": "db", "generation": 2,
                "creationTimestamp": at(0).to_string() },
            "spec": spec, "status": status,
        })
    }

    fn observed(object: &Value, changed: bool) -> (ObservedState, [Expected; 1]) {
        let id = ObjectId::namespaced("acme.example", "Database", "n", "db");
        let mut observed = ObservedState::default();
        observed.apply(0, TrackedKind::from_id(&id).unwrap(), object, at(0)).unwrap();
        (observed, [Expected { id, uid: "db".to_owned(), generation: 2, changed }])
    }

    /// Evaluates a database that a run, started at second 10, has changed or left as it was.
    fn evaluated(status: &Value, changed: bool, second: i64) -> Evaluation {
        let (observed, expected) = observed(&database(&json!({}), status), changed);
        let grace = GracePeriods { members_changed: changed, ..GracePeriods::starting_at(at(10)) };
        crate::status::evaluate::evaluate(&observed, &expected, &grace, at(second))
    }

    /// Evaluates a database outside of a run, as `status` does.
    fn evaluated_by_status(status: &Value, second: i64) -> Evaluation {
        let (observed, expected) = observed(&database(&json!({}), status), false);
        let grace = GracePeriods::starting_at(Timestamp::UNIX_EPOCH);
        crate::status::evaluate::evaluate(&observed, &expected, &grace, at(second))
    }

    fn conditions(conditions: &[Value]) -> Value {
        json!({ "conditions": conditions })
    }

    #[test]
    fn ready_comes_before_available() {
        let both = conditions(&[condition("Available", "False", 1), condition("Ready", "True", 1)]);
        assert_eq!(evaluated(&both, true, 20).verdict, Verdict::Ready);
        let available = conditions(&[condition("Available", "True", 1)]);
        assert_eq!(evaluated(&available, true, 20).verdict, Verdict::Ready);
    }

    #[test]
    fn change_that_the_controller_has_not_observed_is_waited_for() {
        let ready = json!({ "observedGeneration": 1, "conditions": [condition("Ready", "True", 1)] });
        assert_eq!(evaluated(&ready, true, 500).verdict, Verdict::Waiting { until: None });
        let mut old = condition("Ready", "False", 1);
        old["observedGeneration"] = json!(1);
        assert_eq!(evaluated(&conditions(&[old]), true, 500).verdict, Verdict::Waiting { until: None });
        let as_text = json!({ "observedGeneration": "1", "conditions": [condition("Ready", "True", 1)] });
        assert_eq!(evaluated(&as_text, true, 500).verdict, Verdict::Waiting { until: None });
    }

    #[test]
    fn not_ready_is_waited_for_with_its_explanation() {
        let mut synced = condition("Synced", "False", 1);
        synced["message"] = json!("of this");
        let released = condition("Released", "False", 1);
        let failing = conditions(&[condition("Ready", "False", 1), synced, released]);
        let evaluation = evaluated(&failing, true, 5000);
        assert_eq!(evaluation.verdict, Verdict::Waiting { until: None });
        let finding = &evaluation.pending[0];
        assert_eq!((finding.id, finding.message.as_str()), (Id::NotReadyByController, "Because: of that"));
        assert_eq!(finding.evidence, ["condition Ready=False", "condition Synced=False: Because: of this"]);
    }

    #[test]
    fn status_reports_not_ready_after_its_grace() {
        let failing = conditions(&[condition("Ready", "False", 1)]);
        assert_eq!(evaluated_by_status(&failing, 60).verdict, Verdict::Waiting { until: Some(at(61)) });
        assert_eq!(evaluated_by_status(&failing, 61).findings[0].id, Id::NotReadyByController);
    }

    #[test]
    fn unchanged_object_that_was_not_ready_blocks_no_run() {
        let unready = |since| conditions(&[condition("Ready", "False", since)]);
        let stalled = conditions(&[condition("Ready", "True", 1), condition("Stalled", "True", 1)]);
        let unknown = conditions(&[condition("Ready", "Unknown", 1)]);
        for status in [&unready(9), &stalled, &unknown] {
            let evaluation = evaluated(status, false, 11);
            assert_eq!(evaluation.verdict, Verdict::Ready, "{status}");
            assert!(evaluation.objects[0].message.starts_with("unchanged: "), "{evaluation:?}");
        }
        assert_eq!(evaluated(&unready(9), true, 11).verdict, Verdict::Waiting { until: None }, "changed");
        assert_eq!(
            evaluated(&unready(11), false, 11).verdict,
            Verdict::Waiting { until: None },
            "broken since"
        );
        let of_run = |status: &Value| {
            let (observed, [expected]) = observed(&database(&json!({}), status), false);
            let grace = GracePeriods::starting_at(at(10));
            unready_before(&observed, &expected, &observed.untyped["db"], &grace)
        };
        assert_eq!(of_run(&unready(9)).unwrap().message, "Because: of that");
        assert_eq!(of_run(&unknown).unwrap().message, "Ready=Unknown: Because: of that");
        assert_eq!(of_run(&conditions(&[condition("Ready", "True", 1)])), None);
    }

    #[test]
    fn suspended_object_is_ready() {
        let status = conditions(&[condition("Ready", "False", 11), condition("Stalled", "True", 11)]);
        let mut annotated = database(&json!({}), &status);
        annotated["metadata"]["annotations"] = json!({ PAUSED: "true" });
        let suspended = database(&json!({ "suspend": true }), &status);
        let paused = database(&json!({ "paused": true }), &status);
        for object in [annotated, suspended, paused] {
            let (observed, expected) = observed(&object, true);
            let grace = GracePeriods::starting_at(at(10));
            let evaluation = crate::status::evaluate::evaluate(&observed, &expected, &grace, at(500));
            assert_eq!(evaluation.verdict, Verdict::Ready, "{object}");
            assert_eq!(evaluation.objects[0].message, "suspended");
        }
    }

    #[test]
    fn controller_at_work_is_waited_for() {
        for working in ["Issuing", "Reconciling", "Progressing"] {
            let at_work = conditions(&[condition("Ready", "False", 1), condition(working, "True", 1)]);
            assert_eq!(evaluated(&at_work, true, 500).verdict, Verdict::Waiting { until: None }, "{working}");
            let undecided = conditions(&[condition(working, "True", 1)]);
            assert_eq!(
                evaluated(&undecided, true, 500).verdict,
                Verdict::Waiting { until: None },
                "{working}"
            );
        }
        let renewed = conditions(&[condition("Ready", "True", 1), condition("Issuing", "True", 1)]);
        assert_eq!(evaluated(&renewed, true, 500).verdict, Verdict::Ready);
        let unknown = conditions(&[condition("Ready", "Unknown", 1)]);
        assert_eq!(evaluated(&unknown, true, 500).verdict, Verdict::Waiting { until: None });
    }

    #[test]
    fn controller_that_gave_up_fails_at_once() {
        let stalled = conditions(&[condition("Ready", "Unknown", 11), condition("Stalled", "True", 11)]);
        assert_eq!(evaluated(&stalled, false, 12).verdict, Verdict::Failed, "it has failed since");
        // The object is older than the run, which may have fixed it.
        assert_eq!(evaluated(&stalled, true, 12).verdict, Verdict::Waiting { until: Some(at(40)) });
    }

    #[test]
    fn first_status_of_a_new_object_is_waited_for() {
        assert_eq!(evaluated(&json!(null), true, 4).verdict, Verdict::Waiting { until: Some(at(5)) });
        assert_eq!(evaluated(&json!(null), true, 5).verdict, Verdict::Ready);
        assert_eq!(evaluated(&json!(null), false, 4).verdict, Verdict::Ready, "nothing has changed");
    }
}
