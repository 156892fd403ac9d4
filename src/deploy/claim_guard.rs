//! Refuses to stop a pod that alone keeps the data of a claim that is being deleted.

use super::request::DeployRequest;
use crate::catalogue::Id;
use crate::cluster::watch::observed_set::ObservedSet;
use crate::error::{Error, Kind, Result};
use crate::event::Events;
use crate::object::kind::CLAIM;
use crate::plan::changes::Changes;
use crate::plan::deletions::{self, GIVE_UP, HeldClaim};
use crate::session::runner::Run;

/// Checks that the planned changes stop no pod that keeps the data of a claim.
///
/// # Errors
/// Exit 2 with the command that saves the data.
pub(super) async fn ensure_kept(
    run: &Run<'_>,
    request: &DeployRequest,
    changes: &Changes,
    observed: &ObservedSet,
) -> Result<()> {
    if request.policy.delete_data || changes.stopping.is_empty() {
        return Ok(());
    }
    let mut held = changes.held_claims.clone();
    held.extend(held_claims_of_others(run, observed).await?);
    refuse(
        held.iter().filter(|claim| claim.is_held_by(&changes.stopping)),
        pod_name(run, observed).as_deref(),
    )
}

/// Checks that no pod keeps the data of a claim that is being deleted, because every pod of the set is about to stop.
///
/// # Errors
/// Exit 2 with the command that saves the data.
pub(crate) async fn ensure_no_deletion(run: &Run<'_>, observed: &ObservedSet) -> Result<()> {
    let mut held = deletions::held_claims(&observed.members);
    held.extend(held_claims_of_others(run, observed).await?);
    refuse(held.iter(), pod_name(run, observed).as_deref())
}

/// Reads the claims that the set mounts and did not create. An account that may not read them cannot check them.
async fn held_claims_of_others(run: &Run<'_>, observed: &ObservedSet) -> Result<Vec<HeldClaim>> {
    let mut members = observed.members.clone();
    for id in deletions::claims_of_others(&observed.members) {
        match run.api().get_opt(&CLAIM.collection(id.namespace.as_deref()), &id.name).await {
            Ok(claim) => members.extend(claim.map(|claim| (id, claim))),
            Err(error) if error.code() == Some(403) => {}
            Err(error) => return Err(error.into_error(&format!("cannot read {id}"))),
        }
    }
    let held = deletions::held_claims(&members).into_iter();
    Ok(held.filter(|claim| !observed.members.contains_key(&claim.id)).collect())
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
pub(crate) fn ensure_teardown_keeps(held: &[HeldClaim]) -> Result<()> {
    let outcome = refuse(held.iter(), None);
    outcome.map_err(|error| error.hint("handsctl teardown --delete-data deletes the set with its data"))
}

/// Returns an error if there is such a claim. `pod` is the application's pod, if it is known.
///
/// # Errors
/// Exit 2 with the command that saves the data.
fn refuse<'a>(held: impl Iterator<Item = &'a HeldClaim>, pod: Option<&str>) -> Result<()> {
    let held: Vec<&HeldClaim> = held.collect();
    let Some(first) = held.first() else { return Ok(()) };
    let message = format!(
        "{} has been terminating since {} and exists only as long as its pod runs; nothing was changed",
        first.id, first.since
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
    use crate::object::kind::DEPLOYMENT;

    #[test]
    fn refusal_says_how_to_save_the_data() {
        let claim = HeldClaim {
            id: CLAIM.id("n", "oh-state"),
            since: "2026-01-01T00:00:00Z".into(),
            workloads: vec![DEPLOYMENT.id("n", "oh")],
            path: Some("/.openhands".into()),
            is_at_risk: true,
        };
        assert!(refuse(std::iter::empty(), None).is_ok());
        let error = refuse([&claim].into_iter(), Some("oh-1")).unwrap_err();
        assert_eq!((error.id(), error.kind().exit_code()), (Id::ClaimDeleted, 2));
        assert_eq!(error.hints()[0], "save the data first: kubectl cp -n n oh-1:/.openhands ./oh-state");
        let error = refuse([&claim].into_iter(), None).unwrap_err();
        let without_pod = "save the data first: kubectl exec -n n deployment.apps/oh -- tar cf - /.openhands > oh-state.tar";
        assert_eq!(error.hints(), [without_pod, GIVE_UP]);
    }
}
