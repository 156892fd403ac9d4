//! The signals that end a command. The first one ends it in order; a second one ends the process at once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::SigId;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::catalogue::Id;
use crate::error::{Error, Kind};

/// The handlers of the signals that end a command.
pub(crate) struct Signals {
    /// Those of SIGINT, SIGTERM and SIGHUP.
    handlers: [Option<Signal>; 3],
    /// The actions that end the process at a second SIGINT.
    second_interrupt: Vec<SigId>,
}

impl Signals {
    /// Installs the handlers. A signal without a handler keeps its default action, which ends the process.
    pub(crate) fn listen() -> Self {
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let is_ending = Arc::new(AtomicBool::new(false));
        let [second_interrupt, ..] = kinds.map(|kind| {
            let default_action_remains = Vec::new();
            second_ends_the_process(kind, &is_ending).unwrap_or(default_action_remains)
        });
        Self { handlers: kinds.map(|kind| signal(kind).ok()), second_interrupt }
    }

    /// Leaves Ctrl-C to a program in the foreground: from now on SIGINT does not end this process, however often.
    pub(crate) fn leave_interrupts(&mut self) {
        let [interrupt, ..] = &mut self.handlers;
        // tokio keeps its own handler, which does nothing without a listener.
        *interrupt = None;
        for action in self.second_interrupt.drain(..) {
            signal_hook::low_level::unregister(action);
        }
    }

    /// Waits for the first signal and returns the error of the command that it ends.
    pub(crate) async fn interrupted(&mut self) -> Error {
        let [interrupt, terminate, hangup] = &mut self.handlers;
        let (kind, word) = tokio::select! {
            () = received(interrupt.as_mut()) => (Kind::Interrupted, "interrupted"),
            () = received(terminate.as_mut()) => (Kind::Terminated, "terminated"),
            () = received(hangup.as_mut()) => (Kind::HungUp, "the terminal was closed"),
        };
        Error::new(Id::Interrupted, kind, word)
    }
}

/// Programs in the foreground of the terminal, such as an editor: while one runs, Ctrl-C is for it and does not end
/// handsctl. A program does not inherit the handlers.
pub(crate) struct ForegroundPrograms {
    has_ended: Arc<AtomicBool>,
}

impl ForegroundPrograms {
    /// Installs the handlers. Without a program the signals keep their default action, which ends the process.
    pub(crate) fn new() -> Self {
        let has_ended = Arc::new(AtomicBool::new(true));
        for kind in [SignalKind::interrupt(), SignalKind::quit()] {
            let number = kind.as_raw_value();
            let _default_action_remains =
                signal_hook::flag::register_conditional_default(number, has_ended.clone());
        }
        Self { has_ended }
    }

    /// Waits for a program.
    pub(crate) async fn run<T>(&self, program: impl Future<Output = T>) -> T {
        self.has_ended.store(false, Ordering::SeqCst);
        let result = program.await;
        self.has_ended.store(true, Ordering::SeqCst);
        result
    }
}

/// Restores the default action for the second signal of those that share the flag. It ends the process in the handler
/// itself, whatever the tasks wait for. Returns the actions.
fn second_ends_the_process(kind: SignalKind, is_ending: &Arc<AtomicBool>) -> io::Result<Vec<SigId>> {
    let number = kind.as_raw_value();
    // Handlers run in this order: the first signal finds the flag unset.
    let end = signal_hook::flag::register_conditional_default(number, is_ending.clone())?;
    Ok(vec![end, signal_hook::flag::register(number, is_ending.clone())?])
}

async fn received(signal: Option<&mut Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}
