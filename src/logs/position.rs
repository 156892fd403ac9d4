//! Where a followed log continues after its connection has ended, and where lines of it may be missing. Pure.
//!
//! The server repeats all lines since the beginning of a second. The last line that was read is among them, unless the
//! kubelet has rotated the file: the API serves the newest file only. A line is identified by its timestamp, and lines of the
//! same timestamp by their count.

use std::collections::VecDeque;

use super::stamp::SECOND_NANOS;

/// The number of timestamps that are kept to recognize repeated lines within one connection.
const RECENT: usize = 1024;
/// A line is late if it arrives so long after it was written. The kubelet checks for rotation every 10 s by default, and every
/// 3 s at most (`containerLogMonitorInterval`, `pkg/kubelet/apis/config/validation/validation.go`), so a file that it has
/// rotated away unread was written for at least so long.
const LATE: i64 = 3 * SECOND_NANOS;
/// How far the clocks of the node and the API server may differ at the beginning of a connection.
const CLOCK_DIFFERENCE: i64 = 2 * SECOND_NANOS;
/// A file is read again within this time. If repeated lines arrive for longer, the node's clock was set back.
const REREAD_LIMIT: i64 = 30 * SECOND_NANOS;

/// How a received line relates to those that were read before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LineKind {
    /// It is new.
    New,
    /// It was read before.
    Repeated,
    /// It is new, and lines between these times may be missing before it.
    AfterGap {
        /// The time of the last line that was read.
        from: i64,
        /// Its own time.
        until: i64,
    },
    /// It is newer than all lines that were read, and the last one of them was not repeated before it: it belongs to
    /// another file, or to another container.
    Unconnected,
}

/// What it means when the last line is not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expectation {
    /// The log of a restarted container, which has none of the last one's lines: nothing is missing.
    NewLog,
    /// The same log: it has to be found out where its lines are.
    SameLog,
    /// The same log, whose lines were not found anywhere: they may be missing.
    Gap,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Lines are new.
    Reading,
    /// Lines are repeated, until the last one that was read.
    Repeating {
        /// How often its timestamp was repeated.
        matches: u32,
        expectation: Expectation,
    },
    /// The kubelet reads the file again from its beginning.
    Rereading {
        matches: u32,
        /// The timestamp of its first line, and when it was received.
        first: i64,
        since: i64,
    },
}

/// The position in the log of one container, across its restarts.
#[derive(Debug)]
pub(crate) struct LogPosition {
    /// The last line that was read: its timestamp, and how many lines in a row have it.
    last: Option<(i64, u32)>,
    /// The newest timestamp. stdout and stderr are stamped by different threads, so the last one may be a little older.
    newest: i64,
    recent: VecDeque<i64>,
    phase: Phase,
    /// When the followed connection began; `i64::MAX` if the request does not follow.
    connected: i64,
    /// When the last line was received.
    received: i64,
    /// Whether a line of the present log was read: the position begins with the last line before a restart.
    has_own_lines: bool,
}

impl Default for LogPosition {
    fn default() -> Self {
        Self {
            last: None,
            newest: i64::MIN,
            recent: VecDeque::new(),
            phase: Phase::Reading,
            connected: i64::MAX,
            received: 0,
            has_own_lines: false,
        }
    }
}

impl LogPosition {
    /// The time of the last line that was read.
    pub(crate) fn last(&self) -> Option<i64> {
        self.last.map(|(stamp, _)| stamp)
    }

    /// Whether the last line of this log was repeated since the connection began, or none was read before it.
    pub(crate) fn is_connected(&self) -> bool {
        !matches!(
            self.phase,
            Phase::Repeating { matches: 0, expectation: Expectation::SameLog | Expectation::Gap }
        )
    }

    /// Begins the log of a container after a restart.
    pub(crate) fn begin_log(&mut self) {
        self.has_own_lines = false;
    }

    /// Begins to read from a new connection. `followed_at` is the present time if the request follows.
    pub(crate) fn connect(&mut self, followed_at: Option<i64>, expectation: Expectation) {
        let expectation = if self.has_own_lines { expectation } else { Expectation::NewLog };
        self.connected = followed_at.unwrap_or(i64::MAX);
        self.phase = match self.last {
            Some(_) => Phase::Repeating { matches: 0, expectation },
            None => Phase::Reading,
        };
    }

    /// Classifies the next line, which is received now, and remembers it if it is new. A line without a timestamp belongs to
    /// the one before it.
    pub(crate) fn classify(&mut self, stamp: Option<i64>, now: i64) -> LineKind {
        let Some(stamp) = stamp else {
            return if self.phase == Phase::Reading { LineKind::New } else { LineKind::Repeated };
        };
        match self.phase {
            Phase::Reading if self.is_reread(stamp) => {
                self.phase = Phase::Rereading { matches: 0, first: stamp, since: now };
                self.on_repeated(stamp, 0);
                LineKind::Repeated
            }
            Phase::Reading => {
                let gap = self.unread_file(stamp);
                self.remember(stamp, now);
                gap.unwrap_or(LineKind::New)
            }
            Phase::Repeating { matches, .. } if stamp <= self.newest => self.on_repeated(stamp, matches),
            Phase::Repeating { matches: 0, expectation: Expectation::SameLog } => LineKind::Unconnected,
            Phase::Repeating { matches: 0, expectation: Expectation::Gap } => {
                let from = self.newest;
                self.remember(stamp, now);
                LineKind::AfterGap { from, until: stamp }
            }
            Phase::Repeating { .. } => {
                self.remember(stamp, now);
                LineKind::New
            }
            Phase::Rereading { matches, since, .. } if stamp <= self.newest && now - since < REREAD_LIMIT => {
                self.on_repeated(stamp, matches)
            }
            Phase::Rereading { first, .. } => {
                let from = first.min(stamp);
                self.newest = i64::MIN;
                self.recent.clear();
                self.remember(stamp, now);
                LineKind::AfterGap { from, until: stamp }
            }
        }
    }

    fn remember(&mut self, stamp: i64, now: i64) {
        self.phase = Phase::Reading;
        self.has_own_lines = true;
        self.newest = self.newest.max(stamp);
        self.last = match self.last {
            Some((last, count)) if last == stamp => Some((last, count + 1)),
            _ => Some((stamp, 1)),
        };
        self.received = now;
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(stamp);
    }

    /// Counts a repeated line; the next one is new if this was the last one that was read.
    fn on_repeated(&mut self, stamp: i64, matches: u32) -> LineKind {
        let Some((last, count)) = self.last else { return LineKind::Repeated };
        let now_matches = matches + u32::from(stamp == last);
        if now_matches == count {
            self.phase = Phase::Reading;
        } else {
            match &mut self.phase {
                Phase::Repeating { matches, .. } | Phase::Rereading { matches, .. } => *matches = now_matches,
                Phase::Reading => {}
            }
        }
        LineKind::Repeated
    }

    /// Whether a line was read before, on the same connection. After two rotations the kubelet may open the newest file twice,
    /// and reads it from its beginning (`cri-client/pkg/logs/logs.go`, `ReadLogs`: once for each file that was created).
    fn is_reread(&self, stamp: i64) -> bool {
        let is_older_than_recent =
            || self.recent.len() == RECENT && self.recent.front().is_some_and(|oldest| stamp < *oldest);
        let follows = self.connected != i64::MAX;
        follows && stamp < self.newest && (is_older_than_recent() || self.recent.contains(&stamp))
    }

    /// Returns the gap before this line if the kubelet may have rotated away a file that it has not read: it continues with
    /// the newest file, without a sign. Then the line before was the last one of its file, was written since the connection
    /// began, and arrived late, because the reader is slow or the writer too fast.
    fn unread_file(&self, stamp: i64) -> Option<LineKind> {
        let (last, _) = self.last?;
        let is_late = self.received.saturating_sub(last) >= LATE;
        let is_of_connection = last >= self.connected.saturating_sub(CLOCK_DIFFERENCE);
        (is_late && is_of_connection && stamp - last >= LATE)
            .then_some(LineKind::AfterGap { from: last, until: stamp })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = SECOND_NANOS;

    /// Classifies lines that arrive at the time at which they were written; returns those that are new, and the gaps.
    fn read(position: &mut LogPosition, stamps: &[i64]) -> Vec<i64> {
        let mut new = Vec::new();
        for stamp in stamps {
            match position.classify(Some(*stamp), *stamp) {
                LineKind::New => new.push(*stamp),
                LineKind::AfterGap { from, until } => new.extend([-from, until]),
                LineKind::Repeated => {}
                LineKind::Unconnected => new.push(i64::MAX),
            }
        }
        new
    }

    fn after(stamps: &[i64], expectation: Expectation) -> LogPosition {
        let mut position = LogPosition::default();
        position.connect(Some(0), expectation);
        assert_eq!(read(&mut position, stamps).len(), stamps.len());
        position.connect(Some(0), expectation);
        position
    }

    #[test]
    fn reconnected_log_repeats_and_loses_no_line() {
        use Expectation::SameLog;
        for (before, again, new) in [
            (&[1, 2][..], &[1, 2, 3][..], &[3][..]),
            (&[1, 2], &[2, 3], &[3]),
            // Lines of the same timestamp, of which the connection has delivered some.
            (&[1, 2, 2], &[1, 2, 2, 2, 2, 3], &[2, 2, 3]),
            (&[1, 2], &[2, 2], &[2]),
            // stderr was stamped before stdout and written after it.
            (&[1, 3], &[1, 3, 2, 4], &[2, 4]),
            (&[1, 3, 2], &[1, 3, 2, 4], &[4]),
            (&[], &[1, 2], &[1, 2]),
            // The last line is not repeated.
            (&[1, 2], &[3], &[i64::MAX]),
            (&[1, 3, 2], &[3, 4], &[i64::MAX]),
        ] {
            let mut position = after(before, SameLog);
            assert_eq!(read(&mut position, again), new, "{before:?} {again:?}");
        }
    }

    #[test]
    fn missing_last_line_is_a_gap_or_another_log() {
        assert_eq!(read(&mut after(&[1, 2], Expectation::Gap), &[1, 5, 6]), [-2, 5, 6]);
        let mut restarted = after(&[1, 2], Expectation::SameLog);
        restarted.begin_log();
        restarted.connect(Some(0), Expectation::SameLog);
        assert!(restarted.is_connected(), "a log without a line is complete");
        assert_eq!(read(&mut restarted, &[2, 5, 6]), [5, 6], "its lines only");
        let mut unconnected = after(&[1, 2], Expectation::SameLog);
        assert!(!unconnected.is_connected());
        assert_eq!(unconnected.classify(Some(5), 5), LineKind::Unconnected);
        assert_eq!(unconnected.last(), Some(2), "the line is not read");
        assert_eq!(read(&mut unconnected, &[2]), [0; 0]);
        assert!(unconnected.is_connected());
    }

    #[test]
    fn rest_of_a_repeated_line_is_repeated() {
        let mut position = after(&[1, 2], Expectation::SameLog);
        assert_eq!(position.classify(None, 3), LineKind::Repeated);
        assert_eq!(read(&mut position, &[2]), [0; 0]);
        assert_eq!(position.classify(None, 3), LineKind::New);
    }

    #[test]
    fn file_that_the_kubelet_reads_twice_is_repeated_once() {
        let mut position = LogPosition::default();
        position.connect(Some(0), Expectation::SameLog);
        assert_eq!(read(&mut position, &[1, 2, 3, 2, 3, 4]), [1, 2, 3, 4]);
        // A line that was stamped earlier and written later is new.
        assert_eq!(read(&mut position, &[8, 6, 9]), [8, 6, 9]);
        // More lines than are kept.
        let many: Vec<i64> = (10..5000).collect();
        assert_eq!(read(&mut position, &many), many);
        assert_eq!(read(&mut position, &many), [0; 0]);
        assert_eq!(read(&mut position, &[5000]), [5000]);
        // A request that does not follow reads one file once, whatever its timestamps.
        let mut once = LogPosition::default();
        once.connect(None, Expectation::NewLog);
        assert_eq!(read(&mut once, &many), many);
        assert_eq!(read(&mut once, &[1, 5]), [1, 5]);
    }

    #[test]
    fn clock_that_was_set_back_is_reported_after_a_while() {
        let mut position = LogPosition::default();
        position.connect(Some(0), Expectation::SameLog);
        let many: Vec<i64> = (0..2000).map(|count| 3600 * S + count).collect();
        assert_eq!(read(&mut position, &many), many);
        let now = 3601 * S;
        assert_eq!(position.classify(Some(10 * S), now), LineKind::Repeated);
        let gap = LineKind::AfterGap { from: 10 * S, until: 41 * S };
        assert_eq!(position.classify(Some(41 * S), now + 31 * S), gap);
        assert_eq!(position.classify(Some(42 * S), now + 32 * S), LineKind::New);
    }

    #[test]
    fn file_that_was_rotated_away_unread_is_a_gap() {
        // (connected, last line, received, next line): whether there is a gap
        for (connected, last, received, next, has_gap) in [
            (0, 10, 21, 20, true),
            (0, 10, 10, 20, false),            // A silent container.
            (0, 10, 21, 11, false),            // A slow reader that misses nothing.
            (15, 10, 21, 20, false),           // The file's lines from before the connection.
            (i64::MAX / S, 10, 21, 20, false), // A request that does not follow reads one file.
        ] {
            let mut position = LogPosition::default();
            position.connect(Some(connected * S), Expectation::SameLog);
            assert_eq!(position.classify(Some(last * S), received * S), LineKind::New);
            let kind = position.classify(Some(next * S), received * S);
            assert_eq!(matches!(kind, LineKind::AfterGap { .. }), has_gap, "{last} {received} {next}");
        }
    }
}
