//! The set as it is in the cluster: watched from before the first change until the end.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::observe;
use super::watcher::{WatchScope, Watches};
use crate::catalogue::Id;
use crate::cluster::apply::applied::Applied;
use crate::cluster::client::api::Api;
use crate::error::Result;
use crate::event::{Action, Events};
use crate::object::kind::{CLAIM, DEPLOYMENT, ENDPOINT_SLICE, EVENT, INGRESS, KindInfo, POD, REPLICA_SET};
use crate::object::{ObjectId, labels};
use crate::plan::Plan;
use crate::plan::inventory::apply_set::{ApplySet, PART_OF};
use crate::plan::inventory::members::{self, Members};
use crate::status::{Expected, ObservedState};

/// Events of a namespace that are read at most; a server keeps them for an hour.
const MOST_EVENTS: u32 = 1000;

/// The watched set.
pub struct ObservedSet {
    /// The running watches.
    pub watches: Watches,
    /// Members that are there.
    pub members: Members,
    /// What the judge sees.
    pub state: ObservedState,
}

/// Opens every watch that this plan's rollout needs, and waits for what is there.
///
/// # Errors
/// Where a kind of the set may not be watched.
pub async fn open(
    api: &Api,
    set: &ApplySet,
    plan: &Plan,
    streaming: bool,
    events: &Events,
) -> Result<ObservedSet> {
    let (live, refused) = watch(api, set, scopes(set, plan), streaming).await?;
    for scope in refused {
        let plural = scope.kind.plural;
        let what = if scope.labels.starts_with(PART_OF) {
            "what an earlier configuration left of them is not found and not pruned"
        } else {
            "a failure will be explained with less evidence"
        };
        events.warn(Id::Forbidden, format!("{plural} may not be watched: {what}")).await;
    }
    Ok(live)
}

impl ObservedSet {
    /// Lists the members again: the watches may not have shown yet what another run did before this one took the lock.
    ///
    /// # Errors
    /// Where the server refuses.
    pub async fn relist(&mut self, api: &Api, set: &ApplySet) -> Result<()> {
        let scopes = self.watches.scopes().iter().filter(|scope| scope.labels.starts_with(PART_OF));
        let lists = scopes.map(|scope| async move {
            let labels = scope.labels.replace('=', "%3D");
            let path = format!("{}?labelSelector={labels}", scope.kind.path(scope.namespace.as_deref()));
            match api.get(&path).await {
                Ok(answer) => Ok((scope, answer.body)),
                Err(fault) if scope.optional && fault.code() == Some(403) => Ok((scope, Value::Null)),
                Err(fault) => Err(fault.into_error(&format!("cannot list {}", scope.kind.plural))),
            }
        });
        let mut members = Members::new();
        for (scope, mut list) in futures::future::try_join_all(lists).await? {
            let Value::Array(items) = list["items"].take() else { continue };
            take_members(&mut members, scope, items.into_iter().map(|item| with_type_meta(scope, item)), set);
        }
        self.members = members;
        Ok(())
    }
}

/// The items of a list do not say of which kind they are.
fn with_type_meta(scope: &WatchScope, mut item: Value) -> Value {
    item["apiVersion"] = json!(scope.kind.api_version());
    item["kind"] = json!(scope.kind.kind);
    item
}

fn take_members(
    members: &mut Members,
    scope: &WatchScope,
    objects: impl Iterator<Item = Value>,
    set: &ApplySet,
) {
    for object in objects {
        if let Some(id) = id_of(scope, &object).filter(|_| members::is_member(&object, set)) {
            members.insert(id, object);
        }
    }
}

/// Opens the watches that tell how the set is, whatever the configuration says now. Kinds that may not be
/// watched are left out, and named in the second value.
///
/// # Errors
/// Where the server does not answer.
pub async fn open_deployed(
    api: &Api,
    set: &ApplySet,
    streaming: bool,
) -> Result<(ObservedSet, Vec<WatchScope>)> {
    let member = format!("{PART_OF}={}", set.id());
    let instance = format!("{}={}", labels::INSTANCE, set.name);
    let kinds = [
        (DEPLOYMENT, &member),
        (CLAIM, &member),
        (INGRESS, &member),
        (POD, &instance),
        (REPLICA_SET, &instance),
        (ENDPOINT_SLICE, &instance),
    ];
    let scopes = kinds.map(|(kind, labels)| WatchScope {
        kind,
        namespace: Some(set.namespace.clone()),
        labels: labels.clone(),
        optional: true,
    });
    watch(api, set, scopes.into(), streaming).await
}

/// Takes in the events of what happened before the watches were opened: a set that nobody changes now says with
/// them why it does not work. Where they may not be read there is less evidence, and the same verdict.
///
/// # Errors
/// Where the server sent something that is no event.
pub async fn load_past_events(api: &Api, set: &ApplySet, world: &mut ObservedState) -> Result<()> {
    let path = format!("{}?limit={MOST_EVENTS}", EVENT.path(Some(&set.namespace)));
    match api.get(&path).await {
        Ok(answer) => {
            let events = answer.body["items"].as_array().map_or(&[][..], Vec::as_slice);
            observe::show_list(world, EVENT, events, api.traffic().server_time())
        }
        Err(_) => Ok(()),
    }
}

async fn watch(
    api: &Api,
    set: &ApplySet,
    scopes: Vec<WatchScope>,
    streaming: bool,
) -> Result<(ObservedSet, Vec<WatchScope>)> {
    let mut watches = Watches::open(api, scopes, streaming);
    let (lists, refused) = watches.initial_lists().await?;
    watches.stop_all_but(|scope| observe::tracked_kind(scope.kind).is_some());
    let refused = refused.into_iter().map(|index| watches.scopes()[index].clone()).collect();
    let mut members = Members::new();
    let mut world = ObservedState::default();
    for (scope, list) in watches.scopes().iter().zip(lists) {
        observe::show_list(&mut world, scope.kind, &list, api.traffic().server_time())?;
        if !scope.labels.starts_with(PART_OF) {
            continue;
        }
        take_members(&mut members, scope, list.into_iter(), set);
    }
    Ok((ObservedSet { watches, members, state: world }, refused))
}

/// What the judge expects of the members that have a rollout.
#[must_use]
pub fn expected(applied: &[Applied]) -> Vec<Expected> {
    let as_expected = |applied: &Applied| {
        let changed = matches!(applied.action, Action::Created | Action::Configured);
        expectation(&applied.id, applied.object.as_ref()?, changed)
    };
    applied.iter().filter_map(as_expected).collect()
}

/// What the judge expects of members that nobody changes now.
#[must_use]
pub fn expected_unchanged(members: &Members) -> Vec<Expected> {
    let mut standing: Vec<Expected> =
        members.iter().filter_map(|(id, object)| expectation(id, object, false)).collect();
    standing.sort_by(|a, b| a.id.cmp(&b.id));
    standing
}

/// None for kinds that are as they should be once they exist.
fn expectation(id: &ObjectId, object: &Value, changed: bool) -> Option<Expected> {
    KindInfo::of_id(id).and_then(observe::tracked_kind)?;
    let metadata = &object["metadata"];
    Some(Expected {
        id: id.clone(),
        uid: metadata["uid"].as_str()?.to_owned(),
        generation: metadata["generation"].as_i64().unwrap_or_default(),
        changed,
    })
}

/// The application's pods that are ready, by name.
#[must_use]
pub fn ready_pods(world: &ObservedState) -> Vec<&Pod> {
    let is_ready = |pod: &&Pod| {
        let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
        conditions.is_some_and(|all| all.iter().any(|one| one.type_ == "Ready" && one.status == "True"))
    };
    let mut pods: Vec<&Pod> = world.pods().filter(is_ready).collect();
    pods.sort_by_key(|pod| pod.metadata.name.clone());
    pods
}

/// A pod of the application that is ready. The Deployment may be seen to be available before its pod is seen to be
/// ready, because each has a watch of its own: then the server is asked.
pub async fn get_ready_pod(api: &Api, set: &ApplySet, world: &ObservedState) -> Option<Pod> {
    if let Some(pod) = ready_pods(world).first() {
        return Some((*pod).clone());
    }
    let labels = format!("{}%3D{}", labels::INSTANCE, set.name);
    let path = format!("{}?labelSelector={labels}", POD.path(Some(&set.namespace)));
    let answer = api.get(&path).await.ok()?;
    let mut now = ObservedState::default();
    let pods = answer.body["items"].as_array().map_or(&[][..], Vec::as_slice);
    observe::show_list(&mut now, POD, pods, api.traffic().server_time()).ok()?;
    ready_pods(&now).first().map(|pod| (*pod).clone())
}

fn id_of(scope: &WatchScope, object: &Value) -> Option<ObjectId> {
    Some(scope.kind.id(scope.namespace.as_deref()?, object["metadata"]["name"].as_str()?))
}

/// `set` has the namespaces that its parent names beside those of the plan.
fn scopes(set: &ApplySet, plan: &Plan) -> Vec<WatchScope> {
    let kinds: BTreeSet<(Option<&str>, &str)> =
        plan.members.iter().map(|member| (member.id.namespace.as_deref(), member.kind.kind)).collect();
    let scope = |kind: KindInfo, namespace: &str, labels: String, optional: bool| WatchScope {
        kind,
        namespace: Some(namespace.to_owned()),
        labels,
        optional,
    };
    let member = format!("{PART_OF}={}", set.id());
    let mut scopes: Vec<WatchScope> = Vec::new();
    for kind in set.kinds() {
        for namespace in set.namespaces() {
            // What the plan does not have may be there all the same: it is looked for, so that it can be pruned.
            let planned = kinds.contains(&(Some(namespace), kind.kind));
            if planned || set.kinds_in(namespace).any(|there| there == kind) {
                scopes.push(scope(kind, namespace, member.clone(), !planned));
            }
        }
    }
    let instance = format!("{}={}", labels::INSTANCE, set.name);
    scopes.push(scope(POD, &set.namespace, instance.clone(), false));
    scopes.push(scope(REPLICA_SET, &set.namespace, instance, false));
    scopes.push(scope(
        ENDPOINT_SLICE,
        &set.namespace,
        format!("kubernetes.io/service-name={}", set.name),
        true,
    ));
    scopes.push(scope(EVENT, &set.namespace, String::new(), true));
    scopes
}
