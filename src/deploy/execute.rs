//! Records the revision, applies, follows the rollout, verifies, prunes, and records the revision's result.

use std::time::Duration;

use jiff::Timestamp;

use super::api_settings::KeysInUse;
use super::claim_guard::{self, CheckTime};
use super::prepare::Preparation;
use super::request::DeployRequest;
use super::summary::{self, NextSteps, UndoHint};
use super::verify::{Verification, edition_of, verify};
use super::{app_keys, edition_change, refusals, rejected_pods, rollout, sandbox_policy};
use crate::catalogue::Id;
use crate::cluster::apply::applied::Applied;
use crate::cluster::apply::revisions::{self, RevisionRef};
use crate::cluster::apply::waves::{self, ApplyFailure};
use crate::cluster::apply::{inventory, prune};
use crate::cluster::rollout::follow::RolloutWatch;
use crate::cluster::watch::observed_set;
use crate::error::{Error, Kind, Result};
use crate::event::{Finished, Phase};
use crate::object::ObjectId;
use crate::object::kind::is_custom;
use crate::plan::changes::{Changes, RevisionChange};
use crate::plan::desired::PlanOrigin;
use crate::plan::inventory::app_keys::StoredAppKeys;
use crate::plan::inventory::apply_set::InventoryScope;
use crate::plan::inventory::history::LatestDecision;
use crate::plan::inventory::prune::PruneCandidate;
use crate::plan::inventory::revision::RevisionResult;
use crate::plan::inventory::set_key;
use crate::plan::inventory::snapshot::Snapshot;
use crate::session::runner::Run;
use crate::session::step::step;
use crate::status::GracePeriods;
use crate::timeline::RunRecord;

/// Executes the planned changes. The caller holds the lock.
///
/// # Errors
/// The first error of a step. If the revision caused it, the revision is marked as failed first.
pub(crate) async fn execute(
    run: &Run<'_>,
    request: &DeployRequest,
    prepared: &mut Preparation,
) -> Result<Finished> {
    let mut recorded = None;
    let outcome = apply_and_follow(run, request, prepared, &mut recorded).await;
    if let (Err(error), Some(revision)) = (&outcome, &mut recorded)
        && prepared.changes.judges_revision()
        && fails_revision(error)
    {
        mark_failed(run, revision, error).await;
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
        if prepared.changes.judges_revision() {
            run.revision().open(run.api(), revision);
        }
        match apply(run, request, prepared).await {
            Ok(applied) => {
                app_keys::record_on_volume(run, prepared).await?;
                Ok(applied)
            }
            Err(failure) => {
                if failure.changed_nothing {
                    withdraw(run, &prepared.changes, recorded).await;
                }
                Err(failure.error)
            }
        }
    })
    .await?;
    let number = prepared.changes.revision.number();
    let undo = UndoHint::new(&prepared.state.history, &prepared.changes, &applied);
    if !request.policy.waits {
        if prepared.changes.judges_revision() {
            record_result(run, recorded, RevisionResult::NotWatched).await?;
        }
        clean_up_or_warn(run, request, prepared, prepared.changes.revision.result()).await?;
        return Ok(with_notes(
            run,
            prepared,
            summary::applied_only(number, undo, !run.session.has_simulated_nodes()),
        ));
    }
    let mut rollout = rollout_of(run, &applied, started, prepared.usual_run());
    rejected_pods::recheck(run, &prepared.observed, &mut rollout).await?;
    let verification = follow_and_verify(run, request, prepared, &rollout, &applied).await?;
    record_result(run, recorded, RevisionResult::Good).await?;
    prepared.update_cleanup(&request.policy);
    clean_up_or_warn(run, request, prepared, RevisionResult::Good).await?;
    let steps = NextSteps { undo, can_become_real: run.session.can_become_real() };
    let finished = summary::verified(number, steps, verification, prepared.changes.plan.origin);
    Ok(with_notes(run, prepared, finished))
}

/// Adds the notes about the keys of the configuration.
fn with_notes(run: &Run<'_>, prepared: &Preparation, mut finished: Finished) -> Finished {
    if prepared.changes.plan.origin == PlanOrigin::Configuration {
        let (settings, history) = (run.settings(), &prepared.state.history);
        finished.notes.extend(summary::note_of_removed_key(history, &prepared.changes.plan));
        finished.notes.extend(summary::note_of_default_edition(history, settings));
        finished.notes.extend(summary::note_of_set(settings.key_sources).map(str::to_owned));
    }
    finished
}

/// Leaves the history as it was, because the server has rejected every change: an existing revision keeps its result,
/// and a new one is deleted. Otherwise it would push a revision that ran out of the history.
async fn withdraw(run: &Run<'_>, changes: &Changes, recorded: &mut Option<RevisionRef>) {
    let Some(revision) = recorded.take() else { return };
    run.revision().close();
    let RevisionChange::New(_) = changes.revision else { return };
    if let Err(error) = revisions::withdraw(run.api(), &revision).await {
        run.events().warn(Id::CleanupFailed, error.with_causes()).await;
    }
}

async fn record_result(
    run: &Run<'_>,
    recorded: &mut Option<RevisionRef>,
    result: RevisionResult,
) -> Result<()> {
    if let Some(revision) = recorded {
        let record = run.timeline_text().await;
        revisions::set_result(run.api(), revision, result, record.as_deref()).await?;
        run.revision().close();
    }
    Ok(())
}

/// Marks the revision as failed. The rollout's error is more important than an error of the mark.
async fn mark_failed(run: &Run<'_>, revision: &mut RevisionRef, error: &Error) {
    let evidence = run.settings().redacted(&error.evidence_text());
    let record = run.timeline_text().await;
    match revisions::set_failed(run.api(), revision, &evidence, record.as_deref()).await {
        Ok(()) => run.revision().close(),
        Err(error) => run.events().warn(Id::ResultNotRecorded, error.with_causes()).await,
    }
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
    let apply = async { apply(run, request, prepared).await.map_err(|failure| failure.error) };
    let applied = step(run.events(), Phase::Apply, "apply", apply).await?;
    let number = prepared.changes.revision.number();
    if !request.policy.waits {
        return Ok(summary::applied_only(number, UndoHint::Nothing, !run.session.has_simulated_nodes()));
    }
    let rollout = rollout_of(run, &applied, started, prepared.usual_run());
    let verification = follow_and_verify(run, request, prepared, &rollout, &applied).await?;
    let candidates = &prepared.changes.cleanup(RevisionResult::Good).candidates;
    let kept: Vec<PruneCandidate> =
        candidates.iter().filter(|candidate| !candidate.decision().deletes()).cloned().collect();
    prune::prune(run.api(), &prepared.state.set, &kept, run.events()).await?;
    let steps = NextSteps { undo: UndoHint::Nothing, can_become_real: run.session.can_become_real() };
    Ok(summary::verified(number, steps, verification, prepared.changes.plan.origin))
}

/// Writes the objects that must exist before the first member: the ApplySet parent, by which later runs find the
/// members; the key, which authenticates revisions and from which Secret names are derived; the result of an earlier run's revision; the revision, which
/// stores the plan. The parent comes first: if it is rejected, nothing is left behind.
async fn record(run: &Run<'_>, request: &DeployRequest, prepared: &mut Preparation) -> Result<RevisionRef> {
    // Another run may have changed them before this one took the lock.
    edition_change::ensure_requested(run, request, prepared)?;
    app_keys::ensure_of_volume(run, prepared)?;
    let (api, events) = (run.api(), run.events());
    let Preparation { state, changes, .. } = prepared;
    changes.plan.set.key_fingerprint = Some(set_key::fingerprint(&state.key.key));
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
    app_keys::store_missing(run, prepared).await?;
    let Preparation { state, changes, .. } = prepared;
    let set = &changes.plan.set;
    if let Some(LatestDecision { number, recorded, result }) = changes.decision {
        let mut decided = RevisionRef::existing(set, number, recorded);
        revisions::set_result(api, &mut decided, result, None).await?;
    }
    match changes.revision {
        RevisionChange::Existing { number, result } => Ok(RevisionRef::existing(set, number, result)),
        RevisionChange::New(number) => {
            let provenance = run.provenance().with_note(redacted_note(run, request));
            let snapshot = Snapshot::from_plan(&changes.plan).with_provenance(provenance);
            let (by, key) = (run.user_host(), &state.key.key);
            let recorded = revisions::record(api, set, number, &snapshot, &by, key, events).await?;
            changes.revision = RevisionChange::New(recorded.number);
            Ok(recorded)
        }
    }
}

/// Returns the text of `--note` without the configuration's secrets.
fn redacted_note(run: &Run<'_>, request: &DeployRequest) -> Option<String> {
    request.note.as_ref().map(|note| run.settings().redacted(note))
}

async fn apply(
    run: &Run<'_>,
    request: &DeployRequest,
    prepared: &Preparation,
) -> Result<(Vec<Applied>, String), ApplyFailure> {
    let live = &prepared.observed.members;
    let ownership = &request.policy.ownership;
    let check = async || ensure_stopped_pods_keep_no_claim(run, request, prepared).await;
    let changes = &prepared.changes;
    let applied = waves::apply(run.api(), changes, live, ownership, run.events(), check).await;
    let applied = applied
        .map_err(|failure| ApplyFailure { error: refusals::located(failure.error, run), ..failure })?;
    let counts = summary::counts(&applied);
    Ok((applied, counts))
}

/// Checks right before the workloads are applied that the pods to stop keep no claim that is being deleted.
async fn ensure_stopped_pods_keep_no_claim(
    run: &Run<'_>,
    request: &DeployRequest,
    prepared: &Preparation,
) -> Result<()> {
    let stopping = &prepared.changes.stopping;
    claim_guard::ensure_still_kept(run, request, stopping, &prepared.observed, CheckTime::BeforeStop).await
}

/// How long a controller may take to make a Secret from an applied object: it asks a vault or an issuer.
const PROVISION: Duration = Duration::from_secs(60);

fn rollout_of(
    run: &Run<'_>,
    applied: &[Applied],
    started: Timestamp,
    usual: Option<RunRecord>,
) -> RolloutWatch {
    let members_changed = applied.iter().any(Applied::is_changed);
    let grace = rollout::grace_periods(run.settings(), started);
    let provides = applied.iter().any(|it| it.is_changed() && is_custom(&it.id));
    let provided_later = provides.then_some(PROVISION);
    RolloutWatch {
        expected: observed_set::expected(applied),
        grace: GracePeriods { members_changed, provided_later, ..grace },
        deadline: run.deadline().at,
        usual,
    }
}

/// Waits until the set is ready, and probes the application.
async fn follow_and_verify(
    run: &Run<'_>,
    request: &DeployRequest,
    prepared: &mut Preparation,
    rollout: &RolloutWatch,
    applied: &[Applied],
) -> Result<Verification> {
    rollout::follow(run, &mut prepared.observed, rollout).await?;
    rollout::warn_beside_rollout(run, applied, &prepared.observed, rollout).await;
    let origin = prepared.changes.plan.origin;
    let keys = match (&prepared.state.app_keys, app_keys::mounted_claim(prepared)) {
        (StoredAppKeys::Keys(keys), Some(claim)) => Some(KeysInUse { keys, claim }),
        _ => None,
    };
    let members = &prepared.changes.plan.members;
    let planned =
        |id: &ObjectId| members.iter().find(|member| member.id == *id).map(|member| &member.manifest);
    let edition = edition_of(run.settings(), planned);
    verify(run, request.probe, origin, &prepared.observed, edition, keys.as_ref()).await
}

/// Cleans up after a run whose result is recorded. The set works, so what is left is a warning; the next run deletes it.
///
/// # Errors
/// The lock is lost, or the deadline has passed.
async fn clean_up_or_warn(
    run: &Run<'_>,
    request: &DeployRequest,
    prepared: &mut Preparation,
    result: RevisionResult,
) -> Result<()> {
    match clean_up(run, request, prepared, result).await {
        Err(error) if !matches!(error.kind(), Kind::Locked | Kind::Deadline) => {
            run.events().warn(Id::CleanupFailed, error.with_causes()).await;
            Ok(())
        }
        outcome => outcome,
    }
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
    let Preparation { state, changes, observed, .. } = prepared;
    let cleanup = changes.cleanup(result);
    let deleted = cleanup.to_delete().map(|candidate| candidate.id.clone()).collect();
    claim_guard::ensure_still_kept(run, request, &deleted, observed, CheckTime::BeforeStop).await?;
    let (candidates, needed) = sandbox_policy::keep_needed(run, &changes.plan, &cleanup.candidates).await?;
    let work = async {
        let kept = prune::prune(api, &state.set, &candidates, events).await?;
        if request.policy.waits {
            let deadline = run.deadline().at;
            prune::wait_until_gone(api, &state.set, &candidates, &kept, deadline, events).await;
        }
        Ok((kept, String::new()))
    };
    let deletes = candidates.iter().any(|candidate| candidate.decision().deletes());
    let kept = if deletes { step(events, Phase::Prune, "prune", work).await? } else { work.await?.0 };
    let members: Vec<&ObjectId> = changes.member_ids().chain(&kept).chain(&needed).collect();
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
    error.kind() == Kind::Rollout || error.kind().is_rejection()
}
