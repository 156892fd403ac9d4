//! Events → the rows of the timeline: a row for each step, each watched object and each container. Pure.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use super::clean::clean;
use crate::event::{Action, ContainerChange, Event, Finished, KubernetesEvent, Progress, RunChanges};
use crate::object::ObjectId;
use crate::phrase;
use crate::status::Finding;
use crate::timeline::{Moment, MomentKind, Row, RowKind, RunRecord, SpanState};

/// The maximum number of marks of one row: a probe that fails every second has no end.
const MAX_MARKS: usize = 100;
/// The maximum number of rows. A page with more is no picture any more.
const MAX_ROWS: usize = 200;

/// What a run did, and when.
#[derive(Debug, Default)]
pub(super) struct RunTimeline {
    pub(super) command: String,
    /// The parts of the command with their targets: `deploy: openhands → kind-local-hands / openhands`.
    pub(super) parts: Vec<String>,
    started: Option<Timestamp>,
    ended: Option<Timestamp>,
    /// When the current part of the command began: `up` has two, and an automatic rollback is another one.
    part: Duration,
    /// Pod and name of the containers that the current part has reported. It reports all that exist when it begins to follow
    /// a rollout.
    reported: BTreeSet<(String, String)>,
    pub(super) rows: Vec<Row>,
    /// The number of rows that are left out.
    pub(super) omitted: usize,
    pub(super) changes: Option<RunChanges>,
    pub(super) objects: Vec<ProcessedObject>,
    pub(super) findings: Vec<Finding>,
    /// Each warning with its id.
    pub(super) warnings: Vec<(&'static str, String)>,
    pub(super) finished: Option<Finished>,
}

/// An object that was applied, deleted or kept.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ProcessedObject {
    pub(super) action: &'static str,
    pub(super) object: String,
    pub(super) message: String,
    pub(super) at: Duration,
}

impl RunTimeline {
    /// Adds what an event says.
    pub(super) fn observe(&mut self, event: &Event, time: Timestamp) {
        let started = *self.started.get_or_insert(time);
        self.ended = Some(time);
        let now = phrase::elapsed(started, time);
        match event {
            Event::Started { command } => self.command.clone_from(command),
            Event::Target { command, target } => {
                self.part = now;
                self.reported.clear();
                self.parts.push(format!("{command}: {target}"));
            }
            Event::Step { name, progress, message, .. } => self.step(name, *progress, &clean(message), now),
            Event::Rollout { object, ready, message, .. } => {
                let state = if *ready { SpanState::Ready } else { SpanState::Active };
                if let Some(row) = self.object_row(object) {
                    row.change(state, &clean(message), now);
                }
            }
            Event::Container(change) => self.container(change, now),
            Event::KubernetesEvent(event) => self.kubernetes_event(event, now),
            // An automatic rollback has no changes of its own.
            Event::Changes(changes) => {
                self.changes.get_or_insert_with(|| (**changes).clone());
            }
            Event::Object { object, action, message, .. } => {
                self.object(object, *action, message.as_deref(), now);
            }
            Event::Probe { target, healthy, message } => {
                let kind = if *healthy { MomentKind::Event } else { MomentKind::Warning };
                let text = clean(&format!("{target} {message}"));
                if let Some(row) = self.step_row("probe") {
                    mark(row, Moment { at: now, kind, text });
                }
            }
            Event::Finding(finding) => self.finding(finding, now),
            Event::Warning { id, message, .. } => self.warnings.push((id.code(), message.clone())),
            Event::Finished(finished) => {
                let mut rows = std::mem::take(&mut self.rows);
                for row in &mut rows {
                    row.end(if self.was_gone_before(row) { self.part } else { now });
                }
                self.rows = rows;
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

    /// Returns the rows of the current part until now, as its revision keeps them.
    pub(super) fn record(&self, now: Timestamp) -> RunRecord {
        let took = self.started.map_or(Duration::ZERO, |started| phrase::elapsed(started, now));
        RunRecord {
            started: self.started.and_then(|started| started.checked_add(self.part).ok()),
            took: took.saturating_sub(self.part),
            rows: self
                .rows
                .iter()
                .filter(|row| !self.was_gone_before(row))
                .filter_map(|row| row.since(self.part))
                .collect(),
            omitted: self.omitted,
        }
    }

    /// Whether a container was gone when the current part began to follow a rollout.
    fn was_gone_before(&self, row: &Row) -> bool {
        let RowKind::Container { pod, .. } = &row.kind else { return false };
        !self.reported.is_empty() && !self.reported.contains(&(pod.clone(), row.label.clone()))
    }

    /// Returns the row, and adds it if there is none. None if there are too many.
    fn row(&mut self, is_same: impl Fn(&Row) -> bool, new: impl FnOnce() -> Row) -> Option<&mut Row> {
        let index = match self.rows.iter().position(is_same) {
            Some(index) => index,
            None if self.rows.len() >= MAX_ROWS => {
                self.omitted += 1;
                return None;
            }
            None => {
                self.rows.push(new());
                self.rows.len() - 1
            }
        };
        self.rows.get_mut(index)
    }

    fn step_row(&mut self, name: &str) -> Option<&mut Row> {
        let is_same = |row: &Row| row.kind == RowKind::Step && row.label == name;
        self.row(is_same, || Row::new(RowKind::Step, name.to_owned()))
    }

    fn object_row(&mut self, object: &ObjectId) -> Option<&mut Row> {
        let label = object.to_string();
        let is_same = |row: &Row| row.kind == RowKind::Object && row.label == label;
        self.row(is_same, || Row::new(RowKind::Object, label.clone()))
    }

    fn step(&mut self, name: &str, progress: Progress, message: &str, now: Duration) {
        let Some(row) = self.step_row(name) else { return };
        let state = match progress {
            Progress::Started => return row.change(SpanState::Active, message, now),
            Progress::Done => SpanState::Done,
            Progress::Skipped => SpanState::Skipped,
            Progress::Failed => SpanState::Failed,
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

    fn container(&mut self, change: &ContainerChange, now: Duration) {
        let ContainerChange { report, age, .. } = change;
        let pod = report.pod.name.clone();
        self.reported.insert((pod.clone(), report.container.clone()));
        let is_same = |row: &Row| {
            matches!(&row.kind, RowKind::Container { pod: own, .. } if *own == pod)
                && row.label == report.container
        };
        let row = self.row(is_same, || {
            let workload = report.workload.as_ref().map(ToString::to_string).unwrap_or_default();
            let kind = RowKind::Container { pod: pod.clone(), workload, image: report.image.clone() };
            Row::new(kind, report.container.clone())
        });
        let Some(row) = row else { return };
        if report.state == SpanState::Gone {
            row.end(now);
        } else {
            row.change(report.state, &clean(&report.message), now.saturating_sub(*age));
        }
    }

    /// Marks the row of the container, else that of a container of the pod, else that of the workload.
    fn kubernetes_event(&mut self, event: &KubernetesEvent, now: Duration) {
        let KubernetesEvent { report, age } = event;
        let count = if report.count > 1 { format!(" ({} times)", report.count) } else { String::new() };
        let text = clean(&format!("{}: {}{count}", report.reason, report.message));
        let kind = if report.is_warning { MomentKind::Warning } else { MomentKind::Event };
        let moment = Moment { at: now.saturating_sub(*age), kind, text };
        let is_of_pod = |row: &Row| matches!(&row.kind, RowKind::Container { pod, .. } if report.object.kind == "Pod" && *pod == report.object.name);
        let is_of_container =
            |row: &Row| is_of_pod(row) && report.container.as_ref().is_some_and(|name| *name == row.label);
        let index =
            self.rows.iter().position(is_of_container).or_else(|| self.rows.iter().position(is_of_pod));
        let row = match index {
            Some(index) => self.rows.get_mut(index),
            None => self.object_row(report.workload.as_ref().unwrap_or(&report.object)),
        };
        if let Some(row) = row {
            mark(row, moment);
        }
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

    /// Marks the row of the faulty container, else that of the member.
    fn finding(&mut self, finding: &Finding, now: Duration) {
        let text = format!("{} {}", finding.id, finding.id.title());
        let is_of_container = |row: &Row| {
            let name = finding.container.as_deref();
            matches!(&row.kind, RowKind::Container { pod, .. } if *pod == finding.object.name)
                && name.is_none_or(|name| name == row.label)
        };
        let row = match self.rows.iter().position(is_of_container) {
            Some(index) => self.rows.get_mut(index),
            None => self.object_row(finding.member.as_ref().unwrap_or(&finding.object)),
        };
        if let Some(row) = row
            && row.marks.iter().all(|mark| mark.text != text)
        {
            mark(row, Moment { at: now, kind: MomentKind::Finding, text });
        }
        let known = |other: &Finding| {
            other.id == finding.id && other.object == finding.object && other.message == finding.message
        };
        if !self.findings.iter().any(known) {
            self.findings.push(finding.clone());
        }
    }
}

/// Adds a mark. Of too many, the last ones replace the one before them.
fn mark(row: &mut Row, moment: Moment) {
    if row.marks.len() >= MAX_MARKS {
        row.marks.pop();
    }
    row.marks.push(moment);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::scenario::{self, Scenario, timestamp};

    fn timeline(scenario: Scenario) -> RunTimeline {
        let mut timeline = RunTimeline::default();
        for (milliseconds, event) in scenario {
            timeline.observe(&event, timestamp(milliseconds));
        }
        timeline
    }

    fn row<'a>(timeline: &'a RunTimeline, label: &str) -> &'a Row {
        timeline.rows.iter().find(|row| row.label == label).unwrap()
    }

    fn spans(row: &Row) -> Vec<(SpanState, &str, u128, u128)> {
        let spans = row.spans.iter();
        spans
            .map(|span| (span.state, span.text.as_str(), span.from.as_millis(), span.to.unwrap().as_millis()))
            .collect()
    }

    #[test]
    fn workload_has_a_span_for_each_state() {
        let timeline = timeline(scenario::deploy());
        assert_eq!(
            spans(row(&timeline, "deployment.apps/openhands")),
            [
                (SpanState::Active, "0/1: pulling image", 332, 41_020),
                (SpanState::Ready, "1/1", 41_020, 41_200),
            ]
        );
        assert_eq!(row(&timeline, "preflight").spans[0].to, Some(Duration::from_millis(110)));
        assert_eq!(
            row(&timeline, "settings").spans[0].from,
            Duration::from_millis(41_062),
            "it took no time"
        );
        assert_eq!(row(&timeline, "probe").marks[0].text, "/alive 200 in 6 ms");
        assert_eq!(timeline.objects.len(), 3, "an unchanged object is left out: {:?}", timeline.objects);
    }

    #[test]
    fn container_has_a_row_with_its_states_and_events() {
        let timeline = timeline(scenario::deploy());
        let container = row(&timeline, "openhands");
        assert!(
            matches!(&container.kind, RowKind::Container { workload, .. } if workload == "deployment.apps/openhands")
        );
        assert_eq!(
            spans(container),
            [
                (SpanState::Waiting, "waiting for a node", 334, 1_400),
                (SpanState::Pulling, "pulling image", 1_400, 38_900),
                (SpanState::Starting, "container not ready", 38_900, 41_019),
                (SpanState::Ready, "ready", 41_019, 41_200),
            ]
        );
        let marks: Vec<_> =
            container.marks.iter().map(|mark| (mark.kind, mark.at.as_millis(), mark.text.as_str())).collect();
        assert_eq!(
            marks,
            [
                (MomentKind::Event, 1_400, "Pulling: Pulling image \"openhands:0.59\""),
                (MomentKind::Warning, 39_950, "Unhealthy: Startup probe failed: HTTP 503 (2 times)"),
            ]
        );
        let of_replica_set = row(&timeline, "deployment.apps/openhands");
        assert_eq!(of_replica_set.marks[0].text, "SuccessfulCreate: Created pod: openhands-6d5f9c7b9-x2kqp");
    }

    #[test]
    fn finding_marks_the_row_of_its_container_once() {
        let timeline = timeline(scenario::up_with_a_bad_image());
        assert_eq!(timeline.findings.len(), 1);
        let container = row(&timeline, "openhands");
        assert!(matches!(container.marks[..], [Moment { kind: MomentKind::Finding, .. }]), "{container:?}");
        assert_eq!(row(&timeline, "rollout").spans[0].state, SpanState::Failed);
    }

    #[test]
    fn record_has_the_current_part_only() {
        let mut timeline = timeline(scenario::deploy());
        let target = Event::Target { command: "rollback".into(), target: String::new() };
        let rollout = |progress| scenario::step(crate::event::Phase::Track, "rollout", progress, "");
        let events =
            [(50_000, target), (50_100, rollout(Progress::Started)), (52_100, rollout(Progress::Done))];
        for (at, event) in events {
            timeline.observe(&event, timestamp(at));
        }
        let record = timeline.record(timestamp(53_000));
        assert_eq!((record.took.as_secs(), record.started), (3, Some(timestamp(50_000))));
        let [rollout] = record.rows.as_slice() else { panic!("{:?}", record.rows) };
        let span = &rollout.spans[0];
        assert_eq!((span.from.as_millis(), span.to.unwrap().as_millis()), (100, 2_100));
    }

    #[test]
    fn row_of_a_deleted_pod_ends() {
        let mut timeline = RunTimeline::default();
        let ready = scenario::container(SpanState::Ready, "ready", 5_000, None);
        let gone = scenario::container(SpanState::Gone, "deleted", 0, None);
        for (at, event) in [(0, ready), (3_000, gone)] {
            timeline.observe(&event, timestamp(at));
        }
        timeline.observe(&Event::Finished(Finished::default()), timestamp(9_000));
        assert_eq!(
            spans(&timeline.rows[0]),
            [(SpanState::Ready, "ready", 0, 3_000)],
            "it was ready before the run"
        );
    }

    #[test]
    fn pod_that_was_gone_before_the_rollback_ends_with_the_deploy() {
        let mut timeline = RunTimeline::default();
        let old = scenario::container(SpanState::Failed, "crashed", 0, None);
        let target = Event::Target { command: "rollback".into(), target: String::new() };
        let Event::Container(mut new) = scenario::container(SpanState::Ready, "ready", 0, None) else {
            panic!("not a container")
        };
        new.report.pod.name = "of-the-rollback".to_owned();
        for (at, event) in [(1_000, old), (5_000, target), (6_000, Event::Container(new))] {
            timeline.observe(&event, timestamp(at));
        }
        assert_eq!(timeline.record(timestamp(8_000)).rows.len(), 1, "the pod of the rollback");
        timeline.observe(&Event::Finished(Finished::default()), timestamp(9_000));
        assert_eq!(spans(&timeline.rows[0]), [(SpanState::Failed, "crashed", 0, 4_000)]);
        assert_eq!(spans(&timeline.rows[1]), [(SpanState::Ready, "ready", 5_000, 8_000)]);
    }

    #[test]
    fn texts_of_the_cluster_are_one_line_without_secrets() {
        let mut timeline = RunTimeline::default();
        let message = "probe failed: API_KEY=sk-planted\nsecond\u{1b}[31m line";
        timeline.observe(&scenario::kubernetes_event("Unhealthy", true, message, 1), timestamp(0));
        let text = &timeline.rows[0].marks[0].text;
        assert!(!text.contains("sk-planted") && !text.contains(['\n', '\u{1b}']), "{text}");
    }

    #[test]
    fn endless_events_and_pods_are_bounded() {
        let mut timeline = RunTimeline::default();
        for count in 0..500 {
            timeline.observe(&scenario::kubernetes_event("Unhealthy", true, "m", count), timestamp(0));
            let mut object = scenario::deployment();
            object.name = format!("d-{count}");
            let event = Event::Rollout { object, ready: true, message: "1/1".into(), fails_in: None };
            timeline.observe(&event, timestamp(1));
        }
        assert_eq!((timeline.rows[0].marks.len(), timeline.rows.len()), (MAX_MARKS, MAX_ROWS));
        assert!(timeline.rows[0].marks.last().unwrap().text.contains("499 times"));
        assert_eq!(timeline.omitted, 301);
    }
}
