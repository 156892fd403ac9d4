//! Reports each change of a container's state, and the cluster's Events about the watched objects.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use crate::event::{ContainerChange, Event, Events, KubernetesEvent};
use crate::object::ObjectId;
use crate::phrase;
use crate::status::{ContainerReport, Expected, GracePeriods, ObservedState};
use crate::timeline::{RunRecord, SpanState};

/// Times of the API have whole seconds: a younger state began when it was observed.
const PRECISION: Duration = Duration::from_secs(2);

/// A container: its pod, and its name.
type Key = (ObjectId, String);

/// What the events have reported of each container.
#[derive(Debug, Default)]
pub(super) struct ReportedContainers {
    reported: BTreeMap<Key, ContainerReport>,
    /// The timeline of the newest good revision that has one.
    usual: Option<RunRecord>,
}

impl ReportedContainers {
    pub(super) fn new(usual: Option<RunRecord>) -> Self {
        Self { reported: BTreeMap::new(), usual }
    }

    /// Sends an event for each changed container and for each new Event of the cluster.
    pub(super) async fn report(
        &mut self,
        state: &mut ObservedState,
        expected: &[Expected],
        grace: &GracePeriods,
        now: Timestamp,
        events: &Events,
    ) {
        for change in self.changes(state, expected, grace, now) {
            events.send(Event::Container(Box::new(change))).await;
        }
        for report in state.take_recent_events() {
            let age = age(report.last, now);
            events.send(Event::KubernetesEvent(Box::new(KubernetesEvent { report, age }))).await;
        }
    }

    fn changes(
        &mut self,
        state: &ObservedState,
        expected: &[Expected],
        grace: &GracePeriods,
        now: Timestamp,
    ) -> Vec<ContainerChange> {
        let mut changes = Vec::new();
        let mut existing = BTreeSet::new();
        for report in state.containers(expected, grace) {
            let key = (report.pod.clone(), report.container.clone());
            existing.insert(key.clone());
            let before = self.reported.get(&key);
            if before.is_some_and(|it| it.state == report.state && it.message == report.message) {
                continue;
            }
            // Another message about the same state is new, however old the state is.
            let is_same_state = before.is_some_and(|before| before.state == report.state);
            let since = report.since.filter(|_| !is_same_state);
            changes.push(ContainerChange {
                age: since.map_or(Duration::ZERO, |since| age(since, now)),
                usually: self.usually(&report, state),
                report: report.clone(),
            });
            self.reported.insert(key, report);
        }
        let (kept, gone): (BTreeMap<_, _>, BTreeMap<_, _>) =
            std::mem::take(&mut self.reported).into_iter().partition(|(key, _)| existing.contains(key));
        self.reported = kept;
        changes.extend(gone.into_values().map(|report| ContainerChange {
            report: ContainerReport {
                state: SpanState::Gone,
                message: "deleted".to_owned(),
                since: None,
                ..report
            },
            age: Duration::ZERO,
            usually: None,
        }));
        changes
    }

    /// Returns how long a container is usually in its state: as long as another node of this cluster took to pull the
    /// same image during this run, else as long as it took in the newest good run.
    fn usually(&self, report: &ContainerReport, state: &ObservedState) -> Option<Duration> {
        let before = self.usual.as_ref();
        let usually = match report.state {
            SpanState::Pulling => {
                let now = state.pull_times().remove(&report.image);
                now.or_else(|| before?.time_of_pull(&report.image))
            }
            SpanState::Starting => {
                let workload = report.workload.as_ref().map(ToString::to_string).unwrap_or_default();
                before?.time_of_container(&workload, &report.container, SpanState::Starting)
            }
            _ => None,
        };
        usually.filter(|usually| *usually >= PRECISION)
    }
}

fn age(since: Timestamp, now: Timestamp) -> Duration {
    Some(phrase::elapsed(since, now)).filter(|age| *age >= PRECISION).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::event::Receiver;
    use crate::object::kind::POD;
    use crate::status::TrackedKind;
    use crate::timeline::{Row, RowKind, Span};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_767_000_000 + second).unwrap()
    }

    fn pod(name: &str, image: &str, state: &Value) -> Value {
        json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "namespace": "n", "uid": name },
            "spec": { "nodeName": "node-1", "containers": [{ "name": "app", "image": image }] },
            "status": { "containerStatuses": [{ "name": "app", "image": "", "imageID": "", "restartCount": 0,
                "ready": state["running"].is_object(), "state": state }] } })
    }

    fn event(reason: &str, pod: &str, message: &str, second: i64) -> Value {
        json!({ "metadata": { "uid": format!("{pod}{reason}") }, "type": "Normal", "reason": reason, "message": message,
            "involvedObject": { "uid": pod, "fieldPath": "spec.containers{app}" },
            "firstTimestamp": at(second).to_string(), "lastTimestamp": at(second).to_string() })
    }

    /// The pods of these tests, which have no owner.
    fn pods() -> Vec<Expected> {
        let expected = |name: &str| Expected {
            id: POD.id("n", name),
            uid: name.to_owned(),
            generation: 0,
            changed: true,
        };
        ["a", "b", "c"].map(expected).into()
    }

    fn reported(receiver: &mut Receiver) -> Vec<String> {
        let mut texts = Vec::new();
        while let Some(event) = receiver.try_recv() {
            texts.push(match event {
                Event::Container(change) => {
                    let ContainerChange { report, age, usually } = *change;
                    let usually = usually.map(|it| format!(" of {}", it.as_secs())).unwrap_or_default();
                    let name = &report.pod.name;
                    format!("{name} {} {} s{usually}", report.state.as_str(), age.as_secs())
                }
                Event::KubernetesEvent(event) => {
                    format!(
                        "{} {} {} s ago",
                        event.report.object.name,
                        event.report.reason,
                        event.age.as_secs()
                    )
                }
                other => format!("{other:?}"),
            });
        }
        texts
    }

    #[tokio::test]
    async fn each_change_of_a_container_is_reported_once_with_its_age() {
        let (events, mut receiver) = Events::channel();
        let mut state = ObservedState::default();
        let mut containers = ReportedContainers::default();
        let grace = GracePeriods::starting_at(at(0));
        let waiting = json!({ "waiting": { "reason": "ContainerCreating" } });
        state.apply(0, TrackedKind::Pod, &pod("a", "i:1", &waiting), at(1)).unwrap();
        state.apply(1, TrackedKind::Event, &event("Pulling", "a", "Pulling image", 4), at(10)).unwrap();
        containers.report(&mut state, &pods(), &grace, at(10), &events).await;
        containers.report(&mut state, &pods(), &grace, at(11), &events).await;
        assert_eq!(reported(&mut receiver), ["a pulling 6 s", "a Pulling 6 s ago"]);
        let running = json!({ "running": { "startedAt": at(12).to_string() } });
        state.apply(0, TrackedKind::Pod, &pod("a", "i:1", &running), at(13)).unwrap();
        containers.report(&mut state, &pods(), &grace, at(13), &events).await;
        state.remove(0, TrackedKind::Pod, "a");
        containers.report(&mut state, &pods(), &grace, at(20), &events).await;
        assert_eq!(reported(&mut receiver), ["a ready 0 s", "a gone 0 s"]);
    }

    #[tokio::test]
    async fn pull_of_this_run_is_a_better_estimate_than_the_last_one() {
        let (events, mut receiver) = Events::channel();
        let mut state = ObservedState::default();
        let image = RowKind::Container { pod: "p".into(), workload: "w".into(), image: "i:1".into() };
        let span = Span {
            state: SpanState::Pulling,
            text: String::new(),
            from: Duration::ZERO,
            to: Some(Duration::from_secs(60)),
        };
        let rows = vec![Row { spans: vec![span], ..Row::new(image, "app".into()) }];
        let mut containers = ReportedContainers::new(Some(RunRecord { rows, ..RunRecord::default() }));
        let grace = GracePeriods::starting_at(at(0));
        let waiting = json!({ "waiting": { "reason": "ContainerCreating" } });
        for (name, image) in [("a", "i:2"), ("b", "i:2"), ("c", "other:2")] {
            state.apply(0, TrackedKind::Pod, &pod(name, image, &waiting), at(1)).unwrap();
            state.apply(1, TrackedKind::Event, &event("Pulling", name, "Pulling image", 1), at(1)).unwrap();
            containers.report(&mut state, &pods(), &grace, at(1), &events).await;
            let done = "Successfully pulled image \"i:2\" in 38.2s (38.2s including waiting).";
            state.apply(1, TrackedKind::Event, &event("Pulled", name, done, 39), at(39)).unwrap();
        }
        let pulling = |text: &String| text.contains("pulling");
        let texts: Vec<String> = reported(&mut receiver).into_iter().filter(pulling).collect();
        assert_eq!(texts, ["a pulling 0 s of 60", "b pulling 0 s of 38", "c pulling 0 s"]);
    }
}
