//! Instants on a clock that also advances while the computer is suspended: a Lease expires meanwhile.

use std::sync::OnceLock;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::time::Instant;

/// The clock that advances during a suspend, <https://man7.org/linux/man-pages/man2/clock_gettime.2.html>.
#[cfg(target_os = "linux")]
const CLOCK: ClockId = ClockId::Boottime;
/// The clock that advances during a suspend, on macOS, where [`std::time::Instant`] uses another one.
#[cfg(not(target_os = "linux"))]
const CLOCK: ClockId = ClockId::Monotonic;

/// An instant. Its elapsed time includes the time for which the computer was suspended, which tokio's clock omits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BootInstant {
    instant: Instant,
    /// How long the computer had been suspended until then, since the first instant of the process.
    suspended: Duration,
}

impl BootInstant {
    /// Returns the current instant.
    pub(crate) fn now() -> Self {
        Self { instant: Instant::now(), suspended: suspended() }
    }

    /// Returns the time since this instant, suspends included.
    pub(crate) fn elapsed(self) -> Duration {
        self.instant.elapsed() + suspended().saturating_sub(self.suspended)
    }

    /// Returns the same instant on tokio's clock, for timers. They stand still during a suspend.
    pub(crate) fn on_timer(self) -> Instant {
        self.instant
    }
}

/// Returns for how long the computer has been suspended since the first call, in whole seconds: a pause between the reads
/// of the two clocks is no suspend.
fn suspended() -> Duration {
    static FIRST_CALL: OnceLock<(Duration, std::time::Instant)> = OnceLock::new();
    let now = clock_gettime(CLOCK);
    let whole = u64::try_from(now.tv_sec).unwrap_or_default();
    let now = Duration::new(whole, u32::try_from(now.tv_nsec).unwrap_or_default());
    let (first, instant) = FIRST_CALL.get_or_init(|| (now, std::time::Instant::now()));
    let suspended = now.saturating_sub(*first).saturating_sub(instant.elapsed());
    let suspended = Duration::from_secs(suspended.as_secs());
    #[cfg(test)]
    let suspended = suspended + simulated::suspended();
    suspended
}

/// Suspends of the computer, simulated for the tests of one thread.
#[cfg(test)]
pub(crate) mod simulated {
    use std::cell::Cell;
    use std::time::Duration;

    thread_local! {
        static SUSPENDED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    }

    pub(super) fn suspended() -> Duration {
        SUSPENDED.get()
    }

    /// Lets this time pass without an advance of tokio's clock.
    pub(crate) fn suspend(time: Duration) {
        SUSPENDED.set(SUSPENDED.get() + time);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn elapsed_time_includes_suspends_only_after_the_instant() {
        simulated::suspend(Duration::from_secs(100));
        let instant = BootInstant::now();
        tokio::time::advance(Duration::from_secs(5)).await;
        simulated::suspend(Duration::from_secs(3600));
        assert_eq!(instant.elapsed(), Duration::from_secs(3605));
        assert_eq!(instant.on_timer().elapsed(), Duration::from_secs(5));
    }
}
