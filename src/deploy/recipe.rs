//! The steps of `deploy`, `rollback` and the second half of `up`.

use super::auto_rollback::auto_rollback;
use super::check;
use super::claim_guard::{self, CheckTime};
use super::dry_run::dry_run;
use super::execute::{execute, verify_unchanged};
use super::prepare::Preparation;
use super::prepull::prepull;
use super::rejected_pods;
use super::request::DeployRequest;
use super::{
    conversation_guard, conversations, edition_change, refusals, replaced_images, restored_rights,
    run_changes, terminating, version_change,
};
use crate::cluster::apply::namespaces;
use crate::cluster::apply::refusals::CheckScope;
use crate::error::Result;
use crate::event::{Event, Finished, Phase};
use crate::phrase;
use crate::plan::desired::PlanOrigin;
use crate::plan::inventory::snapshot::Snapshot;
use crate::session::runner::Run;
use crate::session::step::step;

/// Applies the requested state and waits until the application works.
///
/// # Errors
/// The first error of a step.
pub(crate) async fn deploy(run: &Run<'_>, request: &DeployRequest) -> Result<Finished> {
    run.events().target(request.title(), run.session.target()).await;
    let mut prepared = step(run.events(), Phase::Preflight, "preflight", preflight(run, request)).await?;
    if let PlanOrigin::Revision(number) = prepared.changes.plan.origin {
        report_restored(run, &prepared, number).await;
        restored_rights::warn_of_exposure(run, &prepared.changes.plan, &prepared.state.kinds).await;
    }
    edition_change::report(run, request, &prepared).await;
    version_change::report(run, &prepared).await;
    conversation_guard::warn_of_node_stop(run, &prepared).await;
    conversations::report(run, &prepared).await?;
    if !request.restarts_replaced && !conversations::stops_application(&prepared) {
        replaced_images::warn(run.session, &prepared.observed.state, run.events()).await;
    }
    if prepared.changes.plan.origin == PlanOrigin::Configuration {
        run.session.warn_of_cluster_differences(run.events()).await?;
    }
    run_changes::report(run, request, &prepared).await;
    report_planned(run, &prepared).await;
    if let Some(mode) = request.dry_run {
        return dry_run(run, request, &prepared, mode).await;
    }
    // A rejected pod may need a restart, which needs the lock.
    if prepared.changes.is_empty() && !rejected_pods::exist(run, &prepared.observed) {
        return verify_unchanged(run, request, &mut prepared).await;
    }
    // The lock is a Lease in the application's namespace, which must exist first.
    let missing = prepared.state.missing_namespaces();
    namespaces::create_missing(run.api(), &prepared.changes.plan, &missing, run.events()).await?;
    let set = prepared.state.set.clone();
    run.under_lock(&set, async {
        prepared.refresh_under_lock(run, request).await?;
        refusals::check(run, request, &prepared, CheckScope::Sample).await?;
        terminating::wait_for_members(run, request, &mut prepared).await?;
        prepull(run, &prepared).await?;
        let (stopping, observed) = (&prepared.changes.stopping, &prepared.observed);
        let time = CheckTime::BeforeFirstWrite;
        claim_guard::ensure_still_kept(run, request, stopping, observed, time).await?;
        match Box::pin(execute(run, request, &mut prepared)).await {
            Ok(finished) => Ok(finished),
            Err(error) => Err(Box::pin(auto_rollback(run, request, &mut prepared, error)).await),
        }
    })
    .await
}

/// Prepares the changes and checks them. The second value is the message of the step.
async fn preflight(run: &Run<'_>, request: &DeployRequest) -> Result<(Preparation, String)> {
    let prepared = terminating::prepare_after_deletion(run, request).await;
    let prepared = check::explaining_forbidden(run, prepared).await?;
    check::changes(run, request, &prepared).await?;
    let (all, sent) = (prepared.changes.members.len(), prepared.changes.to_send().count());
    let message = format!("api {}, {all} objects, {sent} to send", prepared.server_version);
    Ok((prepared, message))
}

/// Reports which revision is restored, its age, and the objects in which it differs from the latest one.
async fn report_restored(run: &Run<'_>, prepared: &Preparation, number: u64) {
    let history = &prepared.state.history;
    let (Some(target), Some(latest)) = (history.get(number), history.latest()) else { return };
    let now = run.api().clock().now();
    let age =
        target.created.map_or_else(String::new, |created| format!(", {} old", phrase::age(created, now)));
    let changes = match (&latest.snapshot, &target.snapshot) {
        (Some(latest), Some(target)) => latest.changes_to(target),
        _ => Vec::new(),
    };
    let images =
        [&latest.snapshot, &target.snapshot].map(|snapshot| snapshot.as_ref().and_then(Snapshot::image));
    let image = match images {
        [Some(from), Some(to)] if from != to => format!("; image {from} → {to}"),
        _ => String::new(),
    };
    let changes = if changes.is_empty() {
        format!("its content equals that of revision {}", latest.number)
    } else {
        format!("from revision {}: {}", latest.number, changes.join(", "))
    };
    let message = format!("to revision {number}{age} by {}; {changes}{image}", target.author());
    run.events().done(Phase::Preflight, "rollback", message).await;
}

async fn report_planned(run: &Run<'_>, prepared: &Preparation) {
    let objects = prepared.changes.member_ids().cloned().collect();
    run.events().send(Event::Planned { phase: Phase::Apply, objects }).await;
}
