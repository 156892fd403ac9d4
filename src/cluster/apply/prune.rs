//! Prune: deletes members that are no longer planned, once the new set works.

use futures::stream::{self, StreamExt as _};
use serde_json::Value;

use super::delete_object::{self, DeleteOutcome};
use super::waves::IN_FLIGHT;
use crate::cluster::client::api::Api;
use crate::error::Result;
use crate::event::{Action, Event, Events, Phase};
use crate::object::ObjectId;
use crate::plan::inventory::apply_set::ApplySet;
use crate::plan::inventory::members;
use crate::plan::inventory::prune::{PruneCandidate, PruneDecision};

/// Deletes the candidates that are to be deleted, reports the kept ones, and returns the members that still exist.
///
/// # Errors
/// Fails if the server rejects a delete, after all requests in flight have completed.
pub async fn prune(
    api: &Api,
    set: &ApplySet,
    candidates: &[PruneCandidate],
    events: &Events,
) -> Result<Vec<ObjectId>> {
    let deleted = candidates.iter().filter(|candidate| candidate.decision().deletes());
    let objects = deleted.map(|candidate| candidate.id.clone()).collect();
    events.send(Event::Planned { phase: Phase::Prune, objects }).await;
    let outcomes: Vec<Result<Option<ObjectId>>> = stream::iter(candidates)
        .map(|candidate| prune_one(api, set, candidate, events))
        .buffer_unordered(IN_FLIGHT)
        .collect()
        .await;
    Ok(outcomes.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
}

/// Prunes one candidate; returns None if it is no longer a member.
async fn prune_one(
    api: &Api,
    set: &ApplySet,
    candidate: &PruneCandidate,
    events: &Events,
) -> Result<Option<ObjectId>> {
    let id = &candidate.id;
    let report = |action, message| events.object(Phase::Prune, id.clone(), action, message);
    match candidate.decision() {
        PruneDecision::InUse => return Ok(Some(id.clone())),
        PruneDecision::Keep(why) => {
            report(Action::Kept, Some(why)).await;
            return Ok(Some(id.clone()));
        }
        PruneDecision::Delete | PruneDecision::DeleteWithData => {}
    }
    let is_deletable = |live: &Value| members::is_member(live, set) && candidate.decision_for(live).deletes();
    match delete_object::delete_unchanged(api, set, id, &candidate.object, is_deletable).await {
        Ok(DeleteOutcome::Deleted) => {
            report(Action::Pruned, None).await;
            Ok(None)
        }
        // It changed since it was listed, and is no longer a member or is annotated to be kept.
        Ok(DeleteOutcome::Kept) => {
            report(Action::Kept, Some("it was changed meanwhile".to_owned())).await;
            Ok(None)
        }
        Err(error) => {
            report(Action::Failed, None).await;
            Err(error)
        }
    }
}
