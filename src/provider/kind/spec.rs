//! The spec of a cluster, and its differences from the desired state. Pure.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::provider::cluster_spec::{ClusterSpec, Ports};
use crate::provider::engine::{Container, Engine};
use crate::provider::environment::Environment;
use crate::provider::local_cluster::LocalProvider;
use crate::provider::state_file::{self, ProviderState};

/// The default node image, with the version of Kubernetes that handsctl is tested with. It is from the list of kind
/// v0.33.0 (<https://github.com/kubernetes-sigs/kind/releases/tag/v0.33.0>).
const NODE_IMAGE: &str =
    "kindest/node:v1.34.11@sha256:44e222ee2132dab25ff87301682f89eb82c7880ea3a1bf543bfe9708fd08d67d";

/// The spec that a cluster was created from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KindSpec {
    /// Image of the nodes.
    pub image: String,
    /// Number of nodes in addition to the first one.
    pub workers: u32,
    /// Ports of this computer that forward to the first node.
    #[serde(flatten)]
    pub ports: Ports,
}

/// The part of a record that only kind clusters have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KindState {
    pub(super) engine: Engine,
    /// The engine's ids of the nodes, once the cluster is complete. A later cluster of the same name has other ids.
    pub(super) nodes: Vec<String>,
    /// The port of this computer that forwards to the API server. handsctl chooses it at random, so it marks the
    /// cluster from the creation of its first container on. None: an earlier version of handsctl let kind choose it.
    #[serde(default)]
    pub(super) api_port: Option<u16>,
    pub(super) spec: KindSpec,
}

impl ProviderState for KindState {
    const PROVIDER: LocalProvider = LocalProvider::Kind;
}

pub(super) type KindStateFile = state_file::StateFile<KindState>;

/// What a record proves about the nodes of the cluster's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RecordProof {
    /// They are the nodes of the recorded cluster.
    Same,
    /// They are the nodes of another cluster.
    Other,
    /// The record proves nothing.
    Unknown,
}

impl KindState {
    /// The port of the API server in its container.
    const API_SERVER: u16 = 6443;

    /// Compares the record with the nodes of the cluster's name, of which there is at least one.
    pub(super) fn prove(&self, nodes: &[Container]) -> RecordProof {
        if nodes.iter().all(|node| self.nodes.contains(&node.id)) {
            return RecordProof::Same;
        }
        if !self.nodes.is_empty() {
            return RecordProof::Unknown;
        }
        let first = nodes.iter().find(|node| node.is_control_plane());
        let published = first.and_then(|node| node.ports.iter().find(|(port, ..)| *port == Self::API_SERVER));
        match (self.api_port, published) {
            (Some(recorded), Some((.., published))) if recorded == *published => RecordProof::Same,
            (Some(_), Some(_)) => RecordProof::Other,
            _ => RecordProof::Unknown,
        }
    }
}

/// Returns the spec of a new cluster.
pub(super) fn for_new_cluster(desired: &ClusterSpec, environment: &Environment) -> KindSpec {
    let image = configured_image(desired, environment).unwrap_or_else(|| NODE_IMAGE.to_owned());
    KindSpec { image, workers: desired.workers, ports: desired.ports }
}

/// Derives the spec from the containers of a cluster whose record is lost.
pub(super) fn from_containers(nodes: &[Container]) -> KindSpec {
    let workers = nodes.iter().filter(|node| !node.is_control_plane()).count();
    let first = nodes.iter().find(|node| node.is_control_plane());
    let bindings = first.map_or(&[][..], |node| node.ports.as_slice());
    let binding = |port| bindings.iter().find(|(container_port, ..)| *container_port == port);
    let address = binding(80).or_else(|| binding(443)).and_then(|(_, address, _)| address.parse().ok());
    KindSpec {
        image: first.map(|node| node.image.clone()).unwrap_or_default(),
        workers: u32::try_from(workers).unwrap_or(u32::MAX),
        ports: Ports {
            address: address.unwrap_or(Ports::NONE.address),
            http: binding(80).map(|(.., port)| *port),
            https: binding(443).map(|(.., port)| *port),
        },
    }
}

/// Returns the configured image: `node_image` > `KIND_NODE_IMAGE` > `kubernetes_version`.
fn configured_image(desired: &ClusterSpec, environment: &Environment) -> Option<String> {
    let image_of_version = || desired.kubernetes.as_ref().map(|version| format!("kindest/node:{version}"));
    desired.node_image.clone().or_else(|| environment.node_image.clone()).or_else(image_of_version)
}

/// Lists the differences from the desired state, each as `workers: 0, configured 2`. Without a configured image, any
/// image matches: the default changes with the version of handsctl.
pub(super) fn differences(spec: &KindSpec, desired: &ClusterSpec, environment: &Environment) -> Vec<String> {
    let mut differences = Vec::new();
    let mut compare = |key: &str, actual: String, desired: String| {
        if actual != desired {
            differences.push(format!("{key}: {actual}, configured {desired}"));
        }
    };
    compare("workers", spec.workers.to_string(), desired.workers.to_string());
    if let Some(image) =
        configured_image(desired, environment).filter(|image| !is_same_image(image, &spec.image))
    {
        compare("node image", spec.image.clone(), image);
    }
    let port = |port: Option<u16>| port.map_or_else(|| "none".to_owned(), |port| port.to_string());
    compare("http_port", port(spec.ports.http), port(desired.ports.http));
    compare("https_port", port(spec.ports.https), port(desired.ports.https));
    if spec.ports.http.or(spec.ports.https).is_some() && desired.ports.http.or(desired.ports.https).is_some()
    {
        compare("http_address", spec.ports.address.to_string(), desired.ports.address.to_string());
    }
    differences
}

/// Compares digests if both references have one: kind removes the tag of such a reference.
fn is_same_image(configured: &str, actual: &str) -> bool {
    let digest = |image: &str| image.split_once('@').map(|(_, digest)| digest.to_owned());
    match (digest(configured), digest(actual)) {
        (Some(configured), Some(actual)) => configured == actual,
        _ => configured == actual,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn desired() -> ClusterSpec {
        ClusterSpec { ports: Ports { http: Some(80), ..Ports::NONE }, ..ClusterSpec::named("x") }
    }

    #[test]
    fn node_image_is_taken_in_order_of_precedence() {
        let none = Environment::for_tests(Path::new("/x"));
        let set = Environment { node_image: Some("kindest/node:v1".into()), ..none.clone() };
        let version = ClusterSpec { kubernetes: Some("v1.35.0".into()), ..desired() };
        let image = ClusterSpec { node_image: Some("mine:1".into()), ..version.clone() };
        assert_eq!(for_new_cluster(&desired(), &none).image, NODE_IMAGE);
        assert_eq!(for_new_cluster(&version, &none).image, "kindest/node:v1.35.0");
        assert_eq!(for_new_cluster(&version, &set).image, "kindest/node:v1");
        assert_eq!(for_new_cluster(&image, &set).image, "mine:1");
    }

    #[test]
    fn only_configured_values_can_differ() {
        let environment = Environment::for_tests(Path::new("/x"));
        let spec =
            KindSpec { image: "kindest/node:v1.30.0".into(), ..for_new_cluster(&desired(), &environment) };
        assert!(differences(&spec, &desired(), &environment).is_empty());
        let ports = Ports { address: "0.0.0.0".parse().unwrap(), http: Some(8080), https: Some(8443) };
        let other =
            ClusterSpec { workers: 1, node_image: Some("kindest/node:v1.35.0".into()), ports, ..desired() };
        assert_eq!(
            differences(&spec, &other, &environment),
            [
                "workers: 0, configured 1",
                "node image: kindest/node:v1.30.0, configured kindest/node:v1.35.0",
                "http_port: 80, configured 8080",
                "https_port: none, configured 8443",
                "http_address: 127.0.0.1, configured 0.0.0.0",
            ]
        );
        let unmapped = ClusterSpec { ports: Ports { http: None, ..ports }, ..desired() };
        let unmapped = ClusterSpec { ports: Ports { https: None, ..unmapped.ports }, ..unmapped };
        assert_eq!(differences(&spec, &unmapped, &environment), ["http_port: 80, configured none"]);
    }

    #[test]
    fn images_with_digests_are_compared_by_digest() {
        assert!(is_same_image("kindest/node:v1@sha256:a", "kindest/node@sha256:a"));
        assert!(!is_same_image("kindest/node:v1@sha256:a", "kindest/node@sha256:b"));
        assert!(!is_same_image("kindest/node:v1", "kindest/node:v2"));
    }

    #[test]
    fn only_ids_or_the_chosen_port_prove_the_owner() {
        let node = |id: &str, role: &str, port: Option<u16>| Container {
            id: id.into(),
            name: role.into(),
            role: role.into(),
            image: "n:1".into(),
            is_running: true,
            started_at: None,
            ports: port.map(|port| (6443, "127.0.0.1".to_owned(), port)).into_iter().collect(),
        };
        let spec = for_new_cluster(&desired(), &Environment::for_tests(Path::new("/x")));
        let state = |nodes: &[&str], api_port| KindState {
            engine: Engine::Docker,
            nodes: nodes.iter().map(|id| (*id).to_owned()).collect(),
            api_port,
            spec: spec.clone(),
        };
        let nodes = [node("a", "control-plane", Some(20_000)), node("b", "worker", None)];
        for (state, proof) in [
            (state(&["a", "b"], None), RecordProof::Same),
            (state(&["a", "c"], Some(20_000)), RecordProof::Unknown),
            (state(&[], Some(20_000)), RecordProof::Same),
            (state(&[], Some(20_001)), RecordProof::Other),
            (state(&[], None), RecordProof::Unknown),
        ] {
            assert_eq!(state.prove(&nodes), proof, "{state:?}");
        }
        let without_ports = [node("a", "control-plane", None)];
        assert_eq!(state(&[], Some(20_000)).prove(&without_ports), RecordProof::Unknown);
        assert_eq!(state(&[], Some(20_000)).prove(&nodes[1..]), RecordProof::Unknown);
    }

    #[test]
    fn spec_is_derived_from_containers() {
        let node = |role: &str, ports: &[(u16, &str, u16)]| Container {
            id: "i".into(),
            name: role.into(),
            role: role.into(),
            image: "n:1".into(),
            is_running: true,
            started_at: None,
            ports: ports
                .iter()
                .map(|(container_port, address, port)| (*container_port, (*address).to_owned(), *port))
                .collect(),
        };
        let nodes =
            [node("control-plane", &[(80, "0.0.0.0", 8080), (6443, "127.0.0.1", 4)]), node("worker", &[])];
        let ports = Ports { address: "0.0.0.0".parse().unwrap(), http: Some(8080), https: None };
        assert_eq!(from_containers(&nodes), KindSpec { image: "n:1".into(), workers: 1, ports });
    }
}
