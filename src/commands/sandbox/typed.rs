//! The conversation that a typed word means. Pure.

use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};

/// The ids that an error names at most.
const MAX_NAMED: usize = 5;

/// Returns the only one of the conversations that begin with the typed word. `place` has them all: `namespace n`.
///
/// # Errors
/// Exit 2 if there is none, or more than one.
pub(super) fn only_one<T>(
    mut matching: Vec<T>,
    typed: &str,
    place: &str,
    id_of: impl Fn(&T) -> &str,
) -> Result<T> {
    if matching.len() > 1 {
        let message = format!("{} conversations begin with `{typed}`", matching.len());
        let ids: Vec<&str> = matching.iter().take(MAX_NAMED).map(id_of).collect();
        return Err(Error::new(Id::Usage, Kind::Usage, message).fact("conversations", ids.join("\n")));
    }
    matching.pop().ok_or_else(|| {
        let message = format!("no conversation of {place} begins with `{typed}`");
        Error::new(Id::Usage, Kind::Usage, message).hint("handsctl sandbox list lists them")
    })
}
