//! Why an application did not get its settings.

use crate::error::Error;

/// Why an application did not get its settings.
#[derive(Debug)]
pub(super) enum NotGiven {
    /// It does not accept its key, so nobody can use it.
    Rejected(Error),
    /// The reason.
    Failed(String),
}

impl From<String> for NotGiven {
    fn from(why: String) -> Self {
        Self::Failed(why)
    }
}
