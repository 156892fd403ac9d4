//! Stops a deploy that would replace one edition of OpenHands by another, which takes over neither conversations nor
//! settings, unless that was asked for.

use super::prepare::Preparation;
use super::request::DeployRequest;
use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};
use crate::object::kind::DEPLOYMENT;
use crate::plan::desired::PlanOrigin;
use crate::session::runner::Run;
use crate::settings::edition::Edition;

/// The editions of the deployed application and of the planned one, if they differ.
fn change(prepared: &Preparation) -> Option<(&'static Edition, &'static Edition)> {
    let planned = prepared.changes.plan.members.iter().filter(|member| member.kind == DEPLOYMENT);
    planned.into_iter().find_map(|member| {
        let live = prepared.observed.members.get(&member.id)?;
        let (from, to) = (Edition::of_deployment(live), Edition::of_deployment(&member.manifest));
        (from != to).then_some((from, to))
    })
}

/// Checks that the edition stays the same, or that `--change-edition` was given. A rollback names its revision.
///
/// # Errors
/// Exit 2 with what the new edition does not take over.
pub(super) fn ensure_requested(run: &Run<'_>, request: &DeployRequest, prepared: &Preparation) -> Result<()> {
    let Some((from, to)) = change(prepared) else { return Ok(()) };
    if request.policy.changes_edition || prepared.changes.plan.origin != PlanOrigin::Configuration {
        return Ok(());
    }
    let name = &run.settings().deploy.name;
    let message = format!(
        "installation `{name}` is {}, and the configuration deploys {}; nothing was changed",
        from.product, to.product
    );
    Err(Error::new(Id::EditionChanges, Kind::Usage, message)
        .fact("not taken over", "conversations, settings of the page, tokens of git providers")
        .fact("kept", format!("the volume claim {name}-{}, which handsctl rollback mounts again", from.claim))
        .at_config(run.settings().locate("deploy.edition").or_else(|| run.settings().locate("deploy.image")))
        .hint("handsctl deploy --change-edition replaces it; handsctl rollback goes back")
        .hint(format!("both side by side: handsctl deploy --name {name}-2")))
}

/// Warns of a change of the edition, before anything is changed.
pub(super) async fn report(run: &Run<'_>, request: &DeployRequest, prepared: &Preparation) {
    let Some((from, to)) = change(prepared) else { return };
    let fate = if request.policy.delete_data { "are deleted with" } else { "stay on" };
    let message = format!(
        "{} is replaced by {}, which has a volume of its own: conversations and settings {fate} \
         persistentvolumeclaim/{}-{}",
        from.product,
        to.product,
        run.settings().deploy.name,
        from.claim
    );
    run.events().warn(Id::EditionChanges, message).await;
}
