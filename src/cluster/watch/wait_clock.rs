//! When a wait ends, and when it says again what it waits for.

use std::time::Duration;

use tokio::time::Instant;

/// What a wait has to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WaitState {
    /// Go on.
    Waiting,
    /// Say what is waited for: nothing was said for a while. Until the deadline there is this much time.
    HeartbeatDue(Duration),
    /// Give up: the deadline has passed.
    Expired,
}

/// The clock of one wait.
#[derive(Debug)]
pub(crate) struct WaitClock {
    deadline: Instant,
    every: Duration,
    next_heartbeat: Instant,
}

impl WaitClock {
    /// A wait until the deadline that says what it waits for `every` so often.
    pub(crate) fn new(deadline: Instant, every: Duration) -> Self {
        Self { deadline, every, next_heartbeat: Instant::now() + every }
    }

    /// Sleeps until there is something to do: a heartbeat, the deadline, or `wake`.
    pub(crate) async fn sleep_until(&self, wake: Option<Instant>) {
        let own = self.next_heartbeat.min(self.deadline);
        tokio::time::sleep_until(wake.map_or(own, |wake| wake.min(own))).await;
    }

    /// What to do now. A heartbeat is due once.
    pub(crate) fn state(&mut self) -> WaitState {
        let now = Instant::now();
        if now >= self.deadline {
            return WaitState::Expired;
        }
        if now < self.next_heartbeat {
            return WaitState::Waiting;
        }
        self.next_heartbeat = now + self.every;
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
    async fn earlier_wake_up_is_no_heartbeat() {
        let mut clock = WaitClock::new(Instant::now() + 25 * SECOND, 10 * SECOND);
        clock.sleep_until(Some(Instant::now() + 3 * SECOND)).await;
        assert_eq!(clock.state(), WaitState::Waiting);
    }
}
