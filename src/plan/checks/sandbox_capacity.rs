//! How many sandboxes the nodes have room for, and which nodes lack their image. Pure.

use std::collections::BTreeMap;

use serde_json::Value;

use super::node_fit::{NodeFit, is_simulated};
use crate::settings::Settings;
use crate::settings::format::Quantity;

/// A kubelet names at most this many images (`nodeStatusMaxImages`,
/// <https://kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1/>).
const MOST_IMAGES: usize = 50;

/// What every sandbox asks of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SandboxPod {
    cpu: Quantity,
    memory: Quantity,
    image: Option<String>,
    placement: NodeFit,
}

/// Room for sandboxes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SandboxCapacity {
    /// How many more.
    pub sandboxes: u64,
    /// What each asks for: `250m cpu, 1Gi`.
    pub each: String,
}

impl SandboxPod {
    /// What `[kubernetes]` and `[sandbox]` say.
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

    /// How many more of these the scheduler would place. `pods`: those that have not ended, of every namespace.
    #[must_use]
    pub fn estimate(&self, nodes: &[Value], pods: &[Value]) -> SandboxCapacity {
        let mut taken: BTreeMap<&str, Taken> = BTreeMap::new();
        for pod in pods {
            if let Some(node) = pod["spec"]["nodeName"].as_str() {
                taken.entry(node).or_default().add(pod);
            }
        }
        let on = |node: &Value| {
            let name = node["metadata"]["name"].as_str().unwrap_or_default();
            self.fit(node, taken.get(name).copied().unwrap_or_default())
        };
        let sandboxes = nodes.iter().filter(|node| self.placement.refusal(node).is_none()).map(on).sum();
        SandboxCapacity {
            sandboxes,
            each: format!("{} cpu, {}", self.cpu.canonical(), self.memory.canonical()),
        }
    }

    /// The nodes that may run sandboxes and do not have their image, and of how many; nothing where no image is known,
    /// or nodes name too few of theirs.
    #[must_use]
    pub fn nodes_without_image<'a>(&self, nodes: &'a [Value]) -> (Vec<&'a str>, usize) {
        let Some(image) = &self.image else { return (Vec::new(), 0) };
        let eligible: Vec<&Value> = nodes
            .iter()
            .filter(|node| self.placement.refusal(node).is_none() && !is_simulated(node))
            .collect();
        let without = eligible.iter().filter(|node| lacks(node, image));
        (without.filter_map(|node| node["metadata"]["name"].as_str()).collect(), eligible.len())
    }

    /// The image of the sandboxes.
    #[must_use]
    pub fn image(&self) -> Option<&str> {
        self.image.as_deref()
    }

    fn fit(&self, node: &Value, taken: Taken) -> u64 {
        let allocatable = &node["status"]["allocatable"];
        let left = |name: &str, taken: i128| quantity(&allocatable[name]).saturating_sub(taken).max(0);
        let fits = |left: i128, one: i128| if one > 0 { left / one } else { i128::MAX };
        let cpu = fits(left("cpu", taken.cpu), self.cpu.nanos());
        let memory = fits(left("memory", taken.memory), self.memory.nanos());
        let pods = left("pods", taken.pods * NANOS) / NANOS;
        u64::try_from(cpu.min(memory).min(pods)).unwrap_or(u64::MAX)
    }
}

/// Quantities are counted in billionths.
const NANOS: i128 = 1_000_000_000;

/// What the pods of a node ask for.
#[derive(Debug, Clone, Copy, Default)]
struct Taken {
    cpu: i128,
    memory: i128,
    pods: i128,
}

impl Taken {
    fn add(&mut self, pod: &Value) {
        self.cpu += requested(pod, "cpu");
        self.memory += requested(pod, "memory");
        self.pods += 1;
    }
}

/// What a pod asks for: the most of its main containers together and of each init container
/// (<https://kubernetes.io/docs/concepts/workloads/pods/init-containers/#resource-sharing-within-containers>).
fn requested(pod: &Value, resource: &str) -> i128 {
    let of = |list: &str| -> Vec<i128> {
        let containers = pod["spec"][list].as_array().into_iter().flatten();
        containers.map(|container| quantity(&container["resources"]["requests"][resource])).collect()
    };
    let main: i128 = of("containers").into_iter().sum();
    let init = of("initContainers").into_iter().max().unwrap_or_default();
    main.max(init) + quantity(&pod["spec"]["overhead"][resource])
}

fn quantity(value: &Value) -> i128 {
    value.as_str().and_then(|text| Quantity::parse(text).ok()).map_or(0, |quantity| quantity.nanos())
}

/// Whether a node says, of all its images, that it does not have this one.
fn lacks(node: &Value, image: &str) -> bool {
    let images = node["status"]["images"].as_array().map_or(0, Vec::len);
    images < MOST_IMAGES && !names_image(node, image)
}

/// Whether a node names an image, by its canonical name. One that has many does not name them all.
#[must_use]
pub fn names_image(node: &Value, image: &str) -> bool {
    let images = node["status"]["images"].as_array().into_iter().flatten();
    let mut names = images.filter_map(|image| image["names"].as_array()).flatten().filter_map(Value::as_str);
    names.any(|name| canonical(name) == image)
}

/// As a node's runtime names it: `busybox` is `docker.io/library/busybox:latest`.
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
    fn what_is_left_on_each_node_decides() {
        let nodes = [node("a", "2"), node("b", "1")];
        assert_eq!(sandbox().estimate(&nodes, &[]).sandboxes, 8 + 4);
        assert_eq!(sandbox().estimate(&nodes, &[pod("a", "1100m", "0"), pod("b", "0", "900m")]).sandboxes, 3);
        assert_eq!(sandbox().estimate(&nodes, &[]).each, "250m cpu, 1Gi");
        let many = SandboxPod { cpu: Quantity::from_static("1m"), ..sandbox() };
        assert_eq!(many.estimate(&[node("a", "2")], &[]).sandboxes, 8, "memory is the limit");
    }

    #[test]
    fn nodes_that_take_no_sandbox_do_not_count() {
        let mut cordoned = node("a", "2");
        cordoned["spec"]["unschedulable"] = json!(true);
        assert_eq!(sandbox().estimate(&[cordoned], &[]).sandboxes, 0);
    }

    #[test]
    fn nodes_without_the_image_are_named() {
        let mut without = node("b", "2");
        without["status"]["images"] = json!([]);
        let nodes = [node("a", "2"), without.clone()];
        assert_eq!(sandbox().nodes_without_image(&nodes), (vec!["b"], 2));
        let mut full = without.clone();
        full["status"]["images"] = json!(vec![json!({ "names": ["x"] }); MOST_IMAGES]);
        assert_eq!(sandbox().nodes_without_image(&[full]), (vec![], 1), "it may have more than it names");
        without["metadata"]["annotations"]["kwok.x-k8s.io/node"] = json!("fake");
        assert_eq!(sandbox().nodes_without_image(&[without]), (vec![], 0));
    }

    #[test]
    fn images_by_their_full_names() {
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
