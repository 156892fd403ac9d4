//! A remark about a place in a source text: a key of config.toml, an environment variable, a `--set`.

use std::ops::Range;
use std::sync::Arc;

use crate::catalogue::Id;

/// Where a setting was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceText {
    /// A path as the user wrote it, `environment variable NAME`, or `--set`.
    pub name: String,
    /// The whole text; positions are byte offsets into it.
    pub text: String,
}

/// A range of bytes in a source text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The text that the range points into.
    pub source: Arc<SourceText>,
    /// Byte offsets; `end` is exclusive and never past the text.
    pub span: Range<usize>,
}

impl Location {
    /// Line and column of the first character, both counted from 1, the column in characters.
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

/// Whether a diagnostic stops the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The command does not begin: the application would crash or silently do something else.
    Error,
    /// The command goes on.
    Warning,
}

/// One mistake or remark, with the place it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// What kind of mistake.
    pub id: Id,
    /// Whether it stops the command.
    pub severity: Severity,
    /// What is wrong and what would happen; lowercase, no full stop.
    pub message: String,
    /// The place, where there is one.
    pub location: Option<Location>,
    /// What stands beside the caret: allowed values, "did you mean".
    pub label: String,
    /// Whether the source text holds a secret, so that the line may be shown only with the span masked.
    pub masked: bool,
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
    fn a_position_past_the_end_is_the_last_one() {
        assert_eq!(location("a = 1", 99).line_column(), (1, 6));
    }
}
