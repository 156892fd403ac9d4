//! Asks anew about pods that the API server rejected before this run. Their controller tries again only after a pause of
//! up to 16 minutes, so its old message does not show whether the cause is fixed.

use std::collections::BTreeSet;

use super::claim_guard;
use crate::cluster::apply::held_claims;
use crate::cluster::apply::pod_admission::PodAdmission;
use crate::cluster::apply::refusals;
use crate::cluster::apply::restart;
use crate::cluster::rollout::follow::RolloutWatch;
use crate::cluster::watch::observed_set::{self, ObservedSet};
use crate::error::{Kind, Result};
use crate::object::ObjectId;
use crate::plan::inventory::members::Members;
use crate::session::runner::Run;
use crate::status::rejected_deployments;

/// Returns whether the server has rejected the pods of an unchanged Deployment.
pub(super) fn exist(run: &Run<'_>, observed: &ObservedSet) -> bool {
    let expected = observed_set::expected_unchanged(&observed.members);
    !rejected_deployments(&observed.state, &expected, run.api().clock().now()).is_empty()
}

/// Asks the server about each Deployment whose pods it rejected before the run. A Deployment that is admitted now and
/// has no ready pod is restarted, because a new `ReplicaSet` creates its pods at once, unless one of its pods keeps a
/// claim that is being deleted. The caller holds the lock.
///
/// # Errors
/// The server does not accept the restart.
pub(super) async fn recheck(run: &Run<'_>, observed: &ObservedSet, rollout: &mut RolloutWatch) -> Result<()> {
    let rejected = rejected_deployments(&observed.state, &rollout.expected, rollout.grace.started);
    let mut without_pods = BTreeSet::new();
    for (id, deployment) in rejected {
        let Some(object) = observed.members.get(id) else { continue };
        match refusals::admission(run.api(), id, object, observed).await {
            PodAdmission::Admitted => {
                rollout.grace.admits_rejected_pods = true;
                let ready = deployment.status.as_ref().and_then(|status| status.ready_replicas);
                if ready.unwrap_or_default() == 0 {
                    without_pods.insert(id.clone());
                }
            }
            PodAdmission::Rejected(_) => {}
            // Without an answer the controller gets the time that it gets after a change.
            PodAdmission::Unknown => rollout.grace.members_changed = true,
        }
    }
    restart_all(run, observed, rollout, &without_pods).await
}

async fn restart_all(
    run: &Run<'_>,
    observed: &ObservedSet,
    rollout: &mut RolloutWatch,
    deployments: &BTreeSet<ObjectId>,
) -> Result<()> {
    let held = held_claims::read(run.api(), &observed.members, deployments).await?;
    if deployments.is_empty() || !held.is_empty() {
        claim_guard::warn_of_deletion(&held, run.events()).await;
        return Ok(());
    }
    let live = deployments.iter().filter_map(|id| Some((id.clone(), observed.members.get(id)?.clone())));
    let members: Members = live.collect();
    let restarted = match restart::restart(run.api(), &members, run.api().clock().floor(), run.events()).await
    {
        Ok(restarted) => restarted,
        // The controller tries again by itself.
        Err(error) if error.kind() == Kind::Forbidden => return Ok(()),
        Err(error) => return Err(error),
    };
    for new in observed_set::expected(&restarted) {
        if let Some(expected) = rollout.expected.iter_mut().find(|expected| expected.id == new.id) {
            *expected = new;
        }
    }
    Ok(())
}
