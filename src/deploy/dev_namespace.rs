//! Fails before the first write of profile dev into a namespace where sandboxes of others run.

use super::prepare::Preparation;
use super::sandbox_policy;
use crate::catalogue::Id;
use crate::cluster::app::sandbox_pods;
use crate::error::{Error, Kind, Result};
use crate::phrase;
use crate::plan::PlanOrigin;
use crate::session::runner::Run;
use crate::settings::handsctl::Profile;

/// Checks the namespace of a new installation of profile dev. Sandboxes of a deployed one may be the developer's own.
///
/// # Errors
/// Exit 7 if sandboxes run there: the application that started them may start pods under the account of profile dev.
pub(super) async fn ensure_no_sandboxes(run: &Run<'_>, prepared: &Preparation) -> Result<()> {
    let deploy = &run.settings().deploy;
    let is_new = prepared.observed.members.is_empty();
    let is_planned = prepared.changes.plan.origin == PlanOrigin::Configuration;
    if deploy.profile != Profile::Dev || !is_new || !is_planned {
        return Ok(());
    }
    let namespace = deploy.namespace.as_str();
    // Without the right to list pods, the watch of the rollout fails with a better error.
    let pods = sandbox_pods::list(run.api(), namespace).await?.unwrap_or_default();
    let running = sandbox_policy::running(&pods);
    if running == 0 {
        return Ok(());
    }
    let message = format!(
        "{} of another installation in namespace {namespace}: its application could start pods under the account of profile dev; nothing was changed",
        phrase::count(running, "sandbox pod")
    );
    Err(Error::new(Id::AccountOfSandboxes, Kind::Ownership, message)
        .at_config(run.settings().locate("deploy.namespace"))
        .hint("choose another namespace with -n or [deploy].namespace"))
}
