//! The state of every container, and the cluster's Events about the watched objects, for the timeline.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Container, ContainerState, ContainerStatus, Pod};

use super::container_status::{ContainerHealth, ContainerRole};
use super::pod_facts::PodFacts;
use super::{container, pod, scheduling, workload};
use crate::object::kind::POD;
use crate::object::{ObjectId, condition};
use crate::status::grace::GracePeriods;
use crate::status::observed::kube_events::KubeEvent;
use crate::status::observed::state::{ObservedState, controller};
use crate::status::verdict::Expected;
use crate::timeline::SpanState;

/// The longest chain of owners is Deployment, `ReplicaSet`, Pod. The limit ends a cycle.
const MAX_OWNERS: usize = 4;

/// The state of one container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerReport {
    /// The pod.
    pub pod: ObjectId,
    /// The watched object at the top of the pod's owners.
    pub workload: Option<ObjectId>,
    /// The container's name.
    pub container: String,
    /// Its image.
    pub image: String,
    /// The state.
    pub state: SpanState,
    /// The state in words. A container that has no fault has the words of its workload's message.
    pub message: String,
    /// Since when, as the cluster reports it.
    pub since: Option<Timestamp>,
}

/// An Event about a watched object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventReport {
    /// The object.
    pub object: ObjectId,
    /// The watched object at the top of its owners.
    pub workload: Option<ObjectId>,
    /// The container, if the Event is about one.
    pub container: Option<String>,
    /// Whether its type is Warning.
    pub is_warning: bool,
    /// The reason: `Pulled`.
    pub reason: String,
    /// The message.
    pub message: String,
    /// How often it happened.
    pub count: u32,
    /// When it happened last.
    pub last: Timestamp,
}

impl ObservedState {
    /// Returns the state of every container of the expected objects' pods, in the order of their creation.
    #[must_use]
    pub fn containers(&self, expected: &[Expected], grace: &GracePeriods) -> Vec<ContainerReport> {
        let expected: BTreeSet<&str> = expected.iter().map(|expected| expected.uid.as_str()).collect();
        let mut pods: Vec<&Pod> = self.pods.values().filter(|pod| self.is_of(pod, &expected)).collect();
        pods.sort_by(|a, b| creation(a).cmp(&creation(b)));
        pods.into_iter().flat_map(|pod| self.containers_of(pod, grace)).collect()
    }

    /// Takes the Events about watched objects that were observed since the last call, oldest first.
    #[must_use]
    pub fn take_recent_events(&mut self) -> Vec<EventReport> {
        let mut events = std::mem::take(&mut self.events);
        let recent = events.take_recent(|uid| self.watched_id(uid).is_some());
        self.events = events;
        let report = |(uid, event): &(String, KubeEvent)| {
            Some(report(self.watched_id(uid)?, self.top_owner(uid), event))
        };
        let mut reports: Vec<EventReport> = recent.iter().filter_map(report).collect();
        reports.sort_by_key(|report| report.last);
        reports
    }

    /// Returns how long each image took to pull that a node reported as pulled, by image.
    #[must_use]
    pub fn pull_times(&self) -> BTreeMap<String, Duration> {
        let mut times: BTreeMap<String, Duration> = BTreeMap::new();
        let events = self.pods.keys().flat_map(|uid| self.events.about(uid));
        for (image, time) in events.filter_map(|event| pulled(&event.message)) {
            let longest = times.entry(image.to_owned()).or_default();
            *longest = time.max(*longest);
        }
        times
    }

    fn containers_of(&self, pod: &Pod, grace: &GracePeriods) -> Vec<ContainerReport> {
        let facts = PodFacts::new(self, grace, pod);
        let workload = self.top_owner(pod.metadata.uid.as_deref().unwrap_or_default());
        let is_stopping = pod.metadata.deletion_timestamp.is_some();
        let unscheduled = scheduling::unscheduled(&facts).map(|health| {
            let fault = health.faults.first().map(|fault| fault.reason.clone());
            health.reason.or(fault).unwrap_or_else(|| "waiting for a node".to_owned())
        });
        let containers = pod::containers(pod, workload::mode_of(pod));
        let states = containers.into_iter().map(|(spec, status, role)| {
            let (state, message) = match &unscheduled {
                _ if is_stopping => (SpanState::Stopping, "terminating".to_owned()),
                Some(reason) => (SpanState::Waiting, reason.clone()),
                None => state_of(&facts, spec, status, role),
            };
            ContainerReport {
                pod: pod_id(pod),
                workload: workload.clone(),
                container: spec.name.clone(),
                image: spec.image.clone().unwrap_or_default(),
                since: since(&facts, spec, status, state),
                state,
                message,
            }
        });
        states.collect()
    }

    /// Returns whether a pod or one of its owners has one of these UIDs.
    fn is_of(&self, pod: &Pod, uids: &BTreeSet<&str>) -> bool {
        let mut metadata = Some(&pod.metadata);
        for _ in 0..MAX_OWNERS {
            let Some(object) = metadata else { break };
            if object.uid.as_deref().is_some_and(|uid| uids.contains(uid)) {
                return true;
            }
            let Some(owner) = controller(object) else { break };
            if uids.contains(owner.uid.as_str()) {
                return true;
            }
            metadata = self.metadata(&owner.uid);
        }
        false
    }

    /// Returns the last watched object in the chain of owners; None if the object has no watched owner.
    fn top_owner(&self, uid: &str) -> Option<ObjectId> {
        let mut top = None;
        let mut metadata = self.metadata(uid);
        for _ in 0..MAX_OWNERS {
            let Some(owner) = metadata.and_then(controller) else { break };
            metadata = self.metadata(&owner.uid);
            let Some(watched) = metadata else { break };
            let group = owner.api_version.split_once('/').map_or("", |(group, _)| group);
            top = Some(ObjectId {
                group: group.to_owned(),
                kind: owner.kind.clone(),
                namespace: watched.namespace.clone(),
                name: owner.name.clone(),
            });
        }
        top
    }

    /// Returns the identity of a watched object whose Events the timeline has.
    fn watched_id(&self, uid: &str) -> Option<ObjectId> {
        let (group, kind) = if self.pods.contains_key(uid) {
            ("", "Pod")
        } else if self.claims.contains_key(uid) {
            ("", "PersistentVolumeClaim")
        } else if self.replica_sets.contains_key(uid) {
            ("apps", "ReplicaSet")
        } else if self.deployments.contains_key(uid) {
            ("apps", "Deployment")
        } else if self.stateful_sets.contains_key(uid) {
            ("apps", "StatefulSet")
        } else if self.daemon_sets.contains_key(uid) {
            ("apps", "DaemonSet")
        } else if self.jobs.contains_key(uid) {
            ("batch", "Job")
        } else {
            return None;
        };
        let metadata = self.metadata(uid)?;
        let namespace = metadata.namespace.as_deref().unwrap_or_default();
        Some(ObjectId::namespaced(group, kind, namespace, metadata.name.as_deref()?))
    }
}

fn report(object: ObjectId, workload: Option<ObjectId>, event: &KubeEvent) -> EventReport {
    EventReport {
        object,
        workload,
        container: event.container.clone(),
        is_warning: event.is_warning,
        reason: event.reason.clone(),
        message: event.message.clone(),
        count: event.count,
        last: event.last,
    }
}

fn creation(pod: &Pod) -> (Option<Timestamp>, Option<&str>) {
    (pod.metadata.creation_timestamp.as_ref().map(|time| time.0), pod.metadata.name.as_deref())
}

fn pod_id(pod: &Pod) -> ObjectId {
    let metadata = &pod.metadata;
    POD.id(metadata.namespace.as_deref().unwrap_or_default(), metadata.name.as_deref().unwrap_or_default())
}

fn state_of(
    facts: &PodFacts,
    spec: &Container,
    status: Option<&ContainerStatus>,
    role: ContainerRole,
) -> (SpanState, String) {
    let is_running = status.and_then(|status| status.state.as_ref()?.running.as_ref()).is_some();
    match container::evaluate(facts, spec, status, role) {
        ContainerHealth::Healthy if role == ContainerRole::Runs => (SpanState::Ready, "ready".to_owned()),
        ContainerHealth::Healthy => (SpanState::Done, "completed".to_owned()),
        ContainerHealth::Progressing(reason) if is_running && role == ContainerRole::Runs => {
            (SpanState::Starting, reason)
        }
        ContainerHealth::Progressing(reason) if is_running => (SpanState::Running, reason),
        ContainerHealth::Progressing(reason) if has_ended(status) => (SpanState::Failed, reason),
        ContainerHealth::Progressing(reason) if container::is_pulling(facts, spec) => {
            (SpanState::Pulling, reason)
        }
        ContainerHealth::Progressing(reason) => (SpanState::Waiting, reason),
        // A container that runs and is not ready yet may still become ready.
        ContainerHealth::Faulty(fault) if is_running => (SpanState::Starting, fault.reason),
        ContainerHealth::Faulty(fault) => (SpanState::Failed, fault.reason),
    }
}

/// Whether a Job's container has ended, or waits for its next start.
fn has_ended(status: Option<&ContainerStatus>) -> bool {
    let Some(status) = status else { return false };
    let state = |state: &Option<ContainerState>| state.as_ref().is_some_and(|it| it.terminated.is_some());
    state(&status.state) || (state(&status.last_state) && status.restart_count > 0)
}

/// Returns since when a container is in its state, if the cluster has reported that.
fn since(
    facts: &PodFacts,
    spec: &Container,
    status: Option<&ContainerStatus>,
    state: SpanState,
) -> Option<Timestamp> {
    let current = status.and_then(|status| status.state.as_ref());
    match state {
        SpanState::Ready => {
            let ready = condition::ready_pod(facts.pod)?.last_transition_time.as_ref();
            ready.map(|time| time.0)
        }
        SpanState::Starting | SpanState::Running => {
            current?.running.as_ref()?.started_at.as_ref().map(|time| time.0)
        }
        SpanState::Done | SpanState::Failed => {
            current?.terminated.as_ref()?.finished_at.as_ref().map(|time| time.0)
        }
        SpanState::Pulling => {
            let events = facts.events().filter(|event| event.container.as_deref() == Some(&spec.name));
            events.filter(|event| event.reason == "Pulling").map(|event| event.last).max()
        }
        SpanState::Stopping => deletion_requested(facts.pod),
        _ => creation(facts.pod).0,
    }
}

/// Returns when the deletion of a pod was requested: its deletion timestamp is the end of the grace period
/// (<https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/object-meta/>).
fn deletion_requested(pod: &Pod) -> Option<Timestamp> {
    let end = pod.metadata.deletion_timestamp.as_ref()?.0;
    let grace = pod.metadata.deletion_grace_period_seconds.unwrap_or_default();
    end.checked_sub(SignedDuration::from_secs(grace)).ok()
}

/// Returns the image and the time of the kubelet's message: `Successfully pulled image "a:1" in 38.2s (39s including
/// waiting). Image size: 70991807 bytes.` (`pkg/kubelet/images/image_manager.go`).
fn pulled(message: &str) -> Option<(&str, Duration)> {
    let (image, rest) = message.strip_prefix("Successfully pulled image \"")?.split_once("\" in ")?;
    let time = rest.split([' ', '(']).next()?;
    Some((image, go_duration(time)?))
}

/// Parses a duration as Go prints it: `1m2.5s`, `38.2s`, `850ms`, `12.5µs`.
fn go_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        let unit_end =
            rest[digits..].find(|letter: char| letter.is_ascii_digit()).map_or(rest.len(), |at| digits + at);
        let seconds = match &rest[digits..unit_end] {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "µs" | "us" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        total = total.checked_add(Duration::try_from_secs_f64(number * seconds).ok()?)?;
        rest = &rest[unit_end..];
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::status::TrackedKind;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_767_000_000 + second).unwrap()
    }

    fn observed(status: &Value, events: &[(&str, &str, i64)]) -> ObservedState {
        let owner = |kind: &str, name: &str| json!([{ "apiVersion": "apps/v1", "kind": kind, "name": name, "uid": name, "controller": true }]);
        let spec = json!({ "nodeName": "node-1", "containers": [{ "name": "app", "image": "acme/oh:1",
            "readinessProbe": { "httpGet": { "path": "/alive", "port": 3000 } } }] });
        let pod = json!({ "apiVersion": "v1", "kind": "Pod", "spec": spec, "status": status,
            "metadata": { "name": "oh-1", "namespace": "n", "uid": "p", "ownerReferences": owner("ReplicaSet", "rs"),
                "creationTimestamp": at(0).to_string() } });
        let template = json!({ "selector": {}, "template": {} });
        let set = json!({ "apiVersion": "apps/v1", "kind": "ReplicaSet", "spec": template,
            "metadata": { "name": "rs", "namespace": "n", "uid": "rs", "ownerReferences": owner("Deployment", "oh") } });
        let deployment = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "spec": template,
            "metadata": { "name": "oh", "namespace": "n", "uid": "oh" } });
        let mut state = ObservedState::default();
        let objects =
            [(TrackedKind::Pod, pod), (TrackedKind::ReplicaSet, set), (TrackedKind::Deployment, deployment)];
        for (kind, object) in objects {
            state.apply(0, kind, &object, at(0)).unwrap();
        }
        for (reason, message, second) in events {
            let event = json!({ "metadata": { "uid": reason }, "type": "Normal", "reason": reason, "message": message,
                "involvedObject": { "uid": "p", "fieldPath": "spec.containers{app}" },
                "firstTimestamp": at(*second).to_string(), "lastTimestamp": at(*second).to_string() });
            state.apply(1, TrackedKind::Event, &event, at(*second)).unwrap();
        }
        state
    }

    fn app(ready: bool, state: &Value) -> Value {
        json!({ "phase": "Pending", "conditions": [{ "type": "PodScheduled", "status": "True" }],
            "containerStatuses": [{ "name": "app", "image": "", "imageID": "", "ready": ready, "started": true,
                "restartCount": 0, "state": state }] })
    }

    fn deployment(uid: &str) -> Expected {
        let id = ObjectId::namespaced("apps", "Deployment", "n", uid);
        Expected { id, uid: uid.to_owned(), generation: 1, changed: true }
    }

    #[test]
    fn pods_of_other_owners_are_left_out() {
        let state = observed(&app(true, &json!({ "running": {} })), &[]);
        let grace = GracePeriods::starting_at(at(0));
        assert_eq!(state.containers(&[deployment("other")], &grace), []);
        assert_eq!(state.containers(&[deployment("p")], &grace).len(), 1, "the pod itself is expected");
    }

    fn only(state: &ObservedState) -> ContainerReport {
        let mut all = state.containers(&[deployment("oh")], &GracePeriods::starting_at(at(0)));
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    #[test]
    fn container_goes_from_waiting_over_pulling_to_ready() {
        let creating = app(false, &json!({ "waiting": { "reason": "ContainerCreating" } }));
        let waiting = only(&observed(&creating, &[]));
        assert_eq!((waiting.state, waiting.message.as_str()), (SpanState::Waiting, "creating container"));
        assert_eq!(waiting.workload.unwrap().to_string(), "deployment.apps/oh");
        let pulling = only(&observed(&creating, &[("Pulling", "Pulling image \"acme/oh:1\"", 3)]));
        assert_eq!((pulling.state, pulling.message.as_str()), (SpanState::Pulling, "pulling image"));
        assert_eq!(pulling.since, Some(at(3)));
        let running = json!({ "running": { "startedAt": at(9).to_string() } });
        let starting = only(&observed(&app(false, &running), &[]));
        assert_eq!((starting.state, starting.since), (SpanState::Starting, Some(at(9))));
        assert_eq!(only(&observed(&app(true, &running), &[])).state, SpanState::Ready);
        let failed = app(false, &json!({ "waiting": { "reason": "InvalidImageName" } }));
        let failed = only(&observed(&failed, &[]));
        assert_eq!(
            (failed.state, failed.message.as_str()),
            (SpanState::Failed, "the image's name is not valid")
        );
    }

    #[test]
    fn pod_without_a_node_and_one_that_stops_have_their_own_states() {
        let mut state = observed(&json!({ "phase": "Pending" }), &[]);
        let pod = state.pods.get_mut("p").unwrap();
        pod.spec.as_mut().unwrap().node_name = None;
        assert_eq!(only(&state).state, SpanState::Waiting);
        let pod = state.pods.get_mut("p").unwrap();
        pod.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(35)));
        pod.metadata.deletion_grace_period_seconds = Some(30);
        let stopping = only(&state);
        assert_eq!((stopping.state, stopping.message.as_str()), (SpanState::Stopping, "terminating"));
        assert_eq!(stopping.since, Some(at(5)));
    }

    #[test]
    fn events_name_their_object_and_workload() {
        let endless =
            format!("Successfully pulled image \"acme/oh:1\" in {0}{0} (1s)", "18000000000000000000s");
        assert_eq!(pulled(&endless), None);
        let text = "Successfully pulled image \"acme/oh:1\" in 1m2.5s (1m3s including waiting). Image size: 9 bytes.";
        let mut state = observed(&json!({}), &[("Pulled", text, 60)]);
        let early =
            json!({ "metadata": { "uid": "e" }, "reason": "Early", "involvedObject": { "uid": "later" } });
        state.apply(1, TrackedKind::Event, &early, at(60)).unwrap();
        let events = state.take_recent_events();
        let [event] = events.as_slice() else { panic!("{events:?}") };
        assert_eq!(
            (event.object.to_string().as_str(), event.container.as_deref()),
            ("pod/oh-1", Some("app"))
        );
        assert_eq!(event.workload.as_ref().unwrap().kind, "Deployment");
        assert_eq!(state.take_recent_events(), [], "each is taken once");
        let later = json!({ "metadata": { "uid": "later", "name": "later", "namespace": "n" } });
        state.apply(0, TrackedKind::Pod, &later, at(61)).unwrap();
        assert_eq!(state.take_recent_events()[0].reason, "Early", "an Event may arrive before its object");
        assert_eq!(state.pull_times()["acme/oh:1"], Duration::from_millis(62_500));
    }

    #[test]
    fn times_of_the_kubelet_are_read() {
        for (text, milliseconds) in
            [("38.2s", Some(38_200)), ("850ms", Some(850)), ("1h1m0.5s", Some(3_660_500)), ("900µs", Some(0))]
        {
            assert_eq!(go_duration(text).map(|time| time.as_millis()), milliseconds, "{text}");
        }
        for text in ["s", "12", "1d", "-3s", "1.2.3s", "9e99s"] {
            assert_eq!(go_duration(text), None, "{text}");
        }
        assert_eq!(pulled("Container image \"a\" already present on machine"), None);
    }
}
