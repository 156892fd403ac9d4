//! Pods without a node.

use serde_json::json;

use super::pod_facts::{PodFacts, PodHealth};
use crate::catalogue::Id;
use crate::status::finding::{Lookup, NodeQuestion};
use crate::status::grace::final_after;

/// The scheduler's words for a node that cannot reach a volume: those of 1.34, and those of earlier versions
/// (`pkg/scheduler/framework/plugins/volumebinding`, `ErrReasonNodeConflict`).
pub(crate) const VOLUME_AFFINITY: [&str; 2] = ["PersistentVolume's node affinity", "volume node affinity"];

/// The scheduler's words for a claim with the access mode `ReadWriteOncePod` that another pod mounts
/// (`pkg/scheduler/framework/plugins/volumerestrictions`, `ErrReasonReadWriteOncePodConflict`).
const ONE_POD: &str = "ReadWriteOncePod access mode";

/// Evaluates a pod without a node. None if the pod has a node.
pub(crate) fn unscheduled(facts: &PodFacts) -> Option<PodHealth> {
    if facts.pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some()) {
        return None;
    }
    let mut health = PodHealth::default();
    let condition = facts.condition("PodScheduled").filter(|condition| condition.status == "False");
    let message = condition.and_then(|condition| condition.message.as_deref()).unwrap_or_default();
    match condition.and_then(|condition| condition.reason.as_deref()) {
        Some("SchedulingGated") => health.reason = Some("scheduling gates are closed".to_owned()),
        // The claim has its own finding; a slow provisioner is not a fault of scheduling.
        Some("Unschedulable") if message.contains("unbound immediate PersistentVolumeClaims") => {
            health.reason = Some("waiting for its volume".to_owned());
        }
        Some("Unschedulable") if is_scaling_up(facts) => {
            health.reason = Some("a node is being added".to_owned());
        }
        Some("Unschedulable") => {
            let since =
                condition.and_then(|condition| condition.last_transition_time.as_ref()).map(|time| time.0);
            let fault = facts
                .pod_fault(Id::Unschedulable, without_preemption(message), reason(message))
                .final_at(final_after(since, facts.grace.unschedulable));
            let is_out_of_reach = VOLUME_AFFINITY.iter().any(|text| message.contains(text));
            health.faults.push(
                fault
                    .lookups(node_question(facts, message))
                    .lookups(is_out_of_reach.then(|| Lookup::VolumeReach(facts.claims())))
                    .lookups(message.contains(ONE_POD).then(|| Lookup::ClaimUsers(facts.claims())))
                    .evidence(facts.disrupted_siblings()),
            );
        }
        _ => health.reason = Some("waiting for a node".to_owned()),
    }
    Some(health)
}

/// Returns what to look up of the nodes, if taints repel the pod or a resource is missing.
fn node_question(facts: &PodFacts, message: &str) -> Option<Lookup> {
    let has_untolerated_taint = message.contains("untolerated taint");
    let resources = missing_resources(message);
    let spec = facts.pod.spec.as_ref().filter(|_| has_untolerated_taint || !resources.is_empty())?;
    Some(Lookup::Nodes(NodeQuestion {
        node_selector: json!(spec.node_selector),
        tolerations: facts.tolerations(),
        has_untolerated_taint,
        resources,
    }))
}

/// Returns the resources in the scheduler's message of which the nodes have too little.
fn missing_resources(message: &str) -> Vec<String> {
    let reasons = without_preemption(message).trim_end_matches('.').split(", ");
    let missing = reasons.filter_map(|reason| Some(reason.split_once("Insufficient ")?.1.to_owned()));
    missing.collect()
}

/// Returns whether an autoscaler is adding a node, according to cluster-autoscaler's or Karpenter's Events.
fn is_scaling_up(facts: &PodFacts) -> bool {
    let announced = facts.latest_event(&["TriggeredScaleUp", "Nominated"]);
    let declined = facts.latest_event(&["NotTriggerScaleUp", "FailedScaleUp"]);
    announced.is_some_and(|announced| declined.is_none_or(|declined| announced.last >= declined.last))
}

/// Removes the part about preemption from the scheduler's message.
fn without_preemption(message: &str) -> &str {
    let end =
        [" preemption: ", " no new claims to deallocate"].iter().filter_map(|word| message.find(word)).min();
    end.map_or(message, |end| message[..end].trim_end_matches([' ', ',']))
}

/// Returns the first reason of the scheduler in a few words.
fn reason(message: &str) -> &'static str {
    const REASONS: &[(&str, &str)] = &[
        (ONE_POD, "another pod uses its volume"),
        ("Insufficient", "no node has room"),
        ("Too many pods", "no node has room"),
        ("node affinity/selector", "no node matches its selector"),
        (VOLUME_AFFINITY[0], "no node reaches its volume"),
        (VOLUME_AFFINITY[1], "no node reaches its volume"),
        ("untolerated taint", "no node's taints are tolerated"),
        ("free ports", "its host port is taken"),
        ("persistentvolumeclaim", "its volume claim cannot be used"),
        ("no nodes available", "the cluster has no nodes"),
    ];
    REASONS.iter().find(|(word, _)| message.contains(word)).map_or("no node fits", |(_, reason)| reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_resources_are_those_of_the_message() {
        let message = "0/3 nodes are available: 1 Insufficient cpu, 1 Insufficient nvidia.com/gpu, 1 node(s) had untolerated \
                       taint(s). preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.";
        assert_eq!(missing_resources(message), ["cpu", "nvidia.com/gpu"]);
        assert_eq!(missing_resources("0/1 nodes are available: 1 Insufficient memory."), ["memory"]);
        assert_eq!(missing_resources("0/1 nodes are available: 1 Too many pods."), [""; 0]);
    }

    #[test]
    fn scheduler_message_becomes_short_reason() {
        let message = "0/2 nodes are available: 2 Insufficient cpu. no new claims to deallocate, preemption: 0/2 \
                       nodes are available: 2 Preemption is not helpful for scheduling.";
        assert_eq!(without_preemption(message), "0/2 nodes are available: 2 Insufficient cpu.");
        assert_eq!(reason(message), "no node has room");
        assert_eq!(
            reason(
                "0/1 nodes are available: 1 node has pod using PersistentVolumeClaim with the same name and \
                 ReadWriteOncePod access mode."
            ),
            "another pod uses its volume"
        );
        assert_eq!(
            reason("0/1 nodes are available: 1 node(s) had untolerated taint(s)."),
            "no node's taints are tolerated"
        );
    }
}
