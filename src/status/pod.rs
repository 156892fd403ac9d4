//! One pod: its containers, its place, its volumes.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod, PodCondition};

use super::container::{self, Outlook, Role};
use super::note::Note;
use super::symptom::{Due, Symptom};
use super::tolerance::{Tolerance, after, later};
use super::world::World;
use super::{schedule, words};
use crate::catalogue::Id;
use crate::object::ObjectId;

/// How a pod is.
#[derive(Debug, Default)]
pub(super) struct PodOutlook {
    pub(super) ready: bool,
    /// What it waits for, in few words.
    pub(super) gap: Option<String>,
    pub(super) symptoms: Vec<Symptom>,
    /// Since when its containers without probes have run.
    pub(super) up_since: Option<Timestamp>,
}

/// What the containers of a pod are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// They run for ever.
    Serve,
    /// They end.
    Complete,
}

/// A pod with what is known about it.
pub(super) struct View<'a> {
    pub(super) world: &'a World,
    pub(super) tolerance: &'a Tolerance,
    pub(super) pod: &'a Pod,
    pub(super) id: ObjectId,
    uid: &'a str,
}

/// The identity of a live pod.
pub(super) fn id_of(pod: &Pod) -> ObjectId {
    ObjectId {
        group: String::new(),
        kind: "Pod".to_owned(),
        namespace: pod.metadata.namespace.clone(),
        name: pod.metadata.name.clone().unwrap_or_default(),
    }
}

/// Whether the pod ended badly: `Failed` is the phase of evicted and refused pods too.
pub(super) fn has_failed(pod: &Pod) -> bool {
    phase(pod) == Some("Failed")
}

/// Whether the pod is being deleted.
pub(super) fn is_stopping(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

/// Whether the pod ended well.
pub(super) fn has_succeeded(pod: &Pod) -> bool {
    phase(pod) == Some("Succeeded")
}

fn phase(pod: &Pod) -> Option<&str> {
    pod.status.as_ref()?.phase.as_deref()
}

impl<'a> View<'a> {
    pub(super) fn new(world: &'a World, tolerance: &'a Tolerance, pod: &'a Pod) -> Self {
        let uid = pod.metadata.uid.as_deref().unwrap_or_default();
        Self { world, tolerance, pod, id: id_of(pod), uid }
    }

    /// A fault of one container.
    pub(super) fn symptom(&self, id: Id, spec: &Container, message: impl Into<String>, gap: &str) -> Symptom {
        Symptom::new(id, self.id.clone(), message, gap).container(&spec.name).born(self.born())
    }

    /// A fault of the whole pod.
    pub(super) fn whole(&self, id: Id, message: &str, gap: &str) -> Symptom {
        Symptom::new(id, self.id.clone(), message, gap).born(self.born())
    }

    /// The events about this pod.
    pub(super) fn notes(&self) -> impl Iterator<Item = &'a Note> + use<'a> {
        self.world.notes.about(self.uid)
    }

    /// The latest event about this pod with one of these reasons.
    pub(super) fn latest(&self, reasons: &[&str]) -> Option<&'a Note> {
        self.world.notes.latest(self.uid, reasons)
    }

    pub(super) fn condition(&self, kind: &str) -> Option<&'a PodCondition> {
        self.pod.status.as_ref()?.conditions.iter().flatten().find(|condition| condition.type_ == kind)
    }

    /// When the kubelet took the pod.
    pub(super) fn started(&self) -> Option<Timestamp> {
        self.pod.status.as_ref()?.start_time.as_ref().map(|time| time.0).or_else(|| self.born())
    }

    fn born(&self) -> Option<Timestamp> {
        self.pod.metadata.creation_timestamp.as_ref().map(|time| time.0)
    }

    /// When the container was first seen in its present stage.
    pub(super) fn seen(&self, container: &str) -> Option<Timestamp> {
        self.world.moments.since(self.uid, container)
    }

    /// What the container's last failed pull said.
    pub(super) fn pull_error(&self, container: &str) -> Option<&'a str> {
        self.world.moments.pull_error(self.uid, container)
    }

    /// Since when the pod has not been ready.
    pub(super) fn unready_since(&self) -> Option<Timestamp> {
        let condition = self.condition("ContainersReady").filter(|condition| condition.status == "False")?;
        condition.last_transition_time.as_ref().map(|time| time.0)
    }

    /// Since when a stage without a time of its own lasts: its event, its first sighting, or, for a pod older
    /// than the run (whose beginning nobody watched), since it is not ready.
    pub(super) fn since(&self, container: &str, event: Option<Timestamp>) -> Option<Timestamp> {
        let older = self.started().is_some_and(|started| started < self.tolerance.started);
        let unready = self.unready_since().filter(|_| older);
        [event, self.seen(container), unready].into_iter().flatten().min()
    }

    /// The grace of what the kubelet retries by itself.
    pub(super) fn retried(&self, container: &str) -> Due {
        after(self.since(container, None), self.tolerance.image_pull)
    }
}

/// Judges one pod.
pub(super) fn look(world: &World, tolerance: &Tolerance, pod: &Pod, purpose: Purpose) -> PodOutlook {
    let view = View::new(world, tolerance, pod);
    if let Some(outlook) = schedule::unscheduled(&view) {
        return outlook;
    }
    let containers = containers(pod, purpose);
    let mut outlook = PodOutlook {
        ready: view.condition("Ready").is_some_and(|condition| condition.status == "True"),
        up_since: containers.iter().filter_map(|(spec, status, _)| container::up_since(spec, *status)).max(),
        ..PodOutlook::default()
    };
    if outlook.ready {
        outlook.gap = (purpose == Purpose::Complete).then(|| "running".to_owned());
        return outlook;
    }
    for (spec, status, role) in &containers {
        match container::look(&view, spec, *status, *role) {
            Outlook::Fine => {}
            Outlook::Coming(gap) => {
                outlook.gap.get_or_insert(gap);
            }
            Outlook::Faulty(symptom) => outlook.symptoms.push(*symptom),
        }
    }
    if outlook.symptoms.is_empty() {
        outlook.symptoms.extend(not_set_up(&view));
    }
    if outlook.gap.is_none() && outlook.symptoms.is_empty() {
        outlook.gap = Some(readiness_gate(&view).unwrap_or_else(|| "waiting for the kubelet".to_owned()));
    }
    outlook
}

type Part<'a> = (&'a Container, Option<&'a ContainerStatus>, Role);

/// The containers with their statuses, init containers first.
fn containers(pod: &Pod, purpose: Purpose) -> Vec<Part<'_>> {
    let Some(spec) = &pod.spec else { return Vec::new() };
    let init = spec.init_containers.iter().flatten().map(|container| {
        let sidecar = container.restart_policy.as_deref() == Some("Always");
        (container, if sidecar { Role::Runs } else { Role::Init })
    });
    let role = if purpose == Purpose::Complete { Role::Completes } else { Role::Runs };
    let main = spec.containers.iter().map(|container| (container, role));
    let status = |name: &str| super::moment::statuses(pod).find(|status| status.name == name);
    init.chain(main).map(|(container, role)| (container, status(&container.name), role)).collect()
}

/// A pod whose sandbox or volumes cannot be set up: no container says so, only an event.
fn not_set_up(view: &View) -> Option<Symptom> {
    let sandbox =
        view.condition("PodReadyToStartContainers").is_some_and(|condition| condition.status == "True");
    let created = super::moment::statuses(view.pod).any(|status| {
        let waits = status.state.as_ref().and_then(|state| state.waiting.as_ref());
        waits.is_none_or(|waits| {
            !matches!(waits.reason.as_deref(), Some("ContainerCreating" | "PodInitializing"))
        })
    });
    if sandbox || created {
        return None;
    }
    let failed = view.latest(&["FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox"])?;
    if view.latest(&["Pulling", "Pulled", "Created"]).is_some_and(|later| later.last > failed.last) {
        return None;
    }
    let grace = after(Some(failed.first), view.tolerance.image_pull);
    let symptom = if failed.reason == "FailedCreatePodSandBox" {
        view.whole(Id::ContainerCannotStart, &failed.message, "the pod's sandbox cannot be created")
            .due(grace)
    } else if container::names_missing_reference(&failed.message) {
        let cause = missing(&failed.message);
        view.whole(Id::MissingReference, &failed.message, cause).caused_by(cause)
    } else {
        view.whole(Id::MountFailed, &failed.message, "a volume cannot be mounted").due(grace)
    };
    Some(symptom.evidence([words::times(failed)]))
}

/// `configmap "x" not found` of `MountVolume.SetUp failed for volume "config" : configmap "x" not found`.
fn missing(message: &str) -> &str {
    message.rsplit_once(" : ").map_or(message, |(_, cause)| cause)
}

/// The first readiness gate that is not open, when nothing else keeps the pod from being ready.
fn readiness_gate(view: &View) -> Option<String> {
    let gates = view.pod.spec.as_ref()?.readiness_gates.as_ref()?;
    let open = |kind: &str| view.condition(kind).is_some_and(|condition| condition.status == "True");
    let gate = gates.iter().find(|gate| !open(&gate.condition_type))?;
    Some(format!("readiness gate {}", gate.condition_type))
}

/// A pod that ended badly: evicted, refused by its node, or run out.
pub(super) fn failed(world: &World, tolerance: &Tolerance, pod: &Pod) -> Symptom {
    let view = View::new(world, tolerance, pod);
    let status = pod.status.as_ref();
    let reason = status.and_then(|status| status.reason.as_deref());
    let said = status.and_then(|status| status.message.as_deref());
    let ended = super::moment::statuses(pod)
        .filter_map(|status| status.state.as_ref()?.terminated.as_ref().map(|end| (status, end)))
        .find(|(_, end)| end.exit_code != 0);
    let message = match (reason, said, ended) {
        (Some(reason), Some(said), _) => format!("{reason}: {}", said.trim()),
        (Some(reason), None, _) => reason.to_owned(),
        (None, Some(said), _) => said.trim().to_owned(),
        (None, None, Some((_, end))) => words::ended(end),
        (None, None, None) => "the pod's phase is Failed".to_owned(),
    };
    let gap = if reason == Some("Evicted") { "the pod was evicted" } else { "the pod failed" };
    let symptom = view.whole(Id::PodFailed, &message, gap).caused_by(reason.unwrap_or(&message));
    match ended {
        Some((status, end)) => symptom
            .container(&status.name)
            .evidence((reason.is_some() || said.is_some()).then(|| words::ended(end)))
            .lookup(super::finding::Lookup::Log {
                pod: view.id.clone(),
                container: status.name.clone(),
                previous: false,
            }),
        None => symptom,
    }
}

/// How long a pod may take to go after its grace period: a finalizer's controller, or a kubelet that unmounts.
const MAY_LINGER: std::time::Duration = std::time::Duration::from_secs(15);

/// A pod that is being deleted: when it counts as held, and by what.
pub(super) fn held(world: &World, tolerance: &Tolerance, pod: &Pod) -> Option<Symptom> {
    let view = View::new(world, tolerance, pod);
    // The API server sets the deletion timestamp to the request's time plus the grace period.
    let deadline = later(pod.metadata.deletion_timestamp.as_ref()?.0, MAY_LINGER);
    let finalizers = pod.metadata.finalizers.as_deref().unwrap_or_default().join(", ");
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or("(none)");
    let symptom = if finalizers.is_empty() {
        let message = format!("the pod's grace period is over and its node {node} has not stopped it");
        let lost = view.latest(&["NodeNotReady", "TaintManagerEviction"]).map(words::times);
        view.whole(Id::OldPodHeld, &message, "the old pod is stopping")
            .caused_by(node)
            .evidence(lost)
            .hint(format!("kubectl get node {node}"))
    } else {
        let message = format!("the pod is deleted but held by the finalizer {finalizers}");
        let gap = format!("the old pod waits for its finalizer {finalizers}");
        view.whole(Id::OldPodHeld, &message, &gap).caused_by(finalizers)
    };
    // It is older than the run by its nature: nothing that the run sends mends it.
    Some(symptom.born(None).due(Due::At(deadline)))
}
