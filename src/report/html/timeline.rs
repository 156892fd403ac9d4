//! Events → the rows of the timeline: a row for each step and for each watched workload. Pure.

use std::time::Duration;

use jiff::Timestamp;

use crate::event::{Action, Event, Finished, Progress};
use crate::object::ObjectId;
use crate::phrase;
use crate::status::Finding;

/// What a run did, and when.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    pub(super) command: String,
    /// The parts of the command with their targets: `deploy: openhands → kind-local-hands / openhands`.
    pub(super) parts: Vec<String>,
    started: Option<Timestamp>,
    ended: Option<Timestamp>,
    pub(super) rows: Vec<Row>,
    pub(super) objects: Vec<ProcessedObject>,
    pub(super) findings: Vec<Finding>,
    /// Each warning with its id.
    pub(super) warnings: Vec<(&'static str, String)>,
    pub(super) finished: Option<Finished>,
}

/// A line of the timeline.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) label: String,
    pub(super) spans: Vec<Span>,
    pub(super) marks: Vec<Moment>,
}

/// A state with the times of its begin and its end, from the start of the command.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) state: State,
    pub(super) text: String,
    pub(super) from: Duration,
    /// None: it has not ended.
    pub(super) to: Option<Duration>,
}

/// The state of a step or of a workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Pending,
    Done,
    Skipped,
    Failed,
}

/// Something that happened at one time.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) at: Duration,
    pub(super) is_problem: bool,
    pub(super) text: String,
}

/// An object that was applied, deleted or kept.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ProcessedObject {
    pub(super) action: &'static str,
    pub(super) object: String,
    pub(super) message: String,
    pub(super) at: Duration,
}

impl Timeline {
    /// Adds what an event says.
    pub(super) fn observe(&mut self, event: &Event, time: Timestamp) {
        let started = *self.started.get_or_insert(time);
        self.ended = Some(time);
        let now = phrase::elapsed(started, time);
        match event {
            Event::Started { command } => self.command.clone_from(command),
            Event::Target { command, target } => self.parts.push(format!("{command}: {target}")),
            Event::Step { name, progress, message, .. } => self.step(name, *progress, message, now),
            Event::Rollout { object, ready, message, .. } => {
                self.row(&object.to_string()).change(
                    if *ready { State::Done } else { State::Pending },
                    message,
                    now,
                );
            }
            Event::Object { object, action, message, .. } => {
                self.object(object, *action, message.as_deref(), now);
            }
            Event::Probe { target, healthy, message } => {
                let mark = Moment { at: now, is_problem: !healthy, text: format!("{target} {message}") };
                self.row("probe").marks.push(mark);
            }
            Event::Finding(finding) => self.finding(finding, now),
            Event::Warning { id, message, .. } => self.warnings.push((id.code(), message.clone())),
            Event::Finished(finished) => {
                for row in &mut self.rows {
                    row.end(now);
                }
                self.finished = Some(finished.clone());
            }
            Event::Config { .. }
            | Event::Planned { .. }
            | Event::Check { .. }
            | Event::Waiting { .. }
            | Event::Wire { .. } => {}
        }
    }

    /// Returns when the command started, and how long it took.
    pub(super) fn extent(&self) -> (Option<Timestamp>, Duration) {
        let took = self.started.zip(self.ended).map(|(started, ended)| phrase::elapsed(started, ended));
        (self.started, took.unwrap_or_default())
    }

    fn row(&mut self, label: &str) -> &mut Row {
        let found = self.rows.iter().position(|row| row.label == label);
        let index = found.unwrap_or_else(|| {
            self.rows.push(Row { label: label.to_owned(), spans: Vec::new(), marks: Vec::new() });
            self.rows.len() - 1
        });
        &mut self.rows[index]
    }

    fn step(&mut self, name: &str, progress: Progress, message: &str, now: Duration) {
        let row = self.row(name);
        let state = match progress {
            Progress::Started => return row.change(State::Pending, message, now),
            Progress::Done => State::Done,
            Progress::Skipped => State::Skipped,
            Progress::Failed => State::Failed,
        };
        // A step that took no time has no begin of its own.
        if row.spans.last().is_none_or(|span| span.to.is_some()) {
            row.change(state, message, now);
        }
        if let Some(span) = row.spans.last_mut() {
            span.state = state;
            if !message.is_empty() {
                message.clone_into(&mut span.text);
            }
        }
        row.end(now);
    }

    fn object(&mut self, object: &ObjectId, action: Action, message: Option<&str>, now: Duration) {
        if action != Action::Unchanged {
            self.objects.push(ProcessedObject {
                action: action.as_str(),
                object: object.to_string(),
                message: message.unwrap_or_default().to_owned(),
                at: now,
            });
        }
    }

    fn finding(&mut self, finding: &Finding, now: Duration) {
        let object = finding.member.as_ref().unwrap_or(&finding.object);
        let text = format!("{} {}", finding.id, finding.id.title());
        let row = self.row(&object.to_string());
        if row.marks.iter().all(|mark| mark.text != text) {
            row.marks.push(Moment { at: now, is_problem: true, text });
        }
        let known = |other: &Finding| {
            other.id == finding.id && other.object == finding.object && other.message == finding.message
        };
        if !self.findings.iter().any(known) {
            self.findings.push(finding.clone());
        }
    }
}

impl Row {
    /// Ends the current state and begins another one, unless nothing changes.
    fn change(&mut self, state: State, text: &str, now: Duration) {
        if self.spans.last().is_some_and(|span| span.to.is_none() && span.state == state && span.text == text)
        {
            return;
        }
        self.end(now);
        self.spans.push(Span { state, text: text.to_owned(), from: now, to: None });
    }

    fn end(&mut self, now: Duration) {
        if let Some(span) = self.spans.last_mut().filter(|span| span.to.is_none()) {
            span.to = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::scenario::{self, Scenario, timestamp};

    pub(crate) fn timeline(scenario: Scenario) -> Timeline {
        let mut timeline = Timeline::default();
        for (milliseconds, event) in scenario {
            timeline.observe(&event, timestamp(milliseconds));
        }
        timeline
    }

    #[test]
    fn workload_has_a_span_for_each_state() {
        let timeline = timeline(scenario::deploy());
        let row = timeline.rows.iter().find(|row| row.label.starts_with("deployment")).unwrap();
        let spans: Vec<_> =
            row.spans.iter().map(|span| (span.state, span.text.as_str(), span.from, span.to)).collect();
        let milliseconds = Duration::from_millis;
        assert_eq!(
            spans,
            [
                (State::Pending, "0/1: pulling image", milliseconds(332), Some(milliseconds(41_020))),
                (State::Done, "1/1", milliseconds(41_020), Some(milliseconds(41_200))),
            ]
        );
        let step = |name: &str| timeline.rows.iter().find(|row| row.label == name).unwrap();
        assert_eq!(step("preflight").spans[0].to, Some(milliseconds(110)));
        assert_eq!(step("settings").spans[0].from, milliseconds(41_062), "it took no time");
        assert_eq!(step("probe").marks[0].text, "/alive 200 in 6 ms");
        assert_eq!(timeline.objects.len(), 3, "an unchanged object is left out: {:?}", timeline.objects);
    }

    #[test]
    fn finding_marks_its_row_once() {
        let timeline = timeline(scenario::up_with_a_bad_image());
        assert_eq!(timeline.findings.len(), 1);
        let marks: Vec<&Moment> = timeline.rows.iter().flat_map(|row| &row.marks).collect();
        assert!(matches!(marks[..], [Moment { is_problem: true, .. }]), "{marks:?}");
        let rollout = timeline.rows.iter().find(|row| row.label == "rollout").unwrap();
        assert_eq!(rollout.spans[0].state, State::Failed);
    }
}
