//! The health of a deployed set, outside of a rollout: `handsctl status`.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, PersistentVolumeClaim, Pod, PodSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::evaluate::object_health;
use super::grace::GracePeriods;
use super::observed::first_seen::statuses;
use super::observed::state::{ObservedState, TrackedKind};
use super::rules::object_status::ObjectHealth;
use super::rules::{pod_facts, text};
use super::verdict::Expected;
use crate::object::ObjectId;
use crate::object::labels::SERVICE_NAME;

/// The health of a deployed set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// The verdict, with its reasons.
    pub verdict: HealthVerdict,
    /// One for each Deployment, `StatefulSet` and `DaemonSet`, in the order of the set.
    pub components: Vec<ComponentHealth>,
    /// One for each claim of the set.
    pub claims: Vec<ClaimHealth>,
    /// One for each Service whose `EndpointSlice`s were observed.
    pub endpoints: Vec<EndpointsHealth>,
}

/// Whether the set serves requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HealthVerdict {
    /// Every object is ready.
    Healthy,
    /// The set serves, but some objects are not ready: one reason for each.
    Degraded(Vec<String>),
    /// A component of the application has no ready pod: one reason for each component, then the reasons of degraded
    /// objects.
    Down(Vec<String>),
    /// The application has no workload.
    Absent,
}

/// A workload of the set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentHealth {
    /// The object.
    pub id: ObjectId,
    /// `app`: the label `app.kubernetes.io/component`, else the object's name.
    pub name: String,
    /// The desired number of pods.
    pub desired: u32,
    /// The number of ready pods, of any revision.
    pub ready: u32,
    /// The image of the application's container, or of the first one.
    pub image: String,
    /// The digest of that image in a running pod: `sha256:…`.
    pub digest: Option<String>,
    /// When its newest pod was created.
    pub created: Option<Timestamp>,
    /// Restarts of all containers of its current pods.
    pub restarts: u32,
    /// How a container last ended before a restart.
    pub last_exit: Option<ContainerExit>,
    /// Its state and what it waits for: `1/1`, `0/1: crashed with exit code 1`.
    pub message: String,
}

/// The end of a container before a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerExit {
    /// When it ended.
    pub time: Timestamp,
    /// Its exit code with the meaning: `exit code 137 (out of memory)`.
    pub cause: String,
}

/// A volume claim of the set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimHealth {
    /// The object.
    pub id: ObjectId,
    /// `Bound`, `Pending`, `Lost`.
    pub phase: String,
    /// The volume's capacity, or the requested size without a volume: `5Gi`.
    pub capacity: Option<String>,
    /// Its storage class.
    pub class: Option<String>,
    /// Its state and what it waits for: `Bound`, `Pending: waiting for its first consumer`.
    pub message: String,
}

/// The pods behind a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointsHealth {
    /// The Service's name.
    pub service: String,
    /// The number of endpoints that receive traffic.
    pub ready: usize,
    /// The number of all endpoints.
    pub all: usize,
}

impl HealthVerdict {
    /// Adds reasons for which a set that serves is degraded. A set that is down stays down.
    #[must_use]
    pub fn degraded_by(self, mut added: Vec<String>) -> Self {
        match self {
            _ if added.is_empty() => self,
            Self::Healthy => Self::Degraded(added),
            Self::Degraded(mut reasons) => {
                reasons.append(&mut added);
                Self::Degraded(reasons)
            }
            Self::Down(mut reasons) => {
                reasons.append(&mut added);
                Self::Down(reasons)
            }
            Self::Absent => Self::Absent,
        }
    }
}

/// Returns the health of the set from the observed objects. `extras` are the objects that the application does not
/// consist of: the user's own workloads. They degrade the set, because the application serves without them.
#[must_use]
pub fn health(observed: &ObservedState, expected: &[Expected], extras: &BTreeSet<ObjectId>) -> Health {
    // Grace periods affect findings only, which health does not have. The epoch as the start is no run: an object that a
    // deploy would not wait for is unhealthy.
    let grace = GracePeriods::starting_at(Timestamp::UNIX_EPOCH);
    let mut components = Vec::new();
    let mut claims = Vec::new();
    let mut down = Vec::new();
    let mut degraded = Vec::new();
    for object in expected {
        let health = object_health(observed, object, &grace);
        let kind = TrackedKind::from_id(&object.id);
        match kind {
            Some(TrackedKind::Deployment | TrackedKind::StatefulSet | TrackedKind::DaemonSet) => {
                let component = component(observed, object, &health);
                let all_ready = component.ready > 0 && component.ready >= component.desired;
                let updates = if all_ready { "is being updated, " } else { "" };
                let reason = format!("{} {updates}{}", component.name, component.message);
                if component.ready == 0 && !extras.contains(&object.id) {
                    let is_idle = component.desired == 0 && health.ready;
                    down.push(if is_idle { format!("{reason}, scaled to zero") } else { reason });
                } else if !health.ready {
                    degraded.push(reason);
                }
                components.push(component);
                continue;
            }
            Some(TrackedKind::PersistentVolumeClaim) => {
                let claim = observed.claims.get(&object.uid);
                claims.extend(claim.map(|claim| claim_health(object, claim, &health)));
            }
            _ => {}
        }
        // A Job that runs, or waits for its pod, needs nobody, and neither does a controller that is at work.
        let works_by_itself = matches!(kind, Some(TrackedKind::Job | TrackedKind::Custom));
        let is_at_work = works_by_itself && health.faults.is_empty();
        if !health.ready && !is_at_work {
            degraded.push(format!("{}: {}", object.id, health.message));
        }
    }
    let endpoints = endpoints(observed);
    let verdict = if components.iter().all(|component| extras.contains(&component.id)) {
        HealthVerdict::Absent
    } else if !down.is_empty() {
        down.append(&mut degraded);
        HealthVerdict::Down(down)
    } else if !degraded.is_empty() {
        HealthVerdict::Degraded(degraded)
    } else {
        HealthVerdict::Healthy
    };
    Health { verdict, components, claims, endpoints }
}

fn component(observed: &ObservedState, expected: &Expected, health: &ObjectHealth) -> ComponentHealth {
    let uid = expected.uid.as_str();
    let (metadata, template, desired, ready, pods) = if let Some(it) = observed.deployments.get(uid) {
        let sets = observed.replica_sets_of(uid);
        let pods =
            sets.iter().flat_map(|set| observed.pods_of(set.metadata.uid.as_deref().unwrap_or_default()));
        let spec = it.spec.as_ref();
        let ready = it.status.as_ref().and_then(|status| status.ready_replicas);
        let desired = spec.map(|spec| spec.replicas.unwrap_or(1));
        (Some(&it.metadata), spec.map(|spec| &spec.template), desired, ready, pods.collect())
    } else if let Some(it) = observed.stateful_sets.get(uid) {
        let spec = it.spec.as_ref();
        let ready = it.status.as_ref().and_then(|status| status.ready_replicas);
        let desired = spec.map(|spec| spec.replicas.unwrap_or(1));
        (Some(&it.metadata), spec.map(|spec| &spec.template), desired, ready, observed.pods_of(uid))
    } else if let Some(it) = observed.daemon_sets.get(uid) {
        let status = it.status.as_ref();
        let ready = status.map(|status| status.number_ready);
        let desired = status.map(|status| status.desired_number_scheduled);
        (
            Some(&it.metadata),
            it.spec.as_ref().map(|spec| &spec.template),
            desired,
            ready,
            observed.pods_of(uid),
        )
    } else {
        (None, None, None, None, Vec::new())
    };
    let pods: Vec<&Pod> = pods.into_iter().filter(|pod| !pod_facts::has_failed(pod)).collect();
    let number = |value: Option<i32>| value.and_then(|value| u32::try_from(value).ok()).unwrap_or_default();
    let image = template.and_then(|template| main_image(template.spec.as_ref()?)).unwrap_or_default();
    ComponentHealth {
        id: expected.id.clone(),
        name: metadata.and_then(component_label).unwrap_or(&expected.id.name).to_owned(),
        desired: number(desired),
        ready: number(ready),
        image: image.to_owned(),
        digest: pods.iter().find_map(|pod| digest(pod, image)),
        created: pods.iter().filter_map(|pod| Some(pod.metadata.creation_timestamp.as_ref()?.0)).max(),
        restarts: pods.iter().flat_map(|pod| statuses(pod)).map(|it| number(Some(it.restart_count))).sum(),
        last_exit: pods.iter().flat_map(|pod| statuses(pod)).filter_map(last_exit).max_by_key(|end| end.time),
        message: health.message.clone(),
    }
}

fn component_label(metadata: &ObjectMeta) -> Option<&str> {
    metadata.labels.as_ref()?.get("app.kubernetes.io/component").map(String::as_str)
}

/// The container of the application.
const APP_CONTAINER: &str = "openhands";

/// Returns the application's container; of another workload the first one. Somebody may have put a container before it.
fn main_container(spec: &PodSpec) -> Option<&Container> {
    let own = spec.containers.iter().find(|container| container.name == APP_CONTAINER);
    own.or_else(|| spec.containers.first())
}

fn main_image(spec: &PodSpec) -> Option<&str> {
    main_container(spec)?.image.as_deref()
}

/// Returns the digest of the main container's image, if the container runs `image`. The image id has the form
/// `repo@sha256:…`; for a loaded image it is the digest alone.
fn digest(pod: &Pod, image: &str) -> Option<String> {
    let container = main_container(pod.spec.as_ref()?)?;
    let mut statuses = pod.status.as_ref()?.container_statuses.iter().flatten();
    let status = statuses.find(|status| status.name == container.name)?;
    let id = status.image_id.rsplit('@').next().filter(|_| container.image.as_deref() == Some(image))?;
    id.starts_with("sha256:").then(|| id.to_owned())
}

fn last_exit(status: &k8s_openapi::api::core::v1::ContainerStatus) -> Option<ContainerExit> {
    if status.restart_count == 0 {
        return None;
    }
    let terminated = status.last_state.as_ref()?.terminated.as_ref()?;
    let time = terminated.finished_at.as_ref()?.0;
    Some(ContainerExit { time, cause: text::exit_code_text(terminated) })
}

fn claim_health(expected: &Expected, claim: &PersistentVolumeClaim, health: &ObjectHealth) -> ClaimHealth {
    let status = claim.status.as_ref();
    let spec = claim.spec.as_ref();
    let capacity =
        status.and_then(|status| status.capacity.as_ref()).and_then(|capacity| capacity.get("storage"));
    let request = spec
        .and_then(|spec| spec.resources.as_ref())
        .and_then(|resources| resources.requests.as_ref())
        .and_then(|requests| requests.get("storage"));
    ClaimHealth {
        id: expected.id.clone(),
        phase: status.and_then(|status| status.phase.clone()).unwrap_or_else(|| "Pending".to_owned()),
        capacity: capacity.or(request).map(|quantity| quantity.0.clone()),
        class: spec.and_then(|spec| spec.storage_class_name.clone()).filter(|class| !class.is_empty()),
        message: health.message.clone(),
    }
}

impl ObservedState {
    /// Returns the number of ready endpoints of each Service whose `EndpointSlice`s were observed.
    #[must_use]
    pub fn ready_endpoints(&self) -> BTreeMap<String, usize> {
        endpoints(self).into_iter().map(|endpoints| (endpoints.service, endpoints.ready)).collect()
    }
}

fn endpoints(observed: &ObservedState) -> Vec<EndpointsHealth> {
    // A dual-stack Service lists the same pods once in the slices of each address type.
    let mut counts: BTreeMap<(&str, &str), EndpointsHealth> = BTreeMap::new();
    for slice in observed.endpoint_slices.values() {
        let labels = slice.metadata.labels.as_ref();
        let Some(service) = labels.and_then(|labels| labels.get(SERVICE_NAME)) else {
            continue;
        };
        let entry = counts.entry((service, &slice.address_type));
        let count =
            entry.or_insert_with(|| EndpointsHealth { service: service.to_owned(), ready: 0, all: 0 });
        for endpoint in &slice.endpoints {
            // The API defines a missing condition as ready.
            let ready = endpoint.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true);
            count.ready += usize::from(ready);
            count.all += 1;
        }
    }
    let mut services: Vec<EndpointsHealth> = Vec::new();
    for count in counts.into_values() {
        match services.last_mut() {
            Some(last) if last.service == count.service => {
                last.ready = last.ready.max(count.ready);
                last.all = last.all.max(count.all);
            }
            _ => services.push(count),
        }
    }
    services
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn slice(uid: &str, family: &str, ready: &[bool]) -> serde_json::Value {
        let endpoints: Vec<_> =
            ready.iter().map(|it| json!({"addresses": ["x"], "conditions": {"ready": it}})).collect();
        json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": family,
            "metadata": {"uid": uid, "labels": {"kubernetes.io/service-name": "openhands"}}, "endpoints": endpoints})
    }

    #[test]
    fn dual_stack_service_counts_each_pod_once() {
        let mut observed = ObservedState::default();
        for (uid, family) in [("a", "IPv4"), ("b", "IPv6")] {
            observed
                .apply(
                    0,
                    TrackedKind::EndpointSlice,
                    &slice(uid, family, &[true, false]),
                    Timestamp::UNIX_EPOCH,
                )
                .unwrap();
        }
        let expected = [EndpointsHealth { service: "openhands".into(), ready: 1, all: 2 }];
        assert_eq!(endpoints(&observed), expected);
    }

    #[test]
    fn set_without_workload_is_absent() {
        assert_eq!(health(&ObservedState::default(), &[], &BTreeSet::new()).verdict, HealthVerdict::Absent);
    }

    #[test]
    fn unready_extra_workload_only_degrades() {
        let mut observed = ObservedState::default();
        let workload = |name: &str, ready: i32| {
            json!({"metadata": {"name": name, "namespace": "hands", "uid": name, "generation": 1},
                "spec": {"replicas": 1, "selector": {}, "template": {}},
                "status": {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1,
                    "readyReplicas": ready, "availableReplicas": ready}})
        };
        for (name, ready) in [("openhands", 1), ("helper", 0)] {
            observed
                .apply(0, TrackedKind::Deployment, &workload(name, ready), Timestamp::UNIX_EPOCH)
                .unwrap();
        }
        let id = |name: &str| ObjectId::namespaced("apps", "Deployment", "hands", name);
        let expected = ["openhands", "helper"].map(|name| Expected {
            id: id(name),
            uid: name.into(),
            generation: 1,
            changed: false,
        });
        let verdict = |extras: &BTreeSet<ObjectId>| health(&observed, &expected, extras).verdict;
        assert_eq!(
            verdict(&BTreeSet::from([id("helper")])),
            HealthVerdict::Degraded(vec!["helper 0/1: not available yet".into()])
        );
        assert!(matches!(verdict(&BTreeSet::new()), HealthVerdict::Down(_)), "a workload of the application");
        let both = BTreeSet::from([id("helper"), id("openhands")]);
        assert_eq!(verdict(&both), HealthVerdict::Absent, "the application has no workload");
    }

    #[test]
    fn running_job_does_not_degrade_and_failed_job_does() {
        let mut observed = ObservedState::default();
        let job = |conditions: &serde_json::Value| {
            json!({"metadata": {"name": "j", "namespace": "hands", "uid": "j"}, "spec": {"template": {}},
                "status": {"active": 1, "conditions": conditions}})
        };
        let application = json!({"metadata": {"name": "a", "namespace": "hands", "uid": "a", "generation": 1},
            "spec": {"replicas": 1, "selector": {}, "template": {}},
            "status": {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1}});
        observed.apply(0, TrackedKind::Deployment, &application, Timestamp::UNIX_EPOCH).unwrap();
        let expected =
            [("apps", "Deployment", "a"), ("batch", "Job", "j")].map(|(group, kind, name)| Expected {
                id: ObjectId::namespaced(group, kind, "hands", name),
                uid: name.into(),
                generation: 0,
                changed: false,
            });
        let extras = BTreeSet::from([expected[1].id.clone()]);
        let mut verdict = |conditions: &serde_json::Value| {
            observed.apply(0, TrackedKind::Job, &job(conditions), Timestamp::UNIX_EPOCH).unwrap();
            health(&observed, &expected, &extras).verdict
        };
        assert_eq!(verdict(&json!([])), HealthVerdict::Healthy);
        let failed = json!([{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]);
        let degraded = HealthVerdict::Degraded(vec!["job.batch/j: 0/1: it failed".into()]);
        assert_eq!(verdict(&failed), degraded);
    }

    #[test]
    fn unobserved_workload_is_down() {
        let expected = Expected {
            id: ObjectId::namespaced("apps", "Deployment", "hands", "openhands"),
            uid: "d".into(),
            generation: 1,
            changed: false,
        };
        let down = HealthVerdict::Down(vec!["openhands not seen yet".into()]);
        assert_eq!(health(&ObservedState::default(), &[expected], &BTreeSet::new()).verdict, down);
    }
}
