//! What makes a simulated control plane a cluster: nodes and a default storage class.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::readiness::{NODE_LEASES, is_ready};
use crate::cluster::client::api::Api;
use crate::cluster::client::request::ApplyOptions;
use crate::cluster::watch::store::{Store, all_of};
use crate::error::{Error, Result};
use crate::event::{Action, Events, Phase};
use crate::object::kind::{KindInfo, LEASE, NODE, STORAGE_CLASS};
use crate::object::{ObjectId, managed_fields};

/// Makes these nodes and classes, where they are missing or differ, and waits until the nodes are ready.
///
/// # Errors
/// Where the server refuses, or stops answering.
pub async fn prepare(api: &Api, objects: &[Value], events: &Events) -> Result<usize> {
    let scopes = vec![all_of(NODE, None), all_of(STORAGE_CLASS, None), all_of(LEASE, Some(NODE_LEASES))];
    let mut view = Store::open(api, scopes, true).await?;
    for object in objects {
        ensure(api, object, view.objects(), events).await?;
    }
    let nodes: BTreeSet<&str> = objects
        .iter()
        .filter(|object| object["kind"] == "Node")
        .filter_map(|object| object["metadata"]["name"].as_str())
        .collect();
    while !nodes.iter().all(|node| is_up(view.objects(), node)) {
        view.wait_for_change().await?;
    }
    Ok(nodes.len())
}

fn is_up(objects: &BTreeMap<ObjectId, Value>, node: &str) -> bool {
    let leased = objects.contains_key(&LEASE.id(NODE_LEASES, node));
    leased && objects.get(&NODE.id("", node)).is_some_and(is_ready)
}

async fn ensure(api: &Api, object: &Value, live: &BTreeMap<ObjectId, Value>, events: &Events) -> Result<()> {
    let unknown = || Error::internal("a built-in object of the simulated cluster cannot be read");
    let id = ObjectId::of_object(object).ok_or_else(unknown)?;
    let kind = KindInfo::of_id(&id).ok_or_else(unknown)?;
    let mut wanted = object.clone();
    // A node is created with its size; from then on the status is its kubelet's.
    if live.contains_key(&id)
        && let Some(wanted) = wanted.as_object_mut()
    {
        wanted.remove("status");
    }
    let action = match live.get(&id) {
        None => Action::Created,
        Some(live) if managed_fields::is_unchanged(&wanted, live) => return Ok(()),
        Some(_) => Action::Configured,
    };
    let applied = api.apply(&kind.collection(None), &wanted, ApplyOptions::default()).await;
    applied.map_err(|error| error.into_error(&format!("cannot apply {id}")))?;
    events.object(Phase::Cluster, id, action, None).await;
    Ok(())
}
