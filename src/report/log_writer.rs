//! Writes the lines of container logs to stdout, in batches.

use std::sync::Arc;

use super::streams::{Streams, Written};
use super::text::log_text::{LogForm, LogText};
use crate::error::Result;
use crate::logs::batch::{LogGap, LogLines, LogSource};

/// Lines are written at the latest when there are so many bytes of them.
const BATCH: usize = 256 * 1024;

/// When a line begins with the names of its pod and its container.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Prefix {
    /// Never.
    Off,
    /// As soon as there is another source than this one.
    UnlessOnly(Option<Arc<LogSource>>),
    /// Always.
    On,
}

/// Writes the lines of logs. It blocks while the reader of stdout does.
pub struct LogWriter {
    streams: Streams,
    text: LogText,
    form: LogForm,
    prefix: Prefix,
    batch: Vec<u8>,
}

impl LogWriter {
    /// Creates a writer. `is_prefixed` is whether each line begins with its source; None: as soon as there are two.
    #[must_use]
    pub fn new(streams: &Streams, form: LogForm, is_prefixed: Option<bool>) -> Self {
        let text = LogText::new(form, streams.settings.out.palette, streams.out_is_terminal());
        let prefix = match is_prefixed {
            Some(true) => Prefix::On,
            Some(false) => Prefix::Off,
            None => Prefix::UnlessOnly(None),
        };
        Self { streams: streams.clone(), text, form, prefix, batch: Vec::new() }
    }

    /// Adds lines to the batch, and writes it if it is large.
    ///
    /// # Errors
    /// As for [`Self::flush`].
    pub fn lines(&mut self, lines: &LogLines) -> Result<Written> {
        let is_prefixed = self.is_prefixed(&lines.source);
        self.text.append_lines(lines, is_prefixed, &mut self.batch);
        if self.batch.len() < BATCH { Ok(Written::Yes) } else { self.flush() }
    }

    /// Adds that lines may be missing. It is on stdout, between the lines: its place is what it says, and a log that is kept
    /// in a file must have it too.
    pub fn gap(&mut self, gap: &LogGap) {
        self.text.append_gap(gap, &mut self.batch);
    }

    /// Writes the batch.
    ///
    /// # Errors
    /// Writing fails. A closed reader is not an error.
    pub fn flush(&mut self) -> Result<Written> {
        if self.batch.is_empty() {
            return Ok(Written::Yes);
        }
        let written = if self.form.json {
            let text = String::from_utf8_lossy(&self.batch);
            self.streams.out(&self.streams.json(&text))
        } else {
            self.streams.log_lines(&self.batch)
        };
        self.batch.clear();
        written
    }

    fn is_prefixed(&mut self, source: &Arc<LogSource>) -> bool {
        if let Prefix::UnlessOnly(only) = &mut self.prefix {
            if only.get_or_insert_with(|| source.clone()) == source {
                return false;
            }
            self.prefix = Prefix::On;
        }
        self.prefix == Prefix::On
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::logs::batch::LogLine;
    use crate::report::streams::tests::{captured, settings};

    fn lines(container: &str, text: &str) -> LogLines {
        let line = LogLine { time: None, start: 0, message: 0, end: text.len() };
        let source = Arc::new(LogSource::new("n", "oh-1", container));
        LogLines { source, data: Bytes::from(text.to_owned()), lines: vec![line] }
    }

    fn written(is_prefixed: Option<bool>) -> String {
        let (streams, out, _) = captured(settings());
        let form = LogForm { timestamps: false, json: false };
        let mut writer = LogWriter::new(&streams, form, is_prefixed);
        for (container, text) in [("a", "one\n"), ("a", "two\n"), ("b", "three\n"), ("a", "four\n")] {
            assert_eq!(writer.lines(&lines(container, text)).unwrap(), Written::Yes);
        }
        assert_eq!(out.text(), "", "small parts are written together");
        assert_eq!(writer.flush().unwrap(), Written::Yes);
        out.text()
    }

    #[test]
    fn second_source_gives_lines_a_prefix() {
        assert_eq!(written(None), "one\ntwo\noh-1 b three\noh-1 a four\n");
        assert_eq!(written(Some(false)), "one\ntwo\nthree\nfour\n");
        assert_eq!(written(Some(true)), "oh-1 a one\noh-1 a two\noh-1 b three\noh-1 a four\n");
    }

    #[test]
    fn large_batch_is_written_at_once() {
        let (streams, out, _) = captured(settings());
        let mut writer = LogWriter::new(&streams, LogForm { timestamps: false, json: false }, None);
        let _written = writer.lines(&lines("a", &("x".repeat(BATCH) + "\n"))).unwrap();
        assert_eq!(out.text().len(), BATCH + 1);
    }
}
