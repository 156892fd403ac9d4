//! What is missing until a workload is available: how many pods wait, for what, since when, and how long that usually
//! takes. Pure: the time is an argument.

use std::time::Duration;

use jiff::Timestamp;

use crate::event::ContainerChange;
use crate::object::ObjectId;
use crate::phrase;
use crate::timeline::SpanState;

/// The maximum number of groups of pods in a sentence.
const MAX_GROUPS: usize = 2;

/// The containers of the watched pods, in the order in which they were reported.
#[derive(Debug, Default)]
pub(crate) struct WaitingContainers(Vec<WaitingContainer>);

#[derive(Debug)]
struct WaitingContainer {
    pod: ObjectId,
    name: String,
    workload: Option<ObjectId>,
    state: SpanState,
    message: String,
    since: Timestamp,
    usually: Option<Duration>,
}

/// What is missing, in words.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Gap {
    /// `1/2 available, 1 pulling image 40 s of about 1 m`.
    pub(crate) text: String,
    /// `1/2, 1 pulling image 40 s of about 1 m`, for a narrow terminal.
    pub(crate) short: String,
}

/// Pods that wait for the same.
struct Group<'a> {
    count: usize,
    message: &'a str,
    since: Timestamp,
    usually: Option<Duration>,
}

impl WaitingContainers {
    pub(crate) fn observe(&mut self, change: &ContainerChange, now: Timestamp) {
        let ContainerChange { report, age, usually } = change;
        let is_same = |it: &WaitingContainer| it.pod == report.pod && it.name == report.container;
        let known = self.0.iter_mut().find(|it| is_same(it));
        let began = now.checked_sub(*age).unwrap_or(now);
        match known {
            Some(known) => {
                // Another message does not restart the clock of a state.
                if known.state != report.state {
                    (known.since, known.usually) = (began, *usually);
                }
                known.state = report.state;
                known.message.clone_from(&report.message);
            }
            None => self.0.push(WaitingContainer {
                pod: report.pod.clone(),
                name: report.container.clone(),
                workload: report.workload.clone(),
                state: report.state,
                message: report.message.clone(),
                since: began,
                usually: *usually,
            }),
        }
        if report.state == SpanState::Gone {
            self.0.retain(|it| !is_same(it));
        }
    }

    /// Returns what an object waits for whose message is `0/1: pulling image`. None if its pods do not explain the
    /// message. With a countdown, which is the only clock then, it has no other time but the usual one.
    pub(crate) fn gap(
        &self,
        object: &ObjectId,
        message: &str,
        has_countdown: bool,
        now: Timestamp,
    ) -> Option<Gap> {
        let (counts, reason) = message.split_once(": ").filter(|(counts, _)| is_fraction(counts))?;
        let groups = self.groups(object);
        if !groups.iter().any(|group| group.message == reason) {
            return None;
        }
        // Without a usual time a countdown has all that is known.
        if has_countdown && groups.iter().all(|group| group.usually.is_none()) {
            return None;
        }
        let texts: Vec<String> =
            groups.iter().take(MAX_GROUPS).map(|group| group.text(has_countdown, now)).collect();
        let first = texts.first()?;
        Some(Gap {
            short: format!("{counts}, {first}"),
            text: format!("{counts} available, {}", texts.join(", ")),
        })
    }

    /// Groups the pods by what their first unready container waits for; the longest wait is first.
    fn groups(&self, object: &ObjectId) -> Vec<Group<'_>> {
        let mut pods: Vec<&ObjectId> = Vec::new();
        let mut groups: Vec<Group<'_>> = Vec::new();
        let is_own = |it: &&WaitingContainer| it.workload.as_ref() == Some(object) || it.pod == *object;
        for container in self.0.iter().filter(is_own).filter(|it| it.state.is_on_its_way()) {
            if pods.contains(&&container.pod) {
                continue;
            }
            pods.push(&container.pod);
            match groups.iter_mut().find(|group| group.message == container.message) {
                Some(group) => {
                    group.count += 1;
                    group.since = group.since.min(container.since);
                    group.usually = group.usually.max(container.usually);
                }
                None => groups.push(Group {
                    count: 1,
                    message: &container.message,
                    since: container.since,
                    usually: container.usually,
                }),
            }
        }
        groups.sort_by_key(|group| group.since);
        groups
    }
}

impl Group<'_> {
    /// Formats a group: `1 pulling image 40 s of about 1 m`; after that time, `1 pulling image 70 s, usually 1 m`.
    fn text(&self, has_countdown: bool, now: Timestamp) -> String {
        let Self { count, message, since, usually } = self;
        let waited = phrase::elapsed(*since, now);
        let wait = if has_countdown { String::new() } else { format!(" {}", phrase::span(waited)) };
        let usual = match usually {
            Some(usually) if !has_countdown && waited <= *usually => {
                format!(" of about {}", phrase::span(*usually))
            }
            Some(usually) => format!(", usually {}", phrase::span(*usually)),
            None => String::new(),
        };
        format!("{count} {message}{wait}{usual}")
    }
}

/// Whether a text is `0/1`.
fn is_fraction(text: &str) -> bool {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    text.split_once('/').is_some_and(|(ready, all)| is_number(ready) && is_number(all))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::scenario::deployment;
    use crate::status::ContainerReport;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn change(pod: &str, state: SpanState, message: &str, usually: Option<u64>) -> ContainerChange {
        let report = ContainerReport {
            pod: ObjectId::namespaced("", "Pod", "hands", pod),
            workload: Some(deployment()),
            container: "openhands".into(),
            image: String::new(),
            state,
            message: message.into(),
            since: None,
        };
        ContainerChange { report, age: Duration::from_secs(2), usually: usually.map(Duration::from_secs) }
    }

    fn observed(changes: &[ContainerChange]) -> WaitingContainers {
        let mut containers = WaitingContainers::default();
        for change in changes {
            containers.observe(change, at(100));
        }
        containers
    }

    fn text(containers: &WaitingContainers, message: &str, now: i64) -> Option<String> {
        containers.gap(&deployment(), message, false, at(now)).map(|gap| gap.text)
    }

    #[test]
    fn gap_has_the_pods_their_wait_and_the_usual_time() {
        let ready = change("a", SpanState::Ready, "ready", None);
        let containers = observed(&[ready, change("b", SpanState::Pulling, "pulling image", Some(60))]);
        let gap = containers.gap(&deployment(), "1/2: pulling image", false, at(138)).unwrap();
        assert_eq!(gap.text, "1/2 available, 1 pulling image 40 s of about 1 m");
        assert_eq!(gap.short, "1/2, 1 pulling image 40 s of about 1 m");
        let late = text(&containers, "1/2: pulling image", 168).unwrap();
        assert_eq!(late, "1/2 available, 1 pulling image 1 m 10 s, usually 1 m");
    }

    #[test]
    fn pods_that_wait_for_the_same_are_counted_together() {
        let pull = |pod| change(pod, SpanState::Pulling, "pulling image", None);
        let start = change("d", SpanState::Starting, "container not ready", None);
        let containers =
            observed(&[pull("a"), pull("b"), start, change("c", SpanState::Stopping, "x", None)]);
        assert_eq!(
            text(&containers, "0/3: pulling image", 103).as_deref(),
            Some("0/3 available, 2 pulling image 5 s, 1 container not ready 5 s")
        );
    }

    #[test]
    fn message_that_the_pods_do_not_explain_stays() {
        let containers = observed(&[change("a", SpanState::Pulling, "pulling image", None)]);
        for message in ["0/1: the old pod is terminating", "0/1", "running", "x: pulling image"] {
            assert_eq!(text(&containers, message, 103), None, "{message}");
        }
        assert!(text(&containers, "0/1: pulling image", 103).is_some());
        let gone = change("a", SpanState::Gone, "deleted", None);
        let containers = observed(&[change("a", SpanState::Pulling, "pulling image", None), gone]);
        assert_eq!(text(&containers, "0/1: pulling image", 103), None);
    }

    #[test]
    fn countdown_stays_the_only_clock() {
        let gap = |usually| {
            let start = change("a", SpanState::Starting, "container not ready", usually);
            let gap = observed(&[start]).gap(&deployment(), "0/1: container not ready", true, at(103));
            gap.map(|gap| gap.text)
        };
        assert_eq!(gap(Some(20)).as_deref(), Some("0/1 available, 1 container not ready, usually 20 s"));
        assert_eq!(gap(None), None);
    }

    #[test]
    fn another_message_does_not_restart_the_clock() {
        let mut containers = observed(&[change("a", SpanState::Waiting, "waiting for a node", None)]);
        containers.observe(&change("a", SpanState::Waiting, "creating container", None), at(130));
        let text = text(&containers, "0/1: creating container", 138);
        assert_eq!(text.as_deref(), Some("0/1 available, 1 creating container 40 s"));
    }
}
