//! Teardown: deletes the set's objects, waits until they are gone, and reports the kept ones.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use kube::api::ListParams;
use serde_json::Value;
use tokio::time::{Instant, timeout};

use super::apply::delete_object::{self, DeleteOutcome};
use super::apply::{deletion_wait, held_claims, inventory};
use super::client::api::Api;
use super::client::in_flight::IN_FLIGHT;
use super::client::request::if_same_object;
use super::finalizer_controllers;
use super::watch::store::Store;
use super::watch::watcher::WatchScope;
use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};
use crate::event::{Action, Event, Events, Phase};
use crate::object::kind::{
    self, CLAIM, CONFIG_MAP, DEPLOYMENT, INGRESS, KindInfo, NAMESPACE, PERSISTENT_VOLUME, POD, SECRET,
};
use crate::object::{ObjectId, deletion, labels};
use crate::plan::deletions::{self, HeldClaim};
use crate::plan::inventory::app_keys;
use crate::plan::inventory::apply_set::ApplySet;
use crate::plan::inventory::members::{self, Members};
use crate::plan::inventory::prune::{self, ConfigurationUser, PruneDecision};
use crate::plan::inventory::revision::{self, ForeignReason};
use crate::plan::manifests::{stop_signal, values};
use crate::status::sandbox;

/// Why the keys of an application are kept.
const APP_KEYS_NEEDED: &str =
    "its secret-key encrypts the secrets on the volume; --delete-data deletes it with the volume";
/// The index of the batch after the Ingress and the Deployment.
const REST: usize = 2;

/// What a teardown deletes, and its deadline.
#[derive(Debug, Clone, Copy)]
pub struct TeardownOptions {
    /// Whether to delete objects that hold data as well.
    pub delete_data: bool,
    /// The command's deadline.
    pub deadline: Instant,
}

/// The result of a teardown.
#[derive(Debug, Clone, Default)]
pub struct TeardownResult {
    /// The deleted objects.
    pub deleted: Vec<ObjectId>,
    /// The kept objects, each with the reason.
    pub kept: Vec<(ObjectId, String)>,
}

/// The existing objects of a set.
pub struct DeployedSet {
    store: Store,
    members: Members,
    /// The Secret with the keys of an application that keeps its settings itself, which its volume needs.
    app_keys: Option<(ObjectId, Value)>,
    /// Objects that are not members: revisions, the key, and last the parent, because it locates all others.
    non_members: Vec<(ObjectId, Value)>,
}

impl DeployedSet {
    /// Whether a pod of the set deletes a conversation's volume when it stops.
    #[must_use]
    pub fn deletes_conversation_on_stop(&self) -> bool {
        self.members.values().any(stop_signal::deletes_conversation_on_stop)
    }

    /// Returns the claims that are being deleted and that a workload of the set still holds.
    #[must_use]
    pub fn held_claims(&self) -> Vec<HeldClaim> {
        deletions::held_claims(&self.members)
    }

    /// Returns the members that a teardown deletes only with `--delete-data`, sorted.
    #[must_use]
    pub fn data_holders(&self) -> Vec<ObjectId> {
        let is_deleted_with_data = |(id, object): &(&ObjectId, &Value)| {
            prune::decide(id, object, ConfigurationUser::Nothing, true) == PruneDecision::DeleteWithData
        };
        let mut holders: Vec<ObjectId> =
            self.members.iter().filter(is_deleted_with_data).map(|(id, _)| id.clone()).collect();
        holders.sort();
        holders
    }

    /// Whether the set has no object at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty() && self.non_members.is_empty() && self.app_keys.is_none()
    }
}

/// Lists all objects of the set. `parent` is its parent, if it has one.
///
/// # Errors
/// Fails if a kind of the set cannot be watched.
pub async fn list(api: &Api, set: &ApplySet, parent: Option<Value>, streaming: bool) -> Result<DeployedSet> {
    let store = Store::open(api, scopes(set), streaming).await?;
    let members = store.objects().iter().filter(|(_, object)| members::is_member(object, set));
    let members = members.map(|(id, object)| (id.clone(), object.clone())).collect();
    let secrets = inventory::list_own_secrets(api, set).await?;
    let foreign = foreign_revisions(set, &secrets, parent.as_ref());
    let is_non_member = |secret: &Value| {
        let name = secret["metadata"]["name"].as_str().unwrap_or_default();
        // Only names that handsctl gives: a Secret of another name is somebody else's, whatever its type.
        let is_named = secret["type"] == revision::TYPE && revision::number_in(name, set).is_some();
        name == set.parent_name() || is_named && !foreign.contains(name)
    };
    let keys = values::app_keys_name(&set.name);
    let app_keys = secrets.iter().find(|secret| app_keys::is_of_set(secret, set)).cloned();
    let app_keys = app_keys.map(|secret| (SECRET.id(&set.namespace, &keys), secret));
    let mut non_members: Vec<(ObjectId, Value)> = secrets
        .into_iter()
        .filter(is_non_member)
        .filter_map(|secret| Some((SECRET.id(&set.namespace, secret["metadata"]["name"].as_str()?), secret)))
        .collect();
    non_members.extend(parent.map(|parent| (set.parent(), parent)));
    Ok(DeployedSet { store, members, app_keys, non_members })
}

/// Returns the names of the Secrets that somebody else made like a revision, such as a copy. Without the installation's key
/// none can be told from a revision.
fn foreign_revisions(set: &ApplySet, secrets: &[Value], parent: Option<&Value>) -> BTreeSet<String> {
    let foreign = revision::read_all(set, secrets, parent).foreign.into_iter();
    let has_no_key = |reason| matches!(reason, ForeignReason::KeyMissing | ForeignReason::KeyReplaced);
    let proved = foreign.filter(|foreign| !has_no_key(foreign.reason));
    proved.map(|foreign| foreign.name).collect()
}

/// Deletes the set: the Ingress first, then the Deployment with its pods, then the rest, and the parent last.
///
/// `ensure_kept` gets the claims that are being deleted and that a pod still keeps, read right before the pods stop.
/// `after_stop` runs when the application has stopped, before the policies and accounts are deleted that its sandboxes use.
///
/// # Errors
/// Those of `ensure_kept`.
/// Exit 10 if an object is not gone in time; the error names what blocks its deletion.
pub async fn teardown(
    api: &Api,
    set: &ApplySet,
    deployed: DeployedSet,
    options: TeardownOptions,
    events: &Events,
    ensure_kept: impl Fn(&[HeldClaim]) -> Result<()>,
    after_stop: impl AsyncFnOnce() -> Result<()>,
) -> Result<TeardownResult> {
    let DeployedSet { mut store, members, app_keys, non_members } = deployed;
    let mut result = TeardownResult::default();
    let mut to_delete = Vec::new();
    let mut sorted: Vec<_> = members.iter().collect();
    sorted.sort_by_key(|(id, _)| *id);
    for (id, object) in sorted {
        match keep_reason(object, id, options) {
            Some(why) => result.kept.push((id.clone(), why)),
            None => to_delete.push(id.clone()),
        }
    }
    let batch_of =
        |kind: KindInfo| to_delete.iter().filter(move |id| id.kind == kind.kind).cloned().collect::<Vec<_>>();
    let rest = to_delete
        .iter()
        .filter(|id| id.kind != INGRESS.kind && id.kind != DEPLOYMENT.kind)
        .cloned()
        .collect();
    let batches = [batch_of(INGRESS), batch_of(DEPLOYMENT), rest];
    let mut after_stop = Some(after_stop);
    let objects = batches.iter().flatten().chain(non_members.iter().map(|(id, _)| id)).cloned().collect();
    events.send(Event::Planned { phase: Phase::Prune, objects }).await;
    for (index, batch) in batches.into_iter().enumerate() {
        if index == REST
            && let Some(after_stop) = after_stop.take()
        {
            after_stop().await?;
        }
        if !options.delete_data {
            ensure_kept(&held_claims::read(api, &members, &batch.iter().cloned().collect()).await?)?;
        }
        let kept = delete_all(api, set, &members, &batch, options).await?;
        let batch: Vec<ObjectId> = batch.into_iter().filter(|id| !kept.contains(id)).collect();
        result.kept.extend(kept.into_iter().map(|id| (id, delete_object::CHANGED.to_owned())));
        let uids = batch.iter().map(|id| (id.clone(), members[id]["metadata"]["uid"].clone())).collect();
        wait_gone(api, &mut store, uids, options, events).await?;
        for id in batch {
            events.object(Phase::Prune, id.clone(), Action::Deleted, None).await;
            result.deleted.push(id);
        }
    }
    let needs_parent =
        |(id, _): &(ObjectId, String)| !kind::MEMBERS.iter().any(|kind| kind.group_kind() == id.group_kind());
    let parent_is_needed = result.kept.iter().any(needs_parent);
    for (id, object) in non_members {
        if parent_is_needed && id == set.parent() {
            // Only the parent lists the kinds of these objects, so a later teardown finds them by it.
            result.kept.push((id, "it lists the kinds of the kept objects".to_owned()));
            continue;
        }
        delete_own(api, &id, &object).await?;
        events.object(Phase::Prune, id.clone(), Action::Deleted, None).await;
        result.deleted.push(id);
    }
    if let Some((id, object)) = app_keys {
        let holds_claim = result.kept.iter().any(|(id, _)| id.group_kind() == CLAIM.group_kind());
        if holds_claim || !options.delete_data {
            result.kept.push((id, APP_KEYS_NEEDED.to_owned()));
        } else {
            delete_own(api, &id, &object).await?;
            events.object(Phase::Prune, id.clone(), Action::Deleted, None).await;
            result.deleted.push(id);
        }
    }
    for (id, why) in &mut result.kept {
        if id.group_kind() == CLAIM.group_kind()
            && let Some(claim) = members.get(id)
        {
            *why += &reclaim_text(api, claim).await.unwrap_or_default();
        }
    }
    for (id, why) in &result.kept {
        events.object(Phase::Prune, id.clone(), Action::Kept, Some(why.clone())).await;
    }
    Ok(result)
}

/// Returns what a deletion of the claim would do to its volume. None if the volume may not be read.
pub(super) async fn reclaim_text(api: &Api, claim: &Value) -> Option<String> {
    let volume = claim["spec"]["volumeName"].as_str()?;
    let volume = api.get_opt(&PERSISTENT_VOLUME.collection(None), volume).await.ok()??;
    let policy = volume["spec"]["persistentVolumeReclaimPolicy"].as_str()?;
    Some(format!(" (reclaim policy {policy})"))
}

/// Lists the sandbox pods and claims of conversations, which the application creates and no set contains.
///
/// # Errors
/// Fails if they cannot be listed.
pub async fn list_sandboxes(api: &Api, namespace: &str) -> Result<Vec<ObjectId>> {
    Ok(sandbox_objects(api, namespace).await?.into_iter().map(|(id, _)| id).collect())
}

/// Lists the sandbox pods and claims of conversations with their objects.
pub(super) async fn sandbox_objects(api: &Api, namespace: &str) -> Result<Vec<(ObjectId, Value)>> {
    let mut sandboxes = Vec::new();
    for kind in [POD, CLAIM] {
        let list = api.list(&kind.in_namespace(namespace), &ListParams::default()).await;
        let list = list.map_err(|error| {
            error.into_error(&format!("cannot list {} in namespace {namespace}", kind.plural))
        })?;
        let of_conversations =
            list.items.into_iter().filter(|object| sandbox::is_of_conversation(kind.kind, object));
        sandboxes.extend(of_conversations.filter_map(|object| {
            let id = kind.id(namespace, object["metadata"]["name"].as_str()?);
            Some((id, object))
        }));
    }
    Ok(sandboxes)
}

/// Deletes a namespace that handsctl created, and waits until it is gone.
///
/// # Errors
/// Exit 7 if handsctl did not create it.
pub async fn delete_namespace(
    api: &Api,
    name: &str,
    options: TeardownOptions,
    events: &Events,
) -> Result<()> {
    let namespaces = NAMESPACE.collection(None);
    let live = api
        .get_opt(&namespaces, name)
        .await
        .map_err(|error| error.into_error(&format!("cannot read namespace {name}")))?;
    let Some(live) = live else { return Ok(()) };
    if !live["metadata"]["annotations"][labels::CREATED_BY].is_string() {
        return Err(Error::new(
            Id::ForeignObject,
            Kind::Ownership,
            format!("namespace {name} was not created by handsctl and is not deleted"),
        )
        .hint(format!("kubectl delete namespace {name} deletes it with everything in it")));
    }
    let id = ObjectId::cluster("", "Namespace", name);
    let scope = WatchScope {
        kind: NAMESPACE,
        namespace: None,
        labels: format!("kubernetes.io/metadata.name={name}"),
        optional: false,
    };
    let mut store = Store::open(api, vec![scope], api.streams_lists()).await?;
    let uid = live["metadata"]["uid"].clone();
    match api.delete(&namespaces, name, &if_same_object(&live)).await {
        Ok(_) => {}
        Err(error) if error.code() == Some(404) => return Ok(()),
        Err(error) => return Err(error.into_error(&format!("cannot delete namespace {name}"))),
    }
    wait_gone(api, &mut store, vec![(id.clone(), uid)], options, events).await?;
    events.object(Phase::Prune, id, Action::Deleted, None).await;
    Ok(())
}

/// Scopes for all members, of every kind and in every namespace of the set, and for the application's pods.
fn scopes(set: &ApplySet) -> Vec<WatchScope> {
    let scope = |kind, namespace: &str, labels: String| WatchScope {
        kind,
        namespace: Some(namespace.to_owned()),
        labels,
        optional: false,
    };
    let member = set.member_selector();
    let mut scopes = Vec::new();
    for namespace in set.namespaces() {
        scopes.extend(set.used_kinds().map(|kind| scope(kind, namespace, member.clone())));
    }
    scopes.push(scope(POD, &set.namespace, labels::instance_selector(&set.name)));
    scopes
}

/// Waits until the objects with these UIDs are gone. Foreground deletion removes a Deployment only after its pods, so
/// the pods need no wait of their own; pods of a copy of the Deployment would match the same labels.
pub(super) async fn wait_gone(
    api: &Api,
    store: &mut Store,
    batch: Vec<(ObjectId, Value)>,
    options: TeardownOptions,
    events: &Events,
) -> Result<()> {
    let explained = RefCell::new(Explanations::new());
    let report = async |store: &Store, batch: &[(ObjectId, Value)], left| {
        explain(api, store, batch, &explained).await;
        for (id, object) in remaining_objects(store, batch) {
            let message = reason(id, object, &explained.borrow());
            events.send(Event::Waiting { object: Some(id.clone()), message, left: Some(left) }).await;
        }
    };
    let awaited: Vec<ObjectId> = batch.iter().map(|(id, _)| id.clone()).collect();
    let remaining = deletion_wait::until_gone_from(store, batch, options.deadline, report).await?;
    if remaining.is_empty() {
        return Ok(());
    }
    // The caller reports those of a complete batch.
    for id in awaited.into_iter().filter(|id| !remaining.iter().any(|(remaining, _)| remaining == id)) {
        events.object(Phase::Prune, id, Action::Deleted, None).await;
    }
    explain(api, store, &remaining, &explained).await;
    Err(stuck_error(store, &remaining, &explained.borrow()))
}

/// How many objects are explained at a time: the others wait for the same.
const MAX_EXPLAINED: usize = 4;

/// What each object waits for, beyond what the object itself tells.
type Explanations = BTreeMap<ObjectId, Vec<String>>;

/// How long the requests for an explanation may take.
const EXPLAIN_LIMIT: Duration = Duration::from_secs(1);

/// Finds out once for each object what should remove its finalizers.
async fn explain(api: &Api, store: &Store, batch: &[(ObjectId, Value)], explained: &RefCell<Explanations>) {
    let remaining = remaining_objects(store, batch);
    let new = remaining.into_iter().filter(|(id, _)| !explained.borrow().contains_key(id));
    let new = new.take(MAX_EXPLAINED).map(async |(id, object)| {
        let sentences = timeout(EXPLAIN_LIMIT, finalizer_controllers::explain(api, id, object)).await;
        (id.clone(), sentences.unwrap_or_default())
    });
    let sentences = futures::future::join_all(new).await;
    explained.borrow_mut().extend(sentences);
}

fn reason(id: &ObjectId, object: &Value, explained: &Explanations) -> String {
    let sentences = explained.get(id).map(Vec::as_slice).unwrap_or_default();
    [&[deletion::blocker(object)], sentences].concat().join("; ")
}

fn stuck_error(store: &Store, batch: &[(ObjectId, Value)], explained: &Explanations) -> Error {
    let mut error = Error::new(Id::TeardownStuck, Kind::Deadline, "timed out before all objects were gone");
    for (id, object) in remaining_objects(store, batch) {
        error = error.fact("waiting", format!("{id}  {}", reason(id, object, explained)));
    }
    error.hint("deleted objects stay deleted; running the command again continues from here")
}

/// Lists the objects that still exist, with the terminating pods of a Deployment among them.
fn remaining_objects<'a>(store: &'a Store, batch: &'a [(ObjectId, Value)]) -> Vec<(&'a ObjectId, &'a Value)> {
    let members = batch.iter().filter_map(|(id, _)| Some((id, store.objects().get(id)?)));
    let with_pods = batch.iter().any(|(id, _)| id.kind == DEPLOYMENT.kind);
    let pods =
        store.of_kind(POD).filter(|(_, pod)| with_pods && !pod["metadata"]["deletionTimestamp"].is_null());
    members.chain(pods).collect()
}

/// Returns why a member is kept; None if it is deleted.
fn keep_reason(object: &Value, id: &ObjectId, options: TeardownOptions) -> Option<String> {
    match prune::decide(id, object, ConfigurationUser::Nothing, options.delete_data) {
        PruneDecision::Keep(why) => Some(why),
        PruneDecision::Delete | PruneDecision::DeleteWithData | PruneDecision::InUse => None,
    }
}

/// Deletes members; returns those that changed meanwhile and are kept.
async fn delete_all(
    api: &Api,
    set: &ApplySet,
    members: &Members,
    batch: &[ObjectId],
    options: TeardownOptions,
) -> Result<BTreeSet<ObjectId>> {
    let deletes = batch.iter().filter_map(|id| {
        let object = members.get(id)?;
        let is_deletable =
            |live: &Value| members::is_member(live, set) && keep_reason(live, id, options).is_none();
        deletion::deleted_since(object).is_none().then_some(async move {
            let outcome = delete_object::delete_unchanged(api, set, id, object, is_deletable).await?;
            Ok::<_, Error>(matches!(outcome, DeleteOutcome::Kept(_)).then(|| id.clone()))
        })
    });
    let kept = stream::iter(deletes).buffer_unordered(IN_FLIGHT);
    kept.try_filter_map(async |kept| Ok(kept)).try_collect().await
}

/// Deletes an object of the set that is not a member.
async fn delete_own(api: &Api, id: &ObjectId, object: &Value) -> Result<()> {
    let kind = if id.kind == SECRET.kind { SECRET } else { CONFIG_MAP };
    let collection = kind.collection(id.namespace.as_deref());
    let deleted = api.delete_same(&collection, &id.name, &if_same_object(object)).await;
    deleted.map(drop).map_err(|error| error.into_error(&format!("cannot delete {id}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::scripted::{ScriptedServer, WatchStream, scripted};
    use crate::object::kind::SERVICE;
    use crate::object::labels::MANAGER;
    use crate::plan::inventory::apply_set::PART_OF;

    const INGRESSES: &str = "/apis/networking.k8s.io/v1/namespaces/n/ingresses";
    const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/n/deployments";
    const SERVICES: &str = "/api/v1/namespaces/n/services";
    const SECRETS: &str = "/api/v1/namespaces/n/secrets";
    const PARENT: &str = "/api/v1/namespaces/n/configmaps/handsctl-oh";

    fn set() -> ApplySet {
        ApplySet { name: "oh".into(), namespace: "n".into(), ..ApplySet::default() }
    }

    fn member(kind: KindInfo, uid: &str) -> Value {
        json!({
            "apiVersion": kind.api_version(), "kind": kind.kind,
            "metadata": {
                "name": "oh", "namespace": "n", "uid": uid, "resourceVersion": "5",
                "labels": { PART_OF: set().id() },
                "managedFields": [{ "manager": MANAGER, "operation": "Apply", "fieldsV1": {
                    "f:metadata": { "f:labels": { format!("f:{PART_OF}"): {} } } } }],
            },
        })
    }

    /// A set with one member of each of these kinds, deleted while `script` answers.
    async fn delete(
        kinds: &[KindInfo],
        time: Duration,
        script: impl AsyncFnOnce(&mut ScriptedServer, BTreeMap<String, WatchStream>),
    ) -> Result<TeardownResult> {
        let (api, mut server) = scripted();
        let (events, _receiver) = Events::channel();
        let set = set();
        let parent = json!({ "metadata": { "name": "handsctl-oh", "namespace": "n", "uid": "parent" } });
        let objects = |path: &str| {
            let is_watched = |kind: &&KindInfo| path == kind.in_namespace("n").path();
            kinds.iter().filter(is_watched).map(|kind| member(*kind, kind.plural)).collect()
        };
        let count = scopes(&set).len();
        let work = async {
            let deployed = list(&api, &set, Some(parent), true).await?;
            let options = TeardownOptions { delete_data: false, deadline: Instant::now() + time };
            teardown(&api, &set, deployed, options, &events, |_| Ok(()), async || Ok(())).await
        };
        let (result, ()) = tokio::join!(work, async {
            let streams = server.open_watches(count, objects).await;
            server.expect(&format!("GET {SECRETS}")).await.list("9", &[]);
            script(&mut server, streams).await;
        });
        result
    }

    #[tokio::test(start_paused = true)]
    async fn ingress_is_deleted_first_and_parent_last() {
        let result = delete(
            &[INGRESS, DEPLOYMENT, SERVICE, CLAIM],
            Duration::from_secs(60),
            async |server, streams| {
                for (path, kind, propagation) in [
                    (INGRESSES, INGRESS, "Background"),
                    (DEPLOYMENTS, DEPLOYMENT, "Foreground"),
                    (SERVICES, SERVICE, "Background"),
                ] {
                    let exchange = server.expect(&format!("DELETE {path}/oh")).await;
                    assert_eq!(exchange.body["propagationPolicy"], propagation, "{path}");
                    let unchanged = json!({ "uid": kind.plural, "resourceVersion": "5" });
                    assert_eq!(exchange.body["preconditions"], unchanged, "{path}");
                    exchange.ok(&json!({}));
                    server.expect_none_for(Duration::from_secs(5)).await;
                    streams[path].send("DELETED", &member(kind, kind.plural));
                }
                let exchange = server.expect(&format!("DELETE {PARENT}")).await;
                assert_eq!(exchange.body["preconditions"], json!({ "uid": "parent" }));
                exchange.ok(&json!({}));
            },
        )
        .await
        .unwrap();
        let deleted: Vec<String> = result.deleted.iter().map(ObjectId::to_string).collect();
        let expected =
            ["ingress.networking.k8s.io/oh", "deployment.apps/oh", "service/oh", "configmap/handsctl-oh"];
        assert_eq!(deleted, expected);
        assert_eq!(result.kept[0].0.to_string(), "persistentvolumeclaim/oh");
    }

    #[tokio::test(start_paused = true)]
    async fn object_that_keeps_existing_is_explained_at_the_deadline() {
        let error = delete(&[SERVICE], Duration::from_secs(30), async |server, streams| {
            server.expect(&format!("DELETE {SERVICES}/oh")).await.ok(&json!({}));
            let mut with_finalizer = member(SERVICE, "services");
            with_finalizer["metadata"]["finalizers"] = json!(["example.io/hold"]);
            streams[SERVICES].send("MODIFIED", &with_finalizer);
            let pod = json!({ "metadata": { "name": "example-0", "namespace": "ctl" }, "status": { "phase": "Pending" } });
            server.expect("GET /api/v1/pods").await.list("9", &[pod]);
            // The controller is searched once.
            server.expect_none_for(Duration::from_secs(19)).await;
        })
        .await
        .err()
        .unwrap();
        assert_eq!(error.id(), Id::TeardownStuck);
        let text = format!("{error:?}");
        assert!(text.contains("service/oh") && text.contains("example.io/hold"), "{text}");
        assert!(text.contains("its controller may be pod/example-0 (Pending) in namespace ctl"), "{text}");
    }

    #[tokio::test(start_paused = true)]
    async fn object_recreated_by_someone_else_is_kept() {
        let result = delete(&[SERVICE], Duration::from_secs(60), async |server, streams| {
            server.expect(&format!("DELETE {SERVICES}/oh")).await.status(409, "Conflict", "uid differs");
            let mut foreign = member(SERVICE, "u-2");
            foreign["metadata"]["labels"] = json!({});
            server.expect(&format!("GET {SERVICES}/oh")).await.ok(&foreign);
            streams[SERVICES].send("DELETED", &member(SERVICE, "services"));
            server.expect(&format!("DELETE {PARENT}")).await.not_found();
        })
        .await;
        let result = result.unwrap();
        assert_eq!(
            result.deleted.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["configmap/handsctl-oh"]
        );
        assert_eq!(result.kept, [(SERVICE.id("n", "oh"), delete_object::CHANGED.to_owned())]);
    }

    #[tokio::test(start_paused = true)]
    async fn namespace_of_someone_else_is_not_deleted() {
        let (api, mut server) = scripted();
        let (events, _receiver) = Events::channel();
        let options =
            TeardownOptions { delete_data: true, deadline: Instant::now() + Duration::from_secs(10) };
        let (result, ()) = tokio::join!(delete_namespace(&api, "n", options, &events), async {
            let namespace = json!({ "metadata": { "name": "n", "uid": "u", "annotations": {} } });
            server.expect("GET /api/v1/namespaces/n").await.ok(&namespace);
        });
        assert_eq!(result.err().map(|error| error.id()), Some(Id::ForeignObject));
        server.expect_none_for(Duration::from_secs(60)).await;
    }
}
