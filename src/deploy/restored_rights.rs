//! Stops a rollback that would add rights, images or an exposure which neither the configuration nor the live set has,
//! unless `--yes`.

use super::request::DeployRequest;
use crate::catalogue::Id;
use crate::cluster::inspect::ClusterState;
use crate::cluster::watch::observed_set::ObservedSet;
use crate::error::{Error, Kind, Result};
use crate::object::kind::KindInfo;
use crate::plan::desired::{Member, Plan, PlanOrigin};
use crate::plan::inventory::members::Members;
use crate::plan::inventory::restored_exposure::{Objects, additional_exposures};
use crate::plan::inventory::restored_rights::{KnownObjects, additional_images, additional_rights};
use crate::plan::{self, SecretNaming};
use crate::session::runner::Run;
use crate::status;

/// Checks the revision that the plan restores. `replaced` are the members before this run, if it has changed them.
///
/// # Errors
/// Exit 7 if it adds something, and the request does not accept that.
pub(super) fn ensure_accepted(
    run: &Run<'_>,
    request: &DeployRequest,
    plan: &Plan,
    state: &ClusterState,
    observed: &ObservedSet,
    replaced: &Members,
) -> Result<()> {
    let PlanOrigin::Revision(number) = plan.origin else { return Ok(()) };
    if request.accepts_additions {
        return Ok(());
    }
    let configured = configured(run, &state.kinds);
    let referenced = status::referenced_names(&observed.state, request.policy.revision_history);
    let live = &observed.members;
    let known = KnownObjects { configured: &configured, live, replaced, referenced: &referenced };
    let exposures = if run.session.accepts_every_exposure() {
        Vec::new()
    } else {
        let known = [objects(&configured), live.iter().collect(), replaced.iter().collect()];
        additional_exposures(plan, &known)
    };
    let additions = [
        ("right", "grants rights", additional_rights(plan, known)),
        ("image", "runs images", additional_images(plan, known)),
        ("exposure", "exposes the application", exposures),
    ];
    let additions: Vec<_> = additions.into_iter().filter(|(.., added)| !added.is_empty()).collect();
    if additions.is_empty() {
        return Ok(());
    }
    let adds: Vec<&str> = additions.iter().map(|(_, adds, _)| *adds).collect();
    let message = format!(
        "revision {number} {} beyond the configuration and the deployed installation; nothing was changed",
        adds.join(" and ")
    );
    let facts = additions.iter().flat_map(|(label, _, added)| added.iter().map(move |text| (*label, text)));
    let error = Error::new(Id::AdditionsNotAccepted, Kind::Ownership, message);
    Err(facts
        .fold(error, |error, (label, text)| error.fact(label, text.clone()))
        .hint(format!("handsctl rollback --to {number} --yes accepts this"))
        .hint(format!("handsctl history {number} -o yaml shows the revision")))
}

/// Warns of a rollback that exposes the application more than the configuration does, although it is accepted: the
/// exposure ends with the next deploy only.
pub(super) async fn warn_of_exposure(run: &Run<'_>, plan: &Plan, kinds: &[KindInfo]) {
    let PlanOrigin::Revision(number) = plan.origin else { return };
    if run.session.accepts_every_exposure() {
        return;
    }
    let configured = configured(run, kinds);
    let exposures = additional_exposures(plan, &[objects(&configured)]);
    if exposures.is_empty() {
        return;
    }
    let message = format!(
        "revision {number} exposes the application, which has no login, and the configuration does not: {}; handsctl deploy ends it",
        exposures.join(", ")
    );
    run.events().warn(Id::ReachableByOthers, message).await;
}

/// Returns the members that the configuration describes. A rollback works without the configuration's secrets; without a
/// plan only the live set counts.
fn configured(run: &Run<'_>, kinds: &[KindInfo]) -> Vec<Member> {
    let plan = plan::build(run.settings(), SecretNaming::Placeholder, kinds);
    plan.map(|plan| plan.members).unwrap_or_default()
}

fn objects(members: &[Member]) -> Objects<'_> {
    members.iter().map(|member| (&member.id, &member.manifest)).collect()
}
