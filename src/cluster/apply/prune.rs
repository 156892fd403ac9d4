//! Prune: deletes what is no longer in the set, once the new set works.

use std::collections::BTreeSet;

use futures::stream::{self, StreamExt as _};

use super::delete_object::{self, DeleteOutcome};
use super::waves::IN_FLIGHT;
use crate::cluster::client::api::Api;
use crate::error::Result;
use crate::event::{Action, Event, Events, Phase};
use crate::object::ObjectId;
use crate::plan::inventory::apply_set::ApplySet;
use crate::plan::inventory::members;
use crate::plan::inventory::prune::{self, PruneCandidate, PruneDecision};

/// Deletes the leftovers that go and names those that stay. Gives the members that are still there.
///
/// # Errors
/// Where the server refuses; what was on its way has been answered.
pub async fn prune(
    api: &Api,
    set: &ApplySet,
    leftovers: &[PruneCandidate],
    in_use: &BTreeSet<String>,
    events: &Events,
) -> Result<Vec<ObjectId>> {
    let doomed = leftovers.iter().filter(|leftover| leftover.decision.deletes());
    let objects = doomed.map(|leftover| leftover.id.clone()).collect();
    events.send(Event::Planned { phase: Phase::Prune, objects }).await;
    let outcomes: Vec<Result<Option<ObjectId>>> = stream::iter(leftovers)
        .map(|leftover| prune_one(api, set, leftover, in_use, events))
        .buffer_unordered(IN_FLIGHT)
        .collect()
        .await;
    Ok(outcomes.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
}

/// None where it is gone.
async fn prune_one(
    api: &Api,
    set: &ApplySet,
    leftover: &PruneCandidate,
    in_use: &BTreeSet<String>,
    events: &Events,
) -> Result<Option<ObjectId>> {
    let PruneCandidate { id, object, decision: fate } = leftover;
    let tell = |action, message| events.object(Phase::Prune, id.clone(), action, message);
    match fate {
        PruneDecision::InUse => return Ok(Some(id.clone())),
        PruneDecision::Keep(why) => {
            tell(Action::Kept, Some(why.clone())).await;
            return Ok(Some(id.clone()));
        }
        PruneDecision::Delete | PruneDecision::DeleteWithData => {}
    }
    let delete_data = *fate == PruneDecision::DeleteWithData;
    let still = |found: &serde_json::Value| {
        members::is_member(found, set) && prune::decide(id, found, in_use, delete_data).deletes()
    };
    match delete_object::delete_unchanged(api, set, id, object, still).await {
        Ok(DeleteOutcome::Deleted) => {
            tell(Action::Pruned, None).await;
            Ok(None)
        }
        // It is no member any more, or asks to be left alone: somebody took it while it was judged.
        Ok(DeleteOutcome::Kept) => {
            tell(Action::Kept, Some("somebody has changed it meanwhile".to_owned())).await;
            Ok(None)
        }
        Err(error) => {
            tell(Action::Failed, None).await;
            Err(error)
        }
    }
}
