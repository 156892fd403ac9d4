//! Records the revision, applies, follows the rollout, verifies, prunes, and records the revision's result.

use jiff::Timestamp;

use super::prepare::Preparation;
use super::request::DeployRequest;
use super::rollout;
use super::summary::{self, UndoHint};
use super::verify::{Verification, verify};
use crate::cluster::apply::applied::{Applied, ApplyMode};
use crate::cluster::apply::revisions::{self, RevisionRef};
use crate::cluster::apply::{inventory, prune, waves};
use crate::cluster::rollout::follow::RolloutWatch;
use crate::cluster::watch::observed_set;
use crate::error::{Error, Kind, Result};
use crate::event::{Finished, Phase};
use crate::object::ObjectId;
use crate::plan::changes::RevisionChange;
use crate::plan::inventory::apply_set::InventoryScope;
use crate::plan::inventory::prune::PruneCandidate;
use crate::plan::inventory::revision::RevisionResult;
use crate::plan::inventory::snapshot::Snapshot;
use crate::session::runner::Run;
use crate::session::set_lock;
use crate::session::step::step;

/// Executes the planned changes. The caller holds the lock.
///
/// # Errors
/// The first error of a step. If this run wrote the revision and the revision caused the error, it is marked as failed
/// first.
pub(crate) async fn execute(
    run: &Run<'_>,
    request: &DeployRequest,
    prepared: &mut Preparation,
) -> Result<Finished> {
    let mut revision = None;
    let outcome = apply_and_follow(run, request, prepared, &mut revision).await;
    if let (Err(error), Some(revision)) = (&outcome, &mut revision)
        && prepared.changes.touches_revision()
        && fails_revision(error)
    {
        // The rollout's error is more important than an error of the mark, which leaves the revision `applying`.
        let evidence = run.settings().redacted(&error.evidence_text());
        let _not_marked = revisions::set_failed(run.api(), revision, &evidence).await;
    }
    outcome
}

async fn apply_and_follow(
    run: &Run<'_>,
    request: &DeployRequest,
    prepared: &mut Preparation,
    recorded: &mut Option<RevisionRef>,
) -> Result<Finished> {
    let started = run.api().clock().floor();
    let applied = step(run.events(), Phase::Apply, "apply", async {
        let revision = recorded.insert(record(run, request, prepared).await?);
        if prepared.changes.sends() {
            revisions::set_result(run.api(), revision, RevisionResult::Applying).await?;
        }
        apply(run, request, prepared).await
    })
    .await?;
    let undo = UndoHint::new(&prepared.state.history, prepared.changes.revision.number());
    if !request.policy.waits {
        clean_up(run, request, prepared, prepared.changes.revision.result()).await?;
        return Ok(summary::applied_only(&applied, undo));
    }
    let verification = follow_and_verify(run, request, prepared, &applied, started).await?;
    prepared.update_cleanup(&request.policy);
    clean_up(run, request, prepared, RevisionResult::Good).await?;
    if let Some(revision) = recorded {
        revisions::set_result(run.api(), revision, RevisionResult::Good).await?;
    }
    Ok(summary::verified(&applied, undo, verification, prepared.changes.plan.origin))
}

/// Verifies a set that needs no change. Without the lock it records, deletes and marks nothing.
///
/// # Errors
/// Exit 9 if the set does not work.
pub(crate) async fn verify_unchanged(
    run: &Run<'_>,
    request: &DeployRequest,
    prepared: &mut Preparation,
) -> Result<Finished> {
    let started = run.api().clock().floor();
    let applied = step(run.events(), Phase::Apply, "apply", apply(run, request, prepared)).await?;
    let undo = UndoHint::new(&prepared.state.history, prepared.changes.revision.number());
    if !request.policy.waits {
        return Ok(summary::applied_only(&applied, undo));
    }
    let verification = follow_and_verify(run, request, prepared, &applied, started).await?;
    let candidates = &prepared.changes.cleanup(RevisionResult::Good).candidates;
    let kept: Vec<PruneCandidate> =
        candidates.iter().filter(|candidate| !candidate.decision().deletes()).cloned().collect();
    prune::prune(run.api(), &prepared.state.set, &kept, run.events()).await?;
    Ok(summary::verified(&applied, undo, verification, prepared.changes.plan.origin))
}

/// Writes the objects that must exist before the first member: the ApplySet parent, by which later runs find the
/// members; the key, from which Secret names are derived; the revision, which stores the plan. The parent comes first:
/// if it is rejected, nothing is left behind.
async fn record(run: &Run<'_>, request: &DeployRequest, prepared: &mut Preparation) -> Result<RevisionRef> {
    let (api, events) = (run.api(), run.events());
    let Preparation { state, changes, .. } = prepared;
    let set = &changes.plan.set;
    let members: Vec<&ObjectId> = changes.member_ids().collect();
    let force = request.policy.ownership.forces_conflicts();
    let superset = InventoryScope::Superset(&members);
    let parent = inventory::apply_parent(api, set, superset, state.parent.take(), force, events).await?;
    state.parent = Some(parent);
    if changes.stores_key {
        inventory::create_key(api, set, &state.key.key, events).await?;
        state.key.stored = true;
    }
    match changes.revision {
        RevisionChange::Existing { number, result } => Ok(RevisionRef::existing(set, number, result)),
        RevisionChange::New(_) => {
            let snapshot = Snapshot::from_plan(&changes.plan);
            revisions::record(api, set, &state.history, &snapshot, &set_lock::user_host(), events).await
        }
    }
}

async fn apply(
    run: &Run<'_>,
    request: &DeployRequest,
    prepared: &Preparation,
) -> Result<(Vec<Applied>, String)> {
    let live = &prepared.observed.members;
    let ownership = &request.policy.ownership;
    let applied =
        waves::apply(run.api(), &prepared.changes, live, ownership, ApplyMode::Apply, run.events()).await?;
    let counts = summary::counts(&applied);
    Ok((applied, counts))
}

/// Waits until the set is ready, and probes the application.
async fn follow_and_verify(
    run: &Run<'_>,
    request: &DeployRequest,
    prepared: &mut Preparation,
    applied: &[Applied],
    started: Timestamp,
) -> Result<Verification> {
    let rollout = RolloutWatch {
        expected: observed_set::expected(applied),
        grace: rollout::grace_periods(run.settings(), started),
        deadline: run.deadline().at,
    };
    rollout::warn_of_unwatched(run, applied).await;
    rollout::follow(run, &mut prepared.observed, &rollout).await?;
    verify(run, request.probe, prepared.changes.plan.origin, &prepared.observed).await
}

/// Deletes members that are no longer planned and revisions that are no longer kept, given the result of the current
/// revision, and updates the inventory to the remaining members.
async fn clean_up(
    run: &Run<'_>,
    request: &DeployRequest,
    prepared: &mut Preparation,
    result: RevisionResult,
) -> Result<()> {
    let (api, events) = (run.api(), run.events());
    let Preparation { state, changes, .. } = prepared;
    let cleanup = changes.cleanup(result);
    let work = async {
        let kept = prune::prune(api, &state.set, &cleanup.candidates, events).await?;
        if request.policy.waits {
            prune::wait_until_gone(api, &state.set, &cleanup.candidates, run.deadline().at, events).await;
        }
        Ok((kept, String::new()))
    };
    let deletes = cleanup.to_delete().next().is_some();
    let kept = if deletes { step(events, Phase::Prune, "prune", work).await? } else { work.await?.0 };
    let members: Vec<&ObjectId> = changes.member_ids().chain(&kept).collect();
    let set = &changes.plan.set;
    if let Some(parent) = state.parent.take() {
        let force = request.policy.ownership.forces_conflicts();
        let exact = InventoryScope::Exact(&members);
        state.parent = Some(inventory::apply_parent(api, set, exact, Some(parent), force, events).await?);
    }
    revisions::delete(api, set, &cleanup.revisions).await
}

/// Returns true if the revision caused the error, and not the connection or the deadline.
fn fails_revision(error: &Error) -> bool {
    matches!(
        error.kind(),
        Kind::Rollout | Kind::Rejected | Kind::Ownership | Kind::Forbidden | Kind::Prerequisite
    )
}
