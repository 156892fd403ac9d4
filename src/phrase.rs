//! Numbers in sentences: counts, times and durations, in the same form everywhere. Pure.

use std::fmt::Display;
use std::time::Duration;

use jiff::Timestamp;

/// Formats a count: `1 node`, `3 nodes`.
#[must_use]
pub fn count<N: Copy + Display + PartialEq + From<u8>>(number: N, noun: &str) -> String {
    let plural = if number == N::from(1) { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// Formats a time that may be of another day: `2026-11-21 07:06:43 UTC`.
#[must_use]
pub fn date_and_time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// Formats a duration with its two largest units: `14 s`, `3 m 20 s`, `2 h 5 m`. Under a second it is `0 s`.
#[must_use]
pub fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 3600, seconds % 3600 / 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, 0) => format!("{minutes} m"),
        (0, minutes, seconds) => format!("{minutes} m {seconds} s"),
        (hours, 0, _) => format!("{hours} h"),
        (hours, minutes, _) => format!("{hours} h {minutes} m"),
    }
}

/// Formats a duration with tenths of a second below a minute: `2.9 s`, `3 m 20 s`. The tenths are rounded down.
#[must_use]
pub fn precise_span(duration: Duration) -> String {
    if duration.as_secs() >= 60 {
        return span(duration);
    }
    format!("{}.{} s", duration.as_secs(), duration.subsec_millis() / 100)
}

/// Formats an age with one unit: `12 s`, `4 m`, `30 h`, `2 d`. It uses hours up to two days, as kubectl does.
#[must_use]
pub fn age(from: Timestamp, now: Timestamp) -> String {
    match elapsed(from, now).as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds @ 60..3600 => format!("{} m", seconds / 60),
        seconds @ 3600..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} d", seconds / 86400),
    }
}

/// Returns the time between two timestamps. It is zero if the clock was set back.
#[must_use]
pub fn elapsed(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

/// Lists the first names, and counts the others: `a, b and 3 more`.
pub fn first_few(names: impl ExactSizeIterator<Item: Display>, most: usize) -> String {
    let more = names.len().saturating_sub(most);
    let named = names.take(most).map(|name| name.to_string()).collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{named} and {more} more") } else { named }
}

/// Formats a size: `512 B`, `41 KiB`, `3.2 MiB`, `1.5 GiB`.
#[must_use]
pub fn size(count: u64) -> String {
    const KIB: u64 = 1024;
    const MIB: u64 = 1024 * KIB;
    const GIB: u64 = 1024 * MIB;
    match count {
        0..KIB => format!("{count} B"),
        KIB..MIB => format!("{} KiB", count / KIB),
        MIB..GIB => format!("{}.{} MiB", count / MIB, count % MIB * 10 / MIB),
        _ => format!("{}.{} GiB", count / GIB, count % GIB * 10 / GIB),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_is_singular() {
        assert_eq!(
            [count(0, "node"), count(1_usize, "node"), count(2_i64, "node")],
            ["0 nodes", "1 node", "2 nodes"]
        );
    }

    #[test]
    fn spans_have_two_units() {
        let rows = [
            (0, "0 s"),
            (14, "14 s"),
            (60, "1 m"),
            (200, "3 m 20 s"),
            (3600, "1 h"),
            (7500, "2 h 5 m"),
            (90_000, "25 h"),
        ];
        for (seconds, text) in rows {
            assert_eq!(span(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn short_spans_can_have_tenths_of_a_second() {
        let text = |milliseconds| precise_span(Duration::from_millis(milliseconds));
        assert_eq!([text(40), text(2990), text(60_500)], ["0.0 s", "2.9 s", "1 m"]);
    }

    #[test]
    fn ages_have_one_unit() {
        let now = Timestamp::constant(1_000_000, 0);
        let rows = [(12, "12 s"), (299, "4 m"), (108_000, "30 h"), (172_800, "2 d"), (-5, "0 s")];
        for (seconds, text) in rows {
            let from = Timestamp::from_second(now.as_second() - seconds).unwrap();
            assert_eq!(age(from, now), text);
        }
    }

    #[test]
    fn names_beyond_the_first_are_counted() {
        assert_eq!(first_few(["a", "b"].iter(), 2), "a, b");
        assert_eq!(first_few(["a", "b", "c"].iter(), 2), "a, b and 1 more");
        assert_eq!(first_few(std::iter::empty::<&str>(), 2), "");
    }

    #[test]
    fn sizes_have_binary_units() {
        assert_eq!([size(512), size(42_100), size(3_400_000)], ["512 B", "41 KiB", "3.2 MiB"]);
        assert_eq!([size((1 << 30) - 1), size(1_700_000_000)], ["1023.9 MiB", "1.5 GiB"]);
        assert!(size(u64::MAX).ends_with(" GiB"), "no multiplication overflows");
    }
}
