//! The API server's clock, as the `Date` headers of its answers show it: the times in objects are on that clock.

use std::sync::Mutex;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// Differences below this are the resolution of the `Date` header and the time on the way.
const SAME_TIME: SignedDuration = SignedDuration::from_secs(2);

/// The server's clock, estimated from this computer's and the last `Date` header.
#[derive(Debug)]
pub struct ServerClock {
    /// This computer's time when the estimate began. From then on it advances with tokio's clock, so that tests can
    /// pause it; the next `Date` header corrects what a suspended computer missed.
    began: (Timestamp, Instant),
    last: Mutex<Option<Reading>>,
}

impl Default for ServerClock {
    fn default() -> Self {
        Self { began: (Timestamp::now(), Instant::now()), last: Mutex::default() }
    }
}

/// A `Date` header.
#[derive(Debug, Clone, Copy)]
struct Reading {
    date: Timestamp,
    received: Instant,
    /// How far the server's clock is ahead of this computer's.
    ahead: SignedDuration,
}

impl ServerClock {
    /// Takes the `Date` header of an answer.
    pub(crate) fn on_date(&self, date: Timestamp) {
        let ahead = date.duration_since(self.local());
        let ahead = if ahead.abs() < SAME_TIME { SignedDuration::ZERO } else { ahead };
        if let Ok(mut reading) = self.last.lock() {
            *reading = Some(Reading { date, received: Instant::now(), ahead });
        }
    }

    fn reading(&self) -> Option<Reading> {
        self.last.lock().ok().and_then(|reading| *reading)
    }

    /// This computer's time.
    fn local(&self) -> Timestamp {
        let (time, instant) = self.began;
        SignedDuration::try_from(instant.elapsed())
            .ok()
            .and_then(|elapsed| time.checked_add(elapsed).ok())
            .unwrap_or(time)
    }

    /// The server's time now, to a second or two.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let now = self.local();
        let ahead = self.reading().map_or(SignedDuration::ZERO, |reading| reading.ahead);
        now.saturating_add(ahead).unwrap_or(now)
    }

    /// The `Date` of the last answer. It is cut to the second as the times of objects are, so an object that is created
    /// after this moment never bears an earlier time.
    #[must_use]
    pub fn floor(&self) -> Timestamp {
        let date = self.reading().map_or_else(|| self.now(), |reading| reading.date);
        Timestamp::from_second(date.as_second()).unwrap_or(date)
    }

    /// The server's time as a lock needs it: the `Date` of the last answer and what has passed since. It does not
    /// follow this computer's clock, which somebody may set meanwhile.
    #[must_use]
    pub fn monotonic(&self) -> Timestamp {
        let advanced = self.reading().and_then(|reading| {
            let passed = SignedDuration::try_from(reading.received.elapsed()).ok()?;
            reading.date.checked_add(passed).ok()
        });
        advanced.unwrap_or_else(|| self.now())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn monotonic_goes_on_from_the_last_date() {
        let clock = ServerClock::default();
        clock.on_date(at(1_000));
        tokio::time::advance(Duration::from_secs(61)).await;
        assert_eq!((clock.floor(), clock.monotonic()), (at(1_000), at(1_061)));
        clock.on_date(at(2_000));
        assert_eq!((clock.floor(), clock.monotonic()), (at(2_000), at(2_000)));
    }

    #[test]
    fn now_follows_the_server_where_the_clocks_differ() {
        let clock = ServerClock::default();
        let here = Timestamp::now();
        let distance = |clock: &ServerClock| clock.now().duration_since(here).as_secs();
        clock.on_date(here.checked_add(SignedDuration::from_secs(1)).unwrap());
        assert!(distance(&clock) < 2, "a second is the header's resolution");
        clock.on_date(here.checked_add(SignedDuration::from_hours(2)).unwrap());
        assert!((7190..7210).contains(&distance(&clock)), "{}", distance(&clock));
    }

    #[test]
    fn before_the_first_answer_this_computers_clock_counts() {
        let clock = ServerClock::default();
        let here = Timestamp::now();
        for time in [clock.now(), clock.floor(), clock.monotonic()] {
            assert!(time.duration_since(here).as_secs().abs() < 5);
        }
    }
}
