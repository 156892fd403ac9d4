//! Counts requests and bytes for `-v`, and records when the connection to the server was lost.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::StatusCode;
use tokio::sync::watch;
use tokio::time::Instant;

use super::pending_calls::PendingCalls;

/// For this long after a lost connection, a restarted API server may respond 403 because RBAC is still loading.
pub(crate) const ROLES_LOAD: Duration = Duration::from_secs(15);

/// Counters of one connection to a cluster, watches included.
#[derive(Debug, Default)]
pub struct Traffic {
    requests: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    has_responded: AtomicBool,
    slowest: Mutex<Option<(Duration, String)>>,
    lost: Mutex<Option<Instant>>,
    outage: watch::Sender<Option<Instant>>,
    calls: Arc<PendingCalls>,
}

/// The counters at one moment.
#[derive(Debug, Clone, Default)]
pub struct TrafficTotals {
    /// Requests sent, retries and watches included.
    pub requests: u64,
    /// Bytes of response bodies.
    pub bytes_in: u64,
    /// Bytes of request bodies.
    pub bytes_out: u64,
    /// The slowest unary call: its duration, and its method and path.
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

    pub(crate) fn on_completed(&self, duration: Duration, call: impl FnOnce() -> String) {
        self.has_responded.store(true, Ordering::Relaxed);
        if let Ok(mut slowest) = self.slowest.lock()
            && slowest.as_ref().is_none_or(|(current, _)| duration > *current)
        {
            *slowest = Some((duration, call()));
        }
    }

    pub(crate) fn on_lost(&self) {
        let now = Instant::now();
        if let Ok(mut lost) = self.lost.lock() {
            *lost = Some(now);
        }
        self.outage.send_if_modified(|since| {
            let is_new = since.is_none();
            since.get_or_insert(now);
            is_new
        });
    }

    /// Records a response status. Anything below 500 ends an outage; a 5xx may come from a load balancer in front of an
    /// unreachable API server.
    pub(crate) fn on_response(&self, status: StatusCode) {
        if !status.is_server_error() {
            self.has_responded.store(true, Ordering::Relaxed);
            self.outage.send_if_modified(|since| since.take().is_some());
        }
    }

    /// The calls that wait for a response.
    #[must_use]
    pub fn calls(&self) -> &Arc<PendingCalls> {
        &self.calls
    }

    /// When the current outage of the server began; None while it responds.
    #[must_use]
    pub fn outage(&self) -> watch::Receiver<Option<Instant>> {
        self.outage.subscribe()
    }

    /// Whether the server has ever responded: before that, a refused connection is final.
    pub(crate) fn has_responded(&self) -> bool {
        self.has_responded.load(Ordering::Relaxed)
    }

    /// Whether a 403 may come from a restarted server that is still loading RBAC.
    pub(crate) fn rbac_may_be_loading(&self) -> bool {
        self.lost.lock().is_ok_and(|lost| lost.is_some_and(|at| at.elapsed() < ROLES_LOAD))
    }

    /// Returns the current counters.
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
    fn outage_lasts_from_first_loss_to_non_5xx_response() {
        let traffic = Traffic::default();
        let mut outage = traffic.outage();
        traffic.on_response(StatusCode::OK);
        assert!(!outage.has_changed().unwrap());
        traffic.on_lost();
        let started = *outage.borrow_and_update();
        assert!(started.is_some());
        traffic.on_lost();
        traffic.on_response(StatusCode::BAD_GATEWAY);
        assert_eq!((*outage.borrow(), outage.has_changed().unwrap()), (started, false));
        traffic.on_response(StatusCode::FORBIDDEN);
        assert_eq!((*outage.borrow(), outage.has_changed().unwrap()), (None, true));
    }
}
