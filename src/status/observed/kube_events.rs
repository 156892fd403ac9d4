//! Kubernetes Events (core/v1), reduced to the fields that the evaluation needs.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, ObjectReference};
use serde::Deserialize;
use serde::de::Error as _;
use serde_json::Value;

use crate::object::ObjectId;

/// One Event, with the number of its repetitions.
#[derive(Debug, Clone)]
pub(crate) struct KubeEvent {
    /// Whether its type is Warning.
    pub(crate) is_warning: bool,
    pub(crate) reason: String,
    pub(crate) message: String,
    /// The container in the field path: `openhands` of `spec.containers{openhands}`.
    pub(crate) container: Option<String>,
    /// Another object that the Event is about: the pod for which the scheduler preempts this one.
    pub(crate) related: Option<ObjectId>,
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
    pub(crate) count: u32,
}

/// The maximum number of Events that wait to be taken: a namespace may have many about the objects of others.
const MAX_RECENT: usize = 4096;

/// Events by the UID of the involved object, then by their own UID.
#[derive(Debug, Default)]
pub(crate) struct KubeEvents {
    by_subject: BTreeMap<String, BTreeMap<String, KubeEvent>>,
    /// The UIDs of the involved object and of each Event that was added or repeated and not taken since, oldest first.
    recent: VecDeque<(String, String)>,
}

impl KubeEvents {
    pub(crate) fn put(&mut self, event: &Value) -> Result<(), serde_json::Error> {
        let event = Event::deserialize(event)?;
        let uid = event.metadata.uid.clone();
        let uid = uid.ok_or_else(|| serde_json::Error::custom("metadata.uid is missing"))?;
        // Events about objects without a UID (such as nodes) do not concern the set.
        if let Some(subject) = event.involved_object.uid.clone() {
            // The oldest ones are about objects that were unknown whenever Events were taken.
            if self.recent.len() >= MAX_RECENT {
                self.recent.pop_front();
            }
            self.recent.push_back((subject.clone(), uid.clone()));
            self.by_subject.entry(subject).or_default().insert(uid, KubeEvent::from_event(&event));
        }
        Ok(())
    }

    pub(crate) fn remove(&mut self, uid: &str) {
        self.by_subject.retain(|_, events| {
            events.remove(uid);
            !events.is_empty()
        });
    }

    pub(crate) fn forget_subject(&mut self, subject: &str) {
        self.by_subject.remove(subject);
    }

    /// Returns the Events about an object.
    pub(crate) fn about(&self, subject: &str) -> impl Iterator<Item = &KubeEvent> {
        self.by_subject.get(subject).into_iter().flat_map(BTreeMap::values)
    }

    /// Takes the Events that were added or repeated since the last call, about objects that are `known`. The others stay:
    /// an Event may arrive before its object.
    pub(crate) fn take_recent(&mut self, known: impl Fn(&str) -> bool) -> Vec<(String, KubeEvent)> {
        let mut taken = Vec::new();
        for (subject, uid) in std::mem::take(&mut self.recent) {
            if !known(&subject) {
                self.recent.push_back((subject, uid));
            } else if let Some(event) = self.by_subject.get(&subject).and_then(|events| events.get(&uid)) {
                taken.push((subject, event.clone()));
            }
        }
        taken
    }

    /// Returns the latest Event about an object with one of these reasons.
    pub(crate) fn latest(&self, subject: &str, reasons: &[&str]) -> Option<&KubeEvent> {
        self.about(subject)
            .filter(|event| reasons.contains(&event.reason.as_str()))
            .max_by_key(|event| event.last)
    }
}

impl KubeEvent {
    fn from_event(event: &Event) -> Self {
        let series = event.series.as_ref();
        // events.k8s.io/v1 sets `eventTime` and `series`, the older core/v1 API `firstTimestamp` and `lastTimestamp`.
        let first = event
            .first_timestamp
            .as_ref()
            .map(|time| time.0)
            .or_else(|| event.event_time.as_ref().map(|time| time.0))
            .or_else(|| event.metadata.creation_timestamp.as_ref().map(|time| time.0))
            .unwrap_or(Timestamp::UNIX_EPOCH);
        let last = series
            .and_then(|series| series.last_observed_time.as_ref().map(|time| time.0))
            .or_else(|| event.last_timestamp.as_ref().map(|time| time.0))
            .map_or(first, |last| last.max(first));
        let count = series.and_then(|series| series.count).or(event.count).unwrap_or(1);
        Self {
            is_warning: event.type_.as_deref() == Some("Warning"),
            reason: event.reason.clone().unwrap_or_default(),
            message: event.message.clone().unwrap_or_default(),
            container: event.involved_object.field_path.as_deref().and_then(container_of).map(str::to_owned),
            related: event.related.as_ref().and_then(id_of),
            first,
            last,
            count: u32::try_from(count).unwrap_or(1),
        }
    }
}

/// Returns the object of a reference with a kind and a name.
fn id_of(reference: &ObjectReference) -> Option<ObjectId> {
    let version = reference.api_version.as_deref().unwrap_or_default();
    let group = version.split_once('/').map_or("", |(group, _)| group);
    let (kind, name) = (reference.kind.as_deref()?, reference.name.as_deref()?);
    let namespace = reference.namespace.clone();
    Some(ObjectId { group: group.to_owned(), kind: kind.to_owned(), namespace, name: name.to_owned() })
}

/// Returns the container in a field path: `wait` of `spec.initContainers{wait}`.
fn container_of(field_path: &str) -> Option<&str> {
    field_path.split_once('{')?.1.strip_suffix('}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn event_times_of_both_apis_are_read() {
        let mut events = KubeEvents::default();
        events
            .put(&json!({"metadata": {"uid": "e1"}, "involvedObject": {"uid": "p", "fieldPath": "spec.containers{app}"},
                "reason": "Unhealthy", "message": "old", "count": 4,
                "firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": "2026-01-01T00:00:09Z"}))
            .unwrap();
        events
            .put(&json!({"metadata": {"uid": "e2"}, "involvedObject": {"uid": "p"}, "reason": "FailedScheduling",
                "eventTime": "2026-01-01T00:00:01.5Z",
                "series": {"count": 3, "lastObservedTime": "2026-01-01T00:00:10.5Z"}}))
            .unwrap();
        let latest = events.latest("p", &["Unhealthy", "FailedScheduling"]).unwrap();
        assert_eq!((latest.count, latest.last.to_string().as_str()), (3, "2026-01-01T00:00:10.5Z"));
        let unhealthy = events.latest("p", &["Unhealthy"]).unwrap();
        assert_eq!((unhealthy.count, unhealthy.container.as_deref()), (4, Some("app")));
        events.remove("e2");
        events.remove("e1");
        assert!(events.latest("p", &["Unhealthy", "FailedScheduling"]).is_none());
    }

    #[test]
    fn events_of_strangers_do_not_displace_newer_ones() {
        let mut events = KubeEvents::default();
        for number in 0..MAX_RECENT {
            let uid = format!("s{number}");
            events.put(&json!({"metadata": {"uid": uid}, "involvedObject": {"uid": "stranger"}})).unwrap();
        }
        assert!(events.take_recent(|uid| uid == "p").is_empty());
        events.put(&json!({"metadata": {"uid": "e"}, "involvedObject": {"uid": "p"}})).unwrap();
        assert_eq!(events.take_recent(|uid| uid == "p").len(), 1);
        assert_eq!(events.recent.len(), MAX_RECENT - 1, "the oldest one of the stranger is dropped");
    }
}
