//! A named part of a command, and the command's deadline.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use crate::catalogue::Id;
use crate::error::{Error, Kind};
use crate::event::{Events, Phase, Progress};
use crate::phrase;

/// The hint that ends each error of a time limit.
pub(crate) const LONGER_LIMIT: &str = "--timeout DURATION sets a longer limit";

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
    pub(crate) origin: LimitOrigin,
}

/// The origin of a command's time limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LimitOrigin {
    /// `--timeout`.
    Typed,
    /// The command's default.
    Default,
}

/// After the deadline, waits that can explain themselves end first, with a better error.
const REQUEST_GRACE: Duration = Duration::from_millis(250);
/// Requests end then, and name themselves. What remains after this is aborted.
const ABORT_GRACE: Duration = Duration::from_millis(500);
/// The lock is released until then: no command exceeds its time limit by 2 s, whatever the network does.
const RELEASE_GRACE: Duration = Duration::from_millis(1500);

impl Deadline {
    pub(crate) fn after(total: Duration) -> Self {
        Self { at: Instant::now() + total, total, origin: LimitOrigin::Default }
    }

    /// The deadline of a command with `--timeout`, or with its default limit.
    pub(crate) fn of(typed: Option<Duration>, default: Duration) -> Self {
        let origin = if typed.is_some() { LimitOrigin::Typed } else { LimitOrigin::Default };
        Self { origin, ..Self::after(typed.unwrap_or(default)) }
    }

    /// The limit that was typed; None: it is the command's default.
    pub(crate) fn typed(self) -> Option<Duration> {
        (self.origin == LimitOrigin::Typed).then_some(self.total)
    }

    /// When requests to the API server end at the latest.
    pub(crate) fn for_requests(self) -> Instant {
        self.at + REQUEST_GRACE
    }

    /// When the release of the lock is given up.
    pub(crate) fn for_release(self) -> Instant {
        self.at + RELEASE_GRACE
    }

    /// When the command is aborted.
    pub(crate) fn for_command(self) -> Instant {
        self.at + ABORT_GRACE
    }

    /// Returns the error of the command that has timed out; `reason`: what has not happened, or what it waited for.
    pub(crate) fn passed(self, reason: Option<&str>) -> Error {
        let reason = reason.map_or_else(String::new, |reason| format!(": {reason}"));
        let message = format!("the command timed out after {}{reason}", phrase::span(self.total));
        Error::new(Id::DeadlinePassed, Kind::Deadline, message)
    }
}
