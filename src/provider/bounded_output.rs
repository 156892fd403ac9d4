//! The output of a program, of bounded size. Pure.

use std::collections::VecDeque;

/// The longest standard output, in bytes. The longest expected one is the `inspect` of all nodes, with some 100 KiB.
const MAX_STDOUT: usize = 16 << 20;
/// The longest line of standard error, in bytes.
const MAX_LINE: usize = 64 << 10;
/// The longest standard error, in bytes. Its end is kept, because it has the cause of a failure.
const MAX_STDERR: usize = 2 << 20;

/// The beginning of standard output. What follows is read and dropped, so that the program can end.
#[derive(Debug, Default)]
pub(super) struct StdoutStart {
    kept: Vec<u8>,
    is_cut: bool,
}

impl StdoutStart {
    /// Adds received bytes.
    pub(super) fn push(&mut self, received: &[u8]) {
        let room = received.len().min(MAX_STDOUT - self.kept.len());
        self.kept.extend_from_slice(&received[..room]);
        self.is_cut |= room < received.len();
    }

    /// Returns the text, with a mark if it was cut.
    pub(super) fn into_text(self) -> String {
        let mut text = String::from_utf8_lossy(&self.kept).into_owned();
        if self.is_cut {
            text += "\n(cut after 16 MiB)\n";
        }
        text
    }
}

/// The last lines of standard error.
#[derive(Debug, Default)]
pub(super) struct StderrEnd {
    /// The beginning of the line whose end has not been received.
    unfinished: Vec<u8>,
    is_line_cut: bool,
    lines: VecDeque<String>,
    /// The bytes of `lines`.
    size: usize,
    dropped_lines: usize,
}

impl StderrEnd {
    /// Adds received bytes, and returns the lines that they complete.
    pub(super) fn push(&mut self, received: &[u8]) -> Vec<String> {
        let mut completed = Vec::new();
        for part in received.split_inclusive(|byte| *byte == b'\n') {
            let line = part.strip_suffix(b"\n");
            let bytes = line.unwrap_or(part);
            let room = bytes.len().min(MAX_LINE - self.unfinished.len());
            self.unfinished.extend_from_slice(&bytes[..room]);
            self.is_line_cut |= room < bytes.len();
            if line.is_some() {
                completed.push(self.complete_line());
            }
        }
        completed
    }

    /// Returns the last line if it has no line break.
    pub(super) fn finish(&mut self) -> Option<String> {
        (!self.unfinished.is_empty()).then(|| self.complete_line())
    }

    fn complete_line(&mut self) -> String {
        let mut line = String::from_utf8_lossy(&self.unfinished).into_owned();
        self.unfinished.clear();
        if std::mem::take(&mut self.is_line_cut) {
            line += " … (cut after 64 KiB)";
        }
        self.size += line.len();
        self.lines.push_back(line.clone());
        while self.size > MAX_STDERR
            && let Some(first) = self.lines.pop_front()
        {
            self.size -= first.len();
            self.dropped_lines += 1;
        }
        line
    }

    /// Returns the text, with a mark if its beginning was dropped.
    pub(super) fn into_text(mut self) -> String {
        self.finish();
        let mark = match self.dropped_lines {
            0 => None,
            1 => Some("(the first line was dropped)\n".to_owned()),
            count => Some(format!("(the first {count} lines were dropped)\n")),
        };
        mark.into_iter().chain(self.lines.into_iter().map(|line| line + "\n")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stdout_is_cut_and_marked() {
        let mut stdout = StdoutStart::default();
        stdout.push(b"abc");
        assert_eq!(stdout.into_text(), "abc");
        let mut stdout = StdoutStart::default();
        for _ in 0..40 {
            stdout.push(&vec![b'a'; 1 << 20]);
        }
        assert_eq!(stdout.kept.len(), MAX_STDOUT);
        assert!(stdout.into_text().ends_with("aa\n(cut after 16 MiB)\n"));
    }

    #[test]
    fn lines_are_complete_wherever_the_bytes_are_split() {
        let text = "one\n\näöü\nthree".as_bytes();
        for split in 0..=text.len() {
            let mut stderr = StderrEnd::default();
            let mut lines = stderr.push(&text[..split]);
            lines.extend(stderr.push(&text[split..]));
            lines.extend(stderr.finish());
            assert_eq!(lines, ["one", "", "äöü", "three"], "{split}");
            assert_eq!(stderr.into_text(), "one\n\näöü\nthree\n");
        }
    }

    #[test]
    fn line_without_end_is_cut_and_marked() {
        let mut stderr = StderrEnd::default();
        for _ in 0..100 {
            assert!(stderr.push(&[b'a'; 4096]).is_empty());
        }
        assert_eq!(stderr.unfinished.len(), MAX_LINE);
        let lines = stderr.push(b"\nnext\n");
        assert!(lines[0].ends_with("aa … (cut after 64 KiB)"));
        assert_eq!(lines[1], "next", "only the long line is cut");
    }

    #[test]
    fn last_lines_are_kept() {
        let mut stderr = StderrEnd::default();
        let line = format!("{}\n", "a".repeat(MAX_LINE - 1));
        for _ in 0..34 {
            stderr.push(line.as_bytes());
        }
        stderr.push(b"the cause\n");
        assert!(stderr.size <= MAX_STDERR);
        let text = stderr.into_text();
        assert!(text.starts_with("(the first 2 lines were dropped)\naa"), "{}", &text[..80]);
        assert!(text.ends_with("aa\nthe cause\n"));
    }
}
