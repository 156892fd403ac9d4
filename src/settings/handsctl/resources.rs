//! Requests and limits of the application.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::settings::format::Quantity;

/// Requests and limits of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Resources {
    /// What the scheduler sets aside. Default: cpu 500m (250m on local clusters), memory 1Gi.
    pub requests: ResourceList,
    /// What the container may not exceed. Default: memory 4Gi, no cpu limit.
    pub limits: ResourceList,
}

/// Amounts of cpu and memory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ResourceList {
    /// `500m`, `2`.
    pub cpu: Option<Quantity>,
    /// `1Gi`.
    pub memory: Option<Quantity>,
}

impl ResourceList {
    /// Each resource that has an amount, by its name.
    pub fn amounts(&self) -> impl Iterator<Item = (&'static str, &Quantity)> {
        [("cpu", &self.cpu), ("memory", &self.memory)]
            .into_iter()
            .filter_map(|(name, amount)| Some((name, amount.as_ref()?)))
    }
}
