//! What a command says about requests that wait long for the API server: while it waits, and when it times out.

use std::convert::Infallible;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::Instant;

use super::cluster_session::Session;
use super::step::{Deadline, LONGER_LIMIT, LimitOrigin};
use crate::catalogue::Id;
use crate::cluster::client::connect::Connection;
use crate::cluster::client::pending_calls::PendingCalls;
use crate::cluster::client::traffic::Traffic;
use crate::error::{Error, Kind, Result};
use crate::event::{Event, Events};
use crate::report::Streams;

/// A request is reported after this long, and again each time.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);
/// Somebody at a terminal is told earlier that the command waits, and for what.
const FIRST_AT_TERMINAL: Duration = Duration::from_secs(2);

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
            let message = self.long_wait(REPORT_INTERVAL).await;
            let left = Some(deadline.at.saturating_duration_since(Instant::now()));
            events.send(Event::Waiting { object: None, message, left }).await;
        }
    }

    /// Prints a line for each long wait.
    async fn print(&self, streams: &Streams) -> Infallible {
        let mut after = if streams.err_is_terminal() { FIRST_AT_TERMINAL } else { REPORT_INTERVAL };
        loop {
            let (streams, line) = (streams.clone(), format!("waiting: {}\n", self.long_wait(after).await));
            after = REPORT_INTERVAL;
            // A write that blocks must not delay the deadline.
            let _it_never_panics = tokio::task::spawn_blocking(move || streams.progress(&line)).await;
        }
    }

    /// Waits until the deadline has passed and returns the error of the command, which names the oldest request.
    pub(crate) async fn time_out(&self, deadline: Deadline) -> Error {
        tokio::time::sleep_until(deadline.for_command()).await;
        let call = self.0.get().and_then(|calls| calls.oldest()).map(|call| call.describe());
        deadline.passed(call.as_deref()).hint(LONGER_LIMIT)
    }

    /// Waits for the next time at which a request has waited for so long, and describes the request.
    async fn long_wait(&self, after: Duration) -> String {
        loop {
            tokio::time::sleep(after).await;
            let call = self.0.get().and_then(|calls| calls.oldest());
            if let Some(call) = call.filter(|call| call.waited() >= after) {
                return call.describe();
            }
        }
    }
}

/// Runs the work of a command that only reads, until its deadline. Prints a line for each long wait.
///
/// # Errors
/// Exit 10 at the deadline, but exit 4 if the server is unreachable then and `--timeout` was not typed, or if it has
/// never responded. Exit 4 as soon as its local cluster is stopped. Otherwise those of the work.
pub(crate) async fn read_until<T>(
    deadline: Deadline,
    session: &Session,
    streams: &Streams,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let traffic = session.connection.api.traffic();
    let calls = LongCalls(OnceLock::from(traffic.calls().clone()));
    let outcome = tokio::select! {
        outcome = work => outcome,
        error = calls.time_out(deadline) => Err(error),
        error = session.local_cluster_stopped() => Err(error),
        never = calls.print(streams) => match never {},
    };
    match outcome {
        Ok(value) => Ok(value),
        Err(error) => {
            Err(session.with_local_state(unless_unreachable(error, deadline.origin, traffic)).await)
        }
    }
}

/// Returns the error of a command that only reads: at the deadline an unreachable server is the cause, unless the user
/// typed the limit.
fn unless_unreachable(error: Error, limit: LimitOrigin, traffic: &Traffic) -> Error {
    let is_out = traffic.outage().borrow().is_some();
    let is_cause = !traffic.has_responded() || is_out && limit == LimitOrigin::Default;
    if error.kind() != Kind::Deadline || !is_cause {
        return error;
    }
    error
        .replace_kind(Id::Unreachable, Kind::Unreachable)
        .replace_hints("is the cluster running, and is this the right context?")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind_at_deadline(limit: LimitOrigin, traffic: &Traffic) -> Kind {
        let error = Error::new(Id::DeadlinePassed, Kind::Deadline, "the command timed out after 1 m");
        let error = unless_unreachable(error.fact("request", "GET /version"), limit, traffic);
        assert_eq!(error.facts().len(), 1, "the request is still named");
        error.kind()
    }

    #[test]
    fn server_unreachable_at_the_default_deadline_exits_4() {
        use LimitOrigin::{Default, Typed};
        let traffic = Traffic::default();
        assert_eq!(kind_at_deadline(Default, &traffic), Kind::Unreachable);
        assert_eq!(kind_at_deadline(Typed, &traffic), Kind::Unreachable, "it has never responded");
        traffic.on_response(http::StatusCode::OK);
        assert_eq!(kind_at_deadline(Default, &traffic), Kind::Deadline, "it responds, but slowly");
        traffic.on_lost();
        assert_eq!(kind_at_deadline(Default, &traffic), Kind::Unreachable);
        assert_eq!(kind_at_deadline(Typed, &traffic), Kind::Deadline);
        traffic.on_response(http::StatusCode::OK);
        assert_eq!(kind_at_deadline(Default, &traffic), Kind::Deadline);
    }
}
