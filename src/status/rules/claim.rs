//! The health of a volume claim.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PodSpec};

use super::fault::Fault;
use super::object_status::ObjectHealth;
use super::pod_facts;
use crate::catalogue::Id;
use crate::object::ObjectId;
use crate::status::grace::{GracePeriods, final_after};
use crate::status::observed::kube_events::KubeEvent;
use crate::status::observed::state::ObservedState;

/// Evaluates a claim.
pub(crate) fn evaluate(
    observed: &ObservedState,
    id: &ObjectId,
    claim: &PersistentVolumeClaim,
    grace: &GracePeriods,
) -> ObjectHealth {
    match claim.status.as_ref().and_then(|status| status.phase.as_deref()) {
        Some("Bound") => ObjectHealth::ready("Bound"),
        Some("Lost") => {
            let volume =
                claim.spec.as_ref().and_then(|spec| spec.volume_name.as_deref()).unwrap_or("(unnamed)");
            let message = format!("its persistentvolume/{volume} no longer exists");
            let fault = Fault::new(Id::ClaimLost, id.clone(), message, "its volume is gone");
            ObjectHealth::faulty("Lost", fault.created(created_at(claim)))
        }
        _ => pending(observed, id, claim, grace),
    }
}

fn pending(
    observed: &ObservedState,
    id: &ObjectId,
    claim: &PersistentVolumeClaim,
    grace: &GracePeriods,
) -> ObjectHealth {
    let uid = claim.metadata.uid.as_deref().unwrap_or_default();
    let spec = claim.spec.as_ref();
    let new_fault = |code, message: &str, reason: &str| {
        Fault::new(code, id.clone(), message, reason).created(created_at(claim))
    };
    let last = last_event(observed, uid);
    let prebound = spec.is_some_and(|spec| spec.volume_name.as_deref().is_some_and(|name| !name.is_empty()));
    let class = spec.and_then(|spec| spec.storage_class_name.as_deref()).unwrap_or_default();
    match last.map(|event| (event.reason.as_str(), event)) {
        Some(("ProvisioningFailed", event)) if is_missing_class(event) => ObjectHealth::faulty(
            "Pending",
            new_fault(Id::StorageClassMissing, &event.message, "its storage class does not exist"),
        ),
        Some(("ProvisioningFailed", event)) => {
            let fault = new_fault(Id::ProvisioningFailed, &event.message, "its volume cannot be provisioned");
            let final_at = final_after(Some(event.first), grace.image_pull);
            ObjectHealth::faulty(
                "Pending",
                fault.final_at(final_at).evidence([super::text::occurrences(event)]),
            )
        }
        _ if class.is_empty() && !prebound => {
            let event_message =
                last.filter(|event| event.reason == "FailedBinding").map(|event| event.message.as_str());
            let message = event_message
                .unwrap_or("the volume claim names no storage class and the cluster has no default one");
            let final_at = final_after(created_at(claim), grace.no_storage_class);
            ObjectHealth::faulty(
                "Pending",
                new_fault(Id::NoStorageClass, message, "it has no storage class").final_at(final_at),
            )
        }
        Some(("WaitForFirstConsumer", _)) => ObjectHealth {
            // A claim that no pod uses stays Pending permanently, so it counts as ready.
            ready: !has_consumer(observed, claim),
            ..ObjectHealth::waiting("Pending: waiting for its first consumer")
        },
        Some(("ExternalProvisioning" | "Provisioning", _)) => {
            ObjectHealth::waiting("Pending: its volume is being provisioned")
        }
        Some(("FailedBinding", event)) => ObjectHealth::waiting(format!("Pending: {}", event.message)),
        _ => ObjectHealth::waiting("Pending: not bound yet"),
    }
}

/// Returns the Event that tells how far the claim is: the latest one. As long as the claim is not bound, the control plane
/// repeats `ExternalProvisioning`, and the provisioner reports `Provisioning` at each attempt: neither says that the
/// failure before is over. A missing class is the control plane's own report, so its next Event replaces it.
fn last_event<'a>(observed: &'a ObservedState, uid: &str) -> Option<&'a KubeEvent> {
    let last = observed.events.latest(
        uid,
        &[
            "WaitForFirstConsumer",
            "FailedBinding",
            "ProvisioningFailed",
            "ExternalProvisioning",
            "Provisioning",
        ],
    )?;
    if !matches!(last.reason.as_str(), "ExternalProvisioning" | "Provisioning") {
        return Some(last);
    }
    let failed = observed.events.latest(uid, &["ProvisioningFailed"]);
    failed.filter(|event| !is_missing_class(event)).or(Some(last))
}

fn is_missing_class(event: &KubeEvent) -> bool {
    event.message.contains("storageclass") && event.message.contains("not found")
}

/// Returns whether a live pod, or a workload with replicas, mounts the claim.
fn has_consumer(observed: &ObservedState, claim: &PersistentVolumeClaim) -> bool {
    let namespace = claim.metadata.namespace.as_deref();
    let name = claim.metadata.name.as_deref().unwrap_or_default();
    let same_namespace = |other: &Option<String>| other.as_deref() == namespace;
    let used_by_pod = observed.pods.values().any(|pod| {
        same_namespace(&pod.metadata.namespace)
            && !pod_facts::has_failed(pod)
            && !pod_facts::has_succeeded(pod)
            && mounts_claim(pod.spec.as_ref(), name)
    });
    let used_by_deployment = observed.deployments.values().any(|deployment| {
        same_namespace(&deployment.metadata.namespace)
            && deployment.spec.as_ref().is_some_and(|spec| {
                spec.replicas != Some(0) && mounts_claim(spec.template.spec.as_ref(), name)
            })
    });
    let used_by_stateful_set = observed.stateful_sets.values().any(|set| {
        same_namespace(&set.metadata.namespace)
            && set.spec.as_ref().is_some_and(|spec| {
                spec.replicas != Some(0) && mounts_claim(spec.template.spec.as_ref(), name)
            })
    });
    let used_by_daemon_set = observed.daemon_sets.values().any(|set| {
        same_namespace(&set.metadata.namespace)
            && set.spec.as_ref().is_some_and(|spec| mounts_claim(spec.template.spec.as_ref(), name))
    });
    used_by_pod || used_by_deployment || used_by_stateful_set || used_by_daemon_set
}

pub(crate) fn mounts_claim(spec: Option<&PodSpec>, claim: &str) -> bool {
    spec.into_iter().flat_map(|spec| spec.volumes.iter().flatten()).any(|volume| {
        volume.persistent_volume_claim.as_ref().is_some_and(|source| source.claim_name == claim)
    })
}

fn created_at(claim: &PersistentVolumeClaim) -> Option<Timestamp> {
    claim.metadata.creation_timestamp.as_ref().map(|time| time.0)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::object::kind::CLAIM;
    use crate::status::observed::state::TrackedKind;

    fn time(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    /// An Event about the claim, with the second of its first and of its last occurrence.
    fn event(reason: &str, message: &str, (first, last): (i64, i64)) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Event",
            "metadata": { "name": reason.to_lowercase(), "namespace": "n", "uid": reason },
            "involvedObject": { "apiVersion": "v1", "kind": "PersistentVolumeClaim", "name": "data", "namespace": "n", "uid": "u" },
            "reason": reason, "message": message, "type": "Normal", "count": 2,
            "firstTimestamp": time(first).to_string(), "lastTimestamp": time(last).to_string(),
        })
    }

    fn health(events: &[Value]) -> ObjectHealth {
        let claim: PersistentVolumeClaim = serde_json::from_value(json!({
            "metadata": { "name": "data", "namespace": "n", "uid": "u", "creationTimestamp": time(0).to_string() },
            "spec": { "storageClassName": "standard" }, "status": { "phase": "Pending" },
        }))
        .unwrap();
        let mut observed = ObservedState::default();
        for event in events {
            observed.apply(0, TrackedKind::Event, event, time(30)).unwrap();
        }
        evaluate(&observed, &CLAIM.id("n", "data"), &claim, &GracePeriods::starting_at(time(0)))
    }

    #[test]
    fn retry_in_progress_keeps_the_failure_before() {
        let failed = event("ProvisioningFailed", "only one access mode is supported", (2, 2));
        let attempt = event("Provisioning", "External provisioner is provisioning volume", (1, 17));
        let repeated = event("ExternalProvisioning", "Waiting for a volume to be created", (1, 20));
        for events in [&[failed.clone(), attempt.clone()][..], &[attempt.clone(), failed, repeated]] {
            let health = health(events);
            let [fault] = &health.faults[..] else { panic!("{health:?}") };
            assert_eq!(fault.finding.id, Id::ProvisioningFailed);
            let grace = GracePeriods::starting_at(time(0)).image_pull;
            assert_eq!(fault.final_at, final_after(Some(time(2)), grace), "since the first failure");
        }
        assert!(health(&[attempt]).faults.is_empty(), "the first attempt is no failure");
    }

    #[test]
    fn class_that_appears_ends_its_fault() {
        let missing =
            event("ProvisioningFailed", "storageclass.storage.k8s.io \"standard\" not found", (2, 2));
        let attempt = event("ExternalProvisioning", "Waiting for a volume to be created", (3, 3));
        assert!(health(&[missing, attempt]).faults.is_empty());
    }
}
