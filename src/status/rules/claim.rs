//! A volume claim.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PodSpec};

use super::fault::Fault;
use super::object_status::ObjectHealth;
use super::pod_facts;
use crate::catalogue::Id;
use crate::object::ObjectId;
use crate::status::grace::{GracePeriods, final_after};
use crate::status::observed::state::ObservedState;

/// Judges a claim.
pub(crate) fn evaluate(
    world: &ObservedState,
    id: &ObjectId,
    claim: &PersistentVolumeClaim,
    tolerance: &GracePeriods,
) -> ObjectHealth {
    match claim.status.as_ref().and_then(|status| status.phase.as_deref()) {
        Some("Bound") => ObjectHealth::ready("Bound"),
        Some("Lost") => {
            let volume =
                claim.spec.as_ref().and_then(|spec| spec.volume_name.as_deref()).unwrap_or("(unnamed)");
            let message = format!("its persistentvolume/{volume} does not exist any more");
            let symptom = Fault::new(Id::ClaimLost, id.clone(), message, "its volume is gone");
            ObjectHealth::faulty("Lost", symptom.created(born(claim)))
        }
        _ => pending(world, id, claim, tolerance),
    }
}

fn pending(
    world: &ObservedState,
    id: &ObjectId,
    claim: &PersistentVolumeClaim,
    tolerance: &GracePeriods,
) -> ObjectHealth {
    let uid = claim.metadata.uid.as_deref().unwrap_or_default();
    let spec = claim.spec.as_ref();
    let fault =
        |code, message: &str, gap: &str| Fault::new(code, id.clone(), message, gap).created(born(claim));
    let last = world.events.latest(
        uid,
        &[
            "WaitForFirstConsumer",
            "FailedBinding",
            "ProvisioningFailed",
            "ExternalProvisioning",
            "Provisioning",
        ],
    );
    let prebound = spec.is_some_and(|spec| spec.volume_name.as_deref().is_some_and(|name| !name.is_empty()));
    let class = spec.and_then(|spec| spec.storage_class_name.as_deref()).unwrap_or_default();
    match last.map(|note| (note.reason.as_str(), note)) {
        Some(("ProvisioningFailed", note))
            if note.message.contains("storageclass") && note.message.contains("not found") =>
        {
            ObjectHealth::faulty(
                "Pending",
                fault(Id::StorageClassMissing, &note.message, "its storage class does not exist"),
            )
        }
        Some(("ProvisioningFailed", note)) => {
            let symptom = fault(Id::ProvisioningFailed, &note.message, "its volume cannot be provisioned");
            let due = final_after(Some(note.first), tolerance.image_pull);
            ObjectHealth::faulty("Pending", symptom.final_at(due).evidence([super::text::times(note)]))
        }
        _ if class.is_empty() && !prebound => {
            let said = last.filter(|note| note.reason == "FailedBinding").map(|note| note.message.as_str());
            let message =
                said.unwrap_or("the claim names no storage class and the cluster has no default one");
            let due = final_after(born(claim), tolerance.no_storage_class);
            ObjectHealth::faulty(
                "Pending",
                fault(Id::NoStorageClass, message, "it has no storage class").final_at(due),
            )
        }
        Some(("WaitForFirstConsumer", _)) => ObjectHealth {
            // Nobody will ever use it: it is as it should be.
            ready: !has_consumer(world, claim),
            ..ObjectHealth::waiting("Pending: waits for its first consumer")
        },
        Some(("ExternalProvisioning" | "Provisioning", _)) => {
            ObjectHealth::waiting("Pending: its volume is being made")
        }
        Some(("FailedBinding", note)) => ObjectHealth::waiting(format!("Pending: {}", note.message)),
        _ => ObjectHealth::waiting("Pending: not bound yet"),
    }
}

/// Whether a live pod or a workload that wants pods mounts the claim.
fn has_consumer(world: &ObservedState, claim: &PersistentVolumeClaim) -> bool {
    let namespace = claim.metadata.namespace.as_deref();
    let name = claim.metadata.name.as_deref().unwrap_or_default();
    let here = |other: &Option<String>| other.as_deref() == namespace;
    let by_pod = world.pods.values().any(|pod| {
        here(&pod.metadata.namespace)
            && !pod_facts::has_failed(pod)
            && !pod_facts::has_succeeded(pod)
            && mounts(pod.spec.as_ref(), name)
    });
    let by_deployment = world.deployments.values().any(|deployment| {
        here(&deployment.metadata.namespace)
            && deployment
                .spec
                .as_ref()
                .is_some_and(|spec| spec.replicas != Some(0) && mounts(spec.template.spec.as_ref(), name))
    });
    let by_stateful_set = world.stateful_sets.values().any(|set| {
        here(&set.metadata.namespace)
            && set
                .spec
                .as_ref()
                .is_some_and(|spec| spec.replicas != Some(0) && mounts(spec.template.spec.as_ref(), name))
    });
    by_pod || by_deployment || by_stateful_set
}

fn mounts(spec: Option<&PodSpec>, claim: &str) -> bool {
    spec.into_iter().flat_map(|spec| spec.volumes.iter().flatten()).any(|volume| {
        volume.persistent_volume_claim.as_ref().is_some_and(|source| source.claim_name == claim)
    })
}

fn born(claim: &PersistentVolumeClaim) -> Option<Timestamp> {
    claim.metadata.creation_timestamp.as_ref().map(|time| time.0)
}
