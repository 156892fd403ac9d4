//! What makes a simulated control plane a cluster: nodes and a default storage class.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::api::Api;
use super::watch::{Scope, Seen, Watches};
use crate::error::{Error, Result};
use crate::event::{Action, Event, Events, Phase};
use crate::plan::kind::{KindInfo, LEASE, NODE, STORAGE_CLASS};
use crate::plan::{ObjectId, owned};

/// Namespace of the nodes' heartbeats (<https://kubernetes.io/docs/concepts/architecture/leases/>).
const NODE_LEASES: &str = "kube-node-lease";

/// Makes these nodes and classes, where they are missing or differ, and waits until the nodes are ready.
///
/// # Errors
/// Where the server refuses, or stops answering.
pub async fn prepare(api: &Api, objects: &[Value], events: &Events) -> Result<usize> {
    let mut watches = Watches::open(api, scopes(), true);
    let (lists, _) = watches.listed().await?;
    let mut live: BTreeMap<ObjectId, Value> = BTreeMap::new();
    for (scope, list) in watches.scopes().iter().zip(lists) {
        for object in list {
            live.extend(id_of(scope, &object).map(|id| (id, object)));
        }
    }
    for object in objects {
        ensure(api, object, &live, events).await?;
    }
    let nodes: BTreeSet<String> = objects
        .iter()
        .filter(|object| object["kind"] == "Node")
        .filter_map(|object| Some(object["metadata"]["name"].as_str()?.to_owned()))
        .collect();
    wait_ready(&mut watches, live, &nodes).await?;
    Ok(nodes.len())
}

fn scopes() -> Vec<Scope> {
    let scope = |kind: KindInfo, namespace: Option<&str>| Scope {
        kind,
        namespace: namespace.map(str::to_owned),
        labels: String::new(),
        optional: false,
    };
    vec![scope(NODE, None), scope(STORAGE_CLASS, None), scope(LEASE, Some(NODE_LEASES))]
}

fn id_of(scope: &Scope, object: &Value) -> Option<ObjectId> {
    let name = object["metadata"]["name"].as_str()?;
    Some(scope.kind.id(scope.namespace.as_deref().unwrap_or_default(), name))
}

async fn ensure(api: &Api, object: &Value, live: &BTreeMap<ObjectId, Value>, events: &Events) -> Result<()> {
    let unknown = || Error::internal("a built-in object of the simulated cluster cannot be read");
    let id = ObjectId::of(object).ok_or_else(unknown)?;
    let kind = KindInfo::of(&id).ok_or_else(unknown)?;
    let mut wanted = object.clone();
    // A node is created with its size; from then on the status is its kubelet's.
    if live.contains_key(&id)
        && let Some(wanted) = wanted.as_object_mut()
    {
        wanted.remove("status");
    }
    let action = match live.get(&id) {
        None => Action::Created,
        Some(live) if owned::is_unchanged(&wanted, live) => return Ok(()),
        Some(_) => Action::Configured,
    };
    let path = format!("{}/{}", kind.path(None), id.name);
    api.apply(&path, &wanted).await.map_err(|fault| fault.explain(&format!("cannot apply {id}")))?;
    events.send(Event::Object { phase: Phase::Cluster, object: id, action, message: None }).await;
    Ok(())
}

async fn wait_ready(
    watches: &mut Watches,
    mut live: BTreeMap<ObjectId, Value>,
    nodes: &BTreeSet<String>,
) -> Result<()> {
    loop {
        let ready = nodes.iter().all(|name| {
            let leased = live.contains_key(&LEASE.id(NODE_LEASES, name));
            leased && live.get(&NODE.id("", name)).is_some_and(is_ready)
        });
        if ready {
            return Ok(());
        }
        match watches.next().await {
            Some(Seen::Listed(index, objects)) => {
                let scope = &watches.scopes()[index];
                live.retain(|id, _| id.kind != scope.kind.kind);
                live.extend(objects.into_iter().filter_map(|object| Some((id_of(scope, &object)?, object))));
            }
            Some(Seen::Changed(index, object)) => {
                live.extend(id_of(&watches.scopes()[index], &object).map(|id| (id, object)));
            }
            Some(Seen::Gone(index, object)) => {
                if let Some(id) = id_of(&watches.scopes()[index], &object) {
                    live.remove(&id);
                }
            }
            Some(Seen::Failed(index, fault)) => {
                return Err(fault.explain(&format!("cannot watch {}", watches.scopes()[index].kind.plural)));
            }
            None => return Err(Error::internal("all watches ended")),
        }
    }
}

fn is_ready(node: &Value) -> bool {
    let conditions = node["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|one| one["type"] == "Ready" && one["status"] == "True")
}
