//! The error of an invalid string.

use std::fmt;

/// The error of an invalid string, with its position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormatError {
    /// Byte offset of the offending character; the string's length if something is missing at the end.
    pub offset: usize,
    /// The message: lowercase, without a full stop.
    pub message: String,
}

impl FormatError {
    pub(super) fn new(offset: usize, message: impl Into<String>) -> Self {
        Self { offset, message: message.into() }
    }
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for FormatError {}
