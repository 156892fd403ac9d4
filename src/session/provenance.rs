//! Reads who started this run from the variables of its CI system.

use crate::plan::inventory::provenance::Provenance;

/// Returns the origin of this process's run.
pub(super) fn of_this_run() -> Provenance {
    Provenance::from_variables(|name| std::env::var(name).ok())
}
