//! Everything that can happen, as one enum, and the channel that carries it from effects to the reporter.
//!
//! # The machine-readable stream
//!
//! `--events FILE|-` writes one JSON object per line. Every object has
//!
//! | field | meaning |
//! |---|---|
//! | `v` | version of this schema: 1; fields may be added under the same version |
//! | `seq` | 1, 2, 3 … without gaps |
//! | `ts` | time of the event, RFC 3339 in UTC |
//! | `type` | `started target config step planned object pruned rollout finding probe waiting warning wire finished` |
//!
//! and always all the fields of its type; `null` stands where there is no value.
//!
//! | type | fields | what it tells |
//! |---|---|---|
//! | `started` | `command` | always the first line, and only there |
//! | `target` | `command target` | a part of the command begins: what it works on |
//! | `config` | `phase message` | the configuration was read |
//! | `step` | `phase name action message` | a named part of the work begins or ends |
//! | `planned` | `phase object` | one per object that will be applied or deleted, before anything of it is sent |
//! | `object`, `pruned` | `phase object action message` | one object was dealt with |
//! | `rollout` | `phase object ready message` | a tracked object's state changed |
//! | `finding` | `phase id object container message evidence log hints` | something is wrong with a live object |
//! | `probe` | `phase ready message` | the application was asked |
//! | `waiting` | `object message left` | nothing happened for a while; what is waited for |
//! | `warning` | `id message location` | something that does not stop the command |
//! | `wire` | `requests bytes_in bytes_out slowest` | what the command cost the API server |
//! | `finished` | `exit id revision url sandboxes model message notes` | always the last line, also after a signal |
//!
//! | field | values |
//! |---|---|
//! | `phase` | `config preflight cluster lock apply track probe settings prune` |
//! | `object` | `{group, kind, namespace, name}` |
//! | `action` | `created configured unchanged deleted pruned kept failed skipped`; for steps `begun done skipped failed` |
//! | `id` | an id of the catalogue |
//! | `message` | a sentence for people |
//! | `sandboxes` | how many more the cluster has room for |
//! | `model` | the model that the application uses |
//! | `notes` | sentences for people |
//! | `left` | seconds until the command's deadline |
//! | `location` | `{file, line, column}`, counted from 1 |

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::catalogue::Id;
use crate::diagnostic::Diagnostic;
use crate::object::ObjectId;
use crate::status::Finding;

/// A part of a command's work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Reading config.toml.
    Config,
    /// Checking before anything is changed.
    Preflight,
    /// Making or finding the cluster.
    Cluster,
    /// Taking the set's Lease.
    Lock,
    /// Sending objects.
    Apply,
    /// Watching the rollout.
    Track,
    /// Asking the application.
    Probe,
    /// Seeding the application's settings.
    Settings,
    /// Deleting what is no longer in the set.
    Prune,
}

impl Phase {
    /// The word in the event stream.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Phase::Config => "config",
            Phase::Preflight => "preflight",
            Phase::Cluster => "cluster",
            Phase::Lock => "lock",
            Phase::Apply => "apply",
            Phase::Track => "track",
            Phase::Probe => "probe",
            Phase::Settings => "settings",
            Phase::Prune => "prune",
        }
    }
}

/// What was done with an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// It did not exist.
    Created,
    /// It existed and has changed.
    Configured,
    /// It existed and nothing was sent, or nothing came of it.
    Unchanged,
    /// Teardown removed it.
    Deleted,
    /// It was removed because it is no longer in the set.
    Pruned,
    /// It was left in place on purpose.
    Kept,
    /// The server refused.
    Failed,
    /// It was not sent: dry run, or an earlier failure.
    Skipped,
}

impl Action {
    /// The word in the event stream and on the screen.
    #[must_use]
    pub const fn word(self) -> &'static str {
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
}

/// How far a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// The step began; a bar or spinner may be shown until it ends.
    Started,
    /// It ended well.
    Done,
    /// It was not needed or not possible, and that is no fault.
    Skipped,
    /// It ended badly; the error follows.
    Failed,
}

impl Progress {
    /// The word in the event stream.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Progress::Started => "begun",
            Progress::Done => "done",
            Progress::Skipped => "skipped",
            Progress::Failed => "failed",
        }
    }
}

/// Something that happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// The command that was typed: the first event, sent once, before the cluster is chosen.
    Started {
        /// `deploy`, `cluster up`.
        command: String,
    },
    /// A part of the command begins, and what it works on is known. `up` has two parts, and a rollout that is undone
    /// has a second one.
    Target {
        /// The part: `cluster`, `deploy`, `rollback`.
        command: String,
        /// `openhands → kwok-local-hands / openhands (the local cluster of [cluster].name)`.
        target: String,
    },
    /// The configuration was read.
    Config {
        /// `config.toml  (12 keys set)`.
        message: String,
    },
    /// A named part of the work begins or ends.
    Step {
        /// The part of the command.
        phase: Phase,
        /// `preflight`, `control plane`: unique within the phase.
        name: String,
        /// Begins or ends.
        progress: Progress,
        /// What came of it.
        message: String,
    },
    /// What will be dealt with, before anything of it is sent.
    Planned {
        /// Apply, or prune for what will be deleted.
        phase: Phase,
        /// In the order of sending.
        objects: Vec<ObjectId>,
    },
    /// One object was dealt with.
    Object {
        /// Apply, or cluster for the local cluster's own objects.
        phase: Phase,
        /// Which.
        object: ObjectId,
        /// What was done.
        action: Action,
        /// Why, where that is not obvious: `5Gi (reclaim Delete)`.
        message: Option<String>,
    },
    /// A tracked object's state changed.
    Rollout {
        /// Which.
        object: ObjectId,
        /// Whether it is as it should be.
        ready: bool,
        /// The gap or the state: `0/1: pulling image`, `1/1`.
        message: String,
    },
    /// Something is wrong with a live object.
    Finding(Box<Finding>),
    /// The application was asked.
    Probe {
        /// `/alive`.
        target: String,
        /// Whether it answered as it should.
        healthy: bool,
        /// `200 in 6 ms`.
        message: String,
    },
    /// Nothing happened for a while; what is waited for.
    Waiting {
        /// Which object, where it is one.
        object: Option<ObjectId>,
        /// `0/1: pulling image 29 s`.
        message: String,
        /// Until the command's deadline.
        left: Option<Duration>,
    },
    /// Something that does not stop the command.
    Warning {
        /// Its id.
        id: Id,
        /// One sentence.
        message: String,
        /// The place in the configuration.
        diagnostic: Option<Box<Diagnostic>>,
    },
    /// What the command cost the API server; sent once, before [`Event::Finished`].
    Wire {
        /// How many requests were sent.
        requests: u64,
        /// Bytes of the answers' bodies.
        bytes_in: u64,
        /// Bytes of the requests' bodies.
        bytes_out: u64,
        /// The call that took longest: `PATCH deployment 34 ms`.
        slowest: String,
    },
    /// The last event, also after a failure or a signal. The reporter ends with it.
    Finished(Finished),
}

/// What came of the command.
#[derive(Debug, Clone, Default)]
pub struct Finished {
    /// The exit code.
    pub exit: u8,
    /// The id of the error, where there was one.
    pub id: Option<Id>,
    /// The revision that is deployed now.
    pub revision: Option<u64>,
    /// Where the application answers.
    pub url: Option<String>,
    /// How many more sandboxes the cluster has room for; None: not known.
    pub sandboxes: Option<u64>,
    /// The model that the application uses, where it said so.
    pub model: Option<String>,
    /// One sentence.
    pub message: String,
    /// What people have to know besides, a line each.
    pub notes: Vec<String>,
    /// What to type next: label and command, `("undo", "handsctl teardown")`.
    pub next: Vec<(String, String)>,
}

impl Event {
    /// The word in the event stream.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Event::Started { .. } => "started",
            Event::Target { .. } => "target",
            Event::Config { .. } => "config",
            Event::Step { .. } => "step",
            Event::Planned { .. } => "planned",
            Event::Object { action: Action::Pruned, .. } => "pruned",
            Event::Object { .. } => "object",
            Event::Rollout { .. } => "rollout",
            Event::Finding(_) => "finding",
            Event::Probe { .. } => "probe",
            Event::Waiting { .. } => "waiting",
            Event::Warning { .. } => "warning",
            Event::Wire { .. } => "wire",
            Event::Finished(_) => "finished",
        }
    }
}

/// How many events may wait for the reporter before an effect waits for it.
const CAPACITY: usize = 256;

/// What goes through the channel.
#[derive(Debug)]
enum Message {
    Event(Event),
    /// Somebody waits until everything before has been dealt with.
    Echo(oneshot::Sender<()>),
}

impl Message {
    /// The event; an echo is answered, for everything before it has been dealt with.
    fn event(self) -> Option<Event> {
        match self {
            Message::Event(event) => Some(event),
            Message::Echo(waits) => {
                let _waits_no_more = waits.send(());
                None
            }
        }
    }
}

/// The sending end: handed to effects by reference.
#[derive(Debug, Clone)]
pub struct Events(mpsc::Sender<Message>);

/// The receiving end, for the reporter or a test.
#[derive(Debug)]
pub struct Receiver(mpsc::Receiver<Message>);

impl Receiver {
    /// The next event; None where nobody can send any more.
    pub async fn recv(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.0.recv().await?.event() {
                return Some(event);
            }
        }
    }

    /// The next event that is there already.
    pub fn try_recv(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.0.try_recv().ok()?.event() {
                return Some(event);
            }
        }
    }

    /// Refuses what is sent from now on; what was sent before is still there.
    pub fn close(&mut self) {
        self.0.close();
    }
}

impl Events {
    /// A channel and its receiving end.
    #[must_use]
    pub fn channel() -> (Self, Receiver) {
        let (sender, receiver) = mpsc::channel(CAPACITY);
        (Self(sender), Receiver(receiver))
    }

    /// Hands over an event. When the reporter is gone (a closed stream) the work goes on unseen.
    pub async fn send(&self, event: Event) {
        let _reporter_is_gone = self.0.send(Message::Event(event)).await;
    }

    /// Waits until everything that was sent has been dealt with: before a question, for which the screen must be still.
    pub async fn flush(&self) {
        let (sender, receiver) = oneshot::channel();
        if self.0.send(Message::Echo(sender)).await.is_ok() {
            let _reporter_is_gone = receiver.await;
        }
    }

    /// A part of the command begins: what it works on.
    pub async fn target(&self, command: impl Into<String>, target: impl Into<String>) {
        self.send(Event::Target { command: command.into(), target: target.into() }).await;
    }

    /// A step begins.
    pub async fn begin(&self, phase: Phase, name: &str, message: impl Into<String>) {
        self.step(phase, name, Progress::Started, message).await;
    }

    /// A step ended well.
    pub async fn done(&self, phase: Phase, name: &str, message: impl Into<String>) {
        self.step(phase, name, Progress::Done, message).await;
    }

    /// A step begins or ends.
    pub async fn step(&self, phase: Phase, name: &str, progress: Progress, message: impl Into<String>) {
        self.send(Event::Step { phase, name: name.to_owned(), progress, message: message.into() }).await;
    }

    /// One object was dealt with; `message` says why, where that is not obvious.
    pub async fn object(&self, phase: Phase, object: ObjectId, action: Action, message: Option<String>) {
        self.send(Event::Object { phase, object, action, message }).await;
    }

    /// Something that does not stop the command.
    pub async fn warn(&self, id: Id, message: impl Into<String>) {
        self.send(Event::Warning { id, message: message.into(), diagnostic: None }).await;
    }
}
