//! Brings the last good revision back after a rollout that failed: under `Recreate` the old pod is gone.

use super::execute::execute;
use super::prepare::Preparation;
use super::recipe::DeployRequest;
use super::version_change;
use crate::catalogue::RollbackHelp;
use crate::error::{Error, Kind, Result};
use crate::event::Finished;
use crate::plan::desired::{Goal, PlanOrigin};
use crate::plan::inventory::revision::Revision;
use crate::session::runner::Run;
use crate::settings::handsctl::{RollbackOnFailure, Strategy};

/// Brings the last good revision back, where that is asked for and can help. The error is still the one of the
/// rollout, with what came of this.
pub(crate) async fn auto_rollback(
    run: &Run<'_>,
    request: &DeployRequest,
    prepared: &mut Preparation,
    failure: Error,
) -> Error {
    let Some(number) = target(run, request, prepared, &failure) else { return failure };
    let begun = std::time::Instant::now();
    let target = format!("to revision {number}, because {}", failure.message());
    run.events().target("rollback", target).await;
    let request =
        DeployRequest { goal: Goal::Revision(Some(number)), auto_rollback: false, ..request.clone() };
    match roll_back(run, &request, prepared).await {
        Ok((failed, finished)) => {
            let seconds = begun.elapsed().as_secs();
            let state = format!("rolled back to revision {number} in {seconds} s: {}", finished.message);
            let hint =
                |failed: u64| format!("handsctl history {failed} keeps what is known of the failed revision");
            let error = failure.replace_state(state);
            failed.map(hint).into_iter().fold(error, Error::hint)
        }
        Err(error) => {
            let mut lines = vec![format!("revision {number} could not be brought back: {}", error.message())];
            lines.extend(error.causes());
            failure
                .replace_state(lines.join("\n"))
                .hint("handsctl status shows what is serving")
                .hint(format!("handsctl rollback --to {number}"))
        }
    }
}

/// The revision to go back to after this error; None where what was applied stays.
fn target(run: &Run<'_>, request: &DeployRequest, prepared: &Preparation, failure: &Error) -> Option<u64> {
    let deploy = &run.settings().deploy;
    let changes = &prepared.changes;
    let asked = request.auto_rollback && deploy.rollback_on_failure == RollbackOnFailure::Auto;
    let changed = changes.sends() && changes.plan.origin == PlanOrigin::Configuration;
    let replaced = deploy.strategy == Strategy::Recreate && failure.kind() == Kind::Rollout;
    let revision = prepared.state.history.latest_good().filter(|_| asked && changed && replaced)?;
    helps(failure, revision, prepared).then_some(revision.number)
}

fn helps(failure: &Error, revision: &Revision, prepared: &Preparation) -> bool {
    match failure.id().entry().rollback {
        RollbackHelp::Yes => true,
        RollbackHelp::No => false,
        RollbackHelp::UnlessSameClaims => {
            let snapshot = revision.snapshot.as_ref();
            !snapshot.is_some_and(|snapshot| snapshot.has_claims_of(&prepared.changes.plan))
        }
    }
}

/// Gives the number of the revision that failed, too.
async fn roll_back(
    run: &Run<'_>,
    request: &DeployRequest,
    prepared: &mut Preparation,
) -> Result<(Option<u64>, Finished)> {
    prepared.refresh(run, request).await?;
    version_change::report(prepared, run.events()).await;
    let failed = prepared.state.history.latest().map(|revision| revision.number);
    let finished = execute(run, request, prepared).await?;
    Ok((failed, finished))
}
