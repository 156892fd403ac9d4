//! The position of a followed log, from its timestamps. Pure.

use bytes::{Bytes, BytesMut};
use jiff::Timestamp;

/// The position at which a followed log resumes after its stream broke.
#[derive(Debug, Default)]
pub(super) struct Resume {
    /// The timestamp of the newest line that was read.
    pub(super) last: Option<Timestamp>,
    /// The timestamp of the newest line of earlier streams; lines of the same stream may share a timestamp.
    pub(super) before: Option<Timestamp>,
    /// Whether the server has sent the beginning of the log, also if it had no line.
    pub(super) is_connected: bool,
}

impl Resume {
    /// Removes lines that were read before from timestamped lines, and strips the timestamps unless they are requested.
    pub(super) fn new_lines(&mut self, complete: &Bytes, keep_stamps: bool) -> Bytes {
        let mut kept = BytesMut::with_capacity(complete.len());
        for line in complete.split_inclusive(|byte| *byte == b'\n') {
            let space = line.iter().position(|byte| *byte == b' ');
            let stamp = space
                .and_then(|space| std::str::from_utf8(&line[..space]).ok())
                .and_then(|text| text.parse::<Timestamp>().ok());
            match (stamp, space) {
                (Some(stamp), Some(space)) => {
                    if self.before.is_some_and(|before| stamp <= before) {
                        continue;
                    }
                    self.last = Some(stamp);
                    kept.extend_from_slice(if keep_stamps { line } else { &line[space + 1..] });
                }
                _ => kept.extend_from_slice(line),
            }
        }
        kept.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resumed_log_repeats_no_line() {
        let mut resume = Resume::default();
        let first_lines = Bytes::from_static(b"2026-01-01T00:00:01Z one\n2026-01-01T00:00:02Z two\n");
        assert_eq!(resume.new_lines(&first_lines, false), "one\ntwo\n");
        let same_time = Bytes::from_static(b"2026-01-01T00:00:02Z twin\n");
        assert_eq!(resume.new_lines(&same_time, false), "twin\n");
        resume.before = resume.last;
        let again = Bytes::from_static(b"2026-01-01T00:00:02Z two\n2026-01-01T00:00:03.5Z three\n");
        assert_eq!(resume.new_lines(&again, true), "2026-01-01T00:00:03.5Z three\n");
        assert_eq!(resume.new_lines(&Bytes::from_static(b"no stamp\n"), false), "no stamp\n");
    }
}
