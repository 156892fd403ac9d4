//! The mark before a line that is the result of a check.

use crate::report::streams::Streams;

/// The result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// It is as it should be.
    Passed,
    /// It is not there, and nothing needs it.
    Noted,
    /// It could not be checked.
    Unknown,
    /// It should be fixed.
    Warning,
    /// It must be fixed.
    Failed,
}

impl Streams {
    /// Returns the mark for stdout: in colour on a terminal, and different without colour.
    #[must_use]
    pub fn mark(&self, mark: Mark) -> String {
        let palette = self.settings.out.palette;
        match mark {
            Mark::Passed => palette.success("✓"),
            Mark::Noted => palette.dim("·"),
            Mark::Unknown => palette.dim("?"),
            Mark::Warning => palette.warning("!"),
            Mark::Failed => palette.failure("✗"),
        }
    }
}
