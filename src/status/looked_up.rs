//! Objects that were read for a finding → lines of its evidence. Pure.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::finding::{Finding, Lookup, PodClaims};
use super::rules::scheduling::VOLUME_AFFINITY;
use crate::catalogue::Id;
use crate::object::{deletion, taint};
use crate::phrase;

/// The kernel's error for a program of another platform (`ENOEXEC`).
pub(super) const WRONG_FORMAT: &str = "exec format error";

/// Returns whether a runtime's message or a line of a log reports a program that the node cannot execute.
#[must_use]
pub fn is_wrong_format(text: &str) -> bool {
    text.contains(WRONG_FORMAT)
}

/// Changes the finding of a crash whose log consists of this error: the program never ran. The runtime starts such a
/// container, and its status has an exit code only.
pub fn name_wrong_platform(finding: &mut Finding) {
    let is_wrong = finding.log.iter().all(|line| is_wrong_format(line));
    if let Some(line) = finding.log.last().filter(|_| is_wrong && finding.id == Id::CrashLoop) {
        finding.id = Id::ContainerCannotStart;
        let exit = std::mem::replace(&mut finding.message, line.clone());
        finding.evidence.insert(0, exit);
    }
}

/// Adds what was read of an Ingress to its URL that does not respond. Without its class nobody serves it, which is the
/// cause; a fault with another id may not be. The finding's id stays: no rollback of the pods helps.
pub fn name_route_fault(finding: &mut Finding, id: Id, fault: String) {
    if finding.id != Id::UrlUnreachable || finding.message.contains(&fault) {
        return;
    }
    if id == Id::IngressClassMissing {
        let symptom = std::mem::replace(&mut finding.message, fault);
        finding.evidence.insert(0, symptom);
    } else {
        finding.evidence.push(fault);
    }
}

/// The number of nodes with the same taint that are named.
const NAMED_NODES: usize = 3;

/// Returns the taints that repel a pod with these tolerations, those of the most nodes first. The scheduler's message
/// does not name their keys.
#[must_use]
pub fn taints(nodes: &[Value], tolerations: &[Value]) -> Vec<String> {
    let mut nodes_by_taint: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for node in nodes {
        let taints = node["spec"]["taints"].as_array().into_iter().flatten();
        for taint in taints.filter(|taint| taint::repels(taint, tolerations)) {
            nodes_by_taint.entry(taint::describe(taint)).or_default().push(name(node));
        }
    }
    let mut groups: Vec<(String, Vec<&str>)> = nodes_by_taint.into_iter().collect();
    groups.sort_by_key(|(_, nodes)| Reverse(nodes.len()));
    let describe = |(taint, nodes): (String, Vec<&str>)| match nodes.as_slice() {
        [node] => format!("node {node} has the taint {taint}"),
        nodes if nodes.len() <= NAMED_NODES => {
            format!("{} have the taint {taint}: {}", phrase::count(nodes.len(), "node"), nodes.join(", "))
        }
        nodes => format!(
            "{} have the taint {taint}: {}, …",
            phrase::count(nodes.len(), "node"),
            nodes[..NAMED_NODES].join(", ")
        ),
    };
    groups.into_iter().map(describe).collect()
}

/// Returns the keys of the taints that repel a pod with these tolerations.
#[must_use]
pub fn taint_keys(nodes: &[Value], tolerations: &[Value]) -> Vec<String> {
    let taints = nodes.iter().filter_map(|node| node["spec"]["taints"].as_array()).flatten();
    let keys =
        taints.filter(|taint| taint::repels(taint, tolerations)).filter_map(|taint| taint["key"].as_str());
    keys.collect::<BTreeSet<_>>().into_iter().map(str::to_owned).collect()
}

/// Returns the command that makes cordoned nodes schedulable again; None if no node is cordoned.
#[must_use]
pub fn uncordon_command(nodes: &[Value]) -> Option<String> {
    let cordoned = nodes.iter().filter(|node| node["spec"]["unschedulable"] == true);
    let names: Vec<&str> = cordoned.map(name).collect();
    (!names.is_empty()).then(|| format!("kubectl uncordon {}", names.join(" ")))
}

/// The conditions of a node that are False as long as it is well (`k8s.io/api/core/v1`, `NodeConditionType`). Distributions
/// have others of their own, such as `EtcdIsVoter`.
const BAD_IF_TRUE: &[&str] = &["MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable"];

/// Returns what is wrong with a node: it does not exist, is not ready, or lacks memory, disk, process ids or its network.
/// Empty if it is well.
#[must_use]
pub fn node_faults(node_name: &str, node: Option<&Value>) -> Vec<String> {
    let Some(node) = node else { return vec![format!("node {node_name} does not exist any more")] };
    let conditions = node["status"]["conditions"].as_array().into_iter().flatten();
    let describe = |condition: &Value| {
        let text = |field: &str| condition[field].as_str().unwrap_or_default();
        let (kind, status) = (text("type"), text("status"));
        let is_well = match kind {
            "Ready" => status == "True",
            kind if BAD_IF_TRUE.contains(&kind) => status == "False",
            _ => true,
        };
        let since = text("lastTransitionTime");
        (!is_well).then(|| format!("node {node_name}: {kind} is {status} since {since}: {}", text("message")))
    };
    conditions.filter_map(describe).collect()
}

/// Returns the platform of a node, such as `linux/arm64`; None if its kubelet has not reported it.
#[must_use]
pub fn platform(node: &Value) -> Option<String> {
    let info = &node["status"]["nodeInfo"];
    let (system, architecture) = (info["operatingSystem"].as_str()?, info["architecture"].as_str()?);
    Some(format!("node {} is {system}/{architecture}, and the image may be for another platform", name(node)))
}

/// Returns the nodes that can reach a volume; None if every node can.
#[must_use]
pub fn reach_of_volume(claim: &str, volume: &Value) -> Option<String> {
    let terms = volume["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"].as_array()?;
    let describe = |requirement: &Value| {
        let values = requirement["values"].as_array().into_iter().flatten();
        let values: Vec<&str> = values.filter_map(Value::as_str).collect();
        let text = |field: &str| requirement[field].as_str().unwrap_or_default();
        format!("{} {} {}", text("key"), text("operator"), values.join(", "))
    };
    let requirements = |term: &Value| {
        let fields = ["matchExpressions", "matchFields"];
        let all = fields.iter().flat_map(|field| term[*field].as_array().into_iter().flatten());
        all.map(describe).collect::<Vec<_>>().join(" and ")
    };
    let terms: Vec<String> = terms.iter().map(requirements).filter(|text| !text.is_empty()).collect();
    let volume = name(volume);
    (!terms.is_empty()).then(|| {
        format!(
            "persistentvolume/{volume} of the volume claim {claim} is only reachable from nodes with {}",
            terms.join(" or ")
        )
    })
}

/// Returns the claims whose volumes no node reaches that this message of the scheduler is about, as `NAMESPACE/NAME`.
#[must_use]
pub fn unreachable_claims(lookups: &[Lookup], message: &str) -> Vec<String> {
    let claims = lookups.iter().filter_map(|lookup| match lookup {
        Lookup::VolumeReach(claims) => is_only_out_of_reach(message).then_some(claims),
        _ => None,
    });
    claims.flat_map(PodClaims::paths).collect()
}

/// Whether every node of a scheduler's message has the reason that it does not reach a volume: no other selector or
/// request would help then. `0/3 nodes are available: 3 node(s) had volume node affinity conflict.`
fn is_only_out_of_reach(message: &str) -> bool {
    let reasons = message.split_once(": ").map_or(message, |(_, reasons)| reasons).trim_end_matches('.');
    reasons.split(", ").all(|reason| VOLUME_AFFINITY.iter().any(|text| reason.contains(text)))
}

/// Returns the other pods that mount one of these claims.
#[must_use]
pub fn other_users(pod: &str, claims: &[String], pods: &[Value]) -> Vec<String> {
    let mounted = |other: &Value| {
        let volumes = other["spec"]["volumes"].as_array().into_iter().flatten();
        let names = volumes.filter_map(|volume| volume["persistentVolumeClaim"]["claimName"].as_str());
        names.map(str::to_owned).find(|name| claims.contains(name))
    };
    let is_ended = |other: &Value| matches!(other["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    let others = pods.iter().filter(|other| name(other) != pod && !is_ended(other));
    let describe = |other: &Value| {
        let claim = mounted(other)?;
        let node =
            other["spec"]["nodeName"].as_str().map_or_else(String::new, |node| format!(" on node {node}"));
        Some(format!("pod/{}{node} mounts the volume claim {claim}", name(other)))
    };
    others.filter_map(describe).collect()
}

/// Returns that a namespace is being deleted, and what keeps it; nothing if it is not being deleted.
#[must_use]
pub fn namespace_deletion(name: &str, namespace: &Value) -> Vec<String> {
    let Some(since) = deletion::deleted_since(namespace) else { return Vec::new() };
    let first = format!("namespace {name} has been terminating since {since}: everything in it is deleted");
    let blockers = deletion::namespace_blockers(namespace).into_iter().map(str::to_owned);
    [first].into_iter().chain(blockers).collect()
}

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node(name: &str, spec: &Value, status: &Value) -> Value {
        json!({ "metadata": { "name": name }, "spec": spec, "status": status })
    }

    #[test]
    fn namespace_that_is_deleted_is_named_with_what_keeps_it() {
        let message = "Some resources are remaining: pods. has 1 resource instances";
        let condition = json!({ "type": "NamespaceContentRemaining", "status": "True", "message": message });
        let mut namespace = json!({ "metadata": {}, "status": { "conditions": [condition] } });
        assert!(namespace_deletion("n", &namespace).is_empty());
        namespace["metadata"]["deletionTimestamp"] = json!("2026-11-21T07:00:00Z");
        let lines = namespace_deletion("n", &namespace);
        assert!(
            lines[0].starts_with("namespace n has been terminating since 2026-11-21T07:00:00Z"),
            "{lines:?}"
        );
        assert_eq!(lines[1..], [message]);
    }

    #[test]
    fn taints_are_grouped_and_those_that_the_pod_tolerates_left_out() {
        let taint = |key: &str, effect: &str| json!({ "key": key, "value": "yes", "effect": effect });
        let nodes: Vec<Value> = (0..180)
            .map(|number| {
                let mut taints = vec![
                    taint("gpu", "NoSchedule"),
                    taint("spot", "NoExecute"),
                    taint("soft", "PreferNoSchedule"),
                ];
                taints.extend((number == 7).then(|| json!({ "key": "disk", "effect": "NoSchedule" })));
                node(&format!("n{number}"), &json!({ "taints": taints }), &Value::Null)
            })
            .collect();
        let tolerations = [json!({ "key": "spot", "operator": "Exists" })];
        assert_eq!(
            taints(&nodes, &tolerations),
            [
                "180 nodes have the taint gpu=yes:NoSchedule: n0, n1, n2, …",
                "node n7 has the taint disk:NoSchedule"
            ]
        );
        assert_eq!(taint_keys(&nodes, &tolerations), ["disk", "gpu"]);
    }

    #[test]
    fn volume_is_the_cause_if_no_node_has_another_reason() {
        let only = "0/3 nodes are available: 3 node(s) had volume node affinity conflict.";
        let newer = "0/1 nodes are available: 1 node(s) didn't match PersistentVolume's node affinity.";
        assert!(is_only_out_of_reach(only) && is_only_out_of_reach(newer));
        let selector = "0/3 nodes are available: 1 node(s) had volume node affinity conflict, 2 node(s) didn't match \
                        Pod's node affinity/selector.";
        assert!(!is_only_out_of_reach(selector), "an earlier revision may select the node of the volume");
    }

    #[test]
    fn cordoned_nodes_are_named_in_the_command() {
        let cordoned = json!({ "unschedulable": true });
        let nodes = [("a", &cordoned), ("b", &json!({})), ("c", &cordoned)];
        let nodes = nodes.map(|(name, spec)| node(name, spec, &Value::Null));
        assert_eq!(uncordon_command(&nodes).as_deref(), Some("kubectl uncordon a c"));
        assert_eq!(uncordon_command(&nodes[1..2]), None);
    }

    #[test]
    fn faults_of_a_node_are_its_bad_conditions() {
        let condition = |kind: &str, status: &str| json!({ "type": kind, "status": status, "lastTransitionTime": "2026-01-02T03:04:05Z", "message": "m" });
        let conditions = [
            condition("MemoryPressure", "True"),
            condition("DiskPressure", "False"),
            condition("EtcdIsVoter", "True"),
            condition("Ready", "Unknown"),
        ];
        let lost = node("a", &Value::Null, &json!({ "conditions": conditions }));
        assert_eq!(
            node_faults("a", Some(&lost)),
            [
                "node a: MemoryPressure is True since 2026-01-02T03:04:05Z: m",
                "node a: Ready is Unknown since 2026-01-02T03:04:05Z: m",
            ]
        );
        let well = node("a", &Value::Null, &json!({ "conditions": [condition("Ready", "True")] }));
        assert_eq!(node_faults("a", Some(&well)), [""; 0]);
        assert_eq!(node_faults("a", None), ["node a does not exist any more"]);
    }

    #[test]
    fn volume_names_the_zone_that_reaches_it() {
        let zone = json!([{ "key": "topology.kubernetes.io/zone", "operator": "In", "values": ["a", "b"] }]);
        let volume = json!({
            "metadata": { "name": "pv-1" },
            "spec": { "nodeAffinity": { "required": { "nodeSelectorTerms": [{ "matchExpressions": zone }] } } },
        });
        assert_eq!(
            reach_of_volume("oh-state", &volume).unwrap(),
            "persistentvolume/pv-1 of the volume claim oh-state is only reachable from nodes with topology.kubernetes.io/zone In a, b"
        );
        assert_eq!(reach_of_volume("oh-state", &json!({ "metadata": { "name": "pv-1" }, "spec": {} })), None);
    }

    #[test]
    fn other_users_are_running_pods_with_the_same_claim() {
        let pod = |name: &str, claim: &str, phase: &str| {
            json!({
                "metadata": { "name": name }, "status": { "phase": phase },
                "spec": { "nodeName": "n1", "volumes": [{ "name": "v", "persistentVolumeClaim": { "claimName": claim } }] },
            })
        };
        let pods = [
            pod("oh-1", "c", "Pending"),
            pod("theirs", "c", "Running"),
            pod("job", "c", "Succeeded"),
            pod("x", "d", "Running"),
        ];
        assert_eq!(
            other_users("oh-1", &["c".to_owned()], &pods),
            ["pod/theirs on node n1 mounts the volume claim c"]
        );
    }
}
