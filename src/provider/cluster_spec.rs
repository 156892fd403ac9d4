//! The desired state of a local cluster.

use std::net::{IpAddr, Ipv4Addr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The desired state of a local cluster, for every provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterSpec {
    /// Name of the cluster; its context is `kind-NAME` or `kwok-NAME`.
    pub name: String,
    /// Number of nodes in addition to the first one.
    pub workers: u32,
    /// Kubernetes version such as `v1.34.4`; None: the version that handsctl is tested with, or the version of the
    /// programs in an explicit folder.
    pub kubernetes: Option<String>,
    /// Image of the nodes; None: the image in `KIND_NODE_IMAGE`, else the one for `kubernetes`.
    pub node_image: Option<String>,
    /// Ports of this computer that forward to ports 80 and 443 of the first node.
    pub ports: Ports,
    /// Resources that the cluster must have room for.
    pub load: Workload,
}

/// Ports of this computer that forward to the first node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ports {
    /// Address that the ports listen on.
    #[serde(rename = "http_address")]
    pub address: IpAddr,
    /// Port that forwards to port 80; None: not mapped.
    #[serde(rename = "http_port")]
    pub http: Option<u16>,
    /// Port that forwards to port 443; None: not mapped.
    #[serde(rename = "https_port")]
    pub https: Option<u16>,
}

/// Requests of the pods that will run on a cluster: preflight reports before the creation when they do not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Workload {
    /// Requests of the application and the ingress controller.
    pub application: ResourceAmount,
    /// Requests of one sandbox.
    pub sandbox: ResourceAmount,
}

/// Resources that pods request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ResourceAmount {
    /// CPU in thousandths of a core.
    pub cpu: u64,
    /// Memory in bytes.
    pub memory: u64,
}

impl ClusterSpec {
    /// A spec with one node, no mapped ports and no workload.
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            workers: 0,
            kubernetes: None,
            node_image: None,
            ports: Ports::NONE,
            load: Workload::default(),
        }
    }
}

impl Ports {
    /// No port is mapped.
    pub const NONE: Self = Self { address: IpAddr::V4(Ipv4Addr::LOCALHOST), http: None, https: None };
}
