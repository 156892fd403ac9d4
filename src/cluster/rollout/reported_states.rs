//! Reports each change of an object's state, but not faults that heal at once.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::event::{Event, Events};
use crate::object::ObjectId;
use crate::phrase;
use crate::status::{Evaluation, ObjectState};

/// How long a fault that may heal lasts before it is reported: in the first seconds of a cluster no node is ready, and
/// the scheduler's reason would alarm.
const SETTLE: Duration = Duration::from_secs(3);

/// What the events have reported of each object.
#[derive(Debug, Default)]
pub(super) struct ReportedStates {
    /// Whether the object is ready, its message, and when it fails.
    reported: BTreeMap<ObjectId, (bool, String, Option<Timestamp>)>,
    /// The faults that are not reported yet, and since when they are seen.
    unsettled: BTreeMap<ObjectId, (String, Timestamp)>,
}

impl ReportedStates {
    /// Sends an event for each changed state. Returns when a state is to be reported that was not.
    pub(super) async fn report(
        &mut self,
        evaluation: &Evaluation,
        now: Timestamp,
        events: &Events,
    ) -> Option<Instant> {
        let mut due = None;
        for state in &evaluation.objects {
            let status = (state.ready, state.message.clone(), state.fails_at);
            if self.reported.get(&state.id) == Some(&status) {
                self.unsettled.remove(&state.id);
                continue;
            }
            if let Some(left) = self.settles_in(state, now) {
                let at = Instant::now() + left;
                due = Some(due.map_or(at, |due: Instant| due.min(at)));
                continue;
            }
            self.unsettled.remove(&state.id);
            self.reported.insert(state.id.clone(), status);
            let (object, ready, message) = (state.id.clone(), state.ready, state.message.clone());
            let fails_in = state.fails_at.map(|at| phrase::elapsed(now, at));
            events.send(Event::Rollout { object, ready, message, fails_in }).await;
        }
        due
    }

    /// Returns after what time a fault is to be reported; None: now, or it is none that may heal.
    fn settles_in(&mut self, state: &ObjectState, now: Timestamp) -> Option<Duration> {
        state.fails_at?;
        let seen = match self.unsettled.get(&state.id) {
            Some((message, seen)) if *message == state.message => *seen,
            _ => {
                self.unsettled.insert(state.id.clone(), (state.message.clone(), now));
                now
            }
        };
        // Another moment of its grace is no other fault.
        let was_reported =
            self.reported.get(&state.id).is_some_and(|(_, message, _)| *message == state.message);
        let left = SETTLE.checked_sub(phrase::elapsed(seen, now)).filter(|left| !left.is_zero());
        left.filter(|_| !was_reported)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Verdict;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn evaluation(message: &str, fails_at: Option<i64>) -> Evaluation {
        let id = ObjectId::namespaced("apps", "Deployment", "n", "oh");
        let fails_at = fails_at.map(at);
        let objects = vec![ObjectState { id, ready: false, message: message.to_owned(), fails_at }];
        let verdict = Verdict::Waiting { until: None };
        Evaluation { objects, findings: Vec::new(), pending: Vec::new(), symptoms: Vec::new(), verdict }
    }

    #[tokio::test(start_paused = true)]
    async fn fault_that_heals_within_seconds_is_not_reported() {
        let (events, mut receiver) = Events::channel();
        let mut states = ReportedStates::default();
        let steps = [
            ("0/1: waiting for a node", None, 0),
            ("0/1: no node's taints are tolerated", Some(15), 1),
            ("0/1: creating container", None, 2),
            ("0/1: no node has room", Some(20), 5),
            ("0/1: no node has room", Some(20), 7),
            ("0/1: no node has room", Some(20), 8),
        ];
        let mut due = Vec::new();
        for (message, fails_at, second) in steps {
            let left = states.report(&evaluation(message, fails_at), at(second), &events).await;
            due.push(left.map(|at| at.duration_since(Instant::now()).as_secs()));
        }
        assert_eq!(due, [None, Some(3), None, Some(3), Some(1), None]);
        let mut reported = Vec::new();
        while let Some(Event::Rollout { message, fails_in, .. }) = receiver.try_recv() {
            reported.push((message, fails_in.map(|left| left.as_secs())));
        }
        let row = |message: &str, left| (message.to_owned(), left);
        assert_eq!(
            reported,
            [
                row("0/1: waiting for a node", None),
                row("0/1: creating container", None),
                row("0/1: no node has room", Some(12))
            ]
        );
    }
}
