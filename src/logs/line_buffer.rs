//! Splits the bytes of a log into complete lines of bounded length. Pure.

use bytes::{Bytes, BytesMut};

/// The longest line, in bytes. The rest of a longer one is dropped, so that a log without a line break needs neither
/// memory nor time without bound.
pub(crate) const MAX_LINE: usize = 256 * 1024;
/// The end of a line that was cut.
const CUT: &[u8] = " … (cut after 256 KiB)\n".as_bytes();

/// The unfinished line at the end of the bytes that were received.
#[derive(Debug, Default)]
pub(crate) struct LineBuffer {
    unfinished: BytesMut,
    /// Whether the rest of a line that was cut is still to be dropped.
    drops_line: bool,
}

impl LineBuffer {
    /// Adds received bytes, and returns the lines that they complete, each with its line break.
    pub(crate) fn push(&mut self, received: &[u8]) -> Bytes {
        let mut received = received;
        if self.drops_line {
            let Some(end) = received.iter().position(|byte| *byte == b'\n') else { return Bytes::new() };
            self.drops_line = false;
            received = &received[end + 1..];
        }
        // Only the new bytes are searched: the earlier ones have no line break.
        let Some(end) = received.iter().rposition(|byte| *byte == b'\n') else {
            self.unfinished.extend_from_slice(received);
            return self.cut();
        };
        let mut lines = self.unfinished.split();
        lines.extend_from_slice(&received[..=end]);
        self.unfinished.extend_from_slice(&received[end + 1..]);
        lines.freeze()
    }

    /// Returns the last line if it has no line break.
    pub(crate) fn finish(&mut self) -> Bytes {
        if !self.unfinished.is_empty() {
            self.unfinished.extend_from_slice(b"\n");
        }
        self.unfinished.split().freeze()
    }

    /// Returns the beginning of the unfinished line if it is too long.
    fn cut(&mut self) -> Bytes {
        if self.unfinished.len() <= MAX_LINE {
            return Bytes::new();
        }
        self.drops_line = true;
        let mut line = self.unfinished.split();
        line.truncate(MAX_LINE);
        line.extend_from_slice(CUT);
        line.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_complete_wherever_the_bytes_are_split() {
        let log = b"one\ntwo\n\nthree";
        for split in 0..=log.len() {
            let mut buffer = LineBuffer::default();
            let mut lines = buffer.push(&log[..split]).to_vec();
            lines.extend_from_slice(&buffer.push(&log[split..]));
            assert_eq!(lines, b"one\ntwo\n\n", "split at {split}");
            assert_eq!(buffer.finish(), "three\n");
            assert_eq!(buffer.finish(), "");
        }
    }

    #[test]
    fn line_without_end_is_cut_and_marked() {
        let mut buffer = LineBuffer::default();
        let chunk = vec![b'x'; 64 * 1024];
        let mut received = Vec::new();
        for _ in 0..128 {
            received.extend_from_slice(&buffer.push(&chunk));
            assert!(buffer.unfinished.len() <= MAX_LINE, "{}", buffer.unfinished.len());
        }
        assert_eq!(received.len(), MAX_LINE + CUT.len());
        assert!(received.ends_with(CUT));
        assert_eq!(buffer.push(b"xx\nnext\nla"), "next\n", "the rest of the long line is dropped");
        assert_eq!(buffer.finish(), "la\n");
    }
}
