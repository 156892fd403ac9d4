//! Tracks in the events what the command waits for, and repeats it when no other event arrives.
//! Pure: the time is an argument.

use std::time::Duration;

use jiff::Timestamp;

use super::gap::WaitingContainers;
use crate::event::{Event, Phase, Progress};
use crate::object::ObjectId;
use crate::phrase;
use crate::report::text::format;

/// The longest time without output. A CI service may stop a job without output as hung.
const MAX_SILENCE: Duration = Duration::from_secs(30);

/// The running steps and unready objects that the command waits for, and since when.
#[derive(Debug, Default)]
pub(crate) struct Heartbeat {
    last: Option<Timestamp>,
    deadline: Option<Timestamp>,
    steps: Vec<RunningStep>,
    unready: Vec<UnreadyObject>,
    containers: WaitingContainers,
}

#[derive(Debug)]
struct RunningStep {
    phase: Phase,
    name: String,
    message: String,
    since: Timestamp,
}

#[derive(Debug)]
struct UnreadyObject {
    object: ObjectId,
    message: String,
    since: Timestamp,
    /// When the rollout fails because of it, unless it recovers.
    fails_at: Option<Timestamp>,
}

/// What the command waits for, in its parts: a narrow terminal has no room for all.
#[derive(Debug)]
pub(crate) struct WaitText {
    /// The object: `deployment.apps/openhands`.
    pub(crate) object: String,
    /// The state and since when: `0/1: pulling image 12 s`, `0/1 available, 1 pulling image 12 s of about 1 m`.
    pub(crate) reason: String,
    /// The same in fewer words, if there are any.
    pub(crate) short_reason: Option<String>,
    /// The time until the rollout fails, unless the object recovers.
    pub(crate) fails_in: Option<Duration>,
    /// The time until the command's deadline.
    pub(crate) left: Option<Duration>,
}

impl Heartbeat {
    /// Updates the state from an event.
    pub(crate) fn observe(&mut self, event: &Event, now: Timestamp) {
        if !self.is_progress_of_open_step(event) && !is_detail(event) {
            self.last = Some(now);
        }
        match event {
            Event::Started { .. } | Event::Target { .. } | Event::Finished(_) => {
                *self = Self { last: Some(now), ..Self::default() }
            }
            Event::Step { phase, name, progress, message } => {
                self.step(*phase, name, *progress, message, now);
            }
            Event::Rollout { object, ready: true, .. } => self.unready.retain(|it| it.object != *object),
            Event::Rollout { object, message, fails_in, .. } => {
                let fails_at = fails_in.and_then(|left| now.checked_add(left).ok());
                self.add_unready(object, message, fails_at, now);
            }
            Event::Container(change) => self.containers.observe(change, now),
            Event::Waiting { left: Some(left), .. } => self.deadline = now.checked_add(*left).ok(),
            _ => {}
        }
    }

    /// Whether an event only updates the message of a step that runs, such as the bytes of a transfer: lines do not show it.
    fn is_progress_of_open_step(&self, event: &Event) -> bool {
        let Event::Step { phase, name, progress: Progress::Started, .. } = event else { return false };
        self.steps.iter().any(|step| step.phase == *phase && step.name == *name)
    }

    fn step(&mut self, phase: Phase, name: &str, progress: Progress, message: &str, now: Timestamp) {
        let running = self.steps.iter_mut().find(|step| step.phase == phase && step.name == name);
        match (progress, running) {
            (Progress::Started, Some(step)) => message.clone_into(&mut step.message),
            (Progress::Started, None) => {
                let (name, message) = (name.to_owned(), message.to_owned());
                self.steps.push(RunningStep { phase, name, message, since: now });
            }
            _ => {
                self.steps.retain(|step| step.phase != phase || step.name != name);
                if phase == Phase::Track {
                    self.unready.clear();
                    self.containers = WaitingContainers::default();
                }
            }
        }
    }

    fn add_unready(&mut self, object: &ObjectId, message: &str, fails_at: Option<Timestamp>, now: Timestamp) {
        let since = self
            .unready
            .iter()
            .find(|it| it.object == *object && it.message == message)
            .map_or(now, |it| it.since);
        self.unready.retain(|it| it.object != *object);
        let (object, message) = (object.clone(), message.to_owned());
        self.unready.push(UnreadyObject { object, message, since, fails_at });
    }

    /// Returns the object that the command waits for: the unready one that will fail first, else the one that changed
    /// last. Every form of the progress names this one.
    fn awaited(&self) -> Option<&UnreadyObject> {
        let failing = self.unready.iter().filter(|it| it.fails_at.is_some()).min_by_key(|it| it.fails_at);
        failing.or(self.unready.last())
    }

    /// Returns what the command waits for, if it is an object.
    pub(crate) fn wait(&self, now: Timestamp) -> Option<WaitText> {
        let awaited = self.awaited()?;
        let (object, left) = (awaited.object.to_string(), self.left(now));
        let (reason, short_reason) = self.reason(awaited, now);
        Some(WaitText { object, reason, short_reason, fails_in: awaited.fails_in(now), left })
    }

    /// Returns the event; one that the command waits for an object has the object's state in the words of all forms of the
    /// progress.
    pub(crate) fn described(&self, event: Event, now: Timestamp) -> Event {
        let Event::Waiting { object: Some(object), message, left } = event else { return event };
        let unready = self.unready.iter().find(|it| it.object == object);
        let message = unready.map_or(message, |unready| self.text(unready, now));
        Event::Waiting { object: Some(object), message, left }
    }

    /// Returns the state of an object, and since when; a countdown is the only clock. The second text is shorter.
    fn reason(&self, unready: &UnreadyObject, now: Timestamp) -> (String, Option<String>) {
        let UnreadyObject { object, message, since, fails_at } = unready;
        match (self.containers.gap(object, message, fails_at.is_some(), now), fails_at) {
            (Some(gap), _) => (gap.text, Some(gap.short)),
            (None, Some(_)) => (message.clone(), None),
            (None, None) => (format!("{message} {}", phrase::span(phrase::elapsed(*since, now))), None),
        }
    }

    /// Returns the reason with its countdown.
    fn text(&self, unready: &UnreadyObject, now: Timestamp) -> String {
        let (reason, _) = self.reason(unready, now);
        unready.fails_in(now).map_or(reason.clone(), |left| format!("{reason}; {}", format::fails_in(left)))
    }

    /// Returns the time until the command's deadline, if an event has reported one.
    pub(crate) fn left(&self, now: Timestamp) -> Option<Duration> {
        self.deadline.map(|deadline| phrase::elapsed(now, deadline))
    }

    /// Returns a heartbeat if there was no event for [`MAX_SILENCE`].
    pub(crate) fn due(&mut self, now: Timestamp) -> Option<Event> {
        if phrase::elapsed(self.last?, now) < MAX_SILENCE {
            return None;
        }
        let (object, message) = match (self.awaited(), self.steps.last()) {
            (Some(awaited), _) => (Some(awaited.object.clone()), self.text(awaited, now)),
            (None, Some(step)) => (None, step.text(now)),
            (None, None) => return None,
        };
        self.last = Some(now);
        Some(Event::Waiting { object, message, left: self.left(now) })
    }
}

impl UnreadyObject {
    fn fails_in(&self, now: Timestamp) -> Option<Duration> {
        self.fails_at.map(|at| phrase::elapsed(now, at))
    }
}

/// Whether no form of the progress for people shows an event.
const fn is_detail(event: &Event) -> bool {
    matches!(event, Event::Container(_) | Event::KubernetesEvent(_))
}

impl RunningStep {
    fn text(&self, now: Timestamp) -> String {
        let time = phrase::span(phrase::elapsed(self.since, now));
        if self.message.is_empty() {
            format!("{} {time}", self.name)
        } else {
            format!("{}: {} {time}", self.name, self.message)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::SpanState;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn waiting(event: Option<Event>) -> Option<(String, Option<u64>)> {
        match event? {
            Event::Waiting { object, message, left } => {
                Some((format::waiting_text(object.as_ref(), &message), left.map(|left| left.as_secs())))
            }
            other => panic!("{other:?}"),
        }
    }

    fn step(name: &str, progress: Progress, message: &str) -> Event {
        Event::Step { phase: Phase::Track, name: name.into(), progress, message: message.into() }
    }

    #[test]
    fn heartbeat_names_object_reason_and_time_left() {
        let mut state = Heartbeat::default();
        let object = ObjectId::namespaced("apps", "Deployment", "hands", "openhands");
        state.observe(&step("rollout", Progress::Started, ""), at(0));
        let left = Some(Duration::from_secs(900));
        state.observe(&Event::Waiting { object: None, message: String::new(), left }, at(0));
        state.observe(
            &Event::Rollout { object, ready: false, message: "0/1: pulling image".into(), fails_in: None },
            at(1),
        );
        assert_eq!(waiting(state.due(at(30))), None);
        let text = "deployment.apps/openhands 0/1: pulling image 30 s".to_owned();
        assert_eq!(waiting(state.due(at(31))), Some((text, Some(869))));
        assert_eq!(waiting(state.due(at(32))), None, "a heartbeat counts as output");
    }

    #[test]
    fn heartbeat_names_the_object_of_the_live_block() {
        let mut state = Heartbeat::default();
        let rollout = |name: &str, message: &str, fails_in: Option<u64>| Event::Rollout {
            object: ObjectId::namespaced("apps", "Deployment", "hands", name),
            ready: false,
            message: message.into(),
            fails_in: fails_in.map(Duration::from_secs),
        };
        state.observe(&rollout("doomed", "0/1: no node fits", Some(60)), at(0));
        state.observe(&rollout("slow", "0/1: pulling image", None), at(1));
        assert_eq!(state.wait(at(31)).unwrap().object, "deployment.apps/doomed");
        let text = "deployment.apps/doomed 0/1: no node fits; fails in 29 s unless it recovers".to_owned();
        assert_eq!(waiting(state.due(at(31))), Some((text, None)));
    }

    #[test]
    fn heartbeat_says_the_gap_and_the_usual_time() {
        use crate::report::scenario::{container, deployment};
        let mut state = Heartbeat::default();
        let message = "0/1: pulling image".to_owned();
        let rollout = Event::Rollout { object: deployment(), ready: false, message, fails_in: None };
        state.observe(&rollout, at(0));
        state.observe(&container(SpanState::Pulling, "pulling image", 0, Some(60)), at(1));
        let gap = "0/1 available, 1 pulling image 40 s of about 1 m";
        assert_eq!(state.wait(at(41)).unwrap().reason, gap);
        // The rollout itself reports the bare state.
        let message = "0/1: pulling image".to_owned();
        let event = Event::Waiting { object: Some(deployment()), message, left: None };
        let Event::Waiting { message, .. } = state.described(event, at(41)) else { panic!() };
        assert_eq!(message, gap);
        // Events that no line shows are no output.
        state.observe(&container(SpanState::Pulling, "pulling image", 0, Some(60)), at(29));
        assert!(state.due(at(31)).is_some());
    }

    #[test]
    fn heartbeat_without_object_names_step() {
        let mut state = Heartbeat::default();
        state.observe(&step("control plane", Progress::Started, "building etcd"), at(0));
        state.observe(&step("control plane", Progress::Started, "building kubectl"), at(40));
        assert_eq!(
            waiting(state.due(at(80))),
            Some(("control plane: building kubectl 1 m 20 s".into(), None))
        );
        state.observe(&step("control plane", Progress::Done, ""), at(90));
        assert_eq!(waiting(state.due(at(900))), None, "no step is running");
    }
}
