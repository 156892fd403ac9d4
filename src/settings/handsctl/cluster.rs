//! `[cluster]`: the cluster that handsctl makes or uses.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::settings::format::{Address, DnsLabel, ImageRef, KubernetesVersion};

/// The cluster that handsctl makes or uses.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Cluster {
    /// What makes the cluster. `auto`: a cluster made earlier under this name, else kind where a container engine
    /// answers, else a control plane with simulated nodes (kwok). `existing`: nothing is created.
    pub provider: Provider,
    /// Name of the local cluster; its context is `kind-NAME` or `kwok-NAME`.
    pub name: DnsLabel,
    /// A pin: this context is used whatever the current context is, and another `--context` is refused.
    pub context: Option<String>,
    /// Kubernetes version of the local cluster, `v1.34.4`; empty: the one that handsctl was tested with.
    pub kubernetes_version: Option<KubernetesVersion>,
    /// Image of the nodes of a kind cluster; it wins over `KIND_NODE_IMAGE`, and that over `kubernetes_version`.
    pub node_image: Option<ImageRef>,
    /// Worker nodes beside the first node.
    #[schemars(range(min = 0, max = 50))]
    pub workers: u32,
    /// Port of this computer that leads to the ingress controller of a kind cluster; 0: none.
    #[schemars(range(min = 0, max = 65535))]
    pub http_port: u16,
    /// Address of this computer on which that port, and the one for https, can be reached. OpenHands has no login.
    pub http_address: Address,
    /// The same for https; 0: none.
    #[schemars(range(min = 0, max = 65535))]
    pub https_port: u16,
    /// Ingress controller of the local cluster; empty: traefik, and none where nodes are simulated.
    pub ingress: Option<Ingress>,
}

impl Default for Cluster {
    fn default() -> Self {
        Self {
            provider: Provider::Auto,
            name: DnsLabel::from_static("local-hands"),
            context: None,
            kubernetes_version: None,
            node_image: None,
            workers: 0,
            http_port: 80,
            http_address: Address::LOOPBACK,
            https_port: 0,
            ingress: None,
        }
    }
}

/// The ingress controller of a local cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Ingress {
    /// Traefik; its class is the cluster's default.
    Traefik,
    /// ingress-nginx 1.12.1, as OpenHands' own `kind/` has it; the project was retired in March 2026.
    Nginx,
    /// None is made, and none is touched.
    None,
}

/// What makes the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// Decided by what is there.
    Auto,
    /// Containers as nodes.
    Kind,
    /// A real control plane as processes, simulated nodes.
    Kwok,
    /// Nothing is made.
    Existing,
}
