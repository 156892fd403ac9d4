//! Tracks whether the watched state is current: it is stale during an outage of the API server and shortly after.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::catalogue::Id;
use crate::cluster::client::traffic::Traffic;
use crate::event::Events;

/// An outage is reported after this long; a broken connection is usually re-established earlier.
const REPORT_AFTER: Duration = Duration::from_secs(1);
/// Within this time after an outage, every watch has restarted and reported the changes that occurred meanwhile.
const RESYNC: Duration = Duration::from_secs(3);
/// How often to poll during a reported outage; its end is noticed at once.
const RECHECK: Duration = Duration::from_secs(10);

/// Tracks the current outage, if any, and reports it once.
pub(crate) struct OutageTracker {
    since: watch::Receiver<Option<Instant>>,
    reported: bool,
    /// When the watches are current again after the last outage.
    current_at: Option<Instant>,
}

impl OutageTracker {
    pub(crate) fn new(traffic: &Traffic) -> Self {
        Self { since: traffic.outage(), reported: false, current_at: None }
    }

    /// Returns None if the watched state is current, else when to poll again. Reports an outage, once.
    pub(crate) async fn poll(&mut self, events: &Events) -> Option<Instant> {
        let now = Instant::now();
        let Some(duration) = self.duration() else {
            self.reported = false;
            self.current_at = self.current_at.filter(|current_at| now < *current_at);
            return self.current_at;
        };
        self.current_at = Some(now + RESYNC);
        if self.reported {
            return Some(now + RECHECK);
        }
        if duration >= REPORT_AFTER {
            self.reported = true;
            let message = "the connection to the API server was lost; retrying until the command's deadline";
            events.warn(Id::ConnectionLost, message).await;
        }
        Some(now + REPORT_AFTER.saturating_sub(duration))
    }

    /// The duration of the reported outage.
    pub(crate) fn outage(&self) -> Option<Duration> {
        self.duration().filter(|_| self.reported)
    }

    /// Waits until an outage begins or ends.
    pub(crate) async fn changed(&mut self) {
        if self.since.changed().await.is_err() {
            // The connection was dropped, so no further change will be reported.
            std::future::pending::<()>().await;
        }
    }

    fn duration(&self) -> Option<Duration> {
        self.since.borrow().map(|since| since.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;

    #[tokio::test]
    async fn outage_is_reported_once_and_state_stale_until_resync() {
        let (outage, since) = watch::channel(None);
        let (events, mut receiver) = Events::channel();
        let mut tracker = OutageTracker { since, reported: false, current_at: None };
        assert_eq!(tracker.poll(&events).await, None);

        outage.send_replace(Some(Instant::now()));
        tracker.changed().await;
        assert!(tracker.poll(&events).await.is_some());
        assert!(receiver.try_recv().is_none(), "a connection that just broke is re-established first");

        outage.send_replace(Instant::now().checked_sub(Duration::from_secs(12)));
        for _ in 0..2 {
            assert!(tracker.poll(&events).await.is_some());
        }
        assert!(matches!(receiver.try_recv(), Some(Event::Warning { id: Id::ConnectionLost, .. })));
        assert!(receiver.try_recv().is_none());
        assert_eq!(tracker.outage().map(|duration| duration.as_secs()), Some(12));

        outage.send_replace(None);
        assert!(tracker.poll(&events).await.is_some_and(|current_at| current_at > Instant::now()));
        assert_eq!(tracker.outage(), None);
        tracker.current_at = Some(Instant::now());
        assert_eq!(tracker.poll(&events).await, None);
    }
}
