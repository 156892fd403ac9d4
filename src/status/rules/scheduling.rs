//! Pods without a node.

use super::pod_facts::{PodFacts, PodHealth};
use crate::catalogue::Id;
use crate::status::finding::Lookup;
use crate::status::grace::final_after;

/// The outlook of a pod that has no node yet; None when it has one.
pub(crate) fn unscheduled(view: &PodFacts) -> Option<PodHealth> {
    if view.pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some()) {
        return None;
    }
    let mut outlook = PodHealth::default();
    let refused = view.condition("PodScheduled").filter(|condition| condition.status == "False");
    let message = refused.and_then(|condition| condition.message.as_deref()).unwrap_or_default();
    match refused.and_then(|condition| condition.reason.as_deref()) {
        Some("SchedulingGated") => outlook.reason = Some("scheduling gates are closed".to_owned()),
        // The claim's own finding says what is wrong with it; a slow provisioner is not the scheduler's fault.
        Some("Unschedulable") if message.contains("unbound immediate PersistentVolumeClaims") => {
            outlook.reason = Some("waiting for its volume".to_owned());
        }
        Some("Unschedulable") if grows(view) => outlook.reason = Some("a node is being added".to_owned()),
        Some("Unschedulable") => {
            let since =
                refused.and_then(|condition| condition.last_transition_time.as_ref()).map(|time| time.0);
            let symptom = view
                .pod_fault(Id::Unschedulable, reasons(message), gap(message))
                .final_at(final_after(since, view.grace.unschedulable));
            let tainted = message.contains("untolerated taint");
            outlook.faults.push(if tainted { symptom.lookup(Lookup::NodeTaints) } else { symptom });
        }
        _ => outlook.reason = Some("waiting for a node".to_owned()),
    }
    Some(outlook)
}

/// Whether an autoscaler has promised a node: cluster-autoscaler's and Karpenter's events.
fn grows(view: &PodFacts) -> bool {
    let promised = view.latest_event(&["TriggeredScaleUp", "Nominated"]);
    let refused = view.latest_event(&["NotTriggerScaleUp", "FailedScaleUp"]);
    promised.is_some_and(|promised| refused.is_none_or(|refused| promised.last >= refused.last))
}

/// The scheduler's message without what it says about preemption.
fn reasons(message: &str) -> &str {
    let end =
        [" preemption: ", " no new claims to deallocate"].iter().filter_map(|word| message.find(word)).min();
    end.map_or(message, |end| message[..end].trim_end_matches([' ', ',']))
}

/// The scheduler's first reason in few words.
fn gap(message: &str) -> &'static str {
    const GAPS: &[(&str, &str)] = &[
        ("Insufficient", "no node has room"),
        ("Too many pods", "no node has room"),
        ("node affinity/selector", "no node matches its selector"),
        ("volume node affinity", "no node reaches its volume"),
        ("untolerated taint", "no node's taints are tolerated"),
        ("free ports", "its host port is taken"),
        ("persistentvolumeclaim", "its volume claim cannot be used"),
        ("no nodes available", "the cluster has no nodes"),
    ];
    GAPS.iter().find(|(word, _)| message.contains(word)).map_or("no node takes it", |(_, gap)| gap)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schedulers_words() {
        let message = "0/2 nodes are available: 2 Insufficient cpu. no new claims to deallocate, preemption: 0/2 \
                       nodes are available: 2 Preemption is not helpful for scheduling.";
        assert_eq!(reasons(message), "0/2 nodes are available: 2 Insufficient cpu.");
        assert_eq!(gap(message), "no node has room");
        assert_eq!(
            gap("0/1 nodes are available: 1 node(s) had untolerated taint(s)."),
            "no node's taints are tolerated"
        );
    }
}
