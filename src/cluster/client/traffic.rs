//! What went over the wire: counted for `-v`, and the memory of when the server was last lost.

use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;

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
    /// Seconds that the server's clock is ahead of ours.
    ahead: AtomicI64,
    /// The last `Date`, in seconds since 1970; 0 before the first.
    date: AtomicI64,
    /// The last `Date`, and when it came on a clock that nobody sets.
    dated: Mutex<Option<(Timestamp, Instant)>>,
}

/// Differences below this are the resolution of the `Date` header and the time on the way.
const SAME_TIME: i64 = 2;

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

    /// Takes the `Date` header of an answer: the objects' times are on the server's clock.
    pub(crate) fn on_date(&self, date: Timestamp) {
        self.date.store(date.as_second(), Ordering::Relaxed);
        if let Ok(mut dated) = self.dated.lock() {
            *dated = Some((date, Instant::now()));
        }
        let ahead = date.duration_since(Timestamp::now()).as_secs();
        self.ahead.store(if ahead.abs() < SAME_TIME { 0 } else { ahead }, Ordering::Relaxed);
    }

    /// The time on the server's clock, to a second or two.
    #[must_use]
    pub fn server_time(&self) -> Timestamp {
        let ahead = SignedDuration::from_secs(self.ahead.load(Ordering::Relaxed));
        Timestamp::now().saturating_add(ahead).unwrap_or_else(|_| Timestamp::now())
    }

    /// The last answer's `Date`: on the clock of the objects' times and cut to the second as they are, so an
    /// object that is made after this moment never bears an earlier time.
    #[must_use]
    pub fn last_date(&self) -> Timestamp {
        let second = match self.date.load(Ordering::Relaxed) {
            0 => self.server_time().as_second(),
            second => second,
        };
        Timestamp::from_second(second).unwrap_or_else(|_| Timestamp::now())
    }

    /// The server's time as a lock needs it: the last answer's `Date` and what has passed since. It does not follow
    /// this computer's clock, which somebody may set meanwhile.
    pub(crate) fn server_clock(&self) -> Timestamp {
        let dated = self.dated.lock().ok().and_then(|dated| *dated);
        let now =
            dated.and_then(|(date, at)| date.checked_add(SignedDuration::try_from(at.elapsed()).ok()?).ok());
        now.unwrap_or_else(|| self.server_time())
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
