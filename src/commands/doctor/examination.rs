//! The checks of one run.

use std::time::Duration;

use crate::doctor::check::Check;
use crate::settings::Settings;

/// The checks with the cluster that they are about.
pub(super) struct Examination {
    /// `openhands → kind-local-hands / openhands  (…)`; None: no cluster was chosen.
    pub(super) target: Option<String>,
    /// The context; None: no cluster was chosen.
    pub(super) context: Option<String>,
    pub(super) settings: Settings,
    pub(super) checks: Vec<Check>,
    pub(super) took: Duration,
}
