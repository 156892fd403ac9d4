//! The Events of a followed watch: those that are new, and those whose subject is not known yet. Pure.

use std::collections::{HashMap, VecDeque};

use serde_json::Value;

use super::event_line::{EventSubjects, time_of};

/// The most Events that wait for their subject. Most are about objects that are none of the installation's.
const MAX_WAITING: usize = 256;

/// The Events that a follower of the logs has seen.
#[derive(Debug, Default)]
pub(crate) struct FollowedEvents {
    subjects: EventSubjects,
    /// The version of each Event by its UID, for each watch that has listed.
    versions: HashMap<usize, HashMap<String, String>>,
    /// Events whose subject no pod has named, the oldest first. The first Events of a new pod and of its owner come before
    /// the pod.
    waiting: VecDeque<Value>,
}

impl FollowedEvents {
    /// Adds a pod, and returns the Events that have waited for it.
    pub(crate) fn add_pod(&mut self, pod: &Value) -> Vec<Value> {
        self.subjects.add(pod);
        let waiting = std::mem::take(&mut self.waiting);
        let (known, unknown) = waiting.into_iter().partition(|event| self.subjects.include(event));
        self.waiting = unknown;
        Vec::from(known)
    }

    /// Returns the Events of a list that are to be shown: of a later one those that came or changed while the watch did not
    /// run, ordered by time. The first list has Events of the past only.
    pub(crate) fn listed(&mut self, watch: usize, events: Vec<Value>) -> Vec<Value> {
        let versions = events.iter().map(version).collect();
        let Some(seen) = self.versions.insert(watch, versions) else { return Vec::new() };
        let is_new = |event: &Value| {
            let (uid, version) = version(event);
            seen.get(&uid) != Some(&version)
        };
        let mut new: Vec<Value> = events.into_iter().filter(is_new).collect();
        new.sort_by_key(time_of);
        new.into_iter().filter_map(|event| self.known(event)).collect()
    }

    /// Returns an Event that was added or changed, if it is to be shown.
    pub(crate) fn changed(&mut self, watch: usize, event: Value) -> Option<Value> {
        if let Some(versions) = self.versions.get_mut(&watch) {
            versions.extend([version(&event)]);
        }
        self.known(event)
    }

    /// Forgets an Event that the server has deleted: its time is over.
    pub(crate) fn deleted(&mut self, watch: usize, event: &Value) {
        if let Some(versions) = self.versions.get_mut(&watch) {
            versions.remove(&version(event).0);
        }
    }

    /// Returns the Event if its subject is known; otherwise it waits.
    fn known(&mut self, event: Value) -> Option<Value> {
        if self.subjects.include(&event) {
            return Some(event);
        }
        if self.waiting.len() == MAX_WAITING {
            self.waiting.pop_front();
        }
        self.waiting.push_back(event);
        None
    }
}

/// Returns the UID and the version of an Event.
fn version(event: &Value) -> (String, String) {
    let text = |field: &str| event["metadata"][field].as_str().unwrap_or_default().to_owned();
    (text("uid"), text("resourceVersion"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(uid: &str, version: u32, subject: &str, second: u32) -> Value {
        json!({
            "metadata": { "uid": uid, "resourceVersion": version.to_string() }, "involvedObject": { "uid": subject },
            "lastTimestamp": format!("2026-01-01T00:00:{second:02}Z"),
        })
    }

    fn pod(uid: &str, owner: &str) -> Value {
        json!({ "metadata": { "uid": uid, "ownerReferences": [{ "uid": owner }] } })
    }

    fn uids(events: &[Value]) -> Vec<&str> {
        events.iter().filter_map(|event| event["metadata"]["uid"].as_str()).collect()
    }

    #[test]
    fn later_list_has_the_events_that_the_watch_missed() {
        let mut events = FollowedEvents::default();
        events.add_pod(&pod("p", "set"));
        assert!(events.listed(1, vec![event("past", 1, "p", 0)]).is_empty());
        assert!(events.changed(1, event("seen", 2, "p", 1)).is_some());
        let list = vec![
            event("past", 1, "p", 0),
            event("missed", 6, "p", 5),
            event("seen", 2, "p", 1),
            event("repeated", 5, "p", 4),
            event("other", 7, "x", 6),
        ];
        assert_eq!(uids(&events.listed(1, list.clone())), ["repeated", "missed"]);
        assert!(events.listed(1, list).is_empty(), "each is shown once");
        let again = events.listed(1, vec![event("past", 9, "p", 8)]);
        assert_eq!(uids(&again), ["past"], "it happened again");
        assert!(
            events.listed(2, vec![event("elsewhere", 1, "p", 0)]).is_empty(),
            "another namespace's first list"
        );
    }

    #[test]
    fn event_waits_until_its_pod_is_known() {
        let mut events = FollowedEvents::default();
        events.listed(0, Vec::new());
        assert!(events.changed(0, event("created", 1, "set", 1)).is_none());
        assert!(events.changed(0, event("scheduled", 2, "p", 2)).is_none());
        assert!(events.changed(0, event("foreign", 3, "x", 3)).is_none());
        assert_eq!(uids(&events.add_pod(&pod("p", "set"))), ["created", "scheduled"]);
        assert!(events.add_pod(&pod("p", "set")).is_empty(), "each is shown once");
        for number in 0..MAX_WAITING {
            assert!(events.changed(0, event(&format!("f{number}"), 4, "x", 4)).is_none());
        }
        assert_eq!(events.waiting.len(), MAX_WAITING);
        assert_eq!(events.add_pod(&pod("x", "y")).len(), MAX_WAITING, "the oldest one is gone");
    }

    #[test]
    fn deleted_event_is_forgotten() {
        let mut events = FollowedEvents::default();
        events.listed(0, vec![event("a", 1, "p", 0)]);
        events.deleted(0, &event("a", 1, "p", 0));
        assert!(events.versions[&0].is_empty());
    }
}
