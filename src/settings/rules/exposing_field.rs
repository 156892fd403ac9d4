//! A field by which an object exposes the application.

use crate::object::field_path::FieldPath;

/// Annotations that keep a load balancer's address private, each of one cloud. Other annotations do not decide who reaches it.
pub const PRIVATE_ANNOTATIONS: &[(&str, &str)] = &[
    ("networking.gke.io/load-balancer-type", "Internal"),
    ("service.beta.kubernetes.io/alibaba-cloud-loadbalancer-address-type", "intranet"),
    ("service.beta.kubernetes.io/aws-load-balancer-internal", "true"),
    ("service.beta.kubernetes.io/aws-load-balancer-scheme", "internal"),
    ("service.beta.kubernetes.io/azure-load-balancer-internal", "true"),
    ("service.beta.kubernetes.io/oci-load-balancer-internal", "true"),
    ("service.beta.kubernetes.io/openstack-internal-load-balancer", "true"),
    ("service.kubernetes.io/ibm-load-balancer-cloud-provider-ip-type", "private"),
];

/// How a field exposes the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExposedBy {
    /// A load balancer of a Service.
    LoadBalancer,
    /// A port of every node.
    NodePort,
    /// Addresses at which every node accepts the traffic.
    ExternalIps,
    /// The clients of a load balancer are not limited as planned.
    Clients,
    /// A host of an Ingress or a Route.
    Host,
    /// The pods have the network of their node.
    HostNetwork,
    /// A node forwards a port of its own to the pod.
    HostPort,
}

impl ExposedBy {
    /// Returns the words that follow "exposes it".
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LoadBalancer => "by a load balancer",
            Self::NodePort => "at every node's address",
            Self::ExternalIps => "at its externalIPs",
            Self::Clients => "to more clients of its load balancer",
            Self::Host => "by another host",
            Self::HostNetwork => "at its node's address, because its pods have the node's network",
            Self::HostPort => "at a port of its node",
        }
    }
}

/// A field by which an object exposes the application.
#[derive(Debug, Clone, PartialEq)]
pub struct ExposingField {
    /// The field. The object may lack it: it then has no limit.
    pub path: FieldPath,
    /// The value that exposes: a type, an address, a host.
    pub value: String,
    /// How it exposes.
    pub by: ExposedBy,
}
