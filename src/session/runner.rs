//! Runs a command beside its reporter and handles signals, the deadline and the last event.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::cleanup_slot::CleanupSlot;
use super::cluster_session::{self, Secrets, Session};
use super::long_calls::LongCalls;
use super::output::output_form;
use super::output_files;
use super::provenance;
use super::revision_slot::RevisionSlot;
use super::set_lock::{self, LockSlot};
use super::signals::Signals;
use super::step::Deadline;
use crate::catalogue::Id;
use crate::cluster::client::api::Api;
use crate::cluster::client::connect::Connection;
use crate::command_line::RepeatedFlags;
use crate::error::{Error, Kind, Result};
use crate::event::{Event, Events, Finished, Phase};
use crate::flags::{Format, Global};
use crate::plan::inventory::apply_set::ApplySet;
use crate::plan::inventory::lease::Holder;
use crate::plan::inventory::provenance::Provenance;
use crate::provider::Environment;
use crate::report::{
    EventsTarget, EvidenceFolder, JunitFile, Output, ReadingProgress, ReportFile, Reporter, RunSummary,
    SharedTimeline, Streams,
};
use crate::settings::Settings;

/// Longer than the release of the lock takes at most; its warning may wait for a reader that has stopped.
const RELEASE: Duration = Duration::from_secs(4);
/// How long the reporter may take to process the events before a timeline is recorded.
const FLUSH: Duration = Duration::from_secs(1);
/// The hint of a command that changes something, after a signal.
const CONTINUES: &str = "running the command again continues from here";

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
    /// This process, as it holds the lock and creates revisions.
    process: Holder,
    /// Who started this run.
    provenance: Provenance,
    /// The requests that wait for the API server.
    calls: LongCalls,
    /// What the command must undo before it ends.
    cleanups: CleanupSlot,
    /// The set's lock, after the command has requested it.
    lock: LockSlot,
    /// The revision whose result is not recorded yet.
    revision: RevisionSlot,
    /// The timeline that the reporter fills.
    timeline: SharedTimeline,
}

impl Context {
    /// Creates the context of a command of this process.
    pub(crate) fn new(
        environment: Environment,
        events: Events,
        deadline: Deadline,
        words: Vec<String>,
        process: Holder,
        timeline: SharedTimeline,
    ) -> Self {
        Self {
            environment,
            events,
            deadline,
            words,
            process,
            provenance: provenance::of_this_run(),
            calls: LongCalls::default(),
            cleanups: CleanupSlot::default(),
            lock: LockSlot::default(),
            revision: RevisionSlot::new(timeline.clone()),
            timeline,
        }
    }

    /// Runs the work until it ends, is interrupted or times out. Then runs its cleanups, marks a revision without a result
    /// as interrupted, and releases the lock.
    ///
    /// # Errors
    /// Those of the work, the interruption, or exit 10 at the deadline.
    pub(crate) async fn finish(
        &self,
        work: impl Future<Output = Result<Finished>>,
        interruption: impl Future<Output = Error>,
    ) -> Result<Finished> {
        let outcome = tokio::select! {
            outcome = work => outcome,
            error = interruption => Err(error),
            error = self.calls.time_out(self.deadline) => Err(error),
            never = self.calls.report(self.deadline, &self.events) => match never {},
        };
        if outcome.as_ref().is_err_and(|error| error.kind() == Kind::Locked) {
            // Another run may be changing the set and its history.
            self.revision.close();
        }
        self.cleanups.run_all(self.deadline, &self.events).await;
        // The work has ended or was dropped, so it sends no more requests.
        let release = self.lock.release(&self.revision, self.deadline, &self.events);
        let _a_stopped_reader_takes_no_warning = tokio::time::timeout(RELEASE, release).await;
        outcome
    }

    /// Limits the requests of a connection to the command's deadline.
    pub(crate) fn limit(&self, connection: &mut Connection) {
        self.calls.limit(connection, self.deadline);
    }
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
            let loaded =
                cluster_session::load_until(context.deadline, self.global, secrets, self.streams).await?;
            cluster_session::report_config(&loaded, secrets, &context.events).await;
            let reported: Vec<Id> = loaded.warnings.iter().map(|warning| warning.id).collect();
            let environment = context.environment.clone();
            let mut session =
                Session::to_change(self.global, loaded, environment, self.streams, context.deadline).await?;
            context.limit(&mut session.connection);
            if secrets == Secrets::Needed {
                session.check_exposure(&reported, &context.events).await?;
            }
            Box::pin(Run::new(&session, context).conclude(work)).await
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
        let mut signals = Signals::listen();
        let output = output_form(output);
        if output != Output::Human {
            ensure_no_events_on_stdout(global, "-o")?;
        }
        let reporter = tokio::select! {
            reporter = start_reporter(global, output, streams, None) => reporter?,
            error = signals.interrupted() => return Err(error.hint(CONTINUES).into()),
            () = tokio::time::sleep_until(deadline.for_command()) => return Err(events_not_read(deadline).into()),
        };
        let (events, receiver) = Events::channel();
        let timeline = SharedTimeline::default();
        let reporter = reporter.with_timeline(timeline.clone());
        // On a thread of its own: a reader that has stopped delays neither the deadline nor a signal.
        let runtime = tokio::runtime::Handle::current();
        let reporting = tokio::task::spawn_blocking(move || runtime.block_on(reporter.run(receiver)));
        events.send(Event::Started { command: command.to_owned() }).await;
        let process = set_lock::this_process();
        let environment = cluster_session::read_environment();
        let words = global.words.clone();
        let context = Context::new(environment, events.clone(), deadline, words, process, timeline);
        let interrupted = async { signals.interrupted().await.hint(CONTINUES) };
        let outcome = context.finish(Box::pin(work(&context)), interrupted).await;
        drop(context);
        let outcome = outcome.map_err(|error| with_step(error, &events));
        let flags = RepeatedFlags::new(global);
        let outcome = outcome.map_err(|error| error.map_hints(|hint| flags.insert_into(hint)));
        let finished = match &outcome {
            Ok(finished) => with_flags(finished.clone(), &flags),
            Err(error) => Finished::of_error(error),
        };
        let exit = finished.exit;
        let is_ended =
            outcome.as_ref().is_err_and(|error| is_stop(error.kind()) || error.kind() == Kind::Deadline);
        let ending = async {
            if outcome.is_err() {
                events.fail_open_steps().await;
            }
            events.send(Event::Finished(finished)).await;
            drop(events);
            let summary = reporting.await?;
            let streams = streams.clone();
            tokio::task::spawn_blocking(move || write_result(&streams, output, outcome, summary)).await?
        };
        let stopped = async {
            if !is_ended {
                tokio::select! {
                    _error = signals.interrupted() => {}
                    () = tokio::time::sleep_until(deadline.for_command()) => {}
                }
            }
            streams.blocked().await;
        };
        tokio::select! {
            written = ending => written?,
            // Nobody reads the last lines.
            () = stopped => {}
        }
        Ok(exit)
    }
}

/// Checks that no events go to stdout, where the command also writes `other`: a program could read neither.
///
/// # Errors
/// Exit 2 with the flag.
pub(super) fn ensure_no_events_on_stdout(global: &Global, other: &str) -> Result<()> {
    if global.events.as_ref().is_none_or(|path| path.to_str() != Some("-")) {
        return Ok(());
    }
    let message = format!("--events - and {other} both write to standard output");
    Err(Error::new(Id::Usage, Kind::Usage, message).hint("--events FILE writes the events to a file"))
}

/// Opens the events file and starts the reporter, with the progress of a command that only `reads`. On a thread of its
/// own: the file may be a named pipe.
pub(super) async fn start_reporter(
    global: &Global,
    output: Output,
    streams: &Streams,
    reads: Option<ReadingProgress>,
) -> anyhow::Result<Reporter> {
    output_files::ensure_distinct(global)?;
    let target = events_target(global);
    let (streams, junit) = (streams.clone(), global.junit.clone());
    let (evidence, report) = (global.evidence.clone(), global.report.clone());
    let global = global.clone();
    let starting = tokio::task::spawn_blocking(move || {
        let target = target.as_ref();
        let reporter = match reads {
            None => Reporter::new(streams, target, output, Timestamp::now)?,
            Some(progress) => Reporter::for_reading(streams, target, output, progress, Timestamp::now)?,
        };
        let evidence = evidence.map(EvidenceFolder::create).transpose()?;
        let junit = junit.map(JunitFile::create).transpose()?;
        let report = report.map(ReportFile::create).transpose()?;
        // The context is chosen later than this.
        let reporter = reporter.with_commands(move |text| RepeatedFlags::new(&global).insert_into(text));
        Ok::<_, Error>(reporter.with_junit(junit).with_evidence(evidence).with_report(report))
    });
    Ok(starting.await??)
}

/// Returns the target of `--events`.
fn events_target(global: &Global) -> Option<EventsTarget> {
    global.events.as_ref().map(|path| match path.to_str() {
        Some("-") => EventsTarget::Stdout,
        _ => EventsTarget::File(path.clone()),
    })
}

/// Returns the error for an events file that cannot be opened until the deadline.
pub(super) fn events_not_read(deadline: Deadline) -> Error {
    deadline.passed(Some("the file of --events is a pipe without a reader"))
}

/// Writes the result, with the error if there is one, as the one value on stdout, and the error as text.
fn write_result(
    streams: &Streams,
    output: Output,
    outcome: Result<Finished>,
    mut summary: RunSummary,
) -> anyhow::Result<()> {
    let error = outcome.err().map(|error| Arc::new(with_progress(error, &summary)));
    if let (Some(finished), Some(error)) = (&mut summary.finished, &error) {
        finished.error = Some(Arc::clone(error));
    }
    if output != Output::Human
        && let Some(value) = summary.summary()
    {
        let _written = streams.value(&value, output)?;
    }
    if let Some(error) = error {
        streams.error(&error);
    }
    Ok(())
}

/// Whether a signal has ended the command.
const fn is_stop(kind: Kind) -> bool {
    matches!(kind, Kind::Interrupted | Kind::Terminated | Kind::HungUp)
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

    pub(crate) fn cleanups(&self) -> &'a CleanupSlot {
        &self.context.cleanups
    }

    pub(crate) fn revision(&self) -> &'a RevisionSlot {
        &self.context.revision
    }

    /// Returns the timeline until now, as a revision keeps it. None if it cannot be written as text.
    pub(crate) async fn timeline_text(&self) -> Option<String> {
        // A reader that has stopped must not delay the result.
        let _complete = tokio::time::timeout(FLUSH, self.events().flush()).await;
        self.context.timeline.record(Timestamp::now()).to_text()
    }

    pub(crate) fn deadline(&self) -> Deadline {
        self.context.deadline
    }

    /// Returns the words of the command line after the program.
    pub(crate) fn words(&self) -> &'a [String] {
        &self.context.words
    }

    /// Returns `ana@laptop`, the creator of this run's revisions.
    pub(crate) fn user_host(&self) -> String {
        self.context.process.user_host()
    }

    /// Returns who started this run, which its revisions record.
    pub(crate) fn provenance(&self) -> Provenance {
        self.context.provenance.clone()
    }

    /// Runs `work`, which acquires the set's lock. With a limit, waits first until no other run holds it.
    ///
    /// # Errors
    /// Those of [`set_lock::waiting_for_lock`].
    pub(crate) async fn waiting_for_lock<T>(
        &self,
        limit: Option<Duration>,
        work: impl AsyncFn() -> Result<T>,
    ) -> Result<T> {
        let Some(limit) = limit else { return Box::pin(work()).await };
        let Context { process, events, deadline, .. } = self.context;
        let set = self.session.set();
        set_lock::waiting_for_lock(self.api(), &set, process, limit, *deadline, events, work).await
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
        let Context { process, lock, events, .. } = self.context;
        // Each layer copies its future: on the heap, they do not add up on the stack of the main thread.
        set_lock::under_lock(self.api(), set, process, lock, events, Box::pin(work)).await
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

/// Adds the unfinished step to the error of a command that timed out.
fn with_step(error: Error, events: &Events) -> Error {
    match events.unfinished_step() {
        Some(step) if error.kind() == Kind::Deadline => error.fact("step", step),
        _ => error,
    }
}

/// Repeats the flags of the command line in the commands to run next.
fn with_flags(mut finished: Finished, flags: &RepeatedFlags) -> Finished {
    for (_, command) in &mut finished.next {
        *command = flags.insert_into(command);
    }
    finished
}

/// Adds the finished and the unfinished changes to the error of a command that was interrupted or timed out.
fn with_progress(error: Error, summary: &RunSummary) -> Error {
    let stopped = is_stop(error.kind());
    // A wait that ends by itself at the deadline has described the state.
    let timed_out = error.kind() == Kind::Deadline && !error.has_state();
    if !stopped && !timed_out {
        return error;
    }
    let done = match (summary.counts(), summary.planned.first()) {
        (counts, None) if counts.is_empty() && timed_out => match summary.part.as_str() {
            "deploy" | "rollback" | "restart" => "nothing was applied".to_owned(),
            "teardown" => "nothing was deleted".to_owned(),
            _ => return error,
        },
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
    if timed_out { error.hint("running the command again continues from here") } else { error }
}
