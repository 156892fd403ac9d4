//! Lines of logs on their way from the cluster to the output. Pure.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;

use crate::error::Error;

/// Where lines come from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LogSource {
    /// The namespace.
    pub namespace: String,
    /// The pod; of an Event its object, `pod/oh-1`.
    pub pod: String,
    /// The container; empty for an Event.
    pub container: String,
    /// `pod container`, or `pod/oh-1 event`.
    pub label: String,
    /// Whether the lines are Kubernetes Events.
    pub is_event: bool,
}

impl LogSource {
    /// Creates the source of a container's lines.
    #[must_use]
    pub fn new(namespace: &str, pod: &str, container: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            pod: pod.to_owned(),
            container: container.to_owned(),
            label: format!("{pod} {container}"),
            is_event: false,
        }
    }

    /// Creates the source of the Events about an object: `pod/oh-1`.
    #[must_use]
    pub fn of_event(namespace: &str, object: &str) -> Self {
        Self { label: format!("{object} event"), is_event: true, ..Self::new(namespace, object, "") }
    }
}

/// The place of a line in the bytes of its batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogLine {
    /// The time in nanoseconds since 1970; None without a timestamp.
    pub time: Option<i64>,
    /// The start of the timestamp, or of the message if there is none.
    pub start: usize,
    /// The start of the message.
    pub message: usize,
    /// The end, after the line break.
    pub end: usize,
}

/// Complete lines of one source.
#[derive(Debug, Clone)]
pub struct LogLines {
    /// Their source.
    pub source: Arc<LogSource>,
    /// The bytes that were received, also those of lines that are not shown.
    pub data: Bytes,
    /// The lines to show.
    pub lines: Vec<LogLine>,
}

impl LogLines {
    /// Returns the message of a line, with its line break.
    #[must_use]
    pub fn message(&self, line: &LogLine) -> &[u8] {
        self.data.get(line.message..line.end).unwrap_or_default()
    }

    /// Returns the timestamp of a line as the server wrote it, with the blank after it; empty without one.
    #[must_use]
    pub fn stamp(&self, line: &LogLine) -> &[u8] {
        self.data.get(line.start..line.message).unwrap_or_default()
    }
}

/// A part of the logs.
#[derive(Debug)]
pub enum LogPart {
    /// Complete lines, each with its line break.
    Lines(LogLines),
    /// Lines may be missing here.
    Gap(LogGap),
    /// The server sends the log.
    Connected {
        /// The container.
        source: Arc<LogSource>,
        /// Whether it was requested again, after its connection was lost or was silent for long.
        again: bool,
    },
    /// The log of a container begins that started after the first list of pods.
    Began {
        /// The container.
        source: Arc<LogSource>,
    },
    /// A followed log is complete: its container ended.
    Ended {
        /// The container.
        source: Arc<LogSource>,
    },
    /// The log of a container cannot be read.
    Unreadable {
        /// The container.
        source: Arc<LogSource>,
        /// The error message.
        why: String,
        /// What the command fails with; None of a followed log, and of a container that has no such log.
        failure: Option<Box<Error>>,
    },
}

/// A time in which lines of a container may be missing: the API serves only its newest file, and that of the container before
/// the last restart.
#[derive(Debug, Clone)]
pub struct LogGap {
    /// The container.
    pub source: Arc<LogSource>,
    /// The time of the last line before it.
    pub from: Timestamp,
    /// The time of the next line, or of the end of the container.
    pub until: Timestamp,
}
