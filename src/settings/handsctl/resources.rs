//! Requests and limits of the application.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::settings::format::Quantity;

/// Requests and limits of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Resources {
    /// Cpu and memory that a node must have free for the container. Default for the application: cpu 500m (250m on local
    /// clusters), memory 1Gi.
    #[schemars(extend("x-keys" = {
        "cpu": "Cpu that the application's container requests: a node must have it free. For example `500m`.",
        "memory": "Memory that the application's container requests: a node must have it free. For example `1Gi`."
    }))]
    pub requests: ResourceList,
    /// Most cpu and memory that the container can use. Default for the application: memory 4Gi, no cpu limit.
    #[schemars(extend("x-keys" = {
        "cpu": "Most cpu that the application's container can use: it is slowed down above. For example `2`.",
        "memory": "Most memory that the application's container can use: it is killed above. For example `4Gi`."
    }))]
    pub limits: ResourceList,
}

/// Amounts of cpu and memory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ResourceList {
    /// Amount of cpu of a container, such as `500m` or `2`.
    pub cpu: Option<Quantity>,
    /// Amount of memory of a container, such as `1Gi`.
    pub memory: Option<Quantity>,
}

impl ResourceList {
    /// Returns the name and amount of each resource that has one.
    pub fn amounts(&self) -> impl Iterator<Item = (&'static str, &Quantity)> {
        [("cpu", &self.cpu), ("memory", &self.memory)]
            .into_iter()
            .filter_map(|(name, amount)| Some((name, amount.as_ref()?)))
    }
}
