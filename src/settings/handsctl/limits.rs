//! Grace periods of a rollout, and thresholds of `status`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::settings::format::Duration;

/// How long a rollout waits while something is wrong that may heal by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Tolerate {
    /// How long a rollout waits while no node can take the pod.
    pub unschedulable: Duration,
    /// How long a rollout waits while the image's registry is unreachable, or while another fault lasts that is retried, such
    /// as a failed mount. An image that does not exist is not waited for.
    pub image_pull: Duration,
    /// Number of restarts of a container after which a rollout gives up.
    pub crash_restarts: u32,
    /// How long a rollout waits for a default StorageClass that its volume claim needs.
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

/// Measurements beyond which `status` reports a running application as degraded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Thresholds {
    /// Cpu usage of the application above which `status` reports it as degraded, in percent of the container's limit; not
    /// measured without a limit.
    #[schemars(range(min = 1, max = 100))]
    pub cpu: u32,
    /// Memory usage of the application above which `status` reports it as degraded, in percent of the container's limit.
    #[schemars(range(min = 1, max = 100))]
    pub memory: u32,
    /// Disk usage of the application's node above which `status` reports the application as degraded, in percent.
    #[schemars(range(min = 1, max = 100))]
    pub disk: u32,
    /// Share of ready pods below which `status` reports the application as degraded, in percent of the desired pods.
    #[schemars(range(min = 0, max = 100))]
    pub ready: u32,
    /// Response time of the application's `/alive` above which `status` reports the application as degraded.
    pub latency: Duration,
    /// Share of answered requests to the application's URL below which `status` reports the application as degraded, in
    /// percent.
    #[schemars(range(min = 0, max = 100))]
    pub ingress: u32,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { cpu: 80, memory: 85, disk: 90, ready: 95, latency: Duration::from_secs(5), ingress: 99 }
    }
}
