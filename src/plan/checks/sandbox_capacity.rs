//! Estimates how many sandboxes fit on the nodes, and finds nodes without their image. Pure.

use std::collections::BTreeMap;

use serde_json::Value;

use super::node_fit::{NodeFit, is_simulated};
use super::pod_resources::{Bound, amount, effective};
use crate::settings::Settings;
use crate::settings::format::Quantity;

/// The maximum number of images that a kubelet reports (`nodeStatusMaxImages`,
/// <https://kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1/>).
const MAX_REPORTED_IMAGES: usize = 50;

/// The requirements of one sandbox pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SandboxPod {
    cpu: Quantity,
    memory: Quantity,
    image: Option<String>,
    placement: NodeFit,
}

/// The number of sandboxes that still fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SandboxCapacity {
    /// The number of additional sandboxes.
    pub sandboxes: u64,
    /// The requests of each sandbox: `250m cpu, 1Gi`.
    pub each: String,
}

/// Whose cpus and memory the nodes report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeHosts {
    /// Each node reports its own.
    Separate,
    /// The nodes are containers of one computer, and each reports all of it, as kind's nodes do.
    OneComputer,
}

impl SandboxPod {
    /// Reads the requirements from `[kubernetes]` and `[sandbox]`.
    #[must_use]
    pub fn from_settings(settings: &Settings) -> Self {
        let kubernetes = &settings.openhands.kubernetes;
        let image = settings.openhands.sandbox.runtime_container_image.as_ref();
        Self {
            cpu: kubernetes.resource_cpu_request.clone(),
            memory: kubernetes.resource_memory_request.clone(),
            image: image.map(|image| canonical(image.as_str())),
            placement: NodeFit::of_sandboxes(settings),
        }
    }

    /// Estimates how many more sandboxes the scheduler would place. `pods` are the unfinished pods of all namespaces.
    #[must_use]
    pub fn estimate(&self, nodes: &[Value], pods: &[Value], hosts: NodeHosts) -> SandboxCapacity {
        let mut requests: BTreeMap<&str, NodeRequests> = BTreeMap::new();
        for pod in pods {
            if let Some(node) = pod["spec"]["nodeName"].as_str() {
                requests.entry(node).or_default().add(pod);
            }
        }
        let fit_on = |node: &Value| {
            let name = node["metadata"]["name"].as_str().unwrap_or_default();
            self.fit(node, requests.get(name).copied().unwrap_or_default())
        };
        let scheduled: u64 =
            nodes.iter().filter(|node| self.placement.mismatch(node).is_none()).map(fit_on).sum();
        let limit = match hosts {
            NodeHosts::Separate => u64::MAX,
            NodeHosts::OneComputer => self.fit_on_computer(nodes, requests.values()),
        };
        SandboxCapacity {
            sandboxes: scheduled.min(limit),
            each: format!("{} cpu, {}", self.cpu.canonical(), self.memory.canonical()),
        }
    }

    /// Returns the eligible nodes without the sandbox image, and the number of eligible nodes. A node that may not
    /// report all its images counts as having it. Without a configured image the result is empty.
    #[must_use]
    pub fn nodes_without_image<'a>(&self, nodes: &'a [Value]) -> (Vec<&'a str>, usize) {
        let Some(image) = &self.image else { return (Vec::new(), 0) };
        let eligible: Vec<&Value> = nodes
            .iter()
            .filter(|node| self.placement.mismatch(node).is_none() && !is_simulated(node))
            .collect();
        let without_image = eligible.iter().filter(|node| lacks(node, image));
        (without_image.filter_map(|node| node["metadata"]["name"].as_str()).collect(), eligible.len())
    }

    /// Returns the image of the sandboxes.
    #[must_use]
    pub fn image(&self) -> Option<&str> {
        self.image.as_deref()
    }

    fn fit(&self, node: &Value, requested: NodeRequests) -> u64 {
        let total = |name: &str| amount(&node["status"]["allocatable"][name]);
        let pods = total("pods").saturating_sub(requested.pods * Quantity::ONE).max(0) / Quantity::ONE;
        self.fit_in(total("cpu"), total("memory"), requested).min(u64::try_from(pods).unwrap_or(u64::MAX))
    }

    /// Returns how many more sandboxes the computer has room for that all nodes share: each of them reports all of it.
    fn fit_on_computer<'a>(&self, nodes: &[Value], requests: impl Iterator<Item = &'a NodeRequests>) -> u64 {
        let total = |name: &str| {
            let amounts = nodes.iter().map(|node| amount(&node["status"]["allocatable"][name]));
            amounts.max().unwrap_or_default()
        };
        let requested = requests.fold(NodeRequests::default(), |sum, node| sum.plus(*node));
        self.fit_in(total("cpu"), total("memory"), requested)
    }

    fn fit_in(&self, cpu: i128, memory: i128, requested: NodeRequests) -> u64 {
        let count = |total: i128, used: i128, one: i128| {
            if one > 0 { total.saturating_sub(used).max(0) / one } else { i128::MAX }
        };
        let cpu = count(cpu, requested.cpu, self.cpu.nanos());
        let memory = count(memory, requested.memory, self.memory.nanos());
        u64::try_from(cpu.min(memory)).unwrap_or(u64::MAX)
    }
}

/// The total requests of a node's pods.
#[derive(Debug, Clone, Copy, Default)]
struct NodeRequests {
    cpu: i128,
    memory: i128,
    pods: i128,
}

impl NodeRequests {
    fn plus(self, other: Self) -> Self {
        Self { cpu: self.cpu + other.cpu, memory: self.memory + other.memory, pods: self.pods + other.pods }
    }

    fn add(&mut self, pod: &Value) {
        self.cpu += effective(pod, Bound::Requests, "cpu");
        self.memory += effective(pod, Bound::Requests, "memory");
        self.pods += 1;
    }
}

/// Returns whether a node surely lacks an image: it reports all its images, and this one is not among them.
fn lacks(node: &Value, image: &str) -> bool {
    let images = node["status"]["images"].as_array().map_or(0, Vec::len);
    images < MAX_REPORTED_IMAGES && !names_image(node, image)
}

/// Returns whether a node reports an image, given by its canonical name. A node with many images reports only some.
#[must_use]
pub fn names_image(node: &Value, image: &str) -> bool {
    let images = node["status"]["images"].as_array().into_iter().flatten();
    let mut names = images.filter_map(|image| image["names"].as_array()).flatten().filter_map(Value::as_str);
    names.any(|name| canonical(name) == image)
}

/// Expands an image name as container runtimes do: `busybox` becomes `docker.io/library/busybox:latest`.
#[must_use]
pub fn canonical(image: &str) -> String {
    let first = image.split('/').next().unwrap_or_default();
    let has_registry = image.contains('/') && (first.contains(['.', ':']) || first == "localhost");
    let full = match (has_registry, image.contains('/')) {
        (true, _) => image.to_owned(),
        (false, true) => format!("docker.io/{image}"),
        (false, false) => format!("docker.io/library/{image}"),
    };
    let name = full.rsplit('/').next().unwrap_or_default();
    if name.contains([':', '@']) { full } else { format!("{full}:latest") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sandbox() -> SandboxPod {
        SandboxPod {
            cpu: Quantity::from_static("250m"),
            memory: Quantity::from_static("1Gi"),
            image: Some("docker.io/library/runtime:1".into()),
            placement: NodeFit::default(),
        }
    }

    fn node(name: &str, cpu: &str) -> Value {
        json!({
            "metadata": { "name": name },
            "status": {
                "allocatable": { "cpu": cpu, "memory": "8Gi", "pods": "110" },
                "conditions": [{ "type": "Ready", "status": "True" }],
                "images": [{ "names": ["docker.io/library/runtime:1"] }],
            },
        })
    }

    fn pod(node: &str, cpu: &str, init: &str) -> Value {
        let container = |cpu: &str| json!({ "resources": { "requests": { "cpu": cpu, "memory": "256Mi" } } });
        json!({ "spec": { "nodeName": node, "containers": [container(cpu)], "initContainers": [container(init)] } })
    }

    #[test]
    fn estimate_counts_free_resources_per_node() {
        let nodes = [node("a", "2"), node("b", "1")];
        let pods = [pod("a", "1100m", "0"), pod("b", "0", "900m")];
        assert_eq!(sandbox().estimate(&nodes, &[], NodeHosts::Separate).sandboxes, 8 + 4);
        assert_eq!(sandbox().estimate(&nodes, &pods, NodeHosts::Separate).sandboxes, 3);
        assert_eq!(sandbox().estimate(&nodes, &[], NodeHosts::Separate).each, "250m cpu, 1Gi");
        let small = SandboxPod { cpu: Quantity::from_static("1m"), ..sandbox() };
        assert_eq!(
            small.estimate(&[node("a", "2")], &[], NodeHosts::Separate).sandboxes,
            8,
            "memory limits the number"
        );
    }

    #[test]
    fn nodes_of_one_computer_share_its_cpus() {
        let nodes = [node("a", "2"), node("b", "2")];
        let room = |pods: &[Value]| sandbox().estimate(&nodes, pods, NodeHosts::OneComputer).sandboxes;
        assert_eq!(room(&[]), 8);
        assert_eq!(room(&[pod("a", "1", "0"), pod("b", "500m", "0")]), 2, "the pods of both nodes count");
        let mut cordoned = node("b", "2");
        cordoned["spec"]["unschedulable"] = json!(true);
        let used = [pod("a", "1500m", "0")];
        let only_one = sandbox().estimate(&[node("a", "2"), cordoned], &used, NodeHosts::OneComputer);
        assert_eq!(only_one.sandboxes, 2, "the eligible node has room for no more");
    }

    #[test]
    fn estimate_ignores_nodes_that_refuse_sandboxes() {
        let mut cordoned = node("a", "2");
        cordoned["spec"]["unschedulable"] = json!(true);
        assert_eq!(sandbox().estimate(&[cordoned], &[], NodeHosts::Separate).sandboxes, 0);
    }

    #[test]
    fn nodes_without_image_lists_nodes_that_lack_it() {
        let mut without = node("b", "2");
        without["status"]["images"] = json!([]);
        let nodes = [node("a", "2"), without.clone()];
        assert_eq!(sandbox().nodes_without_image(&nodes), (vec!["b"], 2));
        let mut full = without.clone();
        full["status"]["images"] = json!(vec![json!({ "names": ["x"] }); MAX_REPORTED_IMAGES]);
        assert_eq!(
            sandbox().nodes_without_image(&[full]),
            (vec![], 1),
            "it may have more images than it reports"
        );
        without["metadata"]["annotations"]["kwok.x-k8s.io/node"] = json!("fake");
        assert_eq!(sandbox().nodes_without_image(&[without]), (vec![], 0));
    }

    #[test]
    fn canonical_adds_registry_and_tag() {
        for (image, full) in [
            ("busybox", "docker.io/library/busybox:latest"),
            ("acme/app:1", "docker.io/acme/app:1"),
            ("localhost:5000/app", "localhost:5000/app:latest"),
            ("ghcr.io/acme/app@sha256:a", "ghcr.io/acme/app@sha256:a"),
        ] {
            assert_eq!(canonical(image), full);
        }
    }
}
