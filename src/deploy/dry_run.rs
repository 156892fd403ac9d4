//! `--dry-run`: reports the planned changes, after the checks of a run before its first write. With `=server` the API
//! server computes the result of each. Changes nothing.

use super::claim_guard::{self, CheckTime};
use super::prepare::Preparation;
use super::refusals;
use super::request::DeployRequest;
use super::summary::{UndoHint, counts, finished};
use crate::cluster::apply::applied::Applied;
use crate::cluster::apply::refusals::CheckScope;
use crate::command_line;
use crate::error::Result;
use crate::event::{Action, Events, Finished, Phase};
use crate::flags::DryRun;
use crate::plan::changes::{Change, Changes};
use crate::plan::inventory::prune::PruneDecision;
use crate::plan::inventory::revision::RevisionResult;
use crate::session::runner::Run;
use crate::settings;

/// Reports the planned change of every member, after the checks that a run makes before its first write.
///
/// # Errors
/// Those of a run before its first write, with the same exit codes.
pub(crate) async fn dry_run(
    run: &Run<'_>,
    request: &DeployRequest,
    prepared: &Preparation,
    mode: DryRun,
) -> Result<Finished> {
    let missing = prepared.state.missing_namespaces();
    let changes = &prepared.changes;
    let checks = missing.is_empty() && (mode == DryRun::Server || !changes.is_empty());
    let (mut applied, label) = match (mode, checks) {
        (DryRun::Server, true) => {
            let results = check(run, request, prepared, CheckScope::All(run.events())).await?;
            (results, "dry run, checked by the server".to_owned())
        }
        (DryRun::Server, false) => {
            let reason = format!("namespace {} does not exist yet", missing.join(", "));
            (on_client(changes, run.events()).await, format!("dry run, not checked by the server: {reason}"))
        }
        (DryRun::Client, checks) => {
            if checks {
                check(run, request, prepared, CheckScope::Sample).await?;
            }
            (on_client(changes, run.events()).await, "dry run".to_owned())
        }
    };
    applied.extend(report_unplanned(&prepared.changes, run.events()).await);
    let message = format!("{label}, nothing was changed; would be: {}", counts(&applied));
    let mask = |text: &str| settings::masked_set(text).unwrap_or_default();
    let command = command_line::without_dry_run(run.words(), mask);
    let has_secret = command != command_line::without_dry_run(run.words(), str::to_owned)
        || command != run.settings().redacted(&command);
    let mut finished = finished(message, UndoHint::Nothing, true);
    // A command with a masked value would deploy the mask.
    if has_secret {
        finished.notes.push("the same command without --dry-run applies it; it has a secret".to_owned());
    } else {
        finished.next = vec![("apply it".to_owned(), command)];
    }
    Ok(finished)
}

/// Makes the checks of a run before its first write.
async fn check(
    run: &Run<'_>,
    request: &DeployRequest,
    prepared: &Preparation,
    scope: CheckScope<'_>,
) -> Result<Vec<Applied>> {
    let results = refusals::check(run, request, prepared, scope).await?;
    let (stopping, observed) = (&prepared.changes.stopping, &prepared.observed);
    claim_guard::ensure_still_kept(run, request, stopping, observed, CheckTime::BeforeFirstWrite).await?;
    Ok(results)
}

async fn on_client(changes: &Changes, events: &Events) -> Vec<Applied> {
    let mut applied = Vec::new();
    for (member, change) in changes.plan.members.iter().zip(&changes.members) {
        let action = match change {
            Change::Unchanged => Action::Unchanged,
            Change::Create | Change::Recreate => Action::Created,
            Change::Update(_) => Action::Configured,
        };
        events.dry_run_object(Phase::Apply, member.id.clone(), action, None).await;
        applied.push(Applied { id: member.id.clone(), action, object: None });
    }
    applied
}

/// Reports whether members that are no longer planned would be deleted or kept.
async fn report_unplanned(changes: &Changes, events: &Events) -> Vec<Applied> {
    let mut reported = Vec::new();
    for candidate in &changes.cleanup(RevisionResult::Good).candidates {
        let (action, message) = match candidate.decision() {
            PruneDecision::Delete => (Action::Pruned, None),
            PruneDecision::DeleteWithData => (Action::Pruned, Some("with its data".to_owned())),
            PruneDecision::Keep(reason) => (Action::Kept, Some(reason)),
            PruneDecision::InUse => continue,
        };
        events.dry_run_object(Phase::Prune, candidate.id.clone(), action, message).await;
        reported.push(Applied { id: candidate.id.clone(), action, object: None });
    }
    reported
}
