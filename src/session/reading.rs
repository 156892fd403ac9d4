//! Runs a command that only reads beside its reporter: events for programs, and progress if the command waits.

use super::runner::{ensure_no_events_on_stdout, events_not_read, start_reporter};
use super::signals::Signals;
use super::step::Deadline;
use crate::command_line::RepeatedFlags;
use crate::error::Result;
use crate::event::{Event, Events, Finished};
use crate::flags::Global;
use crate::report::{Output, ReadingProgress, Streams};

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
        ensure_no_events_on_stdout(global, "the result")?;
        let mut signals = Signals::listen();
        let reporter = tokio::select! {
            reporter = start_reporter(global, output, streams, Some(progress)) => reporter?,
            error = signals.interrupted() => return Err(error.into()),
            () = tokio::time::sleep_until(deadline.for_command()) => return Err(events_not_read(deadline).into()),
        };
        let (events, receiver) = Events::channel();
        let runtime = tokio::runtime::Handle::current();
        let reporting = tokio::task::spawn_blocking(move || runtime.block_on(reporter.run(receiver)));
        events.send(Event::Started { command: command.to_owned() }).await;
        let outcome = tokio::select! {
            outcome = Box::pin(work(&events)) => outcome,
            error = signals.interrupted() => Err(error),
        };
        let flags = RepeatedFlags::new(global);
        let outcome = outcome.map_err(|error| error.map_hints(|hint| flags.insert_into(hint)));
        let finished = match &outcome {
            Ok((_, finished)) => finished.clone(),
            Err(error) => Finished::of_error(error),
        };
        let ending = async {
            if let Err(error) = &outcome {
                events.fail_open_steps().await;
                streams.summary_of_error(command, error);
            }
            events.send(Event::Finished(finished)).await;
            drop(events);
            reporting.await
        };
        tokio::select! {
            ended = ending => { ended?; }
            // Nobody reads the last lines.
            () = streams.blocked() => {}
        }
        Ok(outcome?.0)
    }
}
