//! The logs to read. Pure.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value;

use super::containers::{StartedContainer, started_containers};
use super::line_filter::LineFilter;

/// Pods of a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodSelection {
    /// Their namespace.
    pub namespace: String,
    /// Their label selector; empty for all.
    pub labels: String,
    /// The name of the only one.
    pub name: Option<String>,
}

impl PodSelection {
    /// Whether a pod of the namespace that has the labels is selected.
    #[must_use]
    pub fn includes(&self, pod: &Value) -> bool {
        self.name.as_ref().is_none_or(|name| pod["metadata"]["name"] == name.as_str())
    }
}

/// The beginning of the lines to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// So many seconds ago.
    Seconds(i64),
    /// A time.
    Time(Timestamp),
}

/// The logs to read.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command")]
pub struct LogQuery {
    /// The pods.
    pub pods: Vec<PodSelection>,
    /// One container; None for all.
    pub container: Option<String>,
    /// Whether to follow the logs without end, including those of new pods.
    pub follow: bool,
    /// The number of lines from the end.
    pub tail: Option<i64>,
    /// The beginning.
    pub since: Option<Since>,
    /// Whether to read the logs of the previous containers.
    pub previous: bool,
    /// Whether the server's timestamps are needed.
    pub timestamps: bool,
    /// Which lines are shown.
    pub filter: LineFilter,
    /// Whether the lines of all containers are ordered by time.
    pub merge: bool,
    /// Whether Events about the pods and their owners are shown.
    pub events: bool,
}

impl LogQuery {
    /// Whether the log of a container is read.
    #[must_use]
    pub fn includes(&self, container: &str) -> bool {
        self.container.as_deref().is_none_or(|requested| requested == container)
    }

    /// Returns the namespaces of the pods, each once.
    #[must_use]
    pub fn namespaces(&self) -> BTreeSet<&str> {
        self.pods.iter().map(|selection| selection.namespace.as_str()).collect()
    }

    /// Returns how many logs of these pods are read.
    #[must_use]
    pub fn count(&self, pods: &[Value]) -> usize {
        pods.iter().flat_map(|pod| self.containers(pod)).count()
    }

    /// Returns the containers of a pod whose logs are read.
    pub(crate) fn containers(&self, pod: &Value) -> impl Iterator<Item = StartedContainer> {
        started_containers(pod).into_iter().filter(|started| self.includes(&started.container))
    }
}

/// Whether a container of this pod has started, so that it may have a log.
#[must_use]
pub fn has_log(pod: &Value) -> bool {
    !started_containers(pod).is_empty()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn injected_sidecar_is_a_log_of_its_own() {
        let query = |container: Option<&str>| LogQuery {
            pods: Vec::new(),
            container: container.map(str::to_owned),
            follow: false,
            tail: None,
            since: None,
            previous: false,
            timestamps: false,
            filter: LineFilter::default(),
            merge: false,
            events: false,
        };
        let running = |name: &str| json!([{"name": name, "state": {"running": {}}, "restartCount": 0}]);
        let alone = json!({"status": {"containerStatuses": running("app")}});
        let injected = json!({"status": {
            "containerStatuses": running("app"), "initContainerStatuses": running("istio-proxy"),
        }});
        assert_eq!(query(None).count(&[alone]), 1);
        assert_eq!(query(None).count(std::slice::from_ref(&injected)), 2);
        assert_eq!(query(Some("app")).count(&[injected]), 1, "only one is read");
    }
}
