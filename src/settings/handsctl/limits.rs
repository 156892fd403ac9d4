//! How long faults are waited for, and from which figures on the application counts as degraded.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::settings::format::Duration;

/// How long what may heal by itself is waited for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Tolerate {
    /// No node can take the pod.
    pub unschedulable: Duration,
    /// The registry cannot be reached; an answer that the image does not exist ends the wait at once.
    pub image_pull: Duration,
    /// Restarts of a container of the new revision.
    pub crash_restarts: u32,
    /// The claim names no storage class and there is no default one yet.
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

/// When `status` calls a running application degraded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Thresholds {
    /// Most cpu, in percent of the container's limit; not measured where there is none.
    #[schemars(range(min = 1, max = 100))]
    pub cpu: u32,
    /// Most memory, in percent of the container's limit.
    #[schemars(range(min = 1, max = 100))]
    pub memory: u32,
    /// Fullest disk of the node under the application, in percent.
    #[schemars(range(min = 1, max = 100))]
    pub disk: u32,
    /// Fewest pods that are ready, in percent of those that are wanted.
    #[schemars(range(min = 0, max = 100))]
    pub ready: u32,
    /// Longest time until `/alive` answers.
    pub latency: Duration,
    /// Fewest answers at the URL, in percent.
    #[schemars(range(min = 0, max = 100))]
    pub ingress: u32,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { cpu: 80, memory: 85, disk: 90, ready: 95, latency: Duration::from_secs(5), ingress: 99 }
    }
}
