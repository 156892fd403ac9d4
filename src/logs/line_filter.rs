//! Which lines of a log are shown. Pure.

use regex::bytes::Regex;

use super::level::{LogLevel, level_of};

/// The conditions of a line.
#[derive(Debug, Clone, Default)]
pub struct LineFilter {
    /// What it contains.
    pub grep: Option<Regex>,
    /// Its level at least.
    pub level: Option<LogLevel>,
}

impl LineFilter {
    /// Whether all lines are shown.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.grep.is_none() && self.level.is_none()
    }
}

/// The filter of one log.
#[derive(Debug)]
pub(crate) struct FilteredLog {
    filter: LineFilter,
    /// The level of the last line that has one.
    last: Option<LogLevel>,
}

impl FilteredLog {
    pub(crate) fn new(filter: LineFilter) -> Self {
        Self { filter, last: None }
    }

    /// Whether the next line is shown. A line without a level belongs to the one before it; until there is one, lines are
    /// shown.
    pub(crate) fn shows(&mut self, message: &[u8]) -> bool {
        if self.filter.is_empty() {
            return true;
        }
        let message = message.strip_suffix(b"\n").unwrap_or(message);
        let has_level = self.filter.level.is_none_or(|least| {
            self.last = level_of(message).or(self.last);
            self.last.is_none_or(|level| level >= least)
        });
        has_level && self.filter.grep.as_ref().is_none_or(|grep| grep.is_match(message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traceback_stays_with_its_error() {
        let lines = [
            "begins\n",
            "INFO: one\n",
            "  more of one\n",
            "ERROR: two\n",
            "Traceback (most recent call last):\n",
            "ValueError: x\n",
            "INFO: three\n",
        ];
        let shown = |grep: Option<&str>, level| {
            let grep = grep.map(|grep| Regex::new(grep).unwrap());
            let mut log = FilteredLog::new(LineFilter { grep, level });
            lines
                .iter()
                .filter(|line| log.shows(line.as_bytes()))
                .map(|line| line.trim_end())
                .collect::<Vec<_>>()
        };
        assert_eq!(shown(None, None).len(), lines.len());
        let errors = ["begins", "ERROR: two", "Traceback (most recent call last):", "ValueError: x"];
        assert_eq!(shown(None, Some(LogLevel::Warning)), errors);
        assert_eq!(shown(Some("o$"), None), ["ERROR: two"]);
        assert_eq!(shown(Some("^Value"), Some(LogLevel::Error)), ["ValueError: x"]);
    }
}
