//! The signals that end a command. The first one ends it in order; a second one ends the process at once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::catalogue::Id;
use crate::error::{Error, Kind};

/// The handlers of the signals that end a command.
pub(crate) struct Signals([Option<Signal>; 3]);

impl Signals {
    /// Installs the handlers. A signal without a handler keeps its default action, which ends the process.
    pub(crate) fn listen() -> Self {
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let _default_action_remains = second_ends_the_process(&kinds);
        Self(kinds.map(|kind| signal(kind).ok()))
    }

    /// Waits for the first signal and returns the error of the command that it ends.
    pub(crate) async fn interrupted(&mut self) -> Error {
        let [interrupt, terminate, hangup] = &mut self.0;
        let (kind, word) = tokio::select! {
            () = received(interrupt.as_mut()) => (Kind::Interrupted, "interrupted"),
            () = received(terminate.as_mut()) => (Kind::Terminated, "terminated"),
            () = received(hangup.as_mut()) => (Kind::HungUp, "the terminal was closed"),
        };
        Error::new(Id::Interrupted, kind, word)
    }
}

/// Listens for Ctrl-C only.
///
/// # Errors
/// The handler cannot be installed.
pub(crate) fn interrupt() -> io::Result<Signal> {
    let kind = SignalKind::interrupt();
    second_ends_the_process(&[kind])?;
    signal(kind)
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

/// Restores the default action for the second of these signals. It ends the process in the handler itself, whatever the
/// tasks wait for.
fn second_ends_the_process(kinds: &[SignalKind]) -> io::Result<()> {
    let is_ending = Arc::new(AtomicBool::new(false));
    for kind in kinds {
        let number = kind.as_raw_value();
        // Handlers run in this order: the first signal finds the flag unset.
        signal_hook::flag::register_conditional_default(number, is_ending.clone())?;
        signal_hook::flag::register(number, is_ending.clone())?;
    }
    Ok(())
}

async fn received(signal: Option<&mut Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}
