//! A row of the timeline: the states of a step, a workload or a container, and marks for what happened at one time.

use std::time::Duration;

/// A line of the timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// What the row is about.
    pub kind: RowKind,
    /// The name: `rollout`, `deployment.apps/openhands`, `openhands`.
    pub label: String,
    /// The states, in the order of time.
    pub spans: Vec<Span>,
    /// What happened at one time.
    pub marks: Vec<Moment>,
}

/// What a row is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowKind {
    /// A step of the command.
    Step,
    /// An object that the command watches.
    Object,
    /// A container of a pod.
    Container {
        /// The pod's name.
        pod: String,
        /// The label of the workload's row; empty for a pod without a watched owner.
        workload: String,
        /// The container's image.
        image: String,
    },
}

/// A state with the times of its begin and its end, from the start of the command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The state.
    pub state: SpanState,
    /// The state in words.
    pub text: String,
    /// When it began.
    pub from: Duration,
    /// When it ended; None: it has not.
    pub to: Option<Duration>,
}

impl Span {
    /// Returns how long the state took; zero if it has not ended.
    fn time(&self) -> Duration {
        self.to.unwrap_or(self.from).saturating_sub(self.from)
    }
}

/// The state of a step, of a workload or of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SpanState {
    /// A step runs, or a workload is not ready.
    Active,
    /// A container waits: for a node, a volume, another container.
    Waiting,
    /// The node pulls the container's image.
    Pulling,
    /// The container runs and is not ready yet.
    Starting,
    /// The container runs until it completes: an init container, a Job's container.
    Running,
    /// The workload or the container is ready.
    Ready,
    /// The step succeeded, or the container completed.
    Done,
    /// The step was not needed.
    Skipped,
    /// The pod is being deleted.
    Stopping,
    /// The pod is deleted.
    Gone,
    /// The step failed, or the container cannot run.
    Failed,
}

impl SpanState {
    const ALL: [Self; 11] = [
        Self::Active,
        Self::Waiting,
        Self::Pulling,
        Self::Starting,
        Self::Running,
        Self::Ready,
        Self::Done,
        Self::Skipped,
        Self::Stopping,
        Self::Gone,
        Self::Failed,
    ];

    /// Returns the word in the event stream, in records and on the page.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Waiting => "waiting",
            Self::Pulling => "pulling",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Ready => "ready",
            Self::Done => "done",
            Self::Skipped => "skipped",
            Self::Stopping => "stopping",
            Self::Gone => "gone",
            Self::Failed => "failed",
        }
    }

    pub(super) fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// Whether a container in this state is on its way to be ready.
    #[must_use]
    pub const fn is_on_its_way(self) -> bool {
        matches!(self, Self::Waiting | Self::Pulling | Self::Starting | Self::Running)
    }
}

/// Something that happened at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// When, from the start of the command.
    pub at: Duration,
    /// What it is.
    pub kind: MomentKind,
    /// What happened.
    pub text: String,
}

/// What a mark stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MomentKind {
    /// An Event of the cluster, or a successful probe.
    Event,
    /// An Event of the type Warning, or a failed probe.
    Warning,
    /// A finding.
    Finding,
}

impl MomentKind {
    /// Returns the word in records and on the page.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Warning => "warning",
            Self::Finding => "finding",
        }
    }

    /// A kind of a later version is an event.
    pub(super) fn parse(word: &str) -> Self {
        [Self::Warning, Self::Finding].into_iter().find(|kind| kind.as_str() == word).unwrap_or(Self::Event)
    }
}

impl Row {
    /// Returns an empty row.
    #[must_use]
    pub const fn new(kind: RowKind, label: String) -> Self {
        Self { kind, label, spans: Vec::new(), marks: Vec::new() }
    }

    /// Ends the current state and begins another one, unless nothing changes. A begin before that of the current state
    /// is moved to it.
    pub fn change(&mut self, state: SpanState, text: &str, at: Duration) {
        if self.spans.last().is_some_and(|span| span.to.is_none() && span.state == state && span.text == text)
        {
            return;
        }
        let at = self.spans.last().map_or(at, |last| at.max(last.from));
        self.end(at);
        self.spans.push(Span { state, text: text.to_owned(), from: at, to: None });
    }

    /// Ends the current state.
    pub fn end(&mut self, at: Duration) {
        if let Some(span) = self.spans.last_mut().filter(|span| span.to.is_none()) {
            span.to = Some(at);
        }
    }

    /// Returns what happened after a time, with times from then on. None if nothing did.
    #[must_use]
    pub fn since(&self, begin: Duration) -> Option<Self> {
        let spans =
            self.spans.iter().filter(|span| span.to.is_none_or(|to| to > begin || span.from >= begin));
        let spans = spans.map(|span| Span {
            from: span.from.saturating_sub(begin),
            to: span.to.map(|to| to.saturating_sub(begin)),
            ..span.clone()
        });
        let marks = self.marks.iter().filter(|mark| mark.at >= begin);
        let marks = marks.map(|mark| Moment { at: mark.at.saturating_sub(begin), ..mark.clone() });
        let row = Self {
            spans: spans.collect(),
            marks: marks.collect(),
            ..Self::new(self.kind.clone(), self.label.clone())
        };
        (!row.spans.is_empty() || !row.marks.is_empty()).then_some(row)
    }

    /// Returns how long the row was in a state; zero if it never was.
    #[must_use]
    pub fn time_in(&self, state: SpanState) -> Duration {
        let spans = self.spans.iter().filter(|span| span.state == state);
        spans.map(Span::time).sum()
    }

    /// Returns how long all states of the row took together.
    #[must_use]
    pub fn time(&self) -> Duration {
        self.spans.iter().map(Span::time).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_follow_each_other_without_overlap() {
        let second = Duration::from_secs;
        let mut row = Row::new(RowKind::Object, "x".to_owned());
        row.change(SpanState::Waiting, "a", second(5));
        row.change(SpanState::Waiting, "a", second(6));
        // The server's clock reports a begin before that of the state before.
        row.change(SpanState::Pulling, "b", second(4));
        row.change(SpanState::Ready, "c", second(9));
        let times: Vec<_> = row.spans.iter().map(|span| (span.from.as_secs(), span.to)).collect();
        assert_eq!(times, [(5, Some(second(5))), (5, Some(second(9))), (9, None)]);
        assert_eq!((row.time_in(SpanState::Pulling), row.time()), (second(4), second(4)));
    }
}
