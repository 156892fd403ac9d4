//! The nodes, and the images on them. Pure.

use serde_json::Value;

use super::check::{Category, Check};
use crate::catalogue::Id;
use crate::error::{Error, Kind};
use crate::object::condition;
use crate::plan::checks::node_fit::{NodeFit, is_simulated};
use crate::plan::checks::sandbox_capacity::{SandboxCapacity, SandboxPod, canonical, names_image};
use crate::settings::Settings;

/// Checks that a node is ready, and says which are not.
pub(super) fn ready(nodes: &[Value]) -> Check {
    let (category, name) = (Category::Nodes, "nodes");
    let not_ready: Vec<&str> = nodes
        .iter()
        .filter(|node| !condition::is_ready(node))
        .filter_map(|node| node["metadata"]["name"].as_str())
        .collect();
    if not_ready.is_empty() && !nodes.is_empty() {
        let simulated = if nodes.iter().all(is_simulated) { ", simulated: no container runs" } else { "" };
        return Check::passed(category, name, format!("{0}/{0} ready{simulated}", nodes.len()));
    }
    let message = if nodes.is_empty() {
        "the cluster has no node".to_owned()
    } else {
        format!("{} of {} nodes are not ready", not_ready.len(), nodes.len())
    };
    let error = Error::new(Id::NodesNotReady, Kind::Prerequisite, message);
    if not_ready.len() == nodes.len() {
        return Check::failed(category, name, with_nodes(error, &not_ready));
    }
    Check::warning(category, name, with_nodes(error, &not_ready))
}

fn with_nodes(error: Error, not_ready: &[&str]) -> Error {
    match not_ready.first() {
        None => error,
        Some(first) => {
            error.fact("nodes", not_ready.join(", ")).hint(format!("kubectl describe node {first}"))
        }
    }
}

/// How many minor versions a kubelet may be older than the API server
/// (<https://kubernetes.io/releases/version-skew-policy/#kubelet>). It may never be newer.
const KUBELET_SKEW: u32 = 3;

/// Checks that the version of each kubelet is supported together with the API server's minor version. Simulated nodes have
/// no kubelet. None: no node reports a version, or the server does not.
pub(super) fn kubelets(nodes: &[Value], server_minor: u32) -> Option<Check> {
    let (category, name) = (Category::Nodes, "kubelets");
    let version = |node: &Value| {
        let text = node["status"]["nodeInfo"]["kubeletVersion"].as_str()?;
        let minor = text.strip_prefix("v1.")?.split('.').next()?.parse::<u32>().ok()?;
        Some((node["metadata"]["name"].as_str().unwrap_or_default().to_owned(), text.to_owned(), minor))
    };
    let versions: Vec<(String, String, u32)> =
        nodes.iter().filter(|node| !is_simulated(node)).filter_map(version).collect();
    if versions.is_empty() || server_minor == 0 {
        return None;
    }
    let is_unsupported = |minor: u32| minor > server_minor || server_minor - minor > KUBELET_SKEW;
    let unsupported: Vec<&(String, String, u32)> =
        versions.iter().filter(|(_, _, minor)| is_unsupported(*minor)).collect();
    if unsupported.is_empty() {
        let text = format!("every version is supported with an API server of 1.{server_minor}");
        return Some(Check::passed(category, name, text));
    }
    let message = format!(
        "{} of {} kubelets have a version that an API server of 1.{server_minor} does not support",
        unsupported.len(),
        versions.len()
    );
    let error = unsupported
        .into_iter()
        .fold(Error::new(Id::KubeletSkew, Kind::Prerequisite, message), |error, (node, version, _)| {
            error.fact("node", format!("{node}: {version}"))
        })
        .hint("an administrator upgrades the kubelets, one minor version after the other");
    Some(Check::warning(category, name, error))
}

/// Checks that a node accepts the application's pod: by its state, its labels and its taints. Free resources are not
/// considered.
pub(super) fn placement(nodes: &[Value], settings: &Settings) -> Check {
    let (category, name) = (Category::Nodes, "placement");
    let fit = NodeFit::of_application(settings);
    let reasons: Vec<(&str, String)> = nodes
        .iter()
        .filter_map(|node| Some((node["metadata"]["name"].as_str().unwrap_or_default(), fit.mismatch(node)?)))
        .collect();
    let accepting = nodes.len() - reasons.len();
    if accepting > 0 || nodes.is_empty() {
        return Check::passed(
            category,
            name,
            format!("{accepting} of {} nodes accept the application's pod", nodes.len()),
        );
    }
    let error = Error::new(Id::Unschedulable, Kind::Prerequisite, "no node accepts the application's pod");
    let error = reasons
        .into_iter()
        .fold(error, |error, (node, reason)| error.fact("node", format!("{node}: {reason}")));
    let error = error.with_keys(settings.config_keys(&["deploy.node_selector".to_owned()])).hint(
        "[deploy] node_selector, tolerations and affinity choose the nodes; kubectl uncordon NAME opens one",
    );
    Check::failed(category, name, error)
}

/// Says on how many nodes the application's image is. A node without it pulls it. `nodes_with` have it for certain: a node's
/// status lists a new image only after some time.
pub(super) fn app_image(nodes: &[Value], nodes_with: &[String], settings: &Settings) -> Check {
    let (category, name) = (Category::Nodes, "image");
    let image = settings.deploy.image.as_str();
    let real: Vec<&Value> = nodes.iter().filter(|node| !is_simulated(node)).collect();
    if real.is_empty() {
        return Check::noted(category, name, "simulated nodes have no images");
    }
    let is_on = |node: &&&Value| {
        names_image(node, &canonical(image))
            || nodes_with.iter().any(|name| node["metadata"]["name"] == name.as_str())
    };
    let having = real.iter().filter(is_on).count();
    let pulled = if having == 0 { "; a deploy pulls it" } else { "" };
    Check::passed(category, name, format!("{image} is on {having} of {} nodes{pulled}", real.len()))
}

/// Checks that the sandboxes' image is on every node where a sandbox may run. `nodes_with` have it for certain: a node's
/// status lists a new image only after some time.
pub(super) fn sandbox_image(nodes: &[Value], nodes_with: &[String], settings: &Settings) -> Check {
    let (category, name) = (Category::Sandboxes, "image");
    let sandbox = SandboxPod::from_settings(settings);
    let Some(image) = sandbox.image() else {
        return Check::noted(category, name, "the application chooses it");
    };
    let (mut without, count) = sandbox.nodes_without_image(nodes);
    without.retain(|node| !nodes_with.iter().any(|name| name == node));
    let Some(first) = without.first() else {
        let text = if count == 0 {
            "no real node runs sandboxes".to_owned()
        } else {
            format!("{image} is on every node")
        };
        return Check::passed(category, name, text);
    };
    let location = match (without.len(), count) {
        (1, 1) => format!("on node {first}"),
        (missing, all) => format!("on {missing} of {all} nodes"),
    };
    let message =
        format!("{image} is missing {location}: a pull longer than 300 s fails the first conversation");
    let error = Error::new(Id::SandboxImageAbsent, Kind::Prerequisite, message)
        .with_keys(settings.config_keys(&["sandbox.runtime_container_image".to_owned()]))
        .hint("handsctl image pull pulls it now");
    Check::warning(category, name, error)
}

/// What a sandbox asks of a node.
const REQUESTS: [&str; 2] = ["kubernetes.resource_cpu_request", "kubernetes.resource_memory_request"];

/// Checks that a sandbox fits on the nodes.
pub(super) fn sandbox_room(capacity: &SandboxCapacity, settings: &Settings) -> Check {
    let (category, name) = (Category::Sandboxes, "room");
    match capacity.sandboxes {
        0 => {
            let message = format!(
                "no node has room for a sandbox of {}: a conversation would wait for it in vain",
                capacity.each
            );
            let error = Error::new(Id::NoSandboxRoom, Kind::Prerequisite, message)
                .with_keys(settings.config_keys(&REQUESTS.map(str::to_owned)))
                .hint("kubectl describe nodes shows under Allocated resources which of the two they lack")
                .hint("more or larger nodes, or an autoscaler that adds them, give room");
            Check::warning(category, name, error)
        }
        1 => Check::passed(category, name, format!("for 1 sandbox of {}", capacity.each)),
        count => Check::passed(category, name, format!("for {count} sandboxes of {}", capacity.each)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::check::Outcome;
    use crate::settings::tests::settings_of;
    use serde_json::json;

    fn node(name: &str, ready: &str, images: &[&str]) -> Value {
        json!({
            "metadata": { "name": name },
            "status": { "conditions": [{ "type": "Ready", "status": ready }], "images": [{ "names": images }] },
        })
    }

    #[test]
    fn one_node_that_is_not_ready_is_a_warning_and_all_are_an_error() {
        let (up, down) = (node("a", "True", &[]), node("b", "False", &[]));
        assert!(
            matches!(ready(std::slice::from_ref(&up)).outcome, Outcome::Passed(text) if text == "1/1 ready")
        );
        let Outcome::Warning(error) = ready(&[up, down.clone()]).outcome else { panic!("a is ready") };
        assert_eq!(error.hints(), ["kubectl describe node b"]);
        assert!(matches!(ready(&[down]).outcome, Outcome::Failed(_)));
        assert!(matches!(ready(&[]).outcome, Outcome::Failed(_)));
    }

    #[test]
    fn kubelet_may_be_three_versions_older_and_none_newer() {
        let with = |version: &str| {
            let mut node = node("a", "True", &[]);
            node["status"]["nodeInfo"] = json!({ "kubeletVersion": version });
            kubelets(&[node], 34).map(|check| check.outcome)
        };
        assert!(matches!(with("v1.31.9"), Some(Outcome::Passed(_))));
        let Some(Outcome::Warning(error)) = with("v1.30.1") else { panic!("four versions older") };
        assert_eq!((error.id(), error.facts()[0].text.as_str()), (Id::KubeletSkew, "a: v1.30.1"));
        assert!(matches!(with("v1.35.0"), Some(Outcome::Warning(_))), "newer than the server");
        assert!(with("kwok-v0.7.0").is_none(), "a simulated kubelet has no such version");
    }

    #[test]
    fn placement_fails_if_no_node_accepts_the_pod() {
        let nodes = [node("a", "True", &[])];
        assert!(matches!(placement(&nodes, &settings_of("")).outcome, Outcome::Passed(_)));
        let gpu = settings_of("[deploy]\nnode_selector = { gpu = \"yes\" }\n");
        let Outcome::Failed(error) = placement(&nodes, &gpu).outcome else { panic!("a has no label gpu") };
        assert_eq!(error.id(), Id::Unschedulable);
        assert!(error.facts()[0].text.starts_with("a: "), "{:?}", error.facts());
    }

    #[test]
    fn image_of_sandboxes_is_expected_on_every_node() {
        let settings = settings_of("[sandbox]\nruntime_container_image = \"acme/runtime:1\"\n");
        let nodes = [node("a", "True", &["docker.io/acme/runtime:1"]), node("b", "True", &[])];
        let Outcome::Warning(error) = sandbox_image(&nodes, &[], &settings).outcome else {
            panic!("b has none")
        };
        assert!(error.message().contains("missing on 1 of 2 nodes"), "{}", error.message());
        assert!(matches!(sandbox_image(&nodes, &["b".to_owned()], &settings).outcome, Outcome::Passed(_)));
    }

    #[test]
    fn room_for_no_sandbox_is_a_warning() {
        let room = |sandboxes| SandboxCapacity { sandboxes, each: "1 cpu, 1Gi".to_owned() };
        let settings = settings_of("");
        assert!(matches!(sandbox_room(&room(0), &settings).outcome, Outcome::Warning(_)));
        assert!(matches!(sandbox_room(&room(2), &settings).outcome, Outcome::Passed(_)));
    }
}
