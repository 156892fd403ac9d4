//! Stops a rollback that would grant rights which neither the configuration nor the live set grants, unless `--yes`.

use super::request::DeployRequest;
use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};
use crate::object::kind::KindInfo;
use crate::plan::desired::{Plan, PlanOrigin};
use crate::plan::inventory::members::Members;
use crate::plan::inventory::restored_rights::additional_rights;
use crate::plan::{self, SecretNaming};
use crate::session::runner::Run;

/// Checks the rights in the revision that the plan restores. `kinds` are the kinds that API discovery found.
///
/// # Errors
/// Exit 7 if it grants more, and the request does not accept that.
pub(super) fn ensure_accepted(
    run: &Run<'_>,
    request: &DeployRequest,
    plan: &Plan,
    kinds: &[KindInfo],
    live: &Members,
) -> Result<()> {
    let PlanOrigin::Revision(number) = plan.origin else { return Ok(()) };
    if request.accepts_rights {
        return Ok(());
    }
    // A rollback works without the configuration's secrets. Without a plan only the live set counts.
    let configured = plan::build(run.settings(), SecretNaming::Placeholder, kinds);
    let configured = configured.map(|plan| plan.members).unwrap_or_default();
    let rights = additional_rights(plan, &configured, live);
    if rights.is_empty() {
        return Ok(());
    }
    let message = format!(
        "revision {number} grants rights that neither the configuration nor the deployed installation grants; nothing was changed"
    );
    let error = Error::new(Id::RightsNotAccepted, Kind::Ownership, message);
    Err(rights
        .iter()
        .fold(error, |error, right| error.fact("right", right.clone()))
        .hint(format!("handsctl rollback --to {number} --yes grants them"))
        .hint(format!("handsctl history {number} -o yaml shows the revision")))
}
