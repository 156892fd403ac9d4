//! Deletes the sandboxes of an application that is being torn down, and waits until they are gone.

use std::collections::BTreeMap;

use futures::StreamExt as _;
use serde_json::Value;

use super::app::sandbox_objects;
use super::client::api::Api;
use super::client::in_flight::IN_FLIGHT;
use super::teardown::{self, TeardownOptions, wait_gone};
use super::watch::store::{self, Store};
use crate::error::Result;
use crate::event::{Action, Event, Events, Phase};
use crate::object::ObjectId;
use crate::object::kind::{CLAIM, INGRESS, KindInfo, POD, SERVICE};
use crate::object::pod_spec::claim_size;
use crate::status::sandbox::{self, AppKnowledge, Garbage, GarbageObject, GarbageOptions, SandboxObjects};

/// What is deleted of the sandboxes.
#[derive(Debug)]
pub struct SandboxTeardown<'a, K: Fn(&str) -> AppKnowledge> {
    /// The namespace of the sandboxes.
    pub namespace: &'a str,
    /// Whether the claims are deleted, and whether another application may have conversations there.
    pub options: GarbageOptions,
    /// Whether the application knew a conversation before it was deleted.
    pub knowledge: K,
}

/// The result.
#[derive(Debug, Clone, Default)]
pub struct SandboxTeardownResult {
    /// The deleted objects.
    pub deleted: Vec<ObjectId>,
    /// Why the others are kept.
    pub kept: BTreeMap<ObjectId, &'static str>,
}

/// Deletes the objects of conversations, and waits until they are gone. The objects are listed now: the application must
/// have stopped, so that it creates no others.
///
/// # Errors
/// Fails if they cannot be watched. Exit 10 if an object is not gone in time; the error names what blocks its deletion.
pub async fn teardown<K: Fn(&str) -> AppKnowledge>(
    api: &Api,
    sandboxes: &SandboxTeardown<'_, K>,
    options: TeardownOptions,
    events: &Events,
) -> Result<SandboxTeardownResult> {
    let namespace = sandboxes.namespace;
    let scopes = [POD, SERVICE, INGRESS, CLAIM].map(|kind| store::all_of(kind, Some(namespace)));
    let mut store = Store::open(api, scopes.into(), api.streams_lists()).await?;
    let objects = sandbox_objects_in(&store);
    let conversations = sandbox::conversations(&objects);
    let Garbage { deleted, kept } = sandbox::removal(&conversations, &sandboxes.knowledge, sandboxes.options);
    let id = |object: &GarbageObject<'_>| sandbox_objects::id_of(object.part, namespace, object.object);
    let ids: Vec<ObjectId> = deleted.iter().map(id).collect();
    events.send(Event::Planned { phase: Phase::Prune, objects: ids.clone() }).await;
    sandbox_objects::delete_all(api, namespace, &deleted, async |_| {}).await?;
    let uids = deleted.iter().map(|object| (id(object), object.object["metadata"]["uid"].clone())).collect();
    wait_gone(api, &mut store, uids, options, events).await?;
    for (id, object) in ids.iter().zip(&deleted) {
        events.object(Phase::Prune, id.clone(), Action::Deleted, Some(object.reason.to_owned())).await;
    }
    let kept = kept.iter().map(|object| (id(object), object.reason)).collect();
    Ok(SandboxTeardownResult { deleted: ids, kept })
}

/// Lists the sandbox pods and claims of conversations that stay, each with what is known about its volume.
///
/// # Errors
/// Fails if they cannot be listed.
pub async fn list_kept(api: &Api, namespace: &str) -> Result<Vec<(ObjectId, String)>> {
    let objects = teardown::sandbox_objects(api, namespace).await?;
    let described = objects.into_iter().map(async |(id, object)| {
        let text = if id.kind == CLAIM.kind { volume_text(api, &object).await } else { String::new() };
        (id, text)
    });
    Ok(futures::stream::iter(described).buffered(IN_FLIGHT).collect().await)
}

/// Returns size and reclaim policy of a claim: `, 2Gi (reclaim policy Delete)`.
async fn volume_text(api: &Api, claim: &Value) -> String {
    let size = claim_size(claim).map(|size| format!(", {size}"));
    size.unwrap_or_default() + &teardown::reclaim_text(api, claim).await.unwrap_or_default()
}

fn sandbox_objects_in(store: &Store) -> SandboxObjects {
    let of_kind =
        |kind: KindInfo| Some(store.of_kind(kind).map(|(_, object)| object.clone()).collect::<Vec<Value>>());
    SandboxObjects {
        pods: of_kind(POD),
        services: of_kind(SERVICE),
        ingresses: of_kind(INGRESS),
        claims: of_kind(CLAIM),
    }
}
