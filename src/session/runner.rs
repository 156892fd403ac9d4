//! Runs a command beside its reporter and handles signals, the deadline and the last event.

use std::time::Duration;

use jiff::Timestamp;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::cluster_session::{self, Secrets, Session};
use super::output::output_form;
use super::set_lock::{self, LockSlot};
use super::step::Deadline;
use crate::catalogue::Id;
use crate::cluster::client::api::Api;
use crate::command_line::RepeatedFlags;
use crate::error::{Error, Kind, Result};
use crate::event::{Event, Events, Finished, Phase};
use crate::flags::{Format, Global};
use crate::phrase;
use crate::plan::inventory::apply_set::ApplySet;
use crate::provider::Environment;
use crate::report::{EventsTarget, Output, Reporter, RunSummary, Streams};
use crate::settings::Settings;

/// Grace after the deadline: waits that can explain themselves fail first, with a better error; after this the command
/// is aborted.
const ABORT_GRACE: Duration = Duration::from_millis(500);

/// A command with its global flags.
#[derive(Clone, Copy)]
pub(crate) struct Invocation<'a> {
    pub(crate) global: &'a Global,
    /// Its name: `cluster up`.
    pub(crate) command: &'static str,
    /// The output format of the summary on stdout.
    pub(crate) output: Option<Format>,
    /// Time limit of the whole command.
    pub(crate) timeout: Duration,
    pub(crate) streams: &'a Streams,
}

/// The context of a command before its cluster is chosen.
pub(crate) struct Context {
    pub(crate) environment: Environment,
    pub(crate) events: Events,
    pub(crate) deadline: Deadline,
    /// The words of the command line.
    words: Vec<String>,
    /// The set's lock, after the command has requested it.
    lock: LockSlot,
}

/// The context of a command after its cluster is chosen.
#[derive(Clone, Copy)]
pub(crate) struct Run<'a> {
    pub(crate) session: &'a Session,
    context: &'a Context,
}

impl Invocation<'_> {
    /// Runs a command that changes a cluster: reads the configuration, chooses the cluster, and asks for a confirmation
    /// if the choice is not explicit.
    ///
    /// # Errors
    /// The reporter cannot start. An error of the work is reported here and returned as the exit code.
    pub(crate) async fn change_cluster(
        self,
        secrets: Secrets,
        work: impl AsyncFnOnce(&Run<'_>) -> Result<Finished>,
    ) -> anyhow::Result<u8> {
        self.run(async move |context| {
            let loaded = cluster_session::load(self.global, secrets)?;
            cluster_session::report_config(&loaded, &context.events).await;
            let session =
                Session::to_change(self.global, loaded, context.environment.clone(), self.streams).await?;
            Run::new(&session, context).conclude(work).await
        })
        .await
    }

    /// Runs `work` while the reporter writes its events, releases the lock, and returns the exit code. The first event
    /// is always `started` and the last one `finished`, also after an error or a signal.
    ///
    /// # Errors
    /// The reporter cannot start. An error of the work is reported here and returned as the exit code.
    pub(crate) async fn run(
        self,
        work: impl AsyncFnOnce(&Context) -> Result<Finished>,
    ) -> anyhow::Result<u8> {
        let Self { global, command, output, timeout, streams } = self;
        let deadline = Deadline::after(timeout);
        // Installed before the first request: from here on a signal ends the command in order, with its last event.
        let signals = Signals::listen();
        let output = output_form(output);
        let target = global.events.as_ref().map(|path| match path.to_str() {
            Some("-") => EventsTarget::Stdout,
            _ => EventsTarget::File(path.clone()),
        });
        let reporter = Reporter::new(streams.clone(), target.as_ref(), output, Timestamp::now)?;
        let (events, receiver) = Events::channel();
        let reporting = tokio::spawn(reporter.run(receiver));
        events.send(Event::Started { command: command.to_owned() }).await;
        let outcome = match cluster_session::read_environment() {
            Ok(environment) => {
                let (words, lock) = (global.words.clone(), LockSlot::default());
                let context = Context { environment, events: events.clone(), deadline, words, lock };
                let outcome = tokio::select! {
                    outcome = work(&context) => outcome,
                    error = signals.interrupted() => Err(error),
                    () = tokio::time::sleep_until(deadline.at + ABORT_GRACE) => Err(deadline_error(deadline.total)),
                };
                // The work has ended or was dropped, so it sends no more requests.
                context.lock.release(&events).await;
                outcome
            }
            Err(error) => Err(error),
        };
        let flags = RepeatedFlags::new(global);
        let outcome = outcome.map_err(|error| error.map_hints(|hint| flags.insert_into(hint)));
        let finished = match &outcome {
            Ok(finished) => with_flags(finished.clone(), &flags),
            Err(error) => Finished {
                exit: error.kind().exit_code(),
                id: Some(error.id()),
                message: error.message().to_owned(),
                ..Finished::default()
            },
        };
        let exit = finished.exit;
        events.send(Event::Finished(finished)).await;
        drop(events);
        let summary = reporting.await?;
        if output != Output::Human
            && let Some(value) = summary.summary()
        {
            let _written = streams.value(&value, output)?;
        }
        if let Err(error) = outcome {
            streams.error(&with_progress(error, &summary), output);
        }
        Ok(exit)
    }
}

impl<'a> Run<'a> {
    pub(crate) fn new(session: &'a Session, context: &'a Context) -> Self {
        Self { session, context }
    }

    pub(crate) fn api(&self) -> &'a Api {
        &self.session.connection.api
    }

    pub(crate) fn settings(&self) -> &'a Settings {
        &self.session.settings
    }

    pub(crate) fn events(&self) -> &'a Events {
        &self.context.events
    }

    pub(crate) fn deadline(&self) -> Deadline {
        self.context.deadline
    }

    /// Returns the words of the command line after the program.
    pub(crate) fn words(&self) -> &'a [String] {
        &self.context.words
    }

    /// Acquires the set's lock and runs `work` under it.
    ///
    /// # Errors
    /// Those of [`set_lock::under_lock`].
    pub(crate) async fn under_lock<T>(
        &self,
        set: &ApplySet,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        set_lock::under_lock(self.api(), set, &self.context.lock, self.events(), work).await
    }

    /// Runs the work, reports its HTTP statistics, and adds the expiry of the credentials to an authentication error.
    ///
    /// # Errors
    /// Those of the work.
    pub(crate) async fn conclude(
        self,
        work: impl AsyncFnOnce(&Run<'_>) -> Result<Finished>,
    ) -> Result<Finished> {
        let outcome = work(&self).await;
        self.session.report_traffic(self.events()).await;
        outcome.map_err(|error| self.session.with_credentials_hint(error))
    }
}

/// The handlers of the signals that end a command.
struct Signals([Option<Signal>; 3]);

impl Signals {
    /// Installs the handlers. A signal without a handler keeps its default action, which ends the process.
    fn listen() -> Self {
        Self(
            [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()]
                .map(|kind| signal(kind).ok()),
        )
    }

    async fn interrupted(self) -> Error {
        let [interrupt, terminate, hangup] = self.0;
        let (kind, word) = tokio::select! {
            () = received(interrupt) => (Kind::Interrupted, "interrupted"),
            () = received(terminate) => (Kind::Terminated, "terminated"),
            () = received(hangup) => (Kind::HungUp, "the terminal was closed"),
        };
        Error::new(Id::Interrupted, kind, word).hint("running the command again continues from here")
    }
}

async fn received(signal: Option<Signal>) {
    match signal {
        Some(mut signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

/// Repeats the flags of the command line in the commands to run next.
fn with_flags(mut finished: Finished, flags: &RepeatedFlags) -> Finished {
    for (_, command) in &mut finished.next {
        *command = flags.insert_into(command);
    }
    finished
}

/// Adds the finished and the unfinished changes to the error of an interrupted command.
fn with_progress(error: Error, summary: &RunSummary) -> Error {
    let stopped = matches!(error.kind(), Kind::Interrupted | Kind::Terminated | Kind::HungUp);
    if !stopped {
        return error;
    }
    let done = match (summary.counts(), summary.planned.first()) {
        (counts, None) if counts.is_empty() => return error,
        (counts, Some((Phase::Prune, _))) if counts.is_empty() => "nothing was deleted yet".to_owned(),
        (counts, Some(_)) if counts.is_empty() => "nothing was changed".to_owned(),
        (counts, _) => counts,
    };
    let mut error = error.fact("done", done);
    for (phase, label) in [(Phase::Apply, "not done"), (Phase::Prune, "not deleted")] {
        let names: Vec<String> = summary.unfinished(phase).iter().map(ToString::to_string).collect();
        if !names.is_empty() {
            error = error.fact(label, format!("{}\n(or sent, but not answered yet)", names.join(", ")));
        }
    }
    error
}

fn deadline_error(total: Duration) -> Error {
    Error::new(
        Id::DeadlinePassed,
        Kind::Deadline,
        format!("the command timed out after {}", phrase::span(total)),
    )
    .hint("running the command again continues from here")
    .hint("--timeout DURATION sets a longer limit")
}
