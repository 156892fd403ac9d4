//! What went over the wire: counted for `-v`, and the memory of when the server was last lost.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::StatusCode;
use tokio::sync::watch;
use tokio::time::Instant;

/// After a lost connection a restarted API server answers 403 until its roles are loaded.
pub(crate) const ROLES_LOAD: Duration = Duration::from_secs(15);

/// Counters of one connection to a cluster, watches included.
#[derive(Debug, Default)]
pub struct Traffic {
    requests: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    answered: AtomicU64,
    slowest: Mutex<Option<(Duration, String)>>,
    lost: Mutex<Option<Instant>>,
    outage: watch::Sender<Option<Instant>>,
}

/// The counters at one moment.
#[derive(Debug, Clone, Default)]
pub struct TrafficTotals {
    /// Requests sent, retries and watches included.
    pub requests: u64,
    /// Bytes of answers' bodies.
    pub bytes_in: u64,
    /// Bytes of requests' bodies.
    pub bytes_out: u64,
    /// The slowest call that had one answer: how long, and method and path.
    pub slowest: Option<(Duration, String)>,
}

impl Traffic {
    pub(crate) fn on_sent(&self, bytes: usize) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.bytes_out.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn on_received(&self, bytes: usize) {
        self.bytes_in.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn on_answered(&self, took: Duration, call: impl FnOnce() -> String) {
        self.answered.fetch_add(1, Ordering::Relaxed);
        if let Ok(mut slowest) = self.slowest.lock()
            && slowest.as_ref().is_none_or(|(longest, _)| took > *longest)
        {
            *slowest = Some((took, call()));
        }
    }

    pub(crate) fn on_lost(&self) {
        let now = Instant::now();
        if let Ok(mut lost) = self.lost.lock() {
            *lost = Some(now);
        }
        self.outage.send_if_modified(|since| {
            let begins = since.is_none();
            since.get_or_insert(now);
            begins
        });
    }

    /// Takes the beginning of an answer. 5xx is the word of a server that cannot, or of a proxy that reaches none.
    pub(crate) fn on_response(&self, status: StatusCode) {
        if !status.is_server_error() {
            self.outage.send_if_modified(|since| since.take().is_some());
        }
    }

    /// Since when the server has not been reached; None while it answers.
    #[must_use]
    pub fn outage(&self) -> watch::Receiver<Option<Instant>> {
        self.outage.subscribe()
    }

    /// Whether the server has answered at all: before that a refused connection is final.
    pub(crate) fn has_answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed) > 0
    }

    /// Whether a 403 may be the word of a server that has not loaded its roles yet.
    pub(crate) fn rbac_may_be_loading(&self) -> bool {
        self.lost.lock().is_ok_and(|lost| lost.is_some_and(|at| at.elapsed() < ROLES_LOAD))
    }

    /// The counters now.
    #[must_use]
    pub fn totals(&self) -> TrafficTotals {
        TrafficTotals {
            requests: self.requests.load(Ordering::Relaxed),
            bytes_in: self.bytes_in.load(Ordering::Relaxed),
            bytes_out: self.bytes_out.load(Ordering::Relaxed),
            slowest: self.slowest.lock().ok().and_then(|slowest| slowest.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_begins_with_the_first_loss_and_ends_with_an_answer_that_is_no_5xx() {
        let wire = Traffic::default();
        let mut outage = wire.outage();
        wire.on_response(StatusCode::OK);
        assert!(!outage.has_changed().unwrap());
        wire.on_lost();
        let begun = *outage.borrow_and_update();
        assert!(begun.is_some());
        wire.on_lost();
        wire.on_response(StatusCode::BAD_GATEWAY);
        assert_eq!((*outage.borrow(), outage.has_changed().unwrap()), (begun, false));
        wire.on_response(StatusCode::FORBIDDEN);
        assert_eq!((*outage.borrow(), outage.has_changed().unwrap()), (None, true));
    }
}
