//! What a cluster was made from, and how that differs from what is wanted now. Pure.

use serde::{Deserialize, Serialize};

use crate::provider::cluster_spec::{ClusterSpec, Ports};
use crate::provider::engine::{Container, Engine};
use crate::provider::environment::Environment;
use crate::provider::local_cluster::LocalProvider;
use crate::provider::state_file::{self, ProviderState};

/// The node image where nobody asks for another one: of kind v0.33.0's own list
/// (<https://github.com/kubernetes-sigs/kind/releases/tag/v0.33.0>), the version of Kubernetes that handsctl is tested with.
const NODE_IMAGE: &str =
    "kindest/node:v1.34.11@sha256:44e222ee2132dab25ff87301682f89eb82c7880ea3a1bf543bfe9708fd08d67d";

/// What a cluster was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KindSpec {
    /// Image of its nodes.
    pub image: String,
    /// Nodes beside the first one.
    pub workers: u32,
    /// Which ports of this computer lead to the first node.
    #[serde(flatten)]
    pub ports: Ports,
}

/// What a record keeps of a cluster of this provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KindState {
    pub(super) engine: Engine,
    /// The engine's ids of its nodes: a cluster that somebody made later under the same name has others.
    pub(super) nodes: Vec<String>,
    pub(super) spec: KindSpec,
}

impl ProviderState for KindState {
    const MAKER: LocalProvider = LocalProvider::Kind;
}

pub(super) type KindStateFile = state_file::StateFile<KindState>;

/// What a new cluster is made from.
pub(super) fn of(wanted: &ClusterSpec, environment: &Environment) -> KindSpec {
    let image = asked_image(wanted, environment).unwrap_or_else(|| NODE_IMAGE.to_owned());
    KindSpec { image, workers: wanted.workers, ports: wanted.ports }
}

/// What the containers of a cluster say of it, where its record is lost.
pub(super) fn of_containers(nodes: &[Container]) -> KindSpec {
    let workers = nodes.iter().filter(|node| !node.is_control_plane()).count();
    let first = nodes.iter().find(|node| node.is_control_plane());
    let bindings = first.map_or(&[][..], |node| node.ports.as_slice());
    let outer = |port| bindings.iter().find(|(inner, ..)| *inner == port);
    let address = outer(80).or_else(|| outer(443)).and_then(|(_, address, _)| address.parse().ok());
    KindSpec {
        image: first.map(|node| node.image.clone()).unwrap_or_default(),
        workers: u32::try_from(workers).unwrap_or(u32::MAX),
        ports: Ports {
            address: address.unwrap_or(Ports::NONE.address),
            http: outer(80).map(|(.., port)| *port),
            https: outer(443).map(|(.., port)| *port),
        },
    }
}

/// The image that somebody asked for: `node_image` > `KIND_NODE_IMAGE` > `kubernetes_version`.
fn asked_image(wanted: &ClusterSpec, environment: &Environment) -> Option<String> {
    let of_version = || wanted.kubernetes.as_ref().map(|version| format!("kindest/node:{version}"));
    wanted.node_image.clone().or_else(|| environment.node_image.clone()).or_else(of_version)
}

/// What is wanted and is not so, each as `workers: 0, wanted 2`. An image that nobody asked for differs from none:
/// a newer handsctl has a newer one built in.
pub(super) fn differences(spec: &KindSpec, wanted: &ClusterSpec, environment: &Environment) -> Vec<String> {
    let mut found = Vec::new();
    let mut compare = |what: &str, is: String, wanted: String| {
        if is != wanted {
            found.push(format!("{what}: {is}, wanted {wanted}"));
        }
    };
    compare("workers", spec.workers.to_string(), wanted.workers.to_string());
    if let Some(image) = asked_image(wanted, environment).filter(|image| !is_same_image(image, &spec.image)) {
        compare("node image", spec.image.clone(), image);
    }
    let port = |port: Option<u16>| port.map_or_else(|| "none".to_owned(), |port| port.to_string());
    compare("http_port", port(spec.ports.http), port(wanted.ports.http));
    compare("https_port", port(spec.ports.https), port(wanted.ports.https));
    if spec.ports.http.or(spec.ports.https).is_some() && wanted.ports.http.or(wanted.ports.https).is_some() {
        compare("http_address", spec.ports.address.to_string(), wanted.ports.address.to_string());
    }
    found
}

/// kind gives containers the name without the tag where the reference has a digest.
fn is_same_image(asked: &str, has: &str) -> bool {
    let digest = |image: &str| image.split_once('@').map(|(_, digest)| digest.to_owned());
    match (digest(asked), digest(has)) {
        (Some(asked), Some(has)) => asked == has,
        _ => asked == has,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn wanted() -> ClusterSpec {
        ClusterSpec { ports: Ports { http: Some(80), ..Ports::NONE }, ..ClusterSpec::named("x") }
    }

    #[test]
    fn the_image_that_is_asked_for() {
        let none = Environment::for_tests(Path::new("/x"));
        let set = Environment { node_image: Some("kindest/node:v1".into()), ..none.clone() };
        let version = ClusterSpec { kubernetes: Some("v1.35.0".into()), ..wanted() };
        let image = ClusterSpec { node_image: Some("mine:1".into()), ..version.clone() };
        assert_eq!(of(&wanted(), &none).image, NODE_IMAGE);
        assert_eq!(of(&version, &none).image, "kindest/node:v1.35.0");
        assert_eq!(of(&version, &set).image, "kindest/node:v1");
        assert_eq!(of(&image, &set).image, "mine:1");
    }

    #[test]
    fn only_what_is_asked_for_can_differ() {
        let environment = Environment::for_tests(Path::new("/x"));
        let spec = KindSpec { image: "kindest/node:v1.30.0".into(), ..of(&wanted(), &environment) };
        assert!(differences(&spec, &wanted(), &environment).is_empty());
        let ports = Ports { address: "0.0.0.0".parse().unwrap(), http: Some(8080), https: Some(8443) };
        let other =
            ClusterSpec { workers: 1, node_image: Some("kindest/node:v1.35.0".into()), ports, ..wanted() };
        assert_eq!(
            differences(&spec, &other, &environment),
            [
                "workers: 0, wanted 1",
                "node image: kindest/node:v1.30.0, wanted kindest/node:v1.35.0",
                "http_port: 80, wanted 8080",
                "https_port: none, wanted 8443",
                "http_address: 127.0.0.1, wanted 0.0.0.0",
            ]
        );
        let unmapped = ClusterSpec { ports: Ports { http: None, ..ports }, ..wanted() };
        let unmapped = ClusterSpec { ports: Ports { https: None, ..unmapped.ports }, ..unmapped };
        assert_eq!(differences(&spec, &unmapped, &environment), ["http_port: 80, wanted none"]);
    }

    #[test]
    fn a_digest_decides_where_both_have_one() {
        assert!(is_same_image("kindest/node:v1@sha256:a", "kindest/node@sha256:a"));
        assert!(!is_same_image("kindest/node:v1@sha256:a", "kindest/node@sha256:b"));
        assert!(!is_same_image("kindest/node:v1", "kindest/node:v2"));
    }

    #[test]
    fn containers_say_what_a_cluster_was_made_from() {
        let node = |role: &str, ports: &[(u16, &str, u16)]| Container {
            id: "i".into(),
            name: role.into(),
            role: role.into(),
            image: "n:1".into(),
            runs: true,
            ports: ports
                .iter()
                .map(|(inner, address, outer)| (*inner, (*address).to_owned(), *outer))
                .collect(),
        };
        let nodes =
            [node("control-plane", &[(80, "0.0.0.0", 8080), (6443, "127.0.0.1", 4)]), node("worker", &[])];
        let ports = Ports { address: "0.0.0.0".parse().unwrap(), http: Some(8080), https: None };
        assert_eq!(of_containers(&nodes), KindSpec { image: "n:1".into(), workers: 1, ports });
    }
}
