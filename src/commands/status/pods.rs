//! The pods of the set as the comparison uses them, and the notes about what others added to them.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;

use crate::catalogue::Id;
use crate::object::kind::POD;
use crate::object::{condition, labels};
use crate::plan::Member;
use crate::plan::ownership::foreign_pod::{PodAddition, foreign_pod};
use crate::plan::ownership::policy::Ownership;
use crate::status::{Finding, ObservedState};

/// How long the `EndpointSlice`s may lag behind a pod that becomes ready.
const ENDPOINT_DELAY: SignedDuration = SignedDuration::from_secs(10);

/// Returns the ready pods of all workloads that are not being deleted, as the API has them.
pub(super) fn all_ready_pods(state: &ObservedState) -> Vec<Value> {
    as_json(state.ready_pods())
}

/// Returns the ready pods of the application that are not being deleted, as the API has them.
pub(super) fn ready_app_pods(state: &ObservedState, set: &str) -> Vec<Value> {
    as_json(state.ready_pods().filter(|pod| labels::is_of_instance(&pod.metadata, set)))
}

fn as_json<'a>(pods: impl Iterator<Item = &'a Pod>) -> Vec<Value> {
    pods.filter_map(|pod| serde_json::to_value(pod).ok()).collect()
}

/// Returns whether every ready pod of the application has been ready for so long that its endpoint is listed.
pub(super) fn are_settled(state: &ObservedState, set: &str, now: Timestamp) -> bool {
    let mut times = pods_of(state, set).filter_map(ready_since);
    times.all(|since| now.duration_since(since) > ENDPOINT_DELAY)
}

/// Returns since when a pod is ready; None if it is not.
fn ready_since(pod: &Pod) -> Option<Timestamp> {
    let ready = condition::ready_pod(pod)?;
    Some(ready.last_transition_time.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0))
}

fn pods_of<'a>(state: &'a ObservedState, set: &'a str) -> impl Iterator<Item = &'a Pod> {
    state.pods().filter(move |pod| labels::is_of_instance(&pod.metadata, set))
}

/// Returns the notes about what others added to the pods of a live workload.
pub(super) fn notes_of_workload(
    member: &Member,
    live: &Value,
    ownership: &Ownership,
    now: Timestamp,
) -> Vec<Finding> {
    let pod = foreign_pod(member, live, ownership);
    let note = |id: Id, additions: &[PodAddition], command: String| {
        let (first, others) = additions.split_first()?;
        let note = Finding::new(id, member.id.clone(), first.text(now));
        Some(note.evidence(others.iter().map(|addition| addition.text(now))).hint(command))
    };
    let parts = note(Id::PodChangedByOthers, &pod.parts, pod.parts_command);
    let variables = note(Id::VariablesChangedByOthers, &pod.variables, pod.variables_command);
    parts.into_iter().chain(variables).collect()
}

/// Returns a note for each pod of the application with containers that somebody added while it ran.
pub(super) fn ephemeral_containers(state: &ObservedState, set: &str) -> Vec<Finding> {
    let notes = pods_of(state, set).filter_map(|pod| {
        let containers = pod.spec.as_ref()?.ephemeral_containers.as_ref()?;
        let text = |name: &str, image: &str| format!("ephemeral container {name} ({image})");
        let mut texts = containers
            .iter()
            .map(|container| text(&container.name, container.image.as_deref().unwrap_or_default()));
        let (namespace, name) = (pod.metadata.namespace.as_deref()?, pod.metadata.name.as_deref()?);
        let note = Finding::new(Id::PodChangedByOthers, POD.id(namespace, name), texts.next()?);
        let hint = "handsctl restart replaces the pod by one without it";
        Some(note.evidence(texts).hint(hint))
    });
    notes.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::status::TrackedKind;

    fn observed(since: &str, ready: &str) -> ObservedState {
        let pod = json!({
            "metadata": { "name": "oh-1", "namespace": "n", "uid": "u", "labels": { labels::INSTANCE: "oh" } },
            "spec": { "containers": [], "ephemeralContainers": [{ "name": "debugger", "image": "busybox" }] },
            "status": { "conditions": [{ "type": "Ready", "status": ready, "lastTransitionTime": since }] },
        });
        let mut state = ObservedState::default();
        state.apply(0, TrackedKind::Pod, &pod, Timestamp::UNIX_EPOCH).unwrap();
        state
    }

    #[test]
    fn endpoints_may_lag_behind_a_pod_that_became_ready() {
        let now = "2026-01-01T00:00:20Z".parse().unwrap();
        let settled = |since: &str| are_settled(&observed(since, "True"), "oh", now);
        assert!(settled("2026-01-01T00:00:00Z") && !settled("2026-01-01T00:00:15Z"));
        let (ready, unready) =
            (observed("2026-01-01T00:00:00Z", "True"), observed("2026-01-01T00:00:00Z", "False"));
        assert_eq!((all_ready_pods(&ready).len(), all_ready_pods(&unready).len()), (1, 0));
        assert_eq!((ready_app_pods(&ready, "oh").len(), ready_app_pods(&ready, "other").len()), (1, 0));
    }

    #[test]
    fn ephemeral_container_is_a_note_of_its_pod() {
        let state = observed("2026-01-01T00:00:00Z", "True");
        let notes = ephemeral_containers(&state, "oh");
        assert_eq!(notes[0].message, "ephemeral container debugger (busybox)");
        assert_eq!(notes[0].object.to_string(), "pod/oh-1");
        assert!(ephemeral_containers(&state, "other").is_empty());
    }
}
