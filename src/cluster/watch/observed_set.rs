//! The set as watched in the cluster, from before the first change until the command ends.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use serde_json::Value;

use super::observe::{self, UNWATCHED};
use super::watcher::{WatchScope, Watches, with_type_meta};
use crate::catalogue::Id;
use crate::cluster::apply::applied::Applied;
use crate::cluster::client::api::Api;
use crate::error::{Error, Result};
use crate::event::Events;
use crate::object::kind::{CLAIM, DEPLOYMENT, ENDPOINT_SLICE, EVENT, INGRESS, KindInfo, POD, REPLICA_SET};
use crate::object::{ObjectId, labels};
use crate::plan::inventory::apply_set::{ApplySet, PART_OF};
use crate::plan::inventory::members::{self, Members};
use crate::status::{self, Expected, ObservedState, TrackedKind};

/// The maximum number of past Events to read per namespace; a server keeps them for an hour by default.
const MAX_EVENTS: u32 = 1000;

/// A set as reported by its watches.
pub struct ObservedSet {
    /// The running watches.
    pub watches: Watches,
    /// The existing members.
    pub members: Members,
    /// The observed state, for the evaluation.
    pub state: ObservedState,
}

/// Opens every watch that the rollout of these objects needs, and waits for the initial lists. `set` includes the
/// namespaces and kinds of its parent.
///
/// # Errors
/// Fails if a required kind cannot be watched.
pub async fn open(
    api: &Api,
    set: &ApplySet,
    desired: &[(ObjectId, &Value)],
    streaming: bool,
    events: &Events,
) -> Result<ObservedSet> {
    let (observed, forbidden) = watch(api, set, scopes(set, desired), streaming).await?;
    for scope in forbidden {
        let plural = scope.kind.plural;
        let consequence = if scope.labels.starts_with(PART_OF) {
            "those of an earlier configuration are not found and not pruned"
        } else {
            "a failure will be explained with less evidence"
        };
        events.warn(Id::Forbidden, format!("{plural} cannot be watched: {consequence}")).await;
    }
    Ok(observed)
}

impl ObservedSet {
    /// Lists the members again, because the watches may not have reported the changes that another run made before
    /// this one acquired the lock. That run may also have added kinds and namespaces; `set` has them from the parent.
    ///
    /// # Errors
    /// Fails if a required kind cannot be listed.
    pub async fn relist(&mut self, api: &Api, set: &ApplySet) -> Result<()> {
        let watched = self.watches.scopes().iter().filter(|scope| scope.labels.starts_with(PART_OF));
        let mut scopes: Vec<WatchScope> = watched.cloned().collect();
        for scope in member_scopes(set, &BTreeSet::new()) {
            let is_same = |other: &WatchScope| other.kind == scope.kind && other.namespace == scope.namespace;
            if !scopes.iter().any(is_same) {
                scopes.push(scope);
            }
        }
        let lists = scopes.iter().map(|scope| async move {
            let params = ListParams::default().labels(&scope.labels);
            match api.list(&scope.collection(), &params).await {
                Ok(list) => Ok((scope, list.items)),
                Err(error) if scope.optional && error.code() == Some(403) => Ok((scope, Vec::new())),
                Err(error) => Err(error.into_error(&format!("cannot list {}", scope.kind.plural))),
            }
        });
        let mut members = Members::new();
        for (scope, items) in futures::future::try_join_all(lists).await? {
            let items = items.into_iter().map(|item| with_type_meta(scope.kind, item));
            collect_members(&mut members, scope, items, |object| members::is_member(object, set));
        }
        self.members = members;
        Ok(())
    }

    /// Adds Events from before the watches were opened, because they explain why an unchanged set does not work.
    /// Without them there is less evidence, but the same verdict: returns the errors of lists that failed, except those
    /// for want of a right.
    ///
    /// # Errors
    /// Fails if an Event cannot be parsed.
    pub async fn load_past_events(&mut self, api: &Api, set: &ApplySet) -> Result<Vec<Error>> {
        let watched = self.watches.scopes().iter().filter(|scope| scope.kind == EVENT);
        let mut namespaces: BTreeSet<String> = watched.filter_map(|scope| scope.namespace.clone()).collect();
        namespaces.insert(set.namespace.clone());
        let mut unread = Vec::new();
        for namespace in namespaces {
            let params = ListParams::default().limit(MAX_EVENTS);
            match api.list(&EVENT.in_namespace(&namespace), &params).await {
                Ok(list) => {
                    let now = api.clock().now();
                    observe::show_list(&mut self.state, UNWATCHED, EVENT, &list.items, now)?;
                }
                Err(error) if error.code() == Some(403) => {}
                Err(error) => {
                    unread.push(error.into_error(&format!("cannot list events in namespace {namespace}")));
                }
            }
        }
        Ok(unread)
    }

    /// Returns the application's ready pods, sorted by name.
    #[must_use]
    pub fn ready_pods(&self, set: &ApplySet) -> Vec<&Pod> {
        ready_pods(&self.state, set)
    }

    /// Returns a ready pod of the application. Lists the pods if the watches show none: Deployment and pods have
    /// separate watches, so the Deployment may be reported available before its pod is reported ready.
    pub async fn get_ready_pod(&self, api: &Api, set: &ApplySet) -> Option<Pod> {
        if let Some(pod) = self.ready_pods(set).first() {
            return Some((*pod).clone());
        }
        let params = ListParams::default().labels(&labels::instance_selector(&set.name));
        let pods = api.list(&POD.in_namespace(&set.namespace), &params).await.ok()?.items;
        let mut state = ObservedState::default();
        observe::show_list(&mut state, UNWATCHED, POD, &pods, api.clock().now()).ok()?;
        ready_pods(&state, set).first().map(|pod| (*pod).clone())
    }
}

fn collect_members(
    members: &mut Members,
    scope: &WatchScope,
    objects: impl Iterator<Item = Value>,
    is_member: impl Fn(&Value) -> bool,
) {
    for object in objects {
        if let Some(id) = id_of(scope, &object).filter(|_| is_member(&object)) {
            members.insert(id, object);
        }
    }
}

/// Opens the watches for the workloads of the deployed set, independent of the current configuration. Returns the scopes
/// that are forbidden as the second value.
///
/// # Errors
/// Fails if the server is unreachable.
pub async fn open_deployed(
    api: &Api,
    set: &ApplySet,
    streaming: bool,
) -> Result<(ObservedSet, Vec<WatchScope>)> {
    let member = set.member_selector();
    let instance = labels::instance_selector(&set.name);
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

async fn watch(
    api: &Api,
    set: &ApplySet,
    scopes: Vec<WatchScope>,
    streaming: bool,
) -> Result<(ObservedSet, Vec<WatchScope>)> {
    let is_member = |object: &Value| members::is_member(object, set);
    watch_members(api, scopes, streaming, is_member).await
}

/// Opens the watches and waits for their initial lists. The objects of the scopes with the set's label are members if
/// `is_member` accepts them. Returns the scopes that are forbidden as the second value.
pub(super) async fn watch_members(
    api: &Api,
    scopes: Vec<WatchScope>,
    streaming: bool,
    is_member: impl Fn(&Value) -> bool,
) -> Result<(ObservedSet, Vec<WatchScope>)> {
    let mut watches = Watches::open(api, scopes, streaming);
    let (lists, forbidden) = watches.initial_lists().await?;
    watches.stop_all_but(|scope| observe::tracked_kind(scope.kind).is_some());
    let forbidden = forbidden.into_iter().map(|index| watches.scopes()[index].clone()).collect();
    let mut members = Members::new();
    let mut state = ObservedState::default();
    for (index, (scope, list)) in watches.scopes().iter().zip(lists).enumerate() {
        observe::show_list(&mut state, index, scope.kind, &list, api.clock().now())?;
        if scope.labels.starts_with(PART_OF) {
            collect_members(&mut members, scope, list.into_iter(), &is_member);
        }
    }
    Ok((ObservedSet { watches, members, state }, forbidden))
}

/// Returns the evaluation's expectations of the applied members that have a rollout.
#[must_use]
pub fn expected(applied: &[Applied]) -> Vec<Expected> {
    let as_expected =
        |applied: &Applied| expectation(&applied.id, applied.object.as_ref()?, applied.is_changed());
    applied.iter().filter_map(as_expected).collect()
}

/// Returns the evaluation's expectations of members that this run does not change.
#[must_use]
pub fn expected_unchanged(members: &Members) -> Vec<Expected> {
    let mut expected: Vec<Expected> =
        members.iter().filter_map(|(id, object)| expectation(id, object, false)).collect();
    expected.sort_by(|a, b| a.id.cmp(&b.id));
    expected
}

/// Returns the applied members of which nothing tells whether they work.
#[must_use]
pub fn unwatched(applied: &[Applied], state: &ObservedState) -> Vec<ObjectId> {
    let unwatched = applied.iter().filter(|it| status::is_unwatched(state, &it.id, it.uid()));
    unwatched.map(|applied| applied.id.clone()).collect()
}

/// Returns None for kinds that are ready as soon as they exist, and for those that no rule evaluates.
fn expectation(id: &ObjectId, object: &Value, changed: bool) -> Option<Expected> {
    TrackedKind::from_id(id).filter(|kind| kind.has_rollout())?;
    let metadata = &object["metadata"];
    Some(Expected {
        id: id.clone(),
        uid: metadata["uid"].as_str()?.to_owned(),
        generation: metadata["generation"].as_i64().unwrap_or_default(),
        changed,
    })
}

fn ready_pods<'a>(state: &'a ObservedState, set: &ApplySet) -> Vec<&'a Pod> {
    let is_of_set = |pod: &&Pod| labels::is_of_instance(&pod.metadata, &set.name);
    let mut pods: Vec<&Pod> = state.ready_pods().filter(is_of_set).collect();
    pods.sort_by_key(|pod| pod.metadata.name.clone());
    pods
}

fn id_of(scope: &WatchScope, object: &Value) -> Option<ObjectId> {
    Some(scope.kind.id(scope.namespace.as_deref()?, object["metadata"]["name"].as_str()?))
}

/// Returns the scopes to watch for the rollout of these objects.
fn scopes(set: &ApplySet, desired: &[(ObjectId, &Value)]) -> Vec<WatchScope> {
    let planned =
        desired.iter().map(|(id, _)| (id.namespace.as_deref(), id.kind.as_str(), id.group.as_str()));
    let mut scopes = member_scopes(set, &planned.collect());
    let instance = labels::instance_selector(&set.name);
    let slices = format!("{}={}", labels::SERVICE_NAME, set.name);
    scopes.push(scope(POD, &set.namespace, instance.clone(), false));
    scopes.push(scope(REPLICA_SET, &set.namespace, instance, false));
    scopes.push(scope(ENDPOINT_SLICE, &set.namespace, slices, true));
    scopes.push(scope(EVENT, &set.namespace, String::new(), true));
    for workload in desired.iter().filter_map(|(id, manifest)| ExtraWorkload::new(set, id, manifest)) {
        for scope in workload.scopes() {
            if !scopes.contains(&scope) {
                scopes.push(scope);
            }
        }
    }
    scopes
}

/// Returns scopes for the members of every kind in every namespace of the set, including unplanned ones, which are
/// pruned if they exist. `planned` holds namespace, kind and group of the planned members.
fn member_scopes(set: &ApplySet, planned: &BTreeSet<(Option<&str>, &str, &str)>) -> Vec<WatchScope> {
    let labels = set.member_selector();
    let mut scopes = Vec::new();
    // A revision to restore may have members of kinds that the set does not use now.
    for kind in set.kinds() {
        for namespace in set.namespaces() {
            let is_planned = planned.contains(&(Some(namespace), kind.kind, kind.group));
            if is_planned || set.kinds_in(namespace).any(|existing| existing == kind) {
                scopes.push(scope(kind, namespace, labels.clone(), !is_planned));
            }
        }
    }
    scopes
}

pub(super) fn scope(kind: KindInfo, namespace: &str, labels: String, optional: bool) -> WatchScope {
    WatchScope { kind, namespace: Some(namespace.to_owned()), labels, optional }
}

/// A workload from the user's extra manifests, whose pods do not have the set's labels.
pub(super) struct ExtraWorkload<'a> {
    namespace: &'a str,
    pods: ExtraPods,
    has_replica_sets: bool,
}

/// How to find the pods of an extra workload. Its owner references tell which of them are its own.
enum ExtraPods {
    /// It is a pod itself.
    Itself,
    /// By this label selector; empty for all pods of the namespace.
    Selected(String),
}

impl<'a> ExtraWorkload<'a> {
    /// Returns None for other kinds, and for the application itself.
    pub(super) fn new(set: &ApplySet, id: &'a ObjectId, manifest: &Value) -> Option<Self> {
        let namespace = id.namespace.as_deref()?;
        let selector = &manifest["spec"]["selector"];
        let pods = match (id.group.as_str(), id.kind.as_str()) {
            ("apps", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet") => {
                ExtraPods::Selected(selector_of(selector))
            }
            ("batch", "Job") => ExtraPods::Selected(format!("job-name={}", id.name)),
            ("", "Pod") => ExtraPods::Itself,
            _ => return None,
        };
        let is_application =
            namespace == set.namespace && selector["matchLabels"][labels::INSTANCE] == set.name.as_str();
        let has_replica_sets = id.kind == DEPLOYMENT.kind;
        (!is_application).then_some(Self { namespace, pods, has_replica_sets })
    }

    /// Scopes that explain its rollout. They are optional: without them the same verdict comes later.
    fn scopes(&self) -> Vec<WatchScope> {
        let mut scopes = self.dependents();
        scopes.push(scope(EVENT, self.namespace, String::new(), true));
        scopes
    }

    /// Scopes of its pods and `ReplicaSet`s.
    pub(super) fn dependents(&self) -> Vec<WatchScope> {
        let ExtraPods::Selected(labels) = &self.pods else { return Vec::new() };
        let mut scopes = vec![scope(POD, self.namespace, labels.clone(), true)];
        if self.has_replica_sets {
            scopes.push(scope(REPLICA_SET, self.namespace, labels.clone(), true));
        }
        scopes
    }
}

/// Returns the `matchLabels` of a selector: `app=a,tier=b`. `matchExpressions` only narrow the selection further. Empty,
/// which selects everything, if there are no `matchLabels`.
fn selector_of(selector: &Value) -> String {
    let labels = selector["matchLabels"].as_object().into_iter().flatten();
    let pairs = labels.filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)));
    pairs.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::scripted::scripted;
    use crate::object::kind::ROLE;
    use crate::plan::inventory::apply_set::InventoryScope;
    use serde_json::json;

    fn set() -> ApplySet {
        ApplySet { name: "oh".into(), namespace: "a".into(), ..ApplySet::default() }
    }

    fn describe_all(scopes: &[WatchScope]) -> Vec<String> {
        let describe = |scope: &WatchScope| {
            format!(
                "{} in {} {}",
                scope.kind.plural,
                scope.namespace.as_deref().unwrap_or_default(),
                scope.labels
            )
        };
        scopes.iter().map(describe).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn past_events_that_cannot_be_read_are_reported_unless_forbidden() {
        for (code, count) in [(403, 0), (422, 1)] {
            let (api, mut server) = scripted();
            let mut observed = ObservedSet {
                watches: Watches::open(&api, Vec::new(), true),
                members: Members::new(),
                state: ObservedState::default(),
            };
            let set = set();
            let (unread, ()) = tokio::join!(observed.load_past_events(&api, &set), async {
                let list = server.expect("GET /api/v1/namespaces/a/events").await;
                list.status(code, "Failed", "events are broken");
            });
            let unread: Vec<String> = unread.unwrap().iter().map(Error::with_causes).collect();
            assert_eq!(unread.len(), count, "{code}: {unread:?}");
            assert!(
                unread
                    .iter()
                    .all(|text| text.contains("events in namespace a") && text.contains("events are broken")),
                "{unread:?}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn relist_includes_kinds_and_namespaces_of_another_run() {
        // This run watches no member kind; the parent that another run has changed lists Roles in two namespaces.
        let (api, mut server) = scripted();
        let set = set();
        let role = |namespace: &str| {
            json!({ "metadata": { "name": "added", "namespace": namespace, "uid": namespace,
                "labels": { PART_OF: set.id() },
                "managedFields": [{ "manager": labels::MANAGER, "operation": "Apply", "fieldsV1": {
                    "f:metadata": { "f:labels": { format!("f:{PART_OF}"): {} } } } }] } })
        };
        let ids = ["a", "b"].map(|namespace| ROLE.id(namespace, "added"));
        let parent = set.parent_manifest(InventoryScope::Exact(&[&ids[0], &ids[1]]), None);
        let set = set.including_inventory_of(Some(&parent));
        let mut observed = ObservedSet {
            watches: Watches::open(&api, Vec::new(), true),
            members: Members::new(),
            state: ObservedState::default(),
        };
        let script = async {
            loop {
                let exchange = server.next().await;
                match exchange.call.strip_prefix("GET /apis/rbac.authorization.k8s.io/v1/namespaces/") {
                    Some("a/roles") => exchange.list("9", &[role("a")]),
                    Some("b/roles") => exchange.list("9", &[role("b")]),
                    _ => exchange.list("9", &[]),
                }
            }
        };
        tokio::select! {
            relisted = observed.relist(&api, &set) => relisted.unwrap(),
            () = script => {}
        }
        assert_eq!(observed.members.into_keys().collect::<BTreeSet<_>>(), BTreeSet::from(ids));
    }

    #[test]
    fn extra_workload_pods_are_watched_by_selector() {
        let manifest = json!({ "spec": { "selector": { "matchLabels": { "app": "worker" } } } });
        let id = DEPLOYMENT.id("b", "worker");
        let scopes = describe_all(&scopes(&set(), &[(id, &manifest)]));
        for watch in ["pods in b app=worker", "replicasets in b app=worker", "events in b "] {
            assert!(scopes.iter().any(|scope| scope == watch), "{watch}: {scopes:#?}");
        }
    }

    #[test]
    fn pods_of_every_workload_kind_are_watched() {
        let labels = json!({ "spec": { "selector": { "matchLabels": { "app": "x" } } } });
        let expressions = json!({ "spec": { "selector": { "matchExpressions": [
            { "key": "app", "operator": "Exists" }] } } });
        for (group, kind, manifest, watch) in [
            ("apps", "StatefulSet", &labels, "pods in b app=x"),
            ("apps", "DaemonSet", &labels, "pods in b app=x"),
            ("apps", "DaemonSet", &expressions, "pods in b "),
            ("batch", "Job", &json!({}), "pods in b job-name=x"),
            ("", "Pod", &json!({}), "events in b "),
        ] {
            let id = ObjectId::namespaced(group, kind, "b", "x");
            let scopes = describe_all(&scopes(&set(), &[(id, manifest)]));
            assert!(scopes.iter().any(|scope| scope == watch), "{kind}: {watch}: {scopes:#?}");
        }
    }

    #[test]
    fn extra_workloads_of_every_kind_are_expected() {
        let object = json!({ "metadata": { "uid": "u", "generation": 1 } });
        for (group, kind, is_expected) in [
            ("apps", "StatefulSet", true),
            ("apps", "DaemonSet", true),
            ("batch", "Job", true),
            ("", "Pod", true),
            ("", "ConfigMap", false),
            ("batch", "CronJob", false),
        ] {
            let id = ObjectId::namespaced(group, kind, "b", "x");
            assert_eq!(expectation(&id, &object, true).is_some(), is_expected, "{kind}");
        }
    }

    #[test]
    fn terminating_pod_does_not_serve() {
        let pod = |name: &str| {
            json!({ "metadata": { "name": name, "namespace": "a", "uid": name, "labels": { labels::INSTANCE: "oh" } },
                "status": { "conditions": [{ "type": "Ready", "status": "True" }] } })
        };
        let mut stopping = pod("old");
        stopping["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        let mut state = ObservedState::default();
        let now = jiff::Timestamp::UNIX_EPOCH;
        observe::show_list(&mut state, 0, POD, &[stopping, pod("new")], now).unwrap();
        let names: Vec<_> = ready_pods(&state, &set()).iter().map(|pod| pod.metadata.name.clone()).collect();
        assert_eq!(names, [Some("new".to_owned())]);
    }

    #[test]
    fn application_is_not_an_extra_workload() {
        let manifest = json!({ "spec": { "selector": { "matchLabels": { labels::INSTANCE: "oh" } } } });
        assert!(ExtraWorkload::new(&set(), &DEPLOYMENT.id("a", "oh"), &manifest).is_none());
    }
}
