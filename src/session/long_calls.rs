//! What a command says about requests that wait long for the API server: while it waits, and when it times out.

use std::convert::Infallible;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::Instant;

use super::step::Deadline;
use crate::catalogue::Id;
use crate::cluster::client::connect::Connection;
use crate::cluster::client::pending_calls::PendingCalls;
use crate::error::{Error, Kind, Result};
use crate::event::{Event, Events};
use crate::phrase;
use crate::report::Streams;

/// A request is reported after this long, and again each time.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// The requests of a command that wait for a response; empty until the command connects to a cluster.
#[derive(Default)]
pub(crate) struct LongCalls(OnceLock<Arc<PendingCalls>>);

impl LongCalls {
    /// Limits the calls of the connection to the command's deadline, and observes them.
    pub(crate) fn limit(&self, connection: &mut Connection, deadline: Deadline) {
        connection.api = connection.api.until(deadline.for_requests());
        let _the_same_for_every_copy = self.0.set(connection.api.traffic().calls().clone());
    }

    /// Sends an event for each long wait.
    pub(crate) async fn report(&self, deadline: Deadline, events: &Events) -> Infallible {
        loop {
            let message = self.long_wait().await;
            let left = Some(deadline.at.saturating_duration_since(Instant::now()));
            events.send(Event::Waiting { object: None, message, left }).await;
        }
    }

    /// Prints a line for each long wait.
    async fn print(&self, streams: &Streams) -> Infallible {
        loop {
            streams.progress(&format!("waiting: {}\n", self.long_wait().await));
        }
    }

    /// Waits until the deadline has passed and returns the error of the command, which names the oldest request.
    pub(crate) async fn time_out(&self, deadline: Deadline) -> Error {
        tokio::time::sleep_until(deadline.for_command()).await;
        let mut message = format!("the command timed out after {}", phrase::span(deadline.total));
        let call = self.0.get().and_then(|calls| calls.oldest());
        if let Some(call) = call {
            message += &format!(": {}", call.describe());
        }
        Error::new(Id::DeadlinePassed, Kind::Deadline, message).hint("--timeout DURATION sets a longer limit")
    }

    /// Waits for the next time at which a request has waited for long, and describes the request.
    async fn long_wait(&self) -> String {
        loop {
            tokio::time::sleep(REPORT_INTERVAL).await;
            let call = self.0.get().and_then(|calls| calls.oldest());
            if let Some(call) = call.filter(|call| call.waited() >= REPORT_INTERVAL) {
                return call.describe();
            }
        }
    }
}

/// Runs the work of a command that only reads, until its deadline. Prints a line for each long wait.
///
/// # Errors
/// Exit 10 at the deadline; otherwise those of the work.
pub(crate) async fn read_until<T>(
    deadline: Deadline,
    connection: &Connection,
    streams: &Streams,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let calls = LongCalls(OnceLock::from(connection.api.traffic().calls().clone()));
    tokio::select! {
        outcome = work => outcome,
        error = calls.time_out(deadline) => Err(error),
        never = calls.print(streams) => match never {},
    }
}
