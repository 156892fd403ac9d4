//! Many faults → few findings: one for each cause, the root cause first, without its consequences.

use std::collections::BTreeSet;

use super::fault::Fault;
use crate::catalogue::Id;
use crate::object::ObjectId;
use crate::status::finding::Finding;

/// A fault and the object of the set that it belongs to.
#[derive(Debug, Clone)]
pub(crate) struct ObjectFault {
    pub(crate) object: ObjectId,
    /// The desired number of pods of that object.
    pub(crate) desired: usize,
    pub(crate) fault: Fault,
}

/// Ranks causes: a fault with a lower rank may cause a fault with a higher rank.
pub(crate) fn cause_rank(id: Id) -> u8 {
    match id {
        Id::Deleted | Id::RolloutPaused => 0,
        // Its controller may make the Secret that a pod misses.
        Id::NotReadyByController | Id::MissingReference => 1,
        Id::StorageClassMissing | Id::NoStorageClass | Id::ProvisioningFailed | Id::ClaimLost => 2,
        Id::QuotaExceeded | Id::PodsRejected | Id::OldPodStuck => 3,
        Id::Unschedulable => 4,
        Id::MountFailed => 5,
        Id::ImageInvalidName
        | Id::ImageNeverPull
        | Id::ImageNotFound
        | Id::ImageForbidden
        | Id::ImageUnavailable => 6,
        Id::ContainerCannotStart => 7,
        Id::OutOfMemory | Id::CrashLoop => 8,
        Id::NotReady => 9,
        Id::PodFailed | Id::JobFailed => 10,
        _ => 11,
    }
}

/// Merges faults into one finding for each cause, the root cause first.
pub(crate) fn root_causes(mut faults: Vec<ObjectFault>) -> Vec<Finding> {
    let consequences: BTreeSet<usize> =
        (0..faults.len()).filter(|index| follows_from_another(&faults, *index)).collect();
    let mut index = 0;
    faults.retain(|_| {
        index += 1;
        !consequences.contains(&(index - 1))
    });
    faults.sort_by(|a, b| sort_key(a).cmp(&sort_key(b)));
    let mut groups: Vec<Vec<ObjectFault>> = Vec::new();
    for fault in faults {
        match groups.iter_mut().find(|group| same_cause(&group[0], &fault)) {
            Some(group) => group.push(fault),
            None => groups.push(vec![fault]),
        }
    }
    groups.into_iter().filter_map(merge).collect()
}

fn sort_key(fault: &ObjectFault) -> (u8, &ObjectId) {
    (cause_rank(fault.fault.finding.id), &fault.fault.finding.object)
}

/// Returns whether a fault is a consequence of another one: a pod without a node because of its claim, a pod that is
/// not ready because one of its containers cannot start, or a Deployment without progress or a failed Job because of
/// its pods.
fn follows_from_another(faults: &[ObjectFault], index: usize) -> bool {
    let fault = &faults[index];
    let finding = &fault.fault.finding;
    faults.iter().enumerate().filter(|(other, _)| *other != index).any(|(_, other)| {
        let cause = &other.fault.finding;
        let is_root_of = cause_rank(cause.id) < cause_rank(finding.id);
        match finding.id {
            Id::ProgressDeadline | Id::JobFailed => other.object == fault.object && is_root_of,
            Id::Unschedulable => {
                cause.object.kind == "PersistentVolumeClaim" && finding.message.contains(&cause.object.name)
            }
            Id::NotReady => cause.object == finding.object && is_root_of,
            _ => false,
        }
    })
}

/// Adds to the passed deadline of a workload what it still waited for: a fault within its grace, such as a startup probe
/// that fails.
pub(crate) fn explain_deadlines(faults: &mut [ObjectFault], pending: &[ObjectFault]) {
    let deadlines = faults.iter_mut().filter(|fault| fault.fault.finding.id == Id::ProgressDeadline);
    for deadline in deadlines {
        let waits = pending.iter().filter(|wait| wait.object == deadline.object);
        let Some(wait) = waits.min_by_key(|wait| sort_key(wait)) else { continue };
        let (finding, cause) = (&mut deadline.fault.finding, &wait.fault.finding);
        finding.evidence.push(format!("{}: {}", cause.object, cause.message));
        finding.evidence.extend(cause.evidence.iter().cloned());
        finding.lookups.extend(cause.lookups.iter().cloned());
        finding.container.clone_from(&cause.container);
    }
}

fn same_cause(a: &ObjectFault, b: &ObjectFault) -> bool {
    let key = |fault: &ObjectFault| {
        (fault.fault.finding.id, fault.fault.finding.container.clone(), fault.fault.cause.clone())
    };
    key(a) == key(b)
}

/// Returns the finding of the first fault, with the number of affected pods.
fn merge(group: Vec<ObjectFault>) -> Option<Finding> {
    let objects: BTreeSet<&ObjectId> = group.iter().map(|fault| &fault.fault.finding.object).collect();
    let affected = objects.len();
    let mut workloads: Vec<(&ObjectId, usize)> =
        group.iter().map(|fault| (&fault.object, fault.desired)).collect();
    workloads.sort();
    workloads.dedup();
    let desired = workloads.iter().map(|(_, desired)| desired).sum::<usize>();
    let all_pods = group.iter().all(|fault| fault.fault.finding.object.kind == "Pod");
    let mut finding = group.into_iter().next()?.fault.finding;
    match (affected, desired) {
        _ if !all_pods => {}
        (1, 0 | 1) => {}
        (affected, desired) if affected <= desired => finding.affected = Some((affected, desired)),
        // More pods than desired: they failed one after the other and were replaced.
        (affected, _) => finding.evidence.push(format!("{affected} pods, one after the other")),
    }
    Some(finding)
}
