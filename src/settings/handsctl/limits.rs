//! Grace periods of a rollout, and thresholds of `status`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::settings::format::Duration;

/// Grace periods for faults that may heal by themselves during a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Tolerate {
    /// How long no node may fit the pod before the rollout fails.
    pub unschedulable: Duration,
    /// How long the image's registry may be unreachable before the rollout fails. A missing image fails it at once.
    pub image_pull: Duration,
    /// Number of restarts at which a container of the new revision fails the rollout.
    pub crash_restarts: u32,
    /// How long a claim without a StorageClass may wait for a default class before the rollout fails.
    pub no_storage_class: Duration,
}

impl Default for Tolerate {
    fn default() -> Self {
        Self {
            unschedulable: Duration::from_secs(15),
            image_pull: Duration::from_secs(60),
            crash_restarts: 2,
            no_storage_class: Duration::from_secs(15),
        }
    }
}

/// Thresholds beyond which `status` reports a running application as degraded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Thresholds {
    /// Highest cpu usage, in percent of the container's limit; not measured without a limit.
    #[schemars(range(min = 1, max = 100))]
    pub cpu: u32,
    /// Highest memory usage, in percent of the container's limit.
    #[schemars(range(min = 1, max = 100))]
    pub memory: u32,
    /// Highest disk usage of the application's node, in percent.
    #[schemars(range(min = 1, max = 100))]
    pub disk: u32,
    /// Lowest share of ready pods, in percent of the desired pods.
    #[schemars(range(min = 0, max = 100))]
    pub ready: u32,
    /// Longest response time of `/alive`.
    pub latency: Duration,
    /// Lowest share of answered requests to the URL, in percent.
    #[schemars(range(min = 0, max = 100))]
    pub ingress: u32,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { cpu: 80, memory: 85, disk: 90, ready: 95, latency: Duration::from_secs(5), ingress: 99 }
    }
}
