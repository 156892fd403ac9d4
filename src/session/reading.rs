//! Runs a command that only reads beside its reporter: events for programs, and progress if the command waits.

use std::sync::Arc;

use jiff::Timestamp;

use super::runner::{events_not_read, events_target};
use super::signals::Signals;
use super::step::Deadline;
use crate::catalogue::Id;
use crate::command_line::RepeatedFlags;
use crate::error::{Error, Kind, Result};
use crate::event::{Event, Events, Finished};
use crate::flags::Global;
use crate::report::{JunitFile, Output, ReadingProgress, Reporter, Streams};

/// A command that only reads. It writes its result itself.
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
        let Self { global, command, progress, deadline, output, streams } = self;
        ensure_stdout_is_free(global)?;
        let mut signals = Signals::listen();
        let (target, junit, own) = (events_target(global), global.junit.clone(), streams.clone());
        let starting = tokio::task::spawn_blocking(move || {
            let reporter = Reporter::for_reading(own, target.as_ref(), output, progress, Timestamp::now)?;
            Ok::<_, Error>(reporter.with_junit(junit.map(JunitFile::create).transpose()?))
        });
        let reporter = tokio::select! {
            reporter = starting => reporter??,
            error = signals.interrupted() => return Err(without_hint(&error).into()),
            () = tokio::time::sleep_until(deadline.for_command()) => return Err(events_not_read(deadline).into()),
        };
        let (events, receiver) = Events::channel();
        let runtime = tokio::runtime::Handle::current();
        let reporting = tokio::task::spawn_blocking(move || runtime.block_on(reporter.run(receiver)));
        events.send(Event::Started { command: command.to_owned() }).await;
        let outcome = tokio::select! {
            outcome = Box::pin(work(&events)) => outcome,
            error = signals.interrupted() => Err(without_hint(&error)),
        };
        let flags = RepeatedFlags::new(global);
        let outcome = outcome.map_err(|error| error.map_hints(|hint| flags.insert_into(hint)));
        let finished = match &outcome {
            Ok((_, finished)) => finished.clone(),
            Err(error) => Finished {
                exit: error.kind().exit_code(),
                id: Some(error.id()),
                message: error.message().to_owned(),
                error: Some(Arc::new(error.map_texts(str::to_owned))),
                ..Finished::default()
            },
        };
        if let Err(error) = &outcome {
            events.fail_open_steps().await;
            streams.summary_of_error(command, error);
        }
        events.send(Event::Finished(finished)).await;
        drop(events);
        tokio::select! {
            ended = reporting => { ended?; }
            // Nobody reads the last lines.
            () = streams.blocked() => {}
        }
        Ok(outcome?.0)
    }
}

/// The hint of a command that changes something, that it continues, is not true for one that reads.
fn without_hint(interruption: &Error) -> Error {
    Error::new(interruption.id(), interruption.kind(), interruption.message())
}

/// Checks that no events go to stdout, where the command's own result goes.
///
/// # Errors
/// Exit 2 with the flag.
fn ensure_stdout_is_free(global: &Global) -> Result<()> {
    if global.events.as_ref().is_none_or(|path| path.to_str() != Some("-")) {
        return Ok(());
    }
    let message = "--events - and the result both write to standard output";
    Err(Error::new(Id::Usage, Kind::Usage, message).hint("--events FILE writes the events to a file"))
}
