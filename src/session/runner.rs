//! Runs a changing command beside its reporter: signals, the deadline, and the last event.

use std::future::Future;
use std::time::Duration;

use jiff::Timestamp;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::output::into_error;
use super::set_lock::LockSlot;
use super::step::Deadline;
use crate::catalogue::Id;
use crate::error::{Error, Kind};
use crate::event::{Event, Events, Finished, Phase};
use crate::flags::{Format, Global};
use crate::report::{EventsTarget, Output, Reporter, RunSummary, Streams};

/// A wait that knows what it waits for ends by itself at the deadline and says so; what does not is ended then.
const ABORT_GRACE: Duration = Duration::from_millis(500);

/// Runs `work` while the reporter writes what it tells, and gives back what it held. The first event is always `started` and the last one
/// `finished`, also after a failure or a signal; the exit code is the command's.
///
/// # Errors
/// Only where the reporter cannot begin; a failure of the work has been reported.
pub(crate) async fn run<W, F>(
    global: &Global,
    command: &str,
    format: Option<Format>,
    streams: &Streams,
    deadline: Deadline,
    work: W,
) -> anyhow::Result<u8>
where
    W: FnOnce(Events, LockSlot) -> F,
    F: Future<Output = anyhow::Result<Finished>>,
{
    // Before anything is asked or sent: from here on a signal has its last word.
    let signals = Signals::listen();
    let output = super::output::output_form(format);
    let target = global.events.as_ref().map(|path| match path.to_str() {
        Some("-") => EventsTarget::Stdout,
        _ => EventsTarget::File(path.clone()),
    });
    let reporter = Reporter::new(streams.clone(), target.as_ref(), output, Timestamp::now)?;
    let (events, receiver) = Events::channel();
    let reporting = tokio::spawn(reporter.run(receiver));
    events.send(Event::Started { command: command.to_owned() }).await;
    let held = LockSlot::default();
    let outcome = tokio::select! {
        outcome = work(events.clone(), held.clone()) => outcome.map_err(into_error),
        error = signals.interrupted() => Err(error),
        () = tokio::time::sleep_until(deadline.at + ABORT_GRACE) => Err(deadline_error(deadline.total)),
    };
    // However the work ended: by now nothing of it is sent any more.
    held.release(&events).await;
    let finished = match &outcome {
        Ok(finished) => finished.clone(),
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
    let told = reporting.await?;
    if output != Output::Human
        && let Some(summary) = told.summary()
    {
        let _nobody_reads = streams.value(&summary, output)?;
    }
    if let Err(error) = outcome {
        streams.error(&with_progress(error, &told), output);
    }
    Ok(exit)
}

/// The signals that end a command, listened to from now on.
struct Signals([Option<Signal>; 3]);

impl Signals {
    /// A signal that cannot be listened to keeps its default effect, which ends the process.
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
        Error::new(Id::Interrupted, kind, word).hint("running the command again goes on from here")
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

/// Whoever stopped a command wants to know what it has done and what it has not.
fn with_progress(error: Error, told: &RunSummary) -> Error {
    let stopped = matches!(error.kind(), Kind::Interrupted | Kind::Terminated | Kind::HungUp);
    if !stopped {
        return error;
    }
    let done = match (told.counts(), told.planned.first()) {
        (counts, None) if counts.is_empty() => return error,
        (counts, Some((Phase::Prune, _))) if counts.is_empty() => "nothing is gone yet".to_owned(),
        (counts, Some(_)) if counts.is_empty() => "nothing was changed".to_owned(),
        (counts, _) => counts,
    };
    let mut error = error.fact("done", done);
    for (phase, label) in [(Phase::Apply, "not done"), (Phase::Prune, "not deleted")] {
        let names: Vec<String> = told.unanswered(phase).iter().map(ToString::to_string).collect();
        if !names.is_empty() {
            error = error.fact(label, format!("{}\n(or sent, and not answered yet)", names.join(", ")));
        }
    }
    error
}

fn deadline_error(total: Duration) -> Error {
    Error::new(Id::DeadlinePassed, Kind::Deadline, format!("the command's {} s are over", total.as_secs()))
        .hint("what was applied stays and goes on; handsctl status shows how far it is")
        .hint("--timeout gives more time")
}
