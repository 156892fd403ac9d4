//! What the command waits for, learned from its events; says it again when nothing else happens.
//! Pure: the time is an argument.

use std::time::Duration;

use jiff::Timestamp;

use crate::event::{Event, Phase, Progress};
use crate::object::ObjectId;
use crate::phrase;

/// How long nothing may be said: a CI service that sees no output for long takes the job for hung.
const SILENCE: Duration = Duration::from_secs(30);

/// What is waited for, and since when.
#[derive(Debug, Default)]
pub(crate) struct Heartbeat {
    last: Option<Timestamp>,
    deadline: Option<Timestamp>,
    steps: Vec<RunningStep>,
    gaps: Vec<OpenGap>,
}

#[derive(Debug)]
struct RunningStep {
    phase: Phase,
    name: String,
    message: String,
    since: Timestamp,
}

#[derive(Debug)]
struct OpenGap {
    object: ObjectId,
    message: String,
    since: Timestamp,
}

impl Heartbeat {
    /// Learns from an event.
    pub(crate) fn observe(&mut self, event: &Event, now: Timestamp) {
        self.last = Some(now);
        match event {
            Event::Started { .. } | Event::Target { .. } | Event::Finished(_) => {
                *self = Self { last: Some(now), ..Self::default() }
            }
            Event::Step { phase, name, progress, message } => {
                self.step(*phase, name, *progress, message, now);
            }
            Event::Rollout { object, ready: true, .. } => self.gaps.retain(|gap| gap.object != *object),
            Event::Rollout { object, message, .. } => self.gap_opens(object, message, now),
            Event::Waiting { left: Some(left), .. } => self.deadline = now.checked_add(*left).ok(),
            _ => {}
        }
    }

    fn step(&mut self, phase: Phase, name: &str, progress: Progress, message: &str, now: Timestamp) {
        let known = self.steps.iter_mut().find(|step| step.phase == phase && step.name == name);
        match (progress, known) {
            (Progress::Started, Some(step)) => message.clone_into(&mut step.message),
            (Progress::Started, None) => {
                let (name, message) = (name.to_owned(), message.to_owned());
                self.steps.push(RunningStep { phase, name, message, since: now });
            }
            _ => {
                self.steps.retain(|step| step.phase != phase || step.name != name);
                if phase == Phase::Track {
                    self.gaps.clear();
                }
            }
        }
    }

    fn gap_opens(&mut self, object: &ObjectId, message: &str, now: Timestamp) {
        let since = self
            .gaps
            .iter()
            .find(|gap| gap.object == *object && gap.message == message)
            .map_or(now, |gap| gap.since);
        self.gaps.retain(|gap| gap.object != *object);
        self.gaps.push(OpenGap { object: object.clone(), message: message.to_owned(), since });
    }

    /// The object that changed last and is not ready: `deployment.apps/openhands 0/1: pulling image 12 s`.
    pub(crate) fn gap(&self, now: Timestamp) -> Option<String> {
        self.gaps.last().map(|gap| format!("{} {}", gap.object, gap.text(now)))
    }

    /// How much time is left until the command's deadline, as far as it was told.
    pub(crate) fn left(&self, now: Timestamp) -> Option<Duration> {
        self.deadline.map(|deadline| phrase::elapsed(now, deadline))
    }

    /// What to say when nothing was said for [`SILENCE`].
    pub(crate) fn due(&mut self, now: Timestamp) -> Option<Event> {
        if phrase::elapsed(self.last?, now) < SILENCE {
            return None;
        }
        let (object, message) = match (self.gaps.last(), self.steps.last()) {
            (Some(gap), _) => (Some(gap.object.clone()), gap.text(now)),
            (None, Some(step)) => (None, step.text(now)),
            (None, None) => return None,
        };
        self.last = Some(now);
        Some(Event::Waiting { object, message, left: self.left(now) })
    }
}

impl OpenGap {
    fn text(&self, now: Timestamp) -> String {
        format!("{} {}", self.message, phrase::span(phrase::elapsed(self.since, now)))
    }
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
    use crate::report::text::format;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn waiting(event: Option<Event>) -> Option<(String, Option<u64>)> {
        match event? {
            Event::Waiting { object, message, left } => {
                Some((format::gap(object.as_ref(), &message), left.map(|left| left.as_secs())))
            }
            other => panic!("{other:?}"),
        }
    }

    fn step(name: &str, progress: Progress, message: &str) -> Event {
        Event::Step { phase: Phase::Track, name: name.into(), progress, message: message.into() }
    }

    #[test]
    fn after_silence_it_names_the_object_the_gap_and_the_time_left() {
        let mut state = Heartbeat::default();
        let object = ObjectId::namespaced("apps", "Deployment", "hands", "openhands");
        state.observe(&step("rollout", Progress::Started, ""), at(0));
        let left = Some(Duration::from_secs(900));
        state.observe(&Event::Waiting { object: None, message: String::new(), left }, at(0));
        state.observe(&Event::Rollout { object, ready: false, message: "0/1: pulling image".into() }, at(1));
        assert_eq!(waiting(state.due(at(30))), None);
        let text = "deployment.apps/openhands 0/1: pulling image 30 s".to_owned();
        assert_eq!(waiting(state.due(at(31))), Some((text, Some(869))));
        assert_eq!(waiting(state.due(at(32))), None, "a heartbeat is a sign of life, too");
    }

    #[test]
    fn without_an_object_it_names_the_step() {
        let mut state = Heartbeat::default();
        state.observe(&step("control plane", Progress::Started, "building etcd"), at(0));
        state.observe(&step("control plane", Progress::Started, "building kubectl"), at(40));
        assert_eq!(
            waiting(state.due(at(80))),
            Some(("control plane: building kubectl 1 m 20 s".into(), None))
        );
        state.observe(&step("control plane", Progress::Done, ""), at(90));
        assert_eq!(waiting(state.due(at(900))), None, "nothing is waited for");
    }
}
