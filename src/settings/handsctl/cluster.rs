//! `[cluster]`: the cluster that handsctl creates or uses.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::settings::format::{Address, DnsLabel, ImageRef, KubernetesVersion};

/// Cluster that handsctl creates or uses.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Cluster {
    /// Provider of the cluster. `auto`: the provider of the cluster that was created earlier under this name, else kind
    /// if a container engine answers, else a control plane with simulated nodes (kwok). `existing`: no cluster is
    /// created.
    pub provider: Provider,
    /// Name of the local cluster; its context is `kind-NAME` or `kwok-NAME`.
    pub name: DnsLabel,
    /// The only kubeconfig context for this configuration: any other `--context` is rejected.
    pub context: Option<String>,
    /// Kubernetes version of the local cluster, such as `v1.34.4`; empty: the version that handsctl was tested with.
    pub kubernetes_version: Option<KubernetesVersion>,
    /// Node image of a kind cluster; overrides the variable `KIND_NODE_IMAGE`, which overrides `kubernetes_version`.
    pub node_image: Option<ImageRef>,
    /// Number of worker nodes besides the first node.
    #[schemars(range(min = 0, max = 50))]
    pub workers: u32,
    /// Port of this computer for HTTP to the ingress controller of a kind cluster; 0: none.
    #[schemars(range(min = 0, max = 65535))]
    pub http_port: u16,
    /// Address of this computer on which `http_port` and `https_port` are reachable. OpenHands has no login.
    pub http_address: Address,
    /// Port of this computer for HTTPS to the ingress controller of a kind cluster; 0: none.
    #[schemars(range(min = 0, max = 65535))]
    pub https_port: u16,
    /// Ingress controller of the local cluster; empty: `traefik`, or none if the nodes are simulated.
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

/// Ingress controller of a local cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Ingress {
    /// Traefik; its IngressClass is the cluster's default.
    Traefik,
    /// ingress-nginx 1.12.1, as in OpenHands' own `kind/` folder; the project was retired in March 2026.
    Nginx,
    /// None: handsctl neither installs nor changes one.
    None,
}

/// Provider of the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// The provider of an existing local cluster, else kind, else kwok.
    Auto,
    /// Nodes are containers.
    Kind,
    /// The control plane runs as processes on this computer; the nodes are simulated.
    Kwok,
    /// No cluster is created.
    Existing,
}
