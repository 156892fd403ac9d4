//! The machine-readable stream: one line per event. The schema is documented in [`crate::event`]. Pure.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::event::{Action, ContainerChange, Event, KubernetesEvent, Phase, RunChanges};
use crate::report::text::error::ErrorObject;
use crate::report::text::json_objects::{FindingObject, ObjectRef, Position};
use crate::report::versioned::VERSION;

/// Numbers the lines of one stream.
#[derive(Debug, Default)]
pub(crate) struct EventsJson {
    seq: u64,
}

impl EventsJson {
    /// Serializes an event as lines, each with its newline. A plan has a line for each of its objects.
    pub(crate) fn lines(&mut self, event: &Event, now: Timestamp) -> serde_json::Result<String> {
        let mut text = String::new();
        for body in bodies(event) {
            self.seq += 1;
            let line = EventLine { v: VERSION, seq: self.seq, ts: format!("{now:.3}"), body };
            text.push_str(&serde_json::to_string(&line)?);
            text.push('\n');
        }
        Ok(text)
    }
}

/// A line of the event stream.
#[derive(Serialize, JsonSchema)]
pub(crate) struct EventLine<'a> {
    /// The version of the schema. A version may get additional fields.
    v: u8,
    /// The number of the line, from 1 without gaps.
    seq: u64,
    /// The time of the event, RFC 3339 in UTC.
    ts: String,
    #[serde(flatten)]
    body: Body<'a>,
}

/// The fields of each type. Every line has all fields of its type.
#[derive(Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Body<'a> {
    Started {
        command: &'a str,
    },
    Target {
        command: &'a str,
        target: &'a str,
    },
    Config {
        phase: &'static str,
        message: &'a str,
    },
    Step {
        phase: &'static str,
        name: &'a str,
        action: &'static str,
        message: &'a str,
    },
    Changes {
        revision: Option<u64>,
        against: Option<u64>,
        changed: Option<&'a [String]>,
        by: &'a str,
        commit: Option<&'a str>,
        run_url: Option<&'a str>,
        note: Option<&'a str>,
        usual: Option<UsualRun>,
    },
    Planned {
        phase: &'static str,
        object: ObjectRef<'a>,
    },
    Object {
        phase: &'static str,
        object: ObjectRef<'a>,
        action: &'static str,
        message: Option<&'a str>,
    },
    Pruned {
        phase: &'static str,
        object: ObjectRef<'a>,
        action: &'static str,
        message: Option<&'a str>,
    },
    Rollout {
        phase: &'static str,
        object: ObjectRef<'a>,
        ready: bool,
        message: &'a str,
        /// Seconds until the rollout fails because of this object, unless it recovers.
        fails_in: Option<u64>,
    },
    Container {
        phase: &'static str,
        object: ObjectRef<'a>,
        workload: Option<ObjectRef<'a>>,
        container: &'a str,
        image: &'a str,
        state: &'static str,
        message: &'a str,
        /// Seconds since the container is in this state.
        age: u64,
        /// Seconds that this state usually takes on this cluster.
        usually: Option<u64>,
    },
    Event {
        phase: &'static str,
        object: ObjectRef<'a>,
        workload: Option<ObjectRef<'a>>,
        container: Option<&'a str>,
        warning: bool,
        reason: &'a str,
        message: &'a str,
        count: u32,
        /// Seconds since it happened.
        age: u64,
    },
    Finding {
        phase: &'static str,
        #[serde(flatten)]
        finding: FindingObject<'a>,
    },
    Probe {
        phase: &'static str,
        ready: bool,
        message: String,
    },
    Check {
        category: &'static str,
        name: &'static str,
        result: &'static str,
        detail: Option<&'a str>,
        problem: Option<Box<ErrorObject<'a>>>,
    },
    Waiting {
        object: Option<ObjectRef<'a>>,
        message: &'a str,
        left: Option<u64>,
    },
    Warning {
        id: &'static str,
        message: &'a str,
        location: Option<Position<'a>>,
    },
    Wire {
        requests: u64,
        bytes_in: u64,
        bytes_out: u64,
        slowest: &'a str,
    },
    Finished {
        exit: u8,
        id: Option<&'static str>,
        revision: Option<u64>,
        url: Option<&'a str>,
        sandboxes: Option<u64>,
        model: Option<&'a str>,
        message: &'a str,
        notes: &'a [String],
        error: Option<Box<ErrorObject<'a>>>,
    },
}

/// The newest good revision that has its times.
#[derive(Serialize, JsonSchema)]
struct UsualRun {
    revision: u64,
    /// Seconds from the start until its result was recorded.
    took: u64,
}

fn bodies(event: &Event) -> Vec<Body<'_>> {
    let body = match event {
        Event::Planned { phase, objects } => {
            let planned = |object| Body::Planned { phase: phase.as_str(), object: ObjectRef::new(object) };
            return objects.iter().map(planned).collect();
        }
        Event::Started { command } => Body::Started { command },
        Event::Target { command, target } => Body::Target { command, target },
        Event::Config { message } => Body::Config { phase: Phase::Config.as_str(), message },
        Event::Step { phase, name, progress, message } => {
            Body::Step { phase: phase.as_str(), name, action: progress.as_str(), message }
        }
        Event::Object { phase, object, action: action @ Action::Pruned, message, .. } => Body::Pruned {
            phase: phase.as_str(),
            object: ObjectRef::new(object),
            action: action.as_str(),
            message: message.as_deref(),
        },
        Event::Object { phase, object, action, message, .. } => Body::Object {
            phase: phase.as_str(),
            object: ObjectRef::new(object),
            action: action.as_str(),
            message: message.as_deref(),
        },
        Event::Rollout { object, ready, message, fails_in } => {
            let (phase, fails_in) = (Phase::Track.as_str(), fails_in.map(|left| left.as_secs()));
            Body::Rollout { phase, object: ObjectRef::new(object), ready: *ready, message, fails_in }
        }
        Event::Container(change) => container(change),
        Event::KubernetesEvent(event) => kubernetes_event(event),
        Event::Changes(run) => changes(run),
        Event::Finding(finding) => {
            Body::Finding { phase: Phase::Track.as_str(), finding: FindingObject::new(finding) }
        }
        Event::Probe { target, healthy, message } => Body::Probe {
            phase: Phase::Probe.as_str(),
            ready: *healthy,
            message: format!("{target} {message}"),
        },
        Event::Check { category, name, verdict, detail, problem } => Body::Check {
            category,
            name,
            result: verdict.as_str(),
            detail: Some(detail.as_str()).filter(|detail| !detail.is_empty()),
            problem: problem.as_deref().map(ErrorObject::new).map(Box::new),
        },
        Event::Waiting { object, message, left } => Body::Waiting {
            object: object.as_ref().map(ObjectRef::new),
            message,
            left: left.map(|left| left.as_secs()),
        },
        Event::Warning { id, message, diagnostic } => {
            let location = diagnostic.as_ref().and_then(|diagnostic| diagnostic.location.as_ref());
            Body::Warning { id: id.code(), message, location: location.map(Position::new) }
        }
        Event::Wire { requests, bytes_in, bytes_out, slowest } => {
            Body::Wire { requests: *requests, bytes_in: *bytes_in, bytes_out: *bytes_out, slowest }
        }
        Event::Finished(finished) => Body::Finished {
            exit: finished.exit,
            id: finished.id.map(crate::catalogue::Id::code),
            revision: finished.revision,
            url: finished.url.as_deref(),
            sandboxes: finished.sandboxes,
            model: finished.model.as_deref(),
            message: &finished.message,
            notes: &finished.notes,
            error: finished.error.as_deref().map(ErrorObject::new).map(Box::new),
        },
    };
    vec![body]
}

fn container(change: &ContainerChange) -> Body<'_> {
    let ContainerChange { report, age, usually } = change;
    Body::Container {
        phase: Phase::Track.as_str(),
        object: ObjectRef::new(&report.pod),
        workload: report.workload.as_ref().map(ObjectRef::new),
        container: &report.container,
        image: &report.image,
        state: report.state.as_str(),
        message: &report.message,
        age: age.as_secs(),
        usually: usually.map(|usually| usually.as_secs()),
    }
}

fn kubernetes_event(event: &KubernetesEvent) -> Body<'_> {
    let KubernetesEvent { report, age } = event;
    Body::Event {
        phase: Phase::Track.as_str(),
        object: ObjectRef::new(&report.object),
        workload: report.workload.as_ref().map(ObjectRef::new),
        container: report.container.as_deref(),
        warning: report.is_warning,
        reason: &report.reason,
        message: &report.message,
        count: report.count,
        age: age.as_secs(),
    }
}

fn changes(run: &RunChanges) -> Body<'_> {
    let RunChanges { revision, against, changed, by, commit, run_url, note, usual } = run;
    let usual = usual.as_ref();
    Body::Changes {
        revision: *revision,
        against: *against,
        changed: changed.as_deref(),
        by,
        commit: commit.as_deref(),
        run_url: run_url.as_deref(),
        note: note.as_deref(),
        usual: usual.map(|(revision, record)| UsualRun { revision: *revision, took: record.took.as_secs() }),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use serde_json::Value;

    use super::*;
    use crate::report::scenario::{self, assert_recorded, timestamp};
    use crate::report::schemas::events_schema;
    use crate::report::schemas::tests::assert_matches;

    fn all_lines() -> Vec<Value> {
        let mut json = EventsJson::default();
        let pruned = scenario::object(Action::Pruned, scenario::deployment(), None);
        let scenarios =
            [scenario::deploy(), vec![(50_000, pruned)], scenario::up_with_a_bad_image(), scenario::checks()];
        let text: String = scenarios
            .iter()
            .flatten()
            .map(|(at, event)| json.lines(event, timestamp(*at)).unwrap())
            .collect();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Reads the table of types and fields in the documentation of `event.rs`.
    fn documented_fields() -> BTreeMap<String, BTreeSet<String>> {
        let mut fields_by_type = BTreeMap::new();
        for line in include_str!("../../event.rs").lines().take_while(|line| line.starts_with("//!")) {
            let cells: Vec<&str> = line.trim_start_matches("//! ").split('|').map(str::trim).collect();
            let [_, types, fields, _, _] = cells.as_slice() else { continue };
            for name in types.split(", ").filter_map(|name| name.strip_prefix('`')?.strip_suffix('`')) {
                let fields = fields.trim_matches('`').split(' ').map(str::to_owned).collect();
                fields_by_type.insert(name.to_owned(), fields);
            }
        }
        fields_by_type
    }

    #[test]
    fn every_type_has_exactly_its_documented_fields() {
        let documented = documented_fields();
        let mut types = BTreeSet::new();
        for line in all_lines() {
            let kind = line["type"].as_str().unwrap().to_owned();
            let mut fields: BTreeSet<String> = line.as_object().unwrap().keys().cloned().collect();
            for common in ["v", "seq", "ts", "type"] {
                assert!(fields.remove(common), "{line} has no {common}");
            }
            assert_eq!(Some(&fields), documented.get(&kind), "{line}");
            types.insert(kind);
        }
        let documented: BTreeSet<String> = documented.into_keys().collect();
        assert_eq!(types, documented, "the scenarios contain every type of the schema");
    }

    #[test]
    fn every_line_matches_the_schema() {
        let schema = events_schema();
        for line in all_lines() {
            assert_matches(&schema, &line);
        }
    }

    #[test]
    fn sequence_numbers_have_no_gaps() {
        let numbers: Vec<u64> = all_lines().iter().map(|line| line["seq"].as_u64().unwrap()).collect();
        assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    }

    #[test]
    fn deploy_writes_recorded_event_lines() {
        let mut json = EventsJson::default();
        let text: String =
            scenario::deploy().iter().map(|(at, event)| json.lines(event, timestamp(*at)).unwrap()).collect();
        assert!(!text.contains("very-secret"));
        assert_recorded!("events.ndjson", text);
    }
}
