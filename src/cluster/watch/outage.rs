//! Whether what the watches have shown is how it is now: not while the API server is away, and not at once after.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::catalogue::Id;
use crate::cluster::client::traffic::Wire;
use crate::event::Events;

/// An outage is told when it lasts this long; a broken connection is made anew before.
const TOLD: Duration = Duration::from_secs(1);
/// After an outage every watch has begun anew within this time, and has shown what happened meanwhile.
const CATCH_UP: Duration = Duration::from_secs(3);
/// How often to look while an outage lasts that is told already; its end is noticed at once.
const LASTING: Duration = Duration::from_secs(10);

/// The view of the cluster.
pub(crate) struct Sight {
    since: watch::Receiver<Option<std::time::Instant>>,
    told: bool,
    /// When the watches have caught up.
    clear: Option<Instant>,
}

impl Sight {
    pub(crate) fn of(wire: &Wire) -> Self {
        Self { since: wire.outage(), told: false, clear: None }
    }

    /// None where what was shown can be believed, else when to look again. Tells of an outage, once.
    pub(crate) async fn look(&mut self, events: &Events) -> Option<Instant> {
        let now = Instant::now();
        let Some(lasts) = self.lasts() else {
            self.told = false;
            self.clear = self.clear.filter(|clear| now < *clear);
            return self.clear;
        };
        self.clear = Some(now + CATCH_UP);
        if self.told {
            return Some(now + LASTING);
        }
        if lasts >= TOLD {
            self.told = true;
            let message =
                "the connection to the API server was lost; trying again until the command's time is over";
            events.warn(Id::ConnectionLost, message).await;
        }
        Some(now + TOLD.saturating_sub(lasts))
    }

    /// How long the outage lasts that was told.
    pub(crate) fn outage(&self) -> Option<Duration> {
        self.lasts().filter(|_| self.told)
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
        let mut sight = Sight { since, told: false, clear: None };
        assert_eq!(sight.look(&events).await, None);

        outage.send_replace(Some(std::time::Instant::now()));
        sight.changed().await;
        assert!(sight.look(&events).await.is_some());
        assert!(told.try_recv().is_none(), "a connection that broke just now is made anew");

        outage.send_replace(std::time::Instant::now().checked_sub(Duration::from_secs(12)));
        for _ in 0..2 {
            assert!(sight.look(&events).await.is_some());
        }
        assert!(matches!(told.try_recv(), Some(Event::Warning { id: Id::ConnectionLost, .. })));
        assert!(told.try_recv().is_none());
        assert_eq!(sight.outage().map(|lasts| lasts.as_secs()), Some(12));

        outage.send_replace(None);
        assert!(sight.look(&events).await.is_some_and(|clear| clear > Instant::now()));
        assert_eq!(sight.outage(), None);
        sight.clear = Some(Instant::now());
        assert_eq!(sight.look(&events).await, None);
    }
}
