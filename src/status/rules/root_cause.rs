//! Many faults → few findings: one for each cause, the root first, without its consequences.

use std::collections::BTreeSet;

use super::fault::Fault;
use crate::catalogue::Id;
use crate::object::ObjectId;
use crate::status::finding::Finding;

/// A final fault and the object of the set that shows it.
#[derive(Debug)]
pub(crate) struct ObjectFault {
    pub(crate) of: ObjectId,
    /// How many pods that object wants.
    pub(crate) wanted: usize,
    pub(crate) fault: Fault,
}

/// How near the root a cause is: what is lower brings about what is higher.
pub(crate) fn cause_rank(id: Id) -> u8 {
    match id {
        Id::Deleted => 0,
        Id::MissingReference => 1,
        Id::StorageClassMissing | Id::NoStorageClass | Id::ProvisioningFailed | Id::ClaimLost => 2,
        Id::QuotaExceeded | Id::PodsRefused | Id::OldPodHeld => 3,
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

/// One finding for each cause, the root first.
pub(crate) fn root_causes(mut faults: Vec<ObjectFault>) -> Vec<Finding> {
    let consequences: BTreeSet<usize> =
        (0..faults.len()).filter(|index| follows_from_another(&faults, *index)).collect();
    let mut index = 0;
    faults.retain(|_| {
        index += 1;
        !consequences.contains(&(index - 1))
    });
    faults.sort_by(|a, b| order(a).cmp(&order(b)));
    let mut groups: Vec<Vec<ObjectFault>> = Vec::new();
    for fault in faults {
        match groups.iter_mut().find(|group| is_same(&group[0], &fault)) {
            Some(group) => group.push(fault),
            None => groups.push(vec![fault]),
        }
    }
    groups.into_iter().filter_map(merged).collect()
}

fn order(fault: &ObjectFault) -> (u8, &ObjectId) {
    (cause_rank(fault.fault.finding.id), &fault.fault.finding.object)
}

/// A consequence of another fault: a pod that has no node because of its claim, or is not ready because one of its containers cannot start; a
/// Deployment without progress, or a Job that failed, because of its pods.
fn follows_from_another(faults: &[ObjectFault], index: usize) -> bool {
    let fault = &faults[index];
    let finding = &fault.fault.finding;
    faults.iter().enumerate().filter(|(other, _)| *other != index).any(|(_, other)| {
        let cause = &other.fault.finding;
        let deeper = cause_rank(cause.id) < cause_rank(finding.id);
        match finding.id {
            Id::ProgressDeadline | Id::JobFailed => other.of == fault.of && deeper,
            Id::Unschedulable => {
                cause.object.kind == "PersistentVolumeClaim" && finding.message.contains(&cause.object.name)
            }
            Id::NotReady => cause.object == finding.object && deeper,
            _ => false,
        }
    })
}

fn is_same(a: &ObjectFault, b: &ObjectFault) -> bool {
    let key = |fault: &ObjectFault| {
        (fault.fault.finding.id, fault.fault.finding.container.clone(), fault.fault.cause.clone())
    };
    key(a) == key(b)
}

/// The first one's finding, with how many show it.
fn merged(group: Vec<ObjectFault>) -> Option<Finding> {
    let objects: BTreeSet<&ObjectId> = group.iter().map(|fault| &fault.fault.finding.object).collect();
    let shown = objects.len();
    let mut workloads: Vec<(&ObjectId, usize)> =
        group.iter().map(|fault| (&fault.of, fault.wanted)).collect();
    workloads.sort();
    workloads.dedup();
    let wanted = workloads.iter().map(|(_, wanted)| wanted).sum::<usize>();
    let pods = group.iter().all(|fault| fault.fault.finding.object.kind == "Pod");
    let mut finding = group.into_iter().next()?.fault.finding;
    match (shown, wanted) {
        _ if !pods => {}
        (1, 0 | 1) => {}
        (shown, wanted) if shown <= wanted => finding.affected = Some((shown, wanted)),
        // Pods that ended and were replaced.
        (shown, _) => finding.evidence.push(format!("{shown} pods, one after the other")),
    }
    Some(finding)
}
