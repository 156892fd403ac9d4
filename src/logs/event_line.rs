//! Kubernetes Events as lines between those of the logs. Pure.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;

use super::batch::{LogLine, LogLines, LogSource};
use super::level::LogLevel;
use super::line_filter::LineFilter;
use super::stamp;

/// The objects whose Events are shown, by their UIDs: the pods, and their owners.
#[derive(Debug, Default)]
pub(crate) struct EventSubjects(HashSet<String>);

impl EventSubjects {
    /// Adds a pod.
    pub(crate) fn add(&mut self, pod: &Value) {
        let owners = pod["metadata"]["ownerReferences"].as_array().into_iter().flatten();
        let uids = owners.map(|owner| &owner["uid"]).chain([&pod["metadata"]["uid"]]);
        self.0.extend(uids.filter_map(Value::as_str).map(str::to_owned));
    }

    /// Whether an Event is about one of them.
    pub(crate) fn include(&self, event: &Value) -> bool {
        event["involvedObject"]["uid"].as_str().is_some_and(|uid| self.0.contains(uid))
    }
}

/// Returns an Event as a line; None if it is not shown.
pub(crate) fn event_line(event: &Value, filter: &LineFilter) -> Option<LogLines> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let object = &event["involvedObject"];
    let kind = text(&event["type"]);
    let level = if kind == "Warning" { LogLevel::Warning } else { LogLevel::Info };
    let count = event["series"]["count"].as_u64().or(event["count"].as_u64()).unwrap_or(1);
    let repeated = if count > 1 { format!(" (x{count})") } else { String::new() };
    // A line has no line break.
    let message = text(&event["message"]).split_whitespace().collect::<Vec<_>>().join(" ");
    let message = format!("{kind} {}: {message}{repeated}", text(&event["reason"]));
    let is_shown = filter.level.is_none_or(|least| level >= least)
        && filter.grep.as_ref().is_none_or(|grep| grep.is_match(message.as_bytes()));
    let time = time_of(event)?;
    is_shown.then(|| {
        let stamp = format!("{time:.9} ");
        let data = Bytes::from(format!("{stamp}{message}\n"));
        let line =
            LogLine { time: Some(stamp::nanos(time)), start: 0, message: stamp.len(), end: data.len() };
        let object = format!("{}/{}", text(&object["kind"]).to_ascii_lowercase(), text(&object["name"]));
        let source = Arc::new(LogSource::of_event(&text(&event["metadata"]["namespace"]), &object));
        LogLines { source, data, lines: vec![line] }
    })
}

/// Returns when an Event happened last: events.k8s.io/v1 sets `eventTime` and `series`, the older core/v1 API
/// `lastTimestamp`.
pub(crate) fn time_of(event: &Value) -> Option<Timestamp> {
    let times = [
        &event["series"]["lastObservedTime"],
        &event["lastTimestamp"],
        &event["eventTime"],
        &event["metadata"]["creationTimestamp"],
    ];
    times.into_iter().find_map(Value::as_str)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use regex::bytes::Regex;
    use serde_json::json;

    use super::*;

    fn event(kind: &str, count: u64) -> Value {
        json!({
            "metadata": {"namespace": "n"}, "type": kind, "reason": "BackOff", "message": "Back-off\nrestarting",
            "count": count, "lastTimestamp": "2026-01-01T00:00:05Z",
            "involvedObject": {"kind": "Pod", "name": "oh-1", "uid": "u"},
        })
    }

    #[test]
    fn event_is_one_line_of_its_object() {
        let lines = event_line(&event("Warning", 3), &LineFilter::default()).unwrap();
        assert_eq!(lines.message(&lines.lines[0]), b"Warning BackOff: Back-off restarting (x3)\n");
        assert_eq!(lines.stamp(&lines.lines[0]), b"2026-01-01T00:00:05.000000000Z ");
        assert_eq!((lines.source.label.as_str(), lines.source.is_event), ("pod/oh-1 event", true));
        let least = |level| LineFilter { level: Some(level), ..LineFilter::default() };
        assert!(event_line(&event("Warning", 1), &least(LogLevel::Warning)).is_some());
        assert!(event_line(&event("Normal", 1), &least(LogLevel::Warning)).is_none());
        let grep = LineFilter { grep: Regex::new("absent").ok(), ..LineFilter::default() };
        assert!(event_line(&event("Warning", 1), &grep).is_none());
    }

    #[test]
    fn events_of_pods_and_their_owners_are_shown() {
        let mut subjects = EventSubjects::default();
        subjects.add(&json!({"metadata": {"uid": "u", "ownerReferences": [{"uid": "owner"}]}}));
        assert!(subjects.include(&event("Normal", 1)));
        for (uid, is_shown) in [("owner", true), ("other", false)] {
            assert_eq!(subjects.include(&json!({"involvedObject": {"uid": uid}})), is_shown, "{uid}");
        }
    }
}
