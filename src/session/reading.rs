//! Runs a command that only reads or follows beside its reporter: events for programs, and progress if it waits.

use tokio::task::JoinHandle;

use super::runner::{ensure_no_events_on_stdout, events_not_read, start_reporter};
use super::signals::Signals;
use super::step::Deadline;
use crate::catalogue::Id;
use crate::command_line::RepeatedFlags;
use crate::error::{Error, Result};
use crate::event::{Event, Events, Finished};
use crate::flags::Global;
use crate::report::{Output, ReadingProgress, RunSummary, Streams};

/// A command that changes nothing in the cluster. It writes its result itself.
#[derive(Clone, Copy)]
pub(crate) struct ReadInvocation<'a> {
    pub(crate) global: &'a Global,
    /// Its name: `status`.
    pub(crate) command: &'static str,
    pub(crate) progress: ReadingProgress,
    pub(crate) deadline: Deadline,
    pub(crate) output: Output,
    pub(crate) streams: &'a Streams,
}

impl ReadInvocation<'_> {
    /// Runs `work` while the reporter writes its events. The first event is `started`, the last one `finished`, also
    /// after an error or a signal. The work returns its result, and what `finished` says about it.
    ///
    /// # Errors
    /// Those of the work, the signal, or exit 2 if the events cannot be written.
    pub(crate) async fn run<T>(
        self,
        work: impl AsyncFnOnce(&Events) -> Result<(T, Finished)>,
    ) -> anyhow::Result<T> {
        let mut signals = Signals::listen();
        let reporting = self.start(&mut signals).await?;
        let outcome = tokio::select! {
            outcome = Box::pin(work(&reporting.events)) => outcome,
            error = signals.interrupted() => Err(error),
        };
        let outcome = self.with_flags(outcome);
        let finished = match &outcome {
            Ok((_, finished)) => finished.clone(),
            Err(error) => {
                self.report_failure(error, &reporting.events).await;
                Finished::of_error(error)
            }
        };
        reporting.end(finished, self.streams).await?;
        Ok(outcome?.0)
    }

    /// Runs a command that follows until Ctrl-C, beside its reporter: `prepare` finds what to follow, `follow` follows
    /// it. Ctrl-C and the other signals end the command in silence: that is how it ends. Returns its exit code.
    ///
    /// # Errors
    /// Those of the work, or exit 2 if the events cannot be written.
    pub(crate) async fn follow<T>(
        self,
        interrupts: Interrupts,
        prepare: impl AsyncFnOnce(&Events) -> Result<T>,
        follow: impl AsyncFnOnce(T, &Events) -> Result<Finished>,
    ) -> anyhow::Result<u8> {
        let mut signals = Signals::listen();
        let reporting = self.start(&mut signals).await?;
        let prepared = tokio::select! {
            prepared = Box::pin(prepare(&reporting.events)) => prepared,
            error = signals.interrupted() => Err(error),
        };
        let outcome = match prepared {
            Err(error) => Err(error),
            Ok(prepared) => {
                if interrupts == Interrupts::ForProgram {
                    signals.leave_interrupts();
                }
                tokio::select! {
                    outcome = Box::pin(follow(prepared, &reporting.events)) => outcome,
                    error = signals.interrupted() => Err(error),
                }
            }
        };
        let outcome = self.with_flags(outcome);
        let is_stopped = outcome.as_ref().is_err_and(|error| error.id() == Id::Interrupted);
        let finished = match &outcome {
            Ok(finished) => finished.clone(),
            Err(error) => {
                if !is_stopped {
                    self.report_failure(error, &reporting.events).await;
                }
                Finished::of_error(error)
            }
        };
        let exit = finished.exit;
        reporting.end(finished, self.streams).await?;
        match outcome {
            Err(error) if !is_stopped => Err(error.into()),
            Ok(_) | Err(_) => Ok(exit),
        }
    }

    /// Starts the reporter and sends the first event.
    async fn start(&self, signals: &mut Signals) -> anyhow::Result<Reporting> {
        let Self { global, command, progress, deadline, output, streams } = *self;
        ensure_no_events_on_stdout(global, "the result")?;
        let reporter = tokio::select! {
            reporter = start_reporter(global, output, streams, Some(progress)) => reporter?,
            error = signals.interrupted() => return Err(error.into()),
            () = tokio::time::sleep_until(deadline.for_command()) => return Err(events_not_read(deadline).into()),
        };
        let (events, receiver) = Events::channel();
        let runtime = tokio::runtime::Handle::current();
        let task = tokio::task::spawn_blocking(move || runtime.block_on(reporter.run(receiver)));
        events.send(Event::Started { command: command.to_owned() }).await;
        Ok(Reporting { events, task })
    }

    fn with_flags<T>(&self, outcome: Result<T>) -> Result<T> {
        let flags = RepeatedFlags::new(self.global);
        outcome.map_err(|error| error.map_hints(|hint| flags.insert_into(hint)))
    }

    /// Ends the open steps, and writes the error to the summary of a workflow's step.
    async fn report_failure(&self, error: &Error, events: &Events) {
        events.fail_open_steps().await;
        self.streams.summary_of_error(self.command, error);
    }
}

/// What Ctrl-C does while a command follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interrupts {
    /// It ends the command.
    EndCommand,
    /// It is for the program in the foreground, whose end is the end of the command.
    ForProgram,
}

/// A reporter that writes the events of a command.
struct Reporting {
    events: Events,
    task: JoinHandle<RunSummary>,
}

impl Reporting {
    /// Sends the last event and waits until it is written.
    async fn end(self, finished: Finished, streams: &Streams) -> anyhow::Result<()> {
        let ending = async {
            self.events.send(Event::Finished(finished)).await;
            drop(self.events);
            self.task.await
        };
        tokio::select! {
            ended = ending => { ended?; }
            // Nobody reads the last lines.
            () = streams.blocked() => {}
        }
        Ok(())
    }
}
