//! Lines of logs as text for people and as JSON for programs. Pure.

use std::borrow::Cow;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::sanitize::sanitize;
use super::style::Palette;
use crate::logs::batch::{LogGap, LogLine, LogLines, LogSource};
use crate::logs::stamp;
use crate::report::versioned::Versioned;

/// A line of `logs -o json`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum LogObject<'a> {
    /// A line of a container's log.
    Line {
        /// When the container runtime received it.
        #[schemars(with = "Option<String>")]
        time: Option<Timestamp>,
        /// The pod's namespace.
        namespace: &'a str,
        /// The pod.
        pod: &'a str,
        /// The container.
        container: &'a str,
        /// The line without its line break. Bytes that are not UTF-8 are replaced.
        message: Cow<'a, str>,
    },
    /// A Kubernetes Event about a pod or its owner.
    Event {
        /// When it happened last.
        #[schemars(with = "Option<String>")]
        time: Option<Timestamp>,
        /// The namespace.
        namespace: &'a str,
        /// The object: `pod/openhands-1`.
        object: &'a str,
        /// Its type, its reason and its message.
        message: Cow<'a, str>,
    },
    /// Lines of a container may be missing here.
    Gap {
        /// The time of the last line before it.
        #[schemars(with = "String")]
        from: Timestamp,
        /// The time of the next line, or of the end of the container.
        #[schemars(with = "String")]
        until: Timestamp,
        /// The pod's namespace.
        namespace: &'a str,
        /// The pod.
        pod: &'a str,
        /// The container.
        container: &'a str,
    },
}

/// The form of the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogForm {
    /// Whether each line begins with its timestamp.
    pub timestamps: bool,
    /// Whether each line is an object.
    pub json: bool,
}

/// Formats lines of logs.
#[derive(Debug)]
pub(crate) struct LogText {
    form: LogForm,
    palette: Palette,
    /// Whether the lines are for a terminal: aligned, and without control characters.
    is_terminal: bool,
    /// The width of the widest prefix.
    width: usize,
}

impl LogText {
    pub(crate) fn new(form: LogForm, palette: Palette, is_terminal: bool) -> Self {
        Self { form, palette, is_terminal, width: 0 }
    }

    /// Appends lines, each with its source if `is_prefixed`.
    pub(crate) fn append_lines(&mut self, lines: &LogLines, is_prefixed: bool, output: &mut Vec<u8>) {
        if self.form.json {
            for line in &lines.lines {
                append_object(&line_object(lines, line), output);
            }
            return;
        }
        let prefix = if is_prefixed { self.prefix(&lines.source) } else { String::new() };
        output.reserve(lines.data.len() + prefix.len() * lines.lines.len());
        for line in &lines.lines {
            output.extend_from_slice(prefix.as_bytes());
            if self.form.timestamps {
                output.extend_from_slice(lines.stamp(line));
            }
            if self.is_terminal {
                output.extend_from_slice(sanitize(&String::from_utf8_lossy(lines.message(line))).as_bytes());
            } else {
                output.extend_from_slice(lines.message(line));
            }
        }
    }

    /// Appends that lines may be missing.
    pub(crate) fn append_gap(&self, gap: &LogGap, output: &mut Vec<u8>) {
        let LogGap { source, from, until } = gap;
        let LogSource { namespace, pod, container, .. } = &**source;
        if self.form.json {
            let (from, until) = (*from, *until);
            return append_object(&LogObject::Gap { from, until, namespace, pod, container }, output);
        }
        let text = format!(
            "-- gap: lines of pod/{pod} container {container} between {from} and {until} may be missing --"
        );
        output.extend_from_slice(self.palette.warning(&text).as_bytes());
        output.push(b'\n');
    }

    /// Returns the names before a line. On a terminal they are aligned, with the colour of their pod.
    fn prefix(&mut self, source: &LogSource) -> String {
        let label = &source.label;
        if !self.is_terminal {
            return format!("{label} ");
        }
        self.width = self.width.max(label.len());
        let blanks = " ".repeat(self.width - label.len() + 1);
        format!("{}{blanks}", self.palette.by_name(&source.pod, label))
    }
}

fn line_object<'a>(lines: &'a LogLines, line: &LogLine) -> LogObject<'a> {
    let message = lines.message(line);
    let message = String::from_utf8_lossy(message.strip_suffix(b"\n").unwrap_or(message));
    let time = line.time.map(stamp::time);
    let LogSource { namespace, pod, container, is_event, .. } = &*lines.source;
    if *is_event {
        return LogObject::Event { time, namespace, object: pod, message };
    }
    LogObject::Line { time, namespace, pod, container, message }
}

fn append_object(object: &LogObject<'_>, output: &mut Vec<u8>) {
    // Text is always JSON, and memory is always written.
    let _infallible = serde_json::to_writer(&mut *output, &Versioned::new(object));
    output.push(b'\n');
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use serde_json::{Value, json};

    use super::*;
    use crate::report::schemas::schema_of;
    use crate::report::schemas::tests::assert_matches;

    const TEXT: LogForm = LogForm { timestamps: false, json: false };

    fn lines(pod: &str, data: &'static [u8]) -> LogLines {
        let line = LogLine { time: Some(1_000_000_000), start: 0, message: 2, end: data.len() };
        let source = Arc::new(LogSource::new("n", pod, "app"));
        LogLines { source, data: Bytes::from_static(data), lines: vec![line] }
    }

    fn gap() -> LogGap {
        let (from, until) = (Timestamp::UNIX_EPOCH, Timestamp::from_second(61).unwrap());
        LogGap { source: Arc::new(LogSource::new("n", "oh-1", "app")), from, until }
    }

    #[test]
    fn bytes_for_a_pipe_are_unchanged() {
        let mut text = LogText::new(TEXT, Palette::NONE, false);
        let mut output = Vec::new();
        text.append_lines(&lines("oh-1", b"T \x1b[31m\xff\0\n"), false, &mut output);
        text.append_lines(&lines("oh-long", b"T b\n"), true, &mut output);
        text.append_lines(&lines("oh", b"T c\n"), true, &mut output);
        text.append_gap(&gap(), &mut output);
        let gap = b"-- gap: lines of pod/oh-1 container app between 1970-01-01T00:00:00Z and 1970-01-01T00:01:01Z may be missing --\n";
        assert_eq!(output, [&b"\x1b[31m\xff\0\noh-long app b\noh app c\n"[..], gap].concat());
    }

    #[test]
    fn lines_on_a_terminal_are_aligned_and_safe() {
        let mut text = LogText::new(LogForm { timestamps: true, ..TEXT }, Palette::new(true), true);
        let mut output = Vec::new();
        text.append_lines(&lines("oh-long", b"T a\x1b[2J\n"), true, &mut output);
        text.append_lines(&lines("oh", b"T c\n"), true, &mut output);
        let output = String::from_utf8(output).unwrap();
        let plain = console::strip_ansi_codes(&output);
        assert_eq!(plain, "oh-long app T a\noh app      T c\n");
        assert!(!output.contains("[2J") && output.contains("\x1b["), "{output:?}");
    }

    #[test]
    fn objects_match_their_schema() {
        let mut text = LogText::new(LogForm { json: true, ..TEXT }, Palette::NONE, false);
        let mut output = Vec::new();
        text.append_lines(&lines("oh-1", b"T a \"b\"\xff\n"), true, &mut output);
        text.append_gap(&gap(), &mut output);
        let schema = schema_of::<Versioned<LogObject<'static>>>("logs");
        let objects: Vec<Value> = String::from_utf8(output)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        for object in &objects {
            assert_matches(&schema, object);
        }
        assert_eq!(
            objects[0],
            json!({ "v": 1, "type": "line", "time": "1970-01-01T00:00:01Z", "namespace": "n", "pod": "oh-1",
                "container": "app", "message": "a \"b\"\u{fffd}" })
        );
        assert_eq!(
            (&objects[1]["type"], &objects[1]["until"]),
            (&json!("gap"), &json!("1970-01-01T00:01:01Z"))
        );
    }
}
