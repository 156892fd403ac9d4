//! Refuses to stop a pod that alone keeps the data of a claim that is being deleted.

use std::collections::BTreeSet;

use super::request::DeployRequest;
use crate::catalogue::Id;
use crate::cluster::apply::held_claims;
use crate::cluster::watch::observed_set::ObservedSet;
use crate::error::{Error, Kind, Result};
use crate::event::Events;
use crate::object::ObjectId;
use crate::object::kind::DEPLOYMENT;
use crate::plan::changes::Changes;
use crate::plan::deletions::{GIVE_UP, HeldClaim};
use crate::session::runner::Run;

/// Checks that the planned changes stop no pod that keeps the data of a claim of the set, as it was listed.
///
/// # Errors
/// Exit 2 with the command that saves the data.
pub(super) fn ensure_kept(
    run: &Run<'_>,
    request: &DeployRequest,
    changes: &Changes,
    observed: &ObservedSet,
) -> Result<()> {
    let at_risk = changes.held_claims.iter().filter(|claim| claim.is_at_risk && !request.policy.delete_data);
    refuse(at_risk, pod_name(run, observed).as_deref(), CheckTime::BeforeFirstWrite)
}

/// Checks the same for every claim that the workloads mount, as it is now: the set did not list a claim that it did not
/// create, and the pull of an image takes minutes.
///
/// # Errors
/// Exit 2 with the command that saves the data.
pub(super) async fn ensure_still_kept(
    run: &Run<'_>,
    request: &DeployRequest,
    stopping: &BTreeSet<ObjectId>,
    observed: &ObservedSet,
    time: CheckTime,
) -> Result<()> {
    if request.policy.delete_data || stopping.is_empty() {
        return Ok(());
    }
    let held = held_claims::read(run.api(), &observed.members, stopping).await?;
    refuse(held.iter(), pod_name(run, observed).as_deref(), time)
}

/// Checks that no pod of the Deployments keeps the data of a claim that is being deleted, right before their restart.
///
/// # Errors
/// Exit 2 with the command that saves the data.
pub(crate) async fn ensure_restart_keeps(run: &Run<'_>, observed: &ObservedSet) -> Result<()> {
    let deployments = observed.members.keys().filter(|id| id.kind == DEPLOYMENT.kind).cloned().collect();
    let held = held_claims::read(run.api(), &observed.members, &deployments).await?;
    refuse(held.iter(), pod_name(run, observed).as_deref(), CheckTime::BeforeFirstWrite)
}

/// Warns about claims that are being deleted and whose pod this run does not stop.
pub(super) async fn warn_of_deletion(held: &[HeldClaim], events: &Events) {
    for claim in held.iter().filter(|claim| !claim.is_at_risk) {
        let message = format!(
            "{} has been terminating since {}: its data exists only as long as its pod runs; copy it first, then \
             handsctl deploy --delete-data creates an empty volume",
            claim.id, claim.since
        );
        events.warn(Id::ClaimDeleted, message).await;
    }
}

/// Checks that no pod keeps the data of one of these claims, before a teardown that keeps all data.
///
/// # Errors
/// Exit 2 with the command that saves the data.
pub(crate) fn ensure_teardown_keeps(held: &[HeldClaim], time: CheckTime) -> Result<()> {
    let outcome = refuse(held.iter(), None, time);
    outcome
        .map_err(|error| error.hint("handsctl teardown --delete-data deletes the installation with its data"))
}

/// When a command checks the claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CheckTime {
    /// Before the first write.
    BeforeFirstWrite,
    /// Right before the request that stops the pods; other objects may be written already.
    BeforeStop,
}

impl CheckTime {
    /// Returns what the command has left as it was.
    const fn unchanged(self) -> &'static str {
        match self {
            Self::BeforeFirstWrite => "nothing was changed",
            Self::BeforeStop => "its pod was not stopped",
        }
    }
}

/// Returns an error if there is such a claim. `pod` is the application's pod, if it is known.
///
/// # Errors
/// Exit 2 with the command that saves the data.
fn refuse<'a>(held: impl Iterator<Item = &'a HeldClaim>, pod: Option<&str>, time: CheckTime) -> Result<()> {
    let held: Vec<&HeldClaim> = held.collect();
    let Some(first) = held.first() else { return Ok(()) };
    let message = format!(
        "{} has been terminating since {} and exists only as long as its pod runs; {}",
        first.id,
        first.since,
        time.unchanged()
    );
    let error = Error::new(Id::ClaimDeleted, Kind::Usage, message)
        .caused_by("the command would stop the pod, and the data of the volume would be gone");
    let others = held.iter().skip(1).map(|claim| claim.id.to_string());
    let error = others.fold(error, |error, other| error.fact("also", other));
    let error = held.iter().fold(error, |error, claim| error.hint(claim.save_command(pod)));
    Err(error.hint(GIVE_UP))
}

fn pod_name(run: &Run<'_>, observed: &ObservedSet) -> Option<String> {
    let set = run.session.set();
    observed.ready_pods(&set).first().and_then(|pod| pod.metadata.name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::kind::CLAIM;

    #[test]
    fn refusal_says_how_to_save_the_data() {
        let claim = HeldClaim {
            id: CLAIM.id("n", "oh-state"),
            since: "2026-01-01T00:00:00Z".into(),
            workloads: vec![DEPLOYMENT.id("n", "oh")],
            path: Some("/.openhands".into()),
            is_of_application: false,
            is_at_risk: true,
        };
        assert!(refuse(std::iter::empty(), None, CheckTime::BeforeFirstWrite).is_ok());
        let error = refuse([&claim].into_iter(), Some("oh-1"), CheckTime::BeforeFirstWrite).unwrap_err();
        assert_eq!((error.id(), error.kind().exit_code()), (Id::ClaimDeleted, 2));
        assert_eq!(error.hints()[0], "save the data first: kubectl cp -n n oh-1:/.openhands ./oh-state");
        let error = refuse([&claim].into_iter(), None, CheckTime::BeforeStop).unwrap_err();
        assert!(error.message().ends_with("its pod was not stopped"), "{}", error.message());
        let without_pod = "save the data first: kubectl exec -n n deployment.apps/oh -- tar cf - /.openhands > oh-state.tar";
        assert_eq!(error.hints(), [without_pod, GIVE_UP]);
    }
}
