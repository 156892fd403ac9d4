//! When a container was first seen in its present stage, for the stages that carry no time of their own.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod};

/// How far a container is. A kubelet's reasons that alternate (`ErrImagePull`, `ImagePullBackOff`) are one stage.
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
    stage: ContainerPhase,
    since: Timestamp,
    /// The registry's words: `ImagePullBackOff` hides them on servers before 1.32.
    pull_error: Option<String>,
}

/// First sightings by pod UID and container name.
#[derive(Debug, Default)]
pub(crate) struct FirstSeen(BTreeMap<String, BTreeMap<String, PhaseStart>>);

impl FirstSeen {
    pub(crate) fn observe(&mut self, uid: &str, pod: &Pod, seen: Timestamp) {
        let known = self.0.entry(uid.to_owned()).or_default();
        for status in statuses(pod) {
            let stage = ContainerPhase::of(status);
            let moment = known.entry(status.name.clone()).or_insert(PhaseStart {
                stage,
                since: seen,
                pull_error: None,
            });
            if moment.stage != stage {
                *moment = PhaseStart { stage, since: seen, pull_error: None };
            }
            if let Some(message) = pull_error(status) {
                moment.pull_error = Some(message.to_owned());
            }
        }
    }

    pub(crate) fn forget(&mut self, uid: &str) {
        self.0.remove(uid);
    }

    /// When the container was first seen in its present stage.
    pub(crate) fn since(&self, uid: &str, container: &str) -> Option<Timestamp> {
        self.0.get(uid)?.get(container).map(|moment| moment.since)
    }

    /// What the last failed pull said, while pulls fail.
    pub(crate) fn pull_error(&self, uid: &str, container: &str) -> Option<&str> {
        self.0.get(uid)?.get(container)?.pull_error.as_deref()
    }
}

/// The statuses of all containers, init containers first.
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
    fn of(status: &ContainerStatus) -> Self {
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
    fn reasons_that_alternate_are_one_stage() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut moments = FirstSeen::default();
        moments.observe("p", &pod("ContainerCreating", ""), at(1));
        assert_eq!(moments.since("p", "app"), Some(at(1)));
        moments.observe("p", &pod("ErrImagePull", "no such host"), at(2));
        moments.observe("p", &pod("ImagePullBackOff", "Back-off"), at(3));
        assert_eq!(moments.since("p", "app"), Some(at(2)));
        assert_eq!(moments.pull_error("p", "app"), Some("no such host"));
        moments.observe("p", &pod("ContainerCreating", ""), at(4));
        assert_eq!(moments.since("p", "app"), Some(at(4)));
        assert_eq!(moments.pull_error("p", "app"), None);
        moments.forget("p");
        assert_eq!(moments.since("p", "app"), None);
    }
}
