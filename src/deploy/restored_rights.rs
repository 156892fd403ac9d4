//! Stops a rollback that would grant rights which neither the configuration nor the live set grants, unless `--yes`.

use super::prepare::Preparation;
use super::request::DeployRequest;
use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};
use crate::plan::desired::PlanOrigin;
use crate::plan::inventory::restored_rights::additional_rights;
use crate::plan::{self, SecretNaming};
use crate::session::runner::Run;

/// Checks the rights in the revision that is restored.
///
/// # Errors
/// Exit 7 if it grants more, and the request does not accept that.
pub(super) fn ensure_accepted(run: &Run<'_>, request: &DeployRequest, prepared: &Preparation) -> Result<()> {
    let plan = &prepared.changes.plan;
    let PlanOrigin::Revision(number) = plan.origin else { return Ok(()) };
    if request.accepts_rights {
        return Ok(());
    }
    // A rollback works without the configuration's secrets. Without a plan only the live set counts.
    let configured = plan::build(run.settings(), SecretNaming::Placeholder, &prepared.state.kinds);
    let configured = configured.map(|plan| plan.members).unwrap_or_default();
    let rights = additional_rights(plan, &configured, &prepared.observed.members);
    if rights.is_empty() {
        return Ok(());
    }
    let message = format!(
        "revision {number} grants rights that neither the configuration nor the deployed set grants; nothing was changed"
    );
    let error = Error::new(Id::RightsNotAccepted, Kind::Ownership, message);
    Err(rights
        .iter()
        .fold(error, |error, right| error.fact("right", right.clone()))
        .hint(format!("handsctl rollback --to {number} --yes grants them"))
        .hint(format!("handsctl history {number} -o yaml shows the revision")))
}
