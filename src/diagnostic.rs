//! A diagnostic about a location in a source text: a key of config.toml, an environment variable, a `--set`.

use std::ops::Range;
use std::sync::Arc;

use crate::catalogue::Id;

/// A text with settings: a file, an environment variable or a `--set`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceText {
    /// A path as the user wrote it, `environment variable NAME`, or `--set`.
    pub name: String,
    /// The whole text. Positions are byte offsets into it.
    pub text: String,
}

/// A range of bytes in a source text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The text that the range points into.
    pub source: Arc<SourceText>,
    /// Byte offsets. `end` is exclusive and not beyond the end of the text.
    pub span: Range<usize>,
}

impl Location {
    /// Returns line and column of the first character, both counted from 1. The column counts characters.
    #[must_use]
    pub fn line_column(&self) -> (usize, usize) {
        let before = &self.source.text[..floor_char_boundary(&self.source.text, self.span.start)];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        (line, column)
    }
}

impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (line, column) = self.line_column();
        write!(f, "{}:{line}:{column}", self.source.name)
    }
}

fn floor_char_boundary(text: &str, index: usize) -> usize {
    let mut index = index.min(text.len());
    while !text.is_char_boundary(index) {
        index -= 1;
    }
    index
}

/// A key of config.toml that decides about a failure in the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigKey {
    /// The dotted key: `deploy.storage_class`.
    pub key: String,
    /// Its value as TOML, without secrets; None if it has none, or is a table.
    pub value: Option<String>,
    /// Where the user set it; None: nobody did.
    pub location: Option<Location>,
    /// What set the value if nobody did: `default`, `profile gke`, `set by handsctl`; None: it has none.
    pub preset: Option<String>,
}

/// Whether a diagnostic stops the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The command does not start, because the application would crash or silently ignore the setting.
    Error,
    /// The command continues.
    Warning,
}

/// An error or a warning about the configuration, with its location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The id in the catalogue.
    pub id: Id,
    /// Whether it stops the command.
    pub severity: Severity,
    /// The problem and its consequence. Lowercase, no full stop.
    pub message: String,
    /// The location, if there is one.
    pub location: Option<Location>,
    /// The text next to the caret: allowed values, "did you mean".
    pub label: String,
    /// Whether the span contains a secret and must be masked when the line is printed.
    pub masked: bool,
}

impl Diagnostic {
    /// Returns the diagnostic with its message and label changed, such as to mask secrets.
    #[must_use]
    pub fn map_texts(&self, change: impl Fn(&str) -> String) -> Self {
        Self { message: change(&self.message), label: change(&self.label), ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(text: &str, start: usize) -> Location {
        let source = Arc::new(SourceText { name: "config.toml".into(), text: text.into() });
        Location { source, span: start..start + 1 }
    }

    #[test]
    fn columns_count_characters_not_bytes() {
        assert_eq!(location("a = 1\nß = \"x\"\n", 11).to_string(), "config.toml:2:5");
        assert_eq!(location("a = 1\n", 0).to_string(), "config.toml:1:1");
    }

    #[test]
    fn position_beyond_end_is_last_position() {
        assert_eq!(location("a = 1", 99).line_column(), (1, 6));
    }
}
