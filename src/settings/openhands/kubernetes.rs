//! `[kubernetes]` and `[security]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::settings::format::{DnsLabel, DnsName, LabelKey, LabelValue, Quantity};

/// Objects that the application creates for every conversation. Amounts are strings: the number in
/// `resource_cpu_request = 1` would crash the application at start.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("x-unknown" = "crash"))]
pub struct Kubernetes {
    /// Namespace of the sandboxes; absent: the application's namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<DnsLabel>,
    /// Domain of the conversations' `VSCode`, each at `CONVERSATION.DOMAIN`.
    pub ingress_domain: DnsName,
    /// Size of each conversation's volume.
    pub pvc_storage_size: Quantity,
    /// StorageClass of the conversations' volumes; absent: the cluster's default class.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-not-empty" = "the application would pass it on, and it would disable dynamic provisioning", "examples" = ["standard"]))]
    pub pvc_storage_class: Option<DnsName>,
    /// Cpu that a node must have free for a sandbox; 250m on local clusters.
    pub resource_cpu_request: Quantity,
    /// Memory that a node must have free for a sandbox.
    pub resource_memory_request: Quantity,
    /// Most memory of a sandbox. A sandbox has no cpu limit.
    pub resource_memory_limit: Quantity,
    /// Name of a pull secret in the sandboxes' namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_pull_secret: Option<DnsName>,
    /// Name of a TLS Secret in the sandboxes' namespace; with it `VSCode` is served over HTTPS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingress_tls_secret: Option<DnsName>,
    /// Key of the label that a node must have to run sandboxes; needs `node_selector_val`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_selector_key: Option<LabelKey>,
    /// Value of the label that a node must have to run sandboxes; needs `node_selector_key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_selector_val: Option<LabelValue>,
    /// Tolerations of sandboxes: a string with a YAML list whose keys are in snake case (`toleration_seconds`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tolerations_yaml: Option<String>,
    /// Whether sandboxes run privileged, as Docker inside them requires.
    pub privileged: bool,
}

impl Default for Kubernetes {
    fn default() -> Self {
        Self {
            namespace: None,
            ingress_domain: DnsName::from_static("localhost"),
            pvc_storage_size: Quantity::from_static("2Gi"),
            pvc_storage_class: None,
            resource_cpu_request: Quantity::from_static("1"),
            resource_memory_request: Quantity::from_static("1Gi"),
            resource_memory_limit: Quantity::from_static("2Gi"),
            image_pull_secret: None,
            ingress_tls_secret: None,
            node_selector_key: None,
            node_selector_val: None,
            tolerations_yaml: None,
            privileged: false,
        }
    }
}

/// Confirmation and analysis of the agent's actions.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("x-unknown" = "crash"))]
pub struct Security {
    /// Whether the user confirms the agent's actions first.
    #[schemars(extend("default" = false))]
    pub confirmation_mode: bool,
    /// Name of the security analyzer that rates the agent's actions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security_analyzer: Option<String>,
}
