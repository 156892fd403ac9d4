//! The deadline and the heartbeats of a wait.

use std::time::Duration;

use tokio::time::Instant;

/// The next step of a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WaitState {
    /// Keep waiting.
    Waiting,
    /// Report what the wait is for, because nothing was reported for a while. Holds the time left to the deadline.
    HeartbeatDue(Duration),
    /// Give up: the deadline has passed.
    Expired,
}

/// The clock of one wait.
#[derive(Debug)]
pub(crate) struct WaitClock {
    deadline: Instant,
    heartbeat_interval: Duration,
    next_heartbeat: Instant,
}

impl WaitClock {
    /// Starts a wait until the deadline, with a heartbeat at every interval.
    pub(crate) fn new(deadline: Instant, heartbeat_interval: Duration) -> Self {
        Self { deadline, heartbeat_interval, next_heartbeat: Instant::now() + heartbeat_interval }
    }

    /// Sleeps until the next heartbeat, the deadline or `wake`, whichever is first.
    pub(crate) async fn sleep_until(&self, wake: Option<Instant>) {
        let next = self.next_heartbeat.min(self.deadline);
        tokio::time::sleep_until(wake.map_or(next, |wake| wake.min(next))).await;
    }

    /// Returns the next step. Each heartbeat is returned once.
    pub(crate) fn state(&mut self) -> WaitState {
        let now = Instant::now();
        if now >= self.deadline {
            return WaitState::Expired;
        }
        if now < self.next_heartbeat {
            return WaitState::Waiting;
        }
        self.next_heartbeat = now + self.heartbeat_interval;
        WaitState::HeartbeatDue(self.deadline.saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn heartbeat_is_due_once_per_interval_until_the_deadline() {
        let mut clock = WaitClock::new(Instant::now() + 25 * SECOND, 10 * SECOND);
        assert_eq!(clock.state(), WaitState::Waiting);
        clock.sleep_until(None).await;
        assert_eq!(clock.state(), WaitState::HeartbeatDue(15 * SECOND));
        assert_eq!(clock.state(), WaitState::Waiting);
        clock.sleep_until(None).await;
        assert_eq!(clock.state(), WaitState::HeartbeatDue(5 * SECOND));
        clock.sleep_until(None).await;
        assert_eq!(clock.state(), WaitState::Expired);
    }

    #[tokio::test(start_paused = true)]
    async fn earlier_wake_up_is_not_a_heartbeat() {
        let mut clock = WaitClock::new(Instant::now() + 25 * SECOND, 10 * SECOND);
        clock.sleep_until(Some(Instant::now() + 3 * SECOND)).await;
        assert_eq!(clock.state(), WaitState::Waiting);
    }
}
