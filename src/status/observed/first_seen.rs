//! When a container was first observed in its current phase. Needed for phases whose status has no timestamp.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod};

/// The phase of a container. Waiting reasons between which a kubelet alternates (`ErrImagePull`, `ImagePullBackOff`)
/// are one phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ContainerPhase {
    Created,
    PullFails,
    NotCreated,
    Ended,
    Starting,
    Started,
}

#[derive(Debug, Clone)]
struct PhaseStart {
    phase: ContainerPhase,
    since: Timestamp,
    /// The registry's error. Before Kubernetes 1.32, `ImagePullBackOff` does not repeat it.
    pull_error: Option<String>,
}

/// The start of each container's current phase, by pod UID and container name.
#[derive(Debug, Default)]
pub(crate) struct FirstSeen(BTreeMap<String, BTreeMap<String, PhaseStart>>);

impl FirstSeen {
    pub(crate) fn observe(&mut self, uid: &str, pod: &Pod, now: Timestamp) {
        let containers = self.0.entry(uid.to_owned()).or_default();
        for status in statuses(pod) {
            let phase = ContainerPhase::from_status(status);
            let current = containers.entry(status.name.clone()).or_insert(PhaseStart {
                phase,
                since: now,
                pull_error: None,
            });
            if current.phase != phase {
                *current = PhaseStart { phase, since: now, pull_error: None };
            }
            if let Some(message) = pull_error(status) {
                current.pull_error = Some(message.to_owned());
            }
        }
    }

    pub(crate) fn forget(&mut self, uid: &str) {
        self.0.remove(uid);
    }

    /// Returns when the container was first observed in its current phase.
    pub(crate) fn since(&self, uid: &str, container: &str) -> Option<Timestamp> {
        self.0.get(uid)?.get(container).map(|current| current.since)
    }

    /// Returns the error of the last failed pull, while the container is in that phase.
    pub(crate) fn pull_error(&self, uid: &str, container: &str) -> Option<&str> {
        self.0.get(uid)?.get(container)?.pull_error.as_deref()
    }
}

/// Returns the statuses of all containers, init containers first.
pub(crate) fn statuses(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let status = pod.status.iter();
    status.flat_map(|status| {
        let init = status.init_container_statuses.iter().flatten();
        init.chain(status.container_statuses.iter().flatten())
    })
}

fn pull_error(status: &ContainerStatus) -> Option<&str> {
    let waiting = status.state.as_ref()?.waiting.as_ref()?;
    (waiting.reason.as_deref() == Some("ErrImagePull")).then_some(waiting.message.as_deref()).flatten()
}

impl ContainerPhase {
    fn from_status(status: &ContainerStatus) -> Self {
        match &status.state {
            Some(ContainerState { running: Some(_), .. }) if status.started == Some(true) => Self::Started,
            Some(ContainerState { running: Some(_), .. }) => Self::Starting,
            Some(ContainerState { terminated: Some(_), .. }) => Self::Ended,
            Some(ContainerState { waiting: Some(waiting), .. }) => match waiting.reason.as_deref() {
                Some("CrashLoopBackOff") => Self::Ended,
                Some("CreateContainerConfigError" | "CreateContainerError" | "RunContainerError") => {
                    Self::NotCreated
                }
                Some(reason) if crate::status::rules::image::is_pull_failure(reason) => Self::PullFails,
                _ => Self::Created,
            },
            _ => Self::Created,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(reason: &str, message: &str) -> Pod {
        serde_json::from_value(json!({"metadata": {"uid": "p"}, "status": {"containerStatuses": [{
            "name": "app", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"waiting": {"reason": reason, "message": message}}}]}}))
        .unwrap()
    }

    #[test]
    fn alternating_pull_reasons_are_one_phase() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut first_seen = FirstSeen::default();
        first_seen.observe("p", &pod("ContainerCreating", ""), at(1));
        assert_eq!(first_seen.since("p", "app"), Some(at(1)));
        first_seen.observe("p", &pod("ErrImagePull", "no such host"), at(2));
        first_seen.observe("p", &pod("ImagePullBackOff", "Back-off"), at(3));
        assert_eq!(first_seen.since("p", "app"), Some(at(2)));
        assert_eq!(first_seen.pull_error("p", "app"), Some("no such host"));
        first_seen.observe("p", &pod("ContainerCreating", ""), at(4));
        assert_eq!(first_seen.since("p", "app"), Some(at(4)));
        assert_eq!(first_seen.pull_error("p", "app"), None);
        first_seen.forget("p");
        assert_eq!(first_seen.since("p", "app"), None);
    }
}
