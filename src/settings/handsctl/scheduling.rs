//! Where the application's pods run, and what bounds a namespace.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::resources::ResourceList;
use crate::settings::format::{LabelKey, LabelValue, Quantity, ResourceName};

/// A taint that the application's pods tolerate.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Toleration {
    /// Key of the taint; without it, and with `operator = "Exists"`, every taint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<LabelKey>,
    /// Whether the value counts, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator: Option<TolerationOperator>,
    /// Value of the taint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<LabelValue>,
    /// Effect of the taint; without it: every effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effect: Option<TaintEffect>,
    /// Seconds for which a taint of effect `NoExecute` is tolerated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub toleration_seconds: Option<i64>,
}

/// How a taint is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TolerationOperator {
    /// By key and value; so it is where nothing is said.
    Equal,
    /// By its key.
    Exists,
}

/// What a taint does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TaintEffect {
    /// New pods do not come.
    NoSchedule,
    /// New pods come where there is no other node.
    PreferNoSchedule,
    /// New pods do not come, and running ones go.
    NoExecute,
}

/// How the application's pods are spread.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TopologySpread {
    /// Label of nodes whose values are the places, such as `topology.kubernetes.io/zone`.
    pub topology_key: LabelKey,
    /// Pods that one place may have more than another.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    pub max_skew: u32,
    /// What is done where that cannot be kept.
    #[serde(default)]
    pub when_unsatisfiable: WhenUnsatisfiable,
}

const fn one() -> u32 {
    1
}

/// What is done where pods cannot be spread.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WhenUnsatisfiable {
    /// The pod runs all the same.
    #[default]
    ScheduleAnyway,
    /// The pod waits.
    DoNotSchedule,
}

/// What the sandboxes' namespace may use altogether: amounts by the names of a `ResourceQuota`.
pub type Quota = BTreeMap<ResourceName, Quantity>;

/// What one container in the sandboxes' namespace gets and may have.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LimitRange {
    /// Limits of a container that has none.
    pub default: ResourceList,
    /// Requests of a container that has none.
    pub default_request: ResourceList,
    /// Largest limits.
    pub max: ResourceList,
    /// Smallest requests.
    pub min: ResourceList,
}
