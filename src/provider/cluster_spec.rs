//! What is wanted of a local cluster.

use std::net::{IpAddr, Ipv4Addr};

use serde::{Deserialize, Serialize};

/// What is wanted of a local cluster, whatever makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterSpec {
    /// Name; the context is `kind-NAME` or `kwok-NAME`.
    pub name: String,
    /// Nodes beside the first one.
    pub workers: u32,
    /// `v1.34.4`; None: the one that handsctl was tested with, or whatever the programs that are found are.
    pub kubernetes: Option<String>,
    /// Image of the nodes; None: that of `KIND_NODE_IMAGE` or of `kubernetes`.
    pub node_image: Option<String>,
    /// Which ports of this computer lead to the first node's 80 and 443.
    pub ports: Ports,
    /// What will have to fit on it.
    pub load: Workload,
}

/// Ports of this computer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ports {
    /// On this address.
    #[serde(rename = "http_address")]
    pub address: IpAddr,
    /// To port 80; None: not mapped.
    #[serde(rename = "http_port")]
    pub http: Option<u16>,
    /// To port 443.
    #[serde(rename = "https_port")]
    pub https: Option<u16>,
}

/// What will run on a cluster: what must fit, so that it is said before the cluster is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Workload {
    /// The application and the ingress controller.
    pub application: ResourceAmount,
    /// One sandbox.
    pub sandbox: ResourceAmount,
}

/// What pods ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ResourceAmount {
    /// Thousandths of a cpu.
    pub cpu: u64,
    /// Bytes.
    pub memory: u64,
}

impl ClusterSpec {
    /// One node, no ports, nothing to run.
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
