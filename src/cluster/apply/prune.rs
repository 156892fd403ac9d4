//! Prune: deletes members that are no longer planned, once the new set works.

use std::time::Duration;

use futures::stream::{self, StreamExt as _};
use serde_json::Value;
use tokio::time::Instant;

use super::delete_object::{self, DeleteOutcome};
use super::deletion_wait;
use crate::catalogue::Id;
use crate::cluster::client::api::Api;
use crate::cluster::client::in_flight::IN_FLIGHT;
use crate::cluster::watch::store::Store;
use crate::cluster::watch::watcher::WatchScope;
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

/// How long to wait for the pods of deleted workloads: longer than the grace period of most pods.
const POD_STOP_LIMIT: Duration = Duration::from_secs(60);

/// Waits until the deleted workloads are gone with their pods; `kept` are the candidates that were not deleted. One that
/// still exists after a minute, or at the deadline, costs a warning: the new set works without it.
pub async fn wait_until_gone(
    api: &Api,
    set: &ApplySet,
    candidates: &[PruneCandidate],
    kept: &[ObjectId],
    deadline: Instant,
    events: &Events,
) {
    let deleted = candidates.iter().filter(|candidate| candidate.decision().deletes());
    let mut workloads: Vec<(ObjectId, Value)> = deleted
        .filter(|candidate| delete_object::has_pods(&candidate.id) && !kept.contains(&candidate.id))
        .map(|candidate| (candidate.id.clone(), candidate.object["metadata"]["uid"].clone()))
        .collect();
    if workloads.is_empty() {
        return;
    }
    workloads.sort_by(|(a, _), (b, _)| a.cmp(b));
    // Without the right to watch them the deploy ends without the wait.
    let scopes = scopes(set, workloads.iter().map(|(id, _)| id));
    let Ok(mut store) = Store::open(api, scopes, api.streams_lists()).await else { return };
    let deadline = deadline.min(Instant::now() + POD_STOP_LIMIT);
    let report = async |_: &Store, remaining: &[(ObjectId, Value)], left| {
        let object = remaining.first().map(|(id, _)| id.clone());
        let message = "deleted; its pods still stop".to_owned();
        events.send(Event::Waiting { object, message, left: Some(left) }).await;
    };
    let Ok(remaining) = deletion_wait::until_gone_from(&mut store, workloads, deadline, report).await else {
        return;
    };
    if !remaining.is_empty() {
        let ids: Vec<String> = remaining.iter().map(|(id, _)| id.to_string()).collect();
        let message = format!("deleted, and still terminating: {}", ids.join(", "));
        events.warn(Id::StillTerminating, message).await;
    }
}

/// Returns the scopes of these members.
fn scopes<'a>(set: &ApplySet, ids: impl Iterator<Item = &'a ObjectId>) -> Vec<WatchScope> {
    let mut scopes: Vec<WatchScope> = Vec::new();
    for id in ids {
        let Some(kind) = set.kind_of(id) else { continue };
        let scope = WatchScope {
            kind,
            namespace: id.namespace.clone(),
            labels: set.member_selector(),
            optional: false,
        };
        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }
    scopes
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
        Ok(DeleteOutcome::Kept(live)) => {
            report(Action::Kept, Some(delete_object::CHANGED.to_owned())).await;
            Ok(members::is_member(&live, set).then(|| id.clone()))
        }
        Err(error) => {
            report(Action::Failed, None).await;
            Err(error)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::scripted::{WatchStream, scripted};
    use crate::event::Receiver;
    use crate::object::kind::DEPLOYMENT;
    use crate::plan::inventory::apply_set::PART_OF;
    use crate::plan::inventory::prune::ConfigurationUser;

    const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/n/deployments";

    fn helper() -> Value {
        json!({ "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "name": "helper", "namespace": "n", "uid": "u", "resourceVersion": "5" } })
    }

    /// Waits for a deleted Deployment while `script` plays its deletion; returns the warnings.
    async fn wait(script: impl AsyncFnOnce(WatchStream)) -> Vec<String> {
        let (api, mut server) = scripted();
        let (events, receiver) = Events::channel();
        let set = ApplySet { name: "oh".into(), namespace: "n".into(), ..ApplySet::default() };
        let id = DEPLOYMENT.id("n", "helper");
        let candidates =
            [PruneCandidate { id, object: helper(), user: ConfigurationUser::Nothing, delete_data: false }];
        let deadline = Instant::now() + Duration::from_secs(900);
        tokio::join!(wait_until_gone(&api, &set, &candidates, &[], deadline, &events), async {
            let mut streams = server.open_watches(1, |_| vec![helper()]).await;
            script(streams.remove(DEPLOYMENTS).unwrap()).await;
        });
        drop(events);
        warnings(receiver)
    }

    fn warnings(mut receiver: Receiver) -> Vec<String> {
        let events = std::iter::from_fn(|| receiver.try_recv());
        events
            .filter_map(|event| match event {
                Event::Warning { message, .. } => Some(message),
                _ => None,
            })
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn member_annotated_meanwhile_stays_in_the_inventory() {
        let (api, mut server) = scripted();
        let (events, _receiver) = Events::channel();
        let set = ApplySet { name: "oh".into(), namespace: "n".into(), ..ApplySet::default() };
        let labelled = |annotations: Value, labels: Value| {
            let mut object = helper();
            object["metadata"]["labels"] = labels;
            object["metadata"]["annotations"] = annotations;
            object["metadata"]["managedFields"] = json!([{
                "manager": "handsctl", "operation": "Apply",
                "fieldsV1": { "f:metadata": { "f:labels": { format!("f:{PART_OF}"): {} } } },
            }]);
            object
        };
        let member = || json!({ PART_OF: set.id() });
        let id = DEPLOYMENT.id("n", "helper");
        let object = labelled(json!({}), member());
        let candidates =
            [PruneCandidate { id: id.clone(), object, user: ConfigurationUser::Nothing, delete_data: false }];
        for (live, is_kept) in [
            (labelled(json!({ "handsctl.dev/prune": "disabled" }), member()), true),
            (labelled(json!({}), json!({})), false),
        ] {
            let (kept, ()) = tokio::join!(prune(&api, &set, &candidates, &events), async {
                let delete = server.expect(&format!("DELETE {DEPLOYMENTS}/helper")).await;
                delete.status(409, "Conflict", "the object has been modified");
                server.expect(&format!("GET {DEPLOYMENTS}/helper")).await.ok(&live);
            });
            let expected: &[ObjectId] = if is_kept { std::slice::from_ref(&id) } else { &[] };
            assert_eq!(kept.unwrap(), expected, "{live}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn deploy_waits_until_pruned_workload_is_gone() {
        let begin = Instant::now();
        let warnings = wait(async |stream| {
            tokio::time::sleep(Duration::from_secs(22)).await;
            stream.send("DELETED", &helper());
            tokio::time::sleep(Duration::from_secs(1)).await;
        })
        .await;
        assert_eq!(warnings, Vec::<String>::new());
        assert!(begin.elapsed() >= Duration::from_secs(22), "{:?}", begin.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn pruned_workload_that_does_not_end_is_a_warning() {
        let warnings = wait(async |stream| {
            tokio::time::sleep(Duration::from_secs(70)).await;
            drop(stream);
        })
        .await;
        assert_eq!(warnings, ["deleted, and still terminating: deployment.apps/helper"]);
    }
}
