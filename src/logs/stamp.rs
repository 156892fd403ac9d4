//! The server's timestamp at the beginning of a line, in nanoseconds since 1970. Pure.

use jiff::Timestamp;

/// The length of `2026-01-01T00:00`.
const MINUTE: usize = 16;
/// The length of `2026-01-01T00:00:00`.
const SECOND: usize = 19;
/// Nanoseconds of a second.
pub(crate) const SECOND_NANOS: i64 = 1_000_000_000;

/// Reads timestamps. The date of the last one is kept, because that of the next line is nearly always the same.
#[derive(Debug, Default)]
pub(crate) struct StampReader {
    minute: [u8; MINUTE],
    start_of_minute: i64,
}

impl StampReader {
    /// Splits a line into its timestamp and the start of its message. None if it has no timestamp: the kubelet writes
    /// none before the rest of a long line whose beginning it has left out.
    pub(crate) fn split(&mut self, line: &[u8]) -> Option<(i64, usize)> {
        let minute: [u8; MINUTE] = line.get(..MINUTE)?.try_into().ok()?;
        if minute != self.minute {
            self.start_of_minute = start_of_minute(&minute)?;
            self.minute = minute;
        }
        if line.get(MINUTE) != Some(&b':') {
            return None;
        }
        let mut nanos = self.start_of_minute + number(line, MINUTE + 1, SECOND)? * SECOND_NANOS;
        let mut at = SECOND;
        if line.get(at) == Some(&b'.') {
            let digits = line[at + 1..].iter().take_while(|byte| byte.is_ascii_digit());
            let mut unit = SECOND_NANOS;
            for digit in digits {
                unit /= 10;
                nanos += i64::from(digit - b'0') * unit;
                at += 1;
            }
            at += 1;
        }
        // A node may have a time zone.
        match line.get(at)? {
            b'Z' => at += 1,
            sign @ (b'+' | b'-') => {
                let minutes = number(line, at + 1, at + 3)? * 60 + number(line, at + 4, at + 6)?;
                let seconds = if *sign == b'+' { -minutes } else { minutes } * 60;
                nanos += seconds * SECOND_NANOS;
                at += 6;
            }
            _ => return None,
        }
        (line.get(at) == Some(&b' ')).then_some((nanos, at + 1))
    }
}

fn start_of_minute(text: &[u8; MINUTE]) -> Option<i64> {
    let has_separators =
        [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':')].iter().all(|(at, sign)| text[*at] == *sign);
    if !has_separators {
        return None;
    }
    let (year, month, day) = (number(text, 0, 4)?, number(text, 5, 7)?, number(text, 8, 10)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // The days since 1970 of the Gregorian calendar, with years that begin in March.
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days =
        era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468;
    let minutes = days * 24 * 60 + number(text, 11, 13)? * 60 + number(text, 14, 16)?;
    minutes.checked_mul(60 * SECOND_NANOS)
}

fn number(text: &[u8], from: usize, to: usize) -> Option<i64> {
    text.get(from..to)?
        .iter()
        .try_fold(0, |number, byte| byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0')))
}

/// Returns the time as nanoseconds since 1970.
pub(crate) fn nanos(time: Timestamp) -> i64 {
    i64::try_from(time.as_nanosecond()).unwrap_or(i64::MAX)
}

/// Returns the time of nanoseconds since 1970.
pub(crate) fn time(nanos: i64) -> Timestamp {
    Timestamp::from_nanosecond(i128::from(nanos)).unwrap_or(Timestamp::MAX)
}

/// Returns the beginning of the second: the API server cuts off the rest of `sinceTime`
/// (`pkg/registry/core/pod/strategy.go`, `LogLocation`), and a client that rounds it up would lose lines.
pub(crate) fn second(nanos: i64) -> Timestamp {
    time(nanos - nanos.rem_euclid(SECOND_NANOS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamp_is_the_time_that_jiff_reads() {
        let stamps = [
            "1970-01-01T00:00:00Z",
            "2026-11-29T18:02:12.123456789Z",
            "2026-11-29T18:02:12.5Z",
            "2024-02-29T23:59:59.999999999+05:30",
            "2000-03-01T00:00:00-08:00",
            "2100-12-31T12:00:00.000000001Z",
            "2023-01-31T12:00:01Z",
        ];
        let mut reader = StampReader::default();
        for stamp in stamps {
            let expected = nanos(stamp.parse().unwrap());
            let line = format!("{stamp} message");
            assert_eq!(reader.split(line.as_bytes()), Some((expected, stamp.len() + 1)), "{stamp}");
            assert_eq!(nanos(time(expected)), expected);
        }
    }

    #[test]
    fn other_beginnings_are_no_stamp() {
        let mut reader = StampReader::default();
        for line in [
            "",
            "message",
            "2026-11-29",
            "2026-11-29T18:02:12Z",
            "2026-11-29T18:02:12",
            "2026-13-29T18:02:12Z m",
            "2026-11-29 18:02:12Z m",
            "2026-11-29T18:02:12.5 m",
            "x026-11-29T18:02:12Z m",
            "2026-11-29T18:02-12Z m",
        ] {
            assert_eq!(reader.split(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn since_is_never_later_than_the_line() {
        let late: Timestamp = "2026-11-29T18:02:12.987654321Z".parse().unwrap();
        assert_eq!(second(nanos(late)).to_string(), "2026-11-29T18:02:12Z");
    }
}
