//! Creates the nodes and the default storage class of a simulated cluster.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::readiness::NODE_LEASES;
use crate::cluster::client::api::Api;
use crate::cluster::client::request::ApplyOptions;
use crate::cluster::watch::store::{Store, all_of};
use crate::error::{Error, Result};
use crate::event::{Action, Events, Phase};
use crate::object::condition::is_ready;
use crate::object::kind::{KindInfo, LEASE, NODE, STORAGE_CLASS};
use crate::object::{ObjectId, managed_fields};

/// Applies these nodes and storage classes if they are missing or differ, and waits until the nodes are ready. Returns
/// the number of nodes.
///
/// # Errors
/// Fails if the server rejects an object or becomes unreachable.
pub async fn prepare(api: &Api, objects: &[Value], events: &Events) -> Result<usize> {
    let scopes = vec![all_of(NODE, None), all_of(STORAGE_CLASS, None), all_of(LEASE, Some(NODE_LEASES))];
    let mut store = Store::open(api, scopes, api.streams_lists()).await?;
    for object in objects {
        ensure(api, object, store.objects(), events).await?;
    }
    let nodes: BTreeSet<&str> = objects
        .iter()
        .filter(|object| object["kind"] == "Node")
        .filter_map(|object| object["metadata"]["name"].as_str())
        .collect();
    while !nodes.iter().all(|node| is_up(store.objects(), node)) {
        store.wait_for_change().await?;
    }
    Ok(nodes.len())
}

fn is_up(objects: &BTreeMap<ObjectId, Value>, node: &str) -> bool {
    let leased = objects.contains_key(&LEASE.id(NODE_LEASES, node));
    leased && objects.get(&NODE.id("", node)).is_some_and(is_ready)
}

async fn ensure(api: &Api, object: &Value, live: &BTreeMap<ObjectId, Value>, events: &Events) -> Result<()> {
    let unreadable_error = || Error::internal("a built-in object of the simulated cluster cannot be read");
    let id = ObjectId::from_object(object).ok_or_else(unreadable_error)?;
    let kind = KindInfo::for_id(&id).ok_or_else(unreadable_error)?;
    let mut desired = object.clone();
    // A new node is created with its capacity; afterwards its kubelet owns the status.
    if live.contains_key(&id)
        && let Some(desired) = desired.as_object_mut()
    {
        desired.remove("status");
    }
    let action = match live.get(&id) {
        None => Action::Created,
        Some(live) if managed_fields::is_unchanged(&desired, live) => return Ok(()),
        Some(_) => Action::Configured,
    };
    let response = api.apply(&kind.collection(None), &desired, ApplyOptions::default()).await;
    response.map_err(|error| error.into_error(&format!("cannot apply {id}")))?;
    events.object(Phase::Cluster, id, action, None).await;
    Ok(())
}
