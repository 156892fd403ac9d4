//! Which containers of a pod have a log, and how they ended. Pure.

use jiff::Timestamp;
use serde_json::Value;

/// The lists of a pod's containers with their statuses, and whether they are init containers.
const STATUSES: [(&str, bool); 3] =
    [("initContainerStatuses", true), ("containerStatuses", false), ("ephemeralContainerStatuses", false)];

/// A container that may have a log. Each restart begins a new log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StartedContainer {
    pub(crate) container: String,
    pub(crate) restarts: u64,
    pub(crate) is_init: bool,
}

/// What happened to a container whose log is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ContainerState {
    /// It runs, or it is not known whether it does.
    MayRun,
    /// It ended and was not restarted.
    Ended,
    /// It was restarted, and has been this often.
    Restarted(u64),
    /// Its pod does not exist any more.
    Gone,
}

/// Returns the containers that may have a log: those that have started at least once.
pub(crate) fn started_containers(pod: &Value) -> Vec<StartedContainer> {
    statuses(pod)
        .filter(|(status, _)| status["state"]["waiting"].is_null() || restarts(status) > 0)
        .filter_map(|(status, is_init)| {
            let container = status["name"].as_str()?.to_owned();
            Some(StartedContainer { container, restarts: restarts(status), is_init })
        })
        .collect()
}

/// Returns what happened to the container of this pod that had been restarted so often. `uid` is the pod's: another pod of
/// the same name is not the same.
pub(crate) fn state_in(pod: &Value, uid: &str, container: &str, restarted: u64) -> ContainerState {
    if pod["metadata"]["uid"] != uid {
        return ContainerState::Gone;
    }
    let Some((status, _)) = statuses(pod).find(|(status, _)| status["name"] == container) else {
        return ContainerState::MayRun;
    };
    match restarts(status) {
        now if now > restarted => ContainerState::Restarted(now),
        // A kubelet that was restarted may report an older status for a moment.
        now if now < restarted || status["state"]["running"].is_object() => ContainerState::MayRun,
        _ => ContainerState::Ended,
    }
}

/// Returns when the container of this pod ended that had been restarted so often.
pub(crate) fn finished_at(pod: &Value, container: &str, restarted: u64) -> Option<Timestamp> {
    let (status, _) = statuses(pod).find(|(status, _)| status["name"] == container)?;
    let state = match restarts(status) {
        now if now == restarted => &status["state"],
        now if now == restarted + 1 => &status["lastState"],
        _ => return None,
    };
    state["terminated"]["finishedAt"].as_str()?.parse().ok()
}

fn statuses(pod: &Value) -> impl Iterator<Item = (&Value, bool)> {
    STATUSES.into_iter().flat_map(move |(list, is_init)| {
        pod["status"][list].as_array().into_iter().flatten().map(move |status| (status, is_init))
    })
}

fn restarts(status: &Value) -> u64 {
    status["restartCount"].as_u64().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn container_without_a_start_has_no_log() {
        let pod = json!({"status": {"containerStatuses": [
            {"name": "a", "state": {"waiting": {}}, "restartCount": 0},
            {"name": "b", "state": {"waiting": {}}, "restartCount": 1},
            {"name": "c", "state": {"running": {}}, "restartCount": 0},
        ], "ephemeralContainerStatuses": [
            {"name": "debugger", "state": {"running": {}}, "restartCount": 0},
        ]}});
        let names: Vec<(String, u64)> =
            started_containers(&pod).into_iter().map(|it| (it.container, it.restarts)).collect();
        assert_eq!(names, [("b".to_owned(), 1), ("c".to_owned(), 0), ("debugger".to_owned(), 0)]);
    }

    #[test]
    fn state_of_a_container_is_that_of_its_pod_and_restart() {
        let pod = |restarts: u64, state: &str| {
            json!({"metadata": {"uid": "u"}, "status": {"containerStatuses": [{
                "name": "a", "restartCount": restarts, "state": {state: {"finishedAt": "2026-01-01T00:00:05Z"}},
                "lastState": {"terminated": {"finishedAt": "2026-01-01T00:00:01Z"}},
            }]}})
        };
        for (uid, container, restarts, status, expected) in [
            ("u", "a", 1, "running", ContainerState::MayRun),
            ("u", "a", 1, "terminated", ContainerState::Ended),
            ("u", "a", 1, "waiting", ContainerState::Ended),
            ("u", "a", 2, "running", ContainerState::Restarted(2)),
            ("u", "a", 3, "waiting", ContainerState::Restarted(3)),
            ("u", "a", 0, "running", ContainerState::MayRun),
            ("other", "a", 1, "running", ContainerState::Gone),
            ("u", "b", 1, "running", ContainerState::MayRun),
        ] {
            assert_eq!(
                state_in(&pod(restarts, status), uid, container, 1),
                expected,
                "{uid} {container} {restarts} {status}"
            );
        }
        let finished =
            |restarts, status| finished_at(&pod(restarts, status), "a", 1).map(|time| time.to_string());
        assert_eq!(finished(1, "terminated").as_deref(), Some("2026-01-01T00:00:05Z"));
        assert_eq!(finished(2, "running").as_deref(), Some("2026-01-01T00:00:01Z"));
        assert_eq!(finished(1, "running"), None);
        assert_eq!(finished(3, "running"), None);
    }
}
