//! `[kubernetes]` and `[security]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::settings::format::{DnsLabel, DnsName, LabelKey, LabelValue, Quantity};

/// Objects that the application makes for every conversation. It takes texts only: `resource_cpu_request = 1`, a
/// number, would stop it at start.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("x-unknown" = "crash"))]
pub struct Kubernetes {
    /// Namespace of the sandboxes; the application's own where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<DnsLabel>,
    /// `VSCode` of a conversation is reached as `CONVERSATION.DOMAIN`.
    pub ingress_domain: DnsName,
    /// Size of each conversation's volume.
    pub pvc_storage_size: Quantity,
    /// StorageClass of those volumes; absent: the cluster's default class.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-not-empty" = "an empty text would switch dynamic provisioning off: leave the key out", "examples" = ["standard"]))]
    pub pvc_storage_class: Option<DnsName>,
    /// What the scheduler sets aside for a sandbox; on local clusters 250m.
    pub resource_cpu_request: Quantity,
    /// What the scheduler sets aside for a sandbox.
    pub resource_memory_request: Quantity,
    /// What a sandbox may not exceed. There is no limit of cpu.
    pub resource_memory_limit: Quantity,
    /// Pull secret in the sandboxes' namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_pull_secret: Option<DnsName>,
    /// TLS Secret in the sandboxes' namespace; `VSCode` is then reached by https.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingress_tls_secret: Option<DnsName>,
    /// Label that a node must have to run sandboxes; needs `node_selector_val`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_selector_key: Option<LabelKey>,
    /// Value of that label; needs `node_selector_key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_selector_val: Option<LabelValue>,
    /// Tolerations of sandboxes: a YAML list in a text, its keys in snake case (`toleration_seconds`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tolerations_yaml: Option<String>,
    /// Whether sandboxes run privileged, for Docker inside them.
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

/// What the agent may do without being asked.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("x-unknown" = "crash"))]
pub struct Security {
    /// Whether actions are confirmed first.
    #[schemars(extend("default" = false))]
    pub confirmation_mode: bool,
    /// Name of the analyzer that judges actions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security_analyzer: Option<String>,
}
