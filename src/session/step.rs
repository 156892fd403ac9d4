//! A named part of a command, and the command's deadline.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use crate::event::{Events, Phase, Progress};

/// Runs the work and reports the start and the result of the step. The message of the work is the step's last message.
///
/// # Errors
/// Those of the work.
pub(crate) async fn step<T>(
    events: &Events,
    phase: Phase,
    name: &str,
    work: impl Future<Output = crate::error::Result<(T, String)>>,
) -> crate::error::Result<T> {
    events.begin(phase, name, "").await;
    match work.await {
        Ok((value, message)) => {
            events.done(phase, name, message).await;
            Ok(value)
        }
        Err(error) => {
            events.step(phase, name, Progress::Failed, "").await;
            Err(error)
        }
    }
}

/// The time at which a command times out, and its time limit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    pub(crate) at: Instant,
    pub(crate) total: Duration,
}

impl Deadline {
    pub(crate) fn after(total: Duration) -> Self {
        Self { at: Instant::now() + total, total }
    }
}
