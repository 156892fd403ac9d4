//! The parameters of a deploy or rollback.

use crate::flags::{DryRun, Probe};
use crate::plan::changes::ChangePolicy;
use crate::plan::goal::Goal;

/// The parameters of a deploy or rollback.
#[derive(Debug, Clone)]
pub(crate) struct DeployRequest {
    /// Name of the command: `deploy`, `rollback`.
    pub(crate) command: &'static str,
    /// The configuration or the revision to apply.
    pub(crate) goal: Goal,
    /// The rules for changes of the set.
    pub(crate) policy: ChangePolicy,
    /// Where a dry run is checked; None to execute the changes.
    pub(crate) dry_run: Option<DryRun>,
    /// The text of `--note`, which the revision records.
    pub(crate) note: Option<String>,
    /// When the application is probed.
    pub(crate) probe: Probe,
    /// True if the caller restarts pods whose image was rebuilt under the same name, so that none needs a warning.
    pub(crate) restarts_replaced: bool,
    /// True if a rollback may grant rights that neither the configuration nor the live set grants.
    pub(crate) accepts_additions: bool,
    /// True if a failed rollout may be rolled back.
    pub(crate) auto_rollback: bool,
}

impl DeployRequest {
    /// Returns the name of the command for the head line.
    pub(super) fn title(&self) -> String {
        match self.dry_run {
            Some(_) => format!("{} (dry run)", self.command),
            None => self.command.to_owned(),
        }
    }
}
