//! The calls that wait for a response, so that a long wait and a timeout can name them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::phrase;

/// The calls of a connection that wait for a response.
#[derive(Debug, Default)]
pub struct PendingCalls(Mutex<Calls>);

#[derive(Debug, Default)]
struct Calls {
    next: u64,
    pending: BTreeMap<u64, PendingCall>,
}

/// A call that waits for a response, with its retries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingCall {
    /// `list secrets in namespace n`.
    request: String,
    since: Instant,
    failures: u32,
    last_failure: Option<String>,
}

/// Keeps a call in the list until it is dropped.
#[derive(Debug)]
pub(crate) struct CallEntry {
    calls: Arc<PendingCalls>,
    number: u64,
}

impl PendingCalls {
    /// Adds a call.
    pub(crate) fn begin(self: &Arc<Self>, request: String) -> CallEntry {
        let mut calls = self.calls();
        let number = calls.next;
        calls.next += 1;
        let call = PendingCall { request, since: Instant::now(), failures: 0, last_failure: None };
        calls.pending.insert(number, call);
        CallEntry { calls: Arc::clone(self), number }
    }

    /// Returns the call that has waited for the longest time.
    #[must_use]
    pub fn oldest(&self) -> Option<PendingCall> {
        self.calls().pending.values().next().cloned()
    }

    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CallEntry {
    /// Records why an attempt failed, or why the next one has to wait.
    pub(crate) fn on_failure(&self, reason: String) {
        if let Some(call) = self.calls.calls().pending.get_mut(&self.number) {
            call.failures += 1;
            call.last_failure = Some(reason);
        }
    }

    /// Returns the call's state.
    pub(crate) fn call(&self) -> Option<PendingCall> {
        self.calls.calls().pending.get(&self.number).cloned()
    }
}

impl Drop for CallEntry {
    fn drop(&mut self) {
        self.calls.calls().pending.remove(&self.number);
    }
}

impl PendingCall {
    /// Returns the time since the call began.
    #[must_use]
    pub fn waited(&self) -> Duration {
        self.since.elapsed()
    }

    /// Describes the call and its time: `list secrets in namespace n, 2.9 s without a response`.
    #[must_use]
    pub fn describe(&self) -> String {
        let (request, waited) = (&self.request, phrase::precise_span(self.waited()));
        match &self.last_failure {
            None => format!("{request}, {waited} without a response"),
            Some(reason) => {
                let failures = phrase::count(self.failures, "failed attempt");
                format!("{request}, {waited}, {failures}: {reason}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn oldest_call_is_named_with_its_time_and_failure() {
        let calls = Arc::new(PendingCalls::default());
        let first = calls.begin("list secrets in namespace n".to_owned());
        tokio::time::advance(Duration::from_millis(1900)).await;
        let second = calls.begin("get /version".to_owned());
        tokio::time::advance(Duration::from_secs(1)).await;
        let oldest = || calls.oldest().map(|call| call.describe());
        assert_eq!(oldest().unwrap(), "list secrets in namespace n, 2.9 s without a response");
        drop(first);
        second.on_failure("the API server responded 503".to_owned());
        assert_eq!(oldest().unwrap(), "get /version, 1.0 s, 1 failed attempt: the API server responded 503");
        drop(second);
        assert_eq!(oldest(), None);
    }
}
