//! All events of a command, as one enum, and the channel that carries them from effects to the reporter.
//!
//! # The machine-readable stream
//!
//! `--events FILE|-` writes one JSON object per line. Every object has these fields:
//!
//! | field | meaning |
//! |---|---|
//! | `v` | version of this schema: 1; a version may get additional fields |
//! | `seq` | 1, 2, 3 … without gaps |
//! | `ts` | time of the event, RFC 3339 in UTC |
//! | `type` | `started target config changes step planned object pruned rollout container event finding probe check waiting warning wire finished` |
//!
//! It also has all fields of its type; a field without a value is `null`.
//!
//! | type | fields | meaning |
//! |---|---|---|
//! | `started` | `command` | always and only the first line |
//! | `target` | `command target` | a part of the command begins, with this target |
//! | `config` | `phase message` | the configuration was read |
//! | `changes` | `revision against changed by commit run_url note usual` | what the command is about to change, and who started it |
//! | `step` | `phase name action message` | a step begins or ends |
//! | `planned` | `phase object` | one per object that will be applied or deleted, before the first request |
//! | `object`, `pruned` | `phase object action message` | one object was processed |
//! | `rollout` | `phase object ready message fails_in` | a tracked object's state changed |
//! | `container` | `phase object workload container image state message age usually` | a container of a tracked pod changed its state |
//! | `event` | `phase object workload container warning reason message count age` | the cluster reported an Event about a tracked object |
//! | `finding` | `phase id object container affected message evidence log keys hints` | a problem of a live object |
//! | `probe` | `phase ready message` | the application was probed |
//! | `check` | `category name result detail problem` | `doctor` has checked something |
//! | `waiting` | `object message left` | no other event for a while; what the command waits for |
//! | `warning` | `id message location` | a problem that does not stop the command |
//! | `wire` | `requests bytes_in bytes_out slowest` | the command's API traffic |
//! | `finished` | `exit id revision url sandboxes model message notes error` | always the last line, also after a signal |
//!
//! | field | values |
//! |---|---|
//! | `phase` | `config preflight cluster lock copy apply track probe settings prune` |
//! | `object` | `{group, kind, namespace, name}` |
//! | `action` | `created configured unchanged deleted pruned kept failed skipped`; for steps `begun done skipped failed` |
//! | `state` | `waiting pulling starting running ready done stopping gone failed` |
//! | `age` | seconds since the container is in this state, or since the Event |
//! | `usually` | seconds that this state usually takes on this cluster; null if that is not known |
//! | `against` | the revision that `changed` compares with; null for the first one |
//! | `changed` | keys of config.toml, and objects where no key is known to set the difference |
//! | `usual` | `{revision, took}` of the newest good revision that has its times; null if none has |
//! | `id` | an id of the catalogue |
//! | `message` | a sentence for people |
//! | `result` | `passed noted unknown warning failed` |
//! | `detail` | how it is, or why it could not be checked; null for a problem |
//! | `problem` | an error as in `error`, of a warning or a failed check |
//! | `sandboxes` | the number of further sandboxes that fit into the cluster |
//! | `model` | the model that the application uses |
//! | `notes` | sentences for people |
//! | `left` | seconds until the command's deadline |
//! | `location` | `{file, line, column}`, counted from 1 |
//! | `error` | `{id, exit, message, facts, causes, hints, location, diagnostics, conflicts}`; null if the command succeeded |
//!
//! Commands that follow until Ctrl-C report what they follow; then `finished` has the exit code 130:
//!
//! | command | events |
//! |---|---|
//! | `logs` | a `step` of phase `track` for each log, its `name` is `POD CONTAINER`: `begun` when the server sends it, and again after a lost connection; `done` when the container ended; `failed` if it cannot be read |
//! | `open` | a `probe` of the URL; the `step` `forward`, whose message is the URL; a `rollout` for each pod to which connections are forwarded, and when it is no longer ready |
//! | `dev` | the `step` `mirrord`; `finished` has the exit code of the program |

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::catalogue::Id;
use crate::diagnostic::Diagnostic;
use crate::error::Error;
use crate::object::ObjectId;
use crate::status::{ContainerReport, EventReport, Finding};
use crate::timeline::RunRecord;

/// A phase of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Reading config.toml.
    Config,
    /// Checking the cluster before the first change.
    Preflight,
    /// Creating the cluster, or finding an existing one.
    Cluster,
    /// Acquiring the set's Lease.
    Lock,
    /// Copying the files of volumes.
    Copy,
    /// Applying objects.
    Apply,
    /// Following the rollout.
    Track,
    /// Probing the application.
    Probe,
    /// Posting the application's settings.
    Settings,
    /// Deleting objects that are no longer in the set.
    Prune,
}

impl Phase {
    /// Returns the name in the event stream.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Phase::Config => "config",
            Phase::Preflight => "preflight",
            Phase::Cluster => "cluster",
            Phase::Lock => "lock",
            Phase::Copy => "copy",
            Phase::Apply => "apply",
            Phase::Track => "track",
            Phase::Probe => "probe",
            Phase::Settings => "settings",
            Phase::Prune => "prune",
        }
    }
}

/// The action on an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// The object was created.
    Created,
    /// The object existed and was changed.
    Configured,
    /// The object existed, and no request was sent or the request changed nothing.
    Unchanged,
    /// Teardown deleted the object.
    Deleted,
    /// The object was deleted because it is no longer in the set.
    Pruned,
    /// The object was kept on purpose.
    Kept,
    /// The request failed.
    Failed,
    /// No request was sent, because of a dry run or an earlier failure.
    Skipped,
}

impl Action {
    /// Returns the name in the event stream and the terminal.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Action::Created => "created",
            Action::Configured => "configured",
            Action::Unchanged => "unchanged",
            Action::Deleted => "deleted",
            Action::Pruned => "pruned",
            Action::Kept => "kept",
            Action::Failed => "failed",
            Action::Skipped => "skipped",
        }
    }

    /// Returns the text of an action that a dry run did not take: `would be created`.
    #[must_use]
    pub const fn as_conditional(self) -> &'static str {
        match self {
            Action::Created => "would be created",
            Action::Configured => "would be configured",
            Action::Deleted => "would be deleted",
            Action::Pruned => "would be pruned",
            Action::Kept => "would be kept",
            Action::Unchanged | Action::Failed | Action::Skipped => self.as_str(),
        }
    }
}

/// The progress of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// The step began. A bar or spinner may be shown until it ends.
    Started,
    /// The step succeeded.
    Done,
    /// The step was not needed or not possible, which is not an error.
    Skipped,
    /// The step failed. The error follows.
    Failed,
}

impl Progress {
    /// Returns the name in the event stream.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Progress::Started => "begun",
            Progress::Done => "done",
            Progress::Skipped => "skipped",
            Progress::Failed => "failed",
        }
    }
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckVerdict {
    /// Nothing to fix.
    Passed,
    /// It does not exist, and nothing needs it.
    Noted,
    /// It could not be checked.
    Unknown,
    /// A deploy works, but something will not.
    Warning,
    /// A deploy, or the first conversation, would fail.
    Failed,
}

impl CheckVerdict {
    /// Returns the name in the outputs for programs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            CheckVerdict::Passed => "passed",
            CheckVerdict::Noted => "noted",
            CheckVerdict::Unknown => "unknown",
            CheckVerdict::Warning => "warning",
            CheckVerdict::Failed => "failed",
        }
    }
}

/// An event of a command.
#[derive(Debug, Clone)]
pub enum Event {
    /// The command line's command. It is the first event, sent once, before the cluster is chosen.
    Started {
        /// The command: `deploy`, `cluster up`.
        command: String,
    },
    /// A part of the command begins, and its target is known. `up` has two parts; an automatic rollback is another
    /// part.
    Target {
        /// The part: `cluster`, `deploy`, `rollback`.
        command: String,
        /// The set and the cluster: `openhands → kwok-local-hands / openhands (the local cluster of [cluster].name)`.
        target: String,
    },
    /// The configuration was read.
    Config {
        /// The file and its keys: `config.toml  (12 keys set)`.
        message: String,
    },
    /// A step begins or ends.
    Step {
        /// The phase of the step.
        phase: Phase,
        /// The name, unique within the phase: `preflight`, `control plane`.
        name: String,
        /// Whether the step begins or how it ended.
        progress: Progress,
        /// The result of the step, or what it starts to do.
        message: String,
    },
    /// The objects that will be applied or deleted, before the first request.
    Planned {
        /// Apply, or prune for objects that will be deleted.
        phase: Phase,
        /// The objects in the order of their requests.
        objects: Vec<ObjectId>,
    },
    /// One object was processed.
    Object {
        /// Apply, or cluster for the local cluster's own objects.
        phase: Phase,
        /// The object.
        object: ObjectId,
        /// The action on the object.
        action: Action,
        /// The reason, if it is not obvious: `5Gi (reclaim Delete)`.
        message: Option<String>,
        /// Whether the action was not taken, because of a dry run.
        dry_run: bool,
    },
    /// A tracked object's state changed.
    Rollout {
        /// The object.
        object: ObjectId,
        /// Whether the object is ready.
        ready: bool,
        /// The state, and what an unready object waits for: `0/1: pulling image`, `1/1`.
        message: String,
        /// The time until the rollout fails because of this object, unless it recovers; None: no such time is known.
        fails_in: Option<Duration>,
    },
    /// A container of a tracked pod changed its state.
    Container(Box<ContainerChange>),
    /// The cluster reported an Event about a tracked object.
    KubernetesEvent(Box<KubernetesEvent>),
    /// What the command is about to change, and who started it.
    Changes(Box<RunChanges>),
    /// A problem of a live object.
    Finding(Box<Finding>),
    /// The application was probed.
    Probe {
        /// The path or URL: `/alive`.
        target: String,
        /// Whether the application is healthy.
        healthy: bool,
        /// The response: `200 in 6 ms`.
        message: String,
    },
    /// Something was checked: `doctor`.
    Check {
        /// What it is about: `storage`.
        category: &'static str,
        /// What was checked: `ingress class`.
        name: &'static str,
        /// How the check ended.
        verdict: CheckVerdict,
        /// How it is, or why it could not be checked; empty for a problem.
        detail: String,
        /// The problem.
        problem: Option<Arc<Error>>,
    },
    /// What the command waits for. Sent if there was no other event for a while.
    Waiting {
        /// The object that the command waits for, if it is one object.
        object: Option<ObjectId>,
        /// The reason and its duration: `0/1: pulling image 29 s`.
        message: String,
        /// The time until the command's deadline.
        left: Option<Duration>,
    },
    /// A problem that does not stop the command.
    Warning {
        /// The id of the warning.
        id: Id,
        /// One sentence.
        message: String,
        /// The location in the configuration, if it has one.
        diagnostic: Option<Box<Diagnostic>>,
    },
    /// The command's API traffic. Sent once, before [`Event::Finished`].
    Wire {
        /// The number of requests.
        requests: u64,
        /// Bytes of the response bodies.
        bytes_in: u64,
        /// Bytes of the request bodies.
        bytes_out: u64,
        /// The slowest request: `PATCH deployment 34 ms`.
        slowest: String,
    },
    /// The last event, even after a failure or a signal. It ends the reporter.
    Finished(Finished),
}

/// A changed state of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerChange {
    /// The container and its state.
    pub report: ContainerReport,
    /// How long it was in this state before the command observed it.
    pub age: Duration,
    /// How long this state usually takes, if that is known.
    pub usually: Option<Duration>,
}

/// An Event of the cluster about a tracked object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KubernetesEvent {
    /// The Event.
    pub report: EventReport,
    /// The time since it happened, before the command observed it.
    pub age: Duration,
}

/// What a command is about to change, and who started it.
#[derive(Debug, Clone, Default)]
pub struct RunChanges {
    /// The revision that the command records or keeps.
    pub revision: Option<u64>,
    /// The revision that `changed` compares with.
    pub against: Option<u64>,
    /// What differs: keys of config.toml, then objects. None: the revisions cannot be compared.
    pub changed: Option<Vec<String>>,
    /// Who started the command: the user of the CI system, else `ana@laptop`.
    pub by: String,
    /// The commit of the pipeline.
    pub commit: Option<String>,
    /// The URL of the pipeline's run.
    pub run_url: Option<String>,
    /// The text of `--note`.
    pub note: Option<String>,
    /// The newest good revision that has its times, with them.
    pub usual: Option<(u64, RunRecord)>,
}

/// The result of a command.
#[derive(Debug, Clone, Default)]
pub struct Finished {
    /// The exit code.
    pub exit: u8,
    /// The id of the error, if the command failed.
    pub id: Option<Id>,
    /// The revision that is deployed now.
    pub revision: Option<u64>,
    /// The URL at which the application responds.
    pub url: Option<String>,
    /// The number of further sandboxes that fit into the cluster. None if it is unknown.
    pub sandboxes: Option<u64>,
    /// The model that the application uses, if it has reported one.
    pub model: Option<String>,
    /// One sentence.
    pub message: String,
    /// Further information for people, one line each.
    pub notes: Vec<String>,
    /// Commands to run next, with a label: `("undo", "handsctl teardown")`.
    pub next: Vec<(String, String)>,
    /// The error, if the command failed.
    pub error: Option<Arc<Error>>,
}

impl Finished {
    /// Returns the result of a command that failed.
    #[must_use]
    pub fn of_error(error: &Error) -> Self {
        Self {
            exit: error.kind().exit_code(),
            id: Some(error.id()),
            message: error.message().to_owned(),
            error: Some(Arc::new(error.map_texts(str::to_owned))),
            ..Self::default()
        }
    }
}

impl Event {
    /// Returns the event with each of its texts changed, such as to mask secrets. Names of objects and of steps stay.
    #[must_use]
    pub fn map_texts(&self, change: impl Fn(&str) -> String) -> Self {
        let mut event = self.clone();
        match &mut event {
            Event::Config { message }
            | Event::Step { message, .. }
            | Event::Rollout { message, .. }
            | Event::Probe { message, .. }
            | Event::Waiting { message, .. } => *message = change(message),
            Event::Target { target, .. } => *target = change(target),
            Event::Object { message, .. } => *message = message.as_deref().map(change),
            Event::Finding(finding) => **finding = finding.map_texts(change),
            Event::Check { detail, problem, .. } => {
                *detail = change(detail);
                *problem = problem.as_ref().map(|problem| Arc::new(problem.map_texts(&change)));
            }
            Event::Container(container) => container.report.message = change(&container.report.message),
            Event::KubernetesEvent(event) => event.report.message = change(&event.report.message),
            Event::Changes(changes) => {
                changes.changed =
                    changes.changed.as_ref().map(|names| names.iter().map(|name| change(name)).collect());
                changes.by = change(&changes.by);
                for text in [&mut changes.commit, &mut changes.run_url, &mut changes.note] {
                    *text = text.as_deref().map(&change);
                }
            }
            Event::Warning { message, diagnostic, .. } => {
                *message = change(message);
                if let Some(diagnostic) = diagnostic {
                    **diagnostic = diagnostic.map_texts(change);
                }
            }
            Event::Finished(finished) => {
                finished.message = change(&finished.message);
                finished.url = finished.url.as_deref().map(&change);
                finished.model = finished.model.as_deref().map(&change);
                finished.notes = finished.notes.iter().map(|note| change(note)).collect();
                let next = finished.next.drain(..).map(|(label, command)| (label, change(&command)));
                finished.next = next.collect();
                finished.error = finished.error.as_ref().map(|error| Arc::new(error.map_texts(&change)));
            }
            Event::Started { .. } | Event::Planned { .. } | Event::Wire { .. } => {}
        }
        event
    }

    /// Returns the event with each text changed that may suggest a command: warnings, and the hints of findings. The
    /// error and the next commands of [`Event::Finished`] are changed by the command itself.
    #[must_use]
    pub fn map_commands(mut self, change: impl Fn(&str) -> String) -> Self {
        match &mut self {
            Event::Warning { message, .. } => *message = change(message),
            Event::Finding(finding) => **finding = finding.map_hints(change),
            _ => {}
        }
        self
    }
}

/// The number of events that may be queued before senders wait for the reporter.
const CAPACITY: usize = 256;

/// A message of the channel.
#[derive(Debug)]
enum Message {
    Event(Event),
    /// A request to confirm that all earlier events are processed.
    Flush(oneshot::Sender<()>),
}

impl Message {
    /// Returns the event. A flush is confirmed instead, because all earlier events are processed.
    fn event(self) -> Option<Event> {
        match self {
            Message::Event(event) => Some(event),
            Message::Flush(confirmation) => {
                let _waiter_is_gone = confirmation.send(());
                None
            }
        }
    }
}

/// The sending end of the channel. Effects get it by reference.
#[derive(Debug, Clone)]
pub struct Events {
    sender: mpsc::Sender<Message>,
    steps: Arc<Mutex<Steps>>,
}

/// The steps that have begun, so that a command that is ended from outside can name and end them.
#[derive(Debug, Default)]
struct Steps {
    open: Vec<(Phase, String)>,
    /// The last step that failed.
    failed: Option<String>,
}

impl Steps {
    fn add(&mut self, phase: Phase, name: &str, progress: Progress) {
        let is_same = |(other_phase, other): &(Phase, String)| *other_phase == phase && other == name;
        match progress {
            Progress::Started if self.open.iter().any(is_same) => {}
            Progress::Started => self.open.push((phase, name.to_owned())),
            Progress::Done | Progress::Skipped => self.open.retain(|step| !is_same(step)),
            Progress::Failed => {
                self.open.retain(|step| !is_same(step));
                self.failed = Some(name.to_owned());
            }
        }
    }
}

/// The receiving end of the channel, for the reporter or a test.
#[derive(Debug)]
pub struct Receiver(mpsc::Receiver<Message>);

impl Receiver {
    /// Waits for the next event. None if all senders are dropped.
    pub async fn recv(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.0.recv().await?.event() {
                return Some(event);
            }
        }
    }

    /// Returns the next queued event without waiting.
    pub fn try_recv(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.0.try_recv().ok()?.event() {
                return Some(event);
            }
        }
    }

    /// Closes the channel for new events. Queued events can still be received.
    pub fn close(&mut self) {
        self.0.close();
    }
}

impl Events {
    /// Creates a channel.
    #[must_use]
    pub fn channel() -> (Self, Receiver) {
        let (sender, receiver) = mpsc::channel(CAPACITY);
        (Self { sender, steps: Arc::default() }, Receiver(receiver))
    }

    /// Sends an event. If the reporter has ended, the event is dropped and the command continues.
    pub async fn send(&self, event: Event) {
        let _reporter_is_gone = self.sender.send(Message::Event(event)).await;
    }

    /// Waits until all sent events are processed. Needed before a question, so that no output interrupts it.
    pub async fn flush(&self) {
        let (sender, receiver) = oneshot::channel();
        if self.sender.send(Message::Flush(sender)).await.is_ok() {
            let _reporter_is_gone = receiver.await;
        }
    }

    /// Reports that a part of the command begins, with its target.
    pub async fn target(&self, command: impl Into<String>, target: impl Into<String>) {
        self.send(Event::Target { command: command.into(), target: target.into() }).await;
    }

    /// Reports that a step begins.
    pub async fn begin(&self, phase: Phase, name: &str, message: impl Into<String>) {
        self.step(phase, name, Progress::Started, message).await;
    }

    /// Reports that a step succeeded.
    pub async fn done(&self, phase: Phase, name: &str, message: impl Into<String>) {
        self.step(phase, name, Progress::Done, message).await;
    }

    /// Reports the progress of a step.
    pub async fn step(&self, phase: Phase, name: &str, progress: Progress, message: impl Into<String>) {
        self.steps().add(phase, name, progress);
        self.send(Event::Step { phase, name: name.to_owned(), progress, message: message.into() }).await;
    }

    /// Returns the step that has begun last and has not ended, or else the step that failed last.
    #[must_use]
    pub fn unfinished_step(&self) -> Option<String> {
        let steps = self.steps();
        steps.open.last().map(|(_, name)| name.clone()).or_else(|| steps.failed.clone())
    }

    /// Reports that all steps that have not ended failed: the command was ended from outside of them.
    pub async fn fail_open_steps(&self) {
        let open = self.steps().open.clone();
        for (phase, name) in open.iter().rev() {
            self.step(*phase, name, Progress::Failed, "").await;
        }
    }

    fn steps(&self) -> MutexGuard<'_, Steps> {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reports that one object was processed. `message` is the reason, if it is not obvious.
    pub async fn object(&self, phase: Phase, object: ObjectId, action: Action, message: Option<String>) {
        self.send(Event::Object { phase, object, action, message, dry_run: false }).await;
    }

    /// Reports the action on an object that a dry run does not take.
    pub async fn dry_run_object(
        &self,
        phase: Phase,
        object: ObjectId,
        action: Action,
        message: Option<String>,
    ) {
        self.send(Event::Object { phase, object, action, message, dry_run: true }).await;
    }

    /// Reports a problem that does not stop the command.
    pub async fn warn(&self, id: Id, message: impl Into<String>) {
        self.send(Event::Warning { id, message: message.into(), diagnostic: None }).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn steps_without_an_end_are_named_and_ended() {
        let (events, mut receiver) = Events::channel();
        assert_eq!(events.unfinished_step(), None);
        events.begin(Phase::Preflight, "preflight", "").await;
        events.done(Phase::Preflight, "preflight", "").await;
        events.begin(Phase::Apply, "apply", "").await;
        events.begin(Phase::Apply, "apply", "continues").await;
        events.begin(Phase::Lock, "lock", "").await;
        assert_eq!(events.unfinished_step().as_deref(), Some("lock"));
        events.fail_open_steps().await;
        events.fail_open_steps().await;
        let mut failed = Vec::new();
        while let Some(event) = receiver.try_recv() {
            if let Event::Step { name, progress: Progress::Failed, .. } = event {
                failed.push(name);
            }
        }
        assert_eq!(failed, ["lock", "apply"]);
        assert_eq!(events.unfinished_step().as_deref(), Some("apply"));
    }
}
