//! Rolls back to the last good revision whose content differs after a failed rollout, because strategy `Recreate` has
//! already deleted the old pod.

use serde_json::Value;

use super::execute::execute;
use super::prepare::Preparation;
use super::request::DeployRequest;
use super::{conversation_guard, restored_rights, version_change};
use crate::catalogue::RollbackHelp;
use crate::error::{Error, Kind, Result};
use crate::event::Finished;
use crate::object::pod_spec::mounted_claims;
use crate::plan::desired::PlanOrigin;
use crate::plan::goal::Goal;
use crate::plan::inventory::revision::Revision;
use crate::session::runner::Run;
use crate::settings::handsctl::{RollbackOnFailure, Strategy};
use crate::status;

/// Rolls back to the last good revision if the request allows it and it can help. Returns the error of the rollout,
/// extended by the result of the rollback.
pub(crate) async fn auto_rollback(
    run: &Run<'_>,
    request: &DeployRequest,
    prepared: &mut Preparation,
    failure: Error,
) -> Error {
    let Some(number) = rollback_target(run, request, prepared, &failure) else { return failure };
    let target = format!("to revision {number}, because {}", failure.message());
    run.events().target("rollback", target).await;
    let request = DeployRequest {
        goal: Goal::Revision(Some(number)),
        auto_rollback: false,
        note: None,
        ..request.clone()
    };
    match roll_back(run, &request, prepared).await {
        Ok((failed, finished)) => {
            let hint =
                |failed: u64| format!("handsctl history {failed} shows the evidence of the failed revision");
            // The pods of the failed revision are gone; its evidence was kept.
            let error = failure.retain_hints(|hint| !status::is_about_a_pod(hint));
            let error = error.replace_state(finished.message);
            failed.map(hint).into_iter().fold(error, Error::hint)
        }
        Err(error) => {
            let mut lines = vec![format!("cannot roll back to revision {number}: {}", error.message())];
            lines.extend(error.causes());
            failure
                .replace_state(lines.join("\n"))
                .hint("handsctl status shows whether a pod is serving")
                .hint(format!("handsctl rollback --to {number}"))
        }
    }
}

/// Returns the revision to roll back to after this error; None if the applied objects are kept.
fn rollback_target(
    run: &Run<'_>,
    request: &DeployRequest,
    prepared: &Preparation,
    failure: &Error,
) -> Option<u64> {
    let deploy = &run.settings().deploy;
    let changes = &prepared.changes;
    let enabled = request.auto_rollback && deploy.rollback_on_failure == RollbackOnFailure::Auto;
    let changed = changes.judges_revision() && changes.plan.origin == PlanOrigin::Configuration;
    let replaced = deploy.strategy == Strategy::Recreate && failure.kind() == Kind::Rollout;
    if !(enabled && changed && changes.sends() && replaced) {
        return None;
    }
    let revision = prepared.state.history.last_good_other_than(&changes.plan)?;
    can_help(failure, revision, prepared).then_some(revision.number)
}

/// Returns false if the error has a cause that the revision cannot fix.
fn can_help(failure: &Error, revision: &Revision, prepared: &Preparation) -> bool {
    let members = revision.snapshot.iter().flat_map(|snapshot| &snapshot.members);
    if mounts_one_of(failure.claims(), members) {
        return false;
    }
    match failure.id().entry().rollback {
        RollbackHelp::Yes => true,
        RollbackHelp::No => false,
        RollbackHelp::UnlessSameClaims => {
            let snapshot = revision.snapshot.as_ref();
            !snapshot.is_some_and(|snapshot| snapshot.has_claims_of(&prepared.changes.plan))
        }
    }
}

fn mounts_one_of<'a>(claims: &[String], mut members: impl Iterator<Item = &'a Value>) -> bool {
    members.any(|member| mounted_claims(member).any(|claim| claims.contains(&claim)))
}

/// Applies the revision. The first value is the number of the failed revision.
async fn roll_back(
    run: &Run<'_>,
    request: &DeployRequest,
    prepared: &mut Preparation,
) -> Result<(Option<u64>, Finished)> {
    // What ran before this run needs no question.
    prepared.replaced.clone_from(&prepared.observed.members);
    prepared.refresh(run, request).await?;
    restored_rights::warn_of_exposure(run, &prepared.changes.plan, &prepared.state.kinds).await;
    version_change::report(run, prepared).await;
    conversation_guard::warn_of_node_stop(run, prepared).await;
    let failed = prepared.state.history.latest().map(|revision| revision.number);
    let finished = execute(run, request, prepared).await?;
    Ok((failed, finished))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::catalogue::Id;
    use crate::cluster::rollout::finding_error::finding_error;
    use crate::object::kind::POD;
    use crate::status::Finding;

    #[test]
    fn revision_with_the_same_broken_claim_does_not_help() {
        let mut finding = Finding::new(Id::MountFailed, POD.id("n", "oh-1"), "Multi-Attach error");
        finding.claims = vec!["n/data".to_owned()];
        let failure = finding_error(&[finding]).map_texts(str::to_owned);
        let deployment = |claim: &str| {
            let volumes = json!([{ "name": "state", "persistentVolumeClaim": { "claimName": claim } }]);
            json!({ "metadata": { "namespace": "n" }, "spec": { "template": { "spec": { "containers": [], "volumes": volumes } } } })
        };
        assert!(mounts_one_of(failure.claims(), [deployment("data")].iter()));
        assert!(!mounts_one_of(failure.claims(), [deployment("other")].iter()));
        assert!(!mounts_one_of(&[], [deployment("data")].iter()), "another cause");
    }
}
