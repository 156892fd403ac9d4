//! Placement of the application's pods, and bounds of the sandboxes' namespace.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::resources::ResourceList;
use crate::settings::format::{LabelKey, LabelValue, Quantity, ResourceName};

/// Toleration of the application's pods.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Toleration {
    /// Key of the tolerated taint. A toleration with `operator = "Exists"` and no key tolerates every taint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<LabelKey>,
    /// Whether a tolerated taint must match by key and value, or by key only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator: Option<TolerationOperator>,
    /// Value of the tolerated taint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<LabelValue>,
    /// Effect of the tolerated taint; absent: every effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effect: Option<TaintEffect>,
    /// Seconds for which a taint with the effect `NoExecute` is tolerated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub toleration_seconds: Option<i64>,
}

/// How a toleration matches a taint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TolerationOperator {
    /// By key and value; the default.
    Equal,
    /// By key only.
    Exists,
}

/// Effect of a taint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TaintEffect {
    /// New pods are not scheduled.
    NoSchedule,
    /// New pods are scheduled only if no other node fits.
    PreferNoSchedule,
    /// New pods are not scheduled, and running pods are evicted.
    NoExecute,
}

/// Constraint that spreads the application's pods over topology domains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TopologySpread {
    /// Node label whose values are the topology domains, such as `topology.kubernetes.io/zone`.
    pub topology_key: LabelKey,
    /// Number of pods that one topology domain may have more than another.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    pub max_skew: u32,
    /// Whether a pod is scheduled if no node spreads the pods as desired.
    #[serde(default)]
    pub when_unsatisfiable: WhenUnsatisfiable,
}

const fn one() -> u32 {
    1
}

/// Whether a pod is scheduled if no node satisfies the constraint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WhenUnsatisfiable {
    /// The pod is scheduled anyway.
    #[default]
    ScheduleAnyway,
    /// The pod stays pending.
    DoNotSchedule,
}

/// Hard limits of the `ResourceQuota` in the sandboxes' namespace, by resource name.
pub type Quota = BTreeMap<ResourceName, Quantity>;

/// Defaults and bounds of one container in the sandboxes' namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LimitRange {
    /// Limits of a container in the sandboxes' namespace that sets none.
    #[schemars(extend("x-keys" = {
        "cpu": "Cpu limit of a container in the sandboxes' namespace that sets none. For example `2`.",
        "memory": "Memory limit of a container in the sandboxes' namespace that sets none. For example `2Gi`."
    }))]
    pub default: ResourceList,
    /// Requests of a container in the sandboxes' namespace that sets none.
    #[schemars(extend("x-keys" = {
        "cpu": "Cpu request of a container in the sandboxes' namespace that sets none. For example `250m`.",
        "memory": "Memory request of a container in the sandboxes' namespace that sets none. For example `512Mi`."
    }))]
    pub default_request: ResourceList,
    /// Largest limits that a container in the sandboxes' namespace may set.
    #[schemars(extend("x-keys" = {
        "cpu": "Largest cpu limit that a container in the sandboxes' namespace may set. For example `4`.",
        "memory": "Largest memory limit that a container in the sandboxes' namespace may set. For example `8Gi`."
    }))]
    pub max: ResourceList,
    /// Smallest requests that a container in the sandboxes' namespace may set.
    #[schemars(extend("x-keys" = {
        "cpu": "Smallest cpu request that a container in the sandboxes' namespace may set. For example `100m`.",
        "memory": "Smallest memory request that a container in the sandboxes' namespace may set. For example `128Mi`."
    }))]
    pub min: ResourceList,
}
