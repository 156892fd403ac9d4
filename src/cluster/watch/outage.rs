//! Whether what the watches have shown is how it is now: not while the API server is away, and not at once after.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::catalogue::Id;
use crate::cluster::client::traffic::Traffic;
use crate::event::Events;

/// An outage is told when it lasts this long; a broken connection is made anew before.
const REPORT_AFTER: Duration = Duration::from_secs(1);
/// After an outage every watch has begun anew within this time, and has shown what happened meanwhile.
const RESYNC: Duration = Duration::from_secs(3);
/// How often to look while an outage lasts that is told already; its end is noticed at once.
const RECHECK: Duration = Duration::from_secs(10);

/// The view of the cluster.
pub(crate) struct OutageTracker {
    since: watch::Receiver<Option<Instant>>,
    reported: bool,
    /// When the watches have caught up.
    current_at: Option<Instant>,
}

impl OutageTracker {
    pub(crate) fn new(wire: &Traffic) -> Self {
        Self { since: wire.outage(), reported: false, current_at: None }
    }

    /// None where what was shown can be believed, else when to look again. Tells of an outage, once.
    pub(crate) async fn poll(&mut self, events: &Events) -> Option<Instant> {
        let now = Instant::now();
        let Some(lasts) = self.lasts() else {
            self.reported = false;
            self.current_at = self.current_at.filter(|clear| now < *clear);
            return self.current_at;
        };
        self.current_at = Some(now + RESYNC);
        if self.reported {
            return Some(now + RECHECK);
        }
        if lasts >= REPORT_AFTER {
            self.reported = true;
            let message =
                "the connection to the API server was lost; trying again until the command's time is over";
            events.warn(Id::ConnectionLost, message).await;
        }
        Some(now + REPORT_AFTER.saturating_sub(lasts))
    }

    /// How long the outage lasts that was told.
    pub(crate) fn outage(&self) -> Option<Duration> {
        self.lasts().filter(|_| self.reported)
    }

    /// Waits until an outage begins or ends.
    pub(crate) async fn changed(&mut self) {
        if self.since.changed().await.is_err() {
            // The connection itself is gone, and with it whoever would tell.
            std::future::pending::<()>().await;
        }
    }

    fn lasts(&self) -> Option<Duration> {
        self.since.borrow().map(|since| since.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;

    #[tokio::test]
    async fn an_outage_is_told_once_and_what_was_shown_is_old_until_the_watches_have_caught_up() {
        let (outage, since) = watch::channel(None);
        let (events, mut told) = Events::channel();
        let mut sight = OutageTracker { since, reported: false, current_at: None };
        assert_eq!(sight.poll(&events).await, None);

        outage.send_replace(Some(Instant::now()));
        sight.changed().await;
        assert!(sight.poll(&events).await.is_some());
        assert!(told.try_recv().is_none(), "a connection that broke just now is made anew");

        outage.send_replace(Instant::now().checked_sub(Duration::from_secs(12)));
        for _ in 0..2 {
            assert!(sight.poll(&events).await.is_some());
        }
        assert!(matches!(told.try_recv(), Some(Event::Warning { id: Id::ConnectionLost, .. })));
        assert!(told.try_recv().is_none());
        assert_eq!(sight.outage().map(|lasts| lasts.as_secs()), Some(12));

        outage.send_replace(None);
        assert!(sight.poll(&events).await.is_some_and(|clear| clear > Instant::now()));
        assert_eq!(sight.outage(), None);
        sight.current_at = Some(Instant::now());
        assert_eq!(sight.poll(&events).await, None);
    }
}
