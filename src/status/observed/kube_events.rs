//! Kubernetes events, reduced to what the judge reads.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use serde::Deserialize;
use serde::de::Error as _;
use serde_json::Value;

/// One event, with its repetitions.
#[derive(Debug, Clone)]
pub(crate) struct KubeEvent {
    pub(crate) reason: String,
    pub(crate) message: String,
    /// `openhands` of the field path `spec.containers{openhands}`.
    pub(crate) container: Option<String>,
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
    pub(crate) count: u32,
}

/// Events by the UID of the object that they are about, then by their own.
#[derive(Debug, Default)]
pub(crate) struct KubeEvents(BTreeMap<String, BTreeMap<String, KubeEvent>>);

impl KubeEvents {
    pub(crate) fn put(&mut self, event: &Value) -> Result<(), serde_json::Error> {
        let event = Event::deserialize(event)?;
        let uid = event.metadata.uid.clone();
        let uid = uid.ok_or_else(|| serde_json::Error::custom("metadata.uid is missing"))?;
        // An event about an object without a UID (a node, say) is none of ours.
        if let Some(subject) = event.involved_object.uid.clone() {
            self.0.entry(subject).or_default().insert(uid, KubeEvent::of(&event));
        }
        Ok(())
    }

    pub(crate) fn remove(&mut self, uid: &str) {
        self.0.retain(|_, notes| {
            notes.remove(uid);
            !notes.is_empty()
        });
    }

    pub(crate) fn forget_subject(&mut self, subject: &str) {
        self.0.remove(subject);
    }

    /// The events about an object.
    pub(crate) fn about(&self, subject: &str) -> impl Iterator<Item = &KubeEvent> {
        self.0.get(subject).into_iter().flat_map(BTreeMap::values)
    }

    /// The latest event about an object with one of these reasons.
    pub(crate) fn latest(&self, subject: &str, reasons: &[&str]) -> Option<&KubeEvent> {
        self.about(subject)
            .filter(|note| reasons.contains(&note.reason.as_str()))
            .max_by_key(|note| note.last)
    }
}

impl KubeEvent {
    fn of(event: &Event) -> Self {
        let series = event.series.as_ref();
        // Events of the newer API have `eventTime` and a series, those of the older one the two timestamps.
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
            reason: event.reason.clone().unwrap_or_default(),
            message: event.message.clone().unwrap_or_default(),
            container: event.involved_object.field_path.as_deref().and_then(container_of).map(str::to_owned),
            first,
            last,
            count: u32::try_from(count).unwrap_or(1),
        }
    }
}

/// The container of a field path: `spec.initContainers{wait}`.
fn container_of(field_path: &str) -> Option<&str> {
    field_path.split_once('{')?.1.strip_suffix('}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn both_apis_times_are_read() {
        let mut notes = KubeEvents::default();
        notes
            .put(&json!({"metadata": {"uid": "e1"}, "involvedObject": {"uid": "p", "fieldPath": "spec.containers{app}"},
                "reason": "Unhealthy", "message": "old", "count": 4,
                "firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": "2026-01-01T00:00:09Z"}))
            .unwrap();
        notes
            .put(&json!({"metadata": {"uid": "e2"}, "involvedObject": {"uid": "p"}, "reason": "FailedScheduling",
                "eventTime": "2026-01-01T00:00:01.5Z",
                "series": {"count": 3, "lastObservedTime": "2026-01-01T00:00:10.5Z"}}))
            .unwrap();
        let latest = notes.latest("p", &["Unhealthy", "FailedScheduling"]).unwrap();
        assert_eq!((latest.count, latest.last.to_string().as_str()), (3, "2026-01-01T00:00:10.5Z"));
        let unhealthy = notes.latest("p", &["Unhealthy"]).unwrap();
        assert_eq!((unhealthy.count, unhealthy.container.as_deref()), (4, Some("app")));
        notes.remove("e2");
        notes.remove("e1");
        assert!(notes.latest("p", &["Unhealthy", "FailedScheduling"]).is_none());
    }
}
