//! The deployed set as `status` reads it: its record, its members, the objects that belong to them, and what the
//! account may not read.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::try_join_all;
use futures::stream::{self, StreamExt as _};
use kube::api::ListParams;
use serde_json::Value;

use super::observe;
use super::observed_set::{self, ExtraWorkload, ObservedSet};
use super::watcher::WatchScope;
use crate::cluster::apply::inventory;
use crate::cluster::apply::namespaces::{self, NamespaceState};
use crate::cluster::client::api::{Api, ApiError};
use crate::cluster::client::discovery;
use crate::cluster::client::in_flight::IN_FLIGHT;
use crate::error::{Error, Kind, Result};
use crate::object::kind::{
    CLAIM, CONFIG_MAP, DEPLOYMENT, ENDPOINT_SLICE, INGRESS, KindInfo, LEASE, NAMESPACE, POD, REPLICA_SET,
    SECRET, SERVICE,
};
use crate::object::{ObjectId, labels, managed_fields};
use crate::plan::inventory::apply_set::{ApplySet, PART_OF};
use crate::plan::inventory::lease::LeaseInfo;
use crate::plan::inventory::members::{self, Members};
use crate::plan::inventory::revision::{self, ForeignRevision, Revision, RevisionSecrets};
use crate::plan::inventory::snapshot::Snapshot;
use crate::plan::ownership::foreign_change;

/// Everything that records a set besides its members.
#[derive(Debug, Default)]
pub struct SetRecord {
    /// The set's parent.
    pub parent: Option<Value>,
    /// The kept revisions, oldest first. None if the account may not read them.
    pub revisions: Option<Vec<Revision>>,
    /// The Secrets that have the type of a revision and are none.
    pub foreign_revisions: Vec<ForeignRevision>,
    /// The Lease of the lock, if there is one.
    pub lease: Option<LeaseInfo>,
    /// The parent's namespace; None if it does not exist, or if the account may not read it.
    pub namespace: Option<Value>,
    /// The identities of the set's existing Secrets.
    secrets: BTreeSet<ObjectId>,
    /// Kinds that the account may not read.
    forbidden: BTreeSet<&'static str>,
}

/// The deployed set.
pub struct DeployedMembers {
    /// Its identity, with the namespaces and kinds of its parent.
    pub set: ApplySet,
    /// The watched objects. If handsctl applied no member, the members are the objects of another tool that carry the
    /// set's labels.
    pub observed: ObservedSet,
    /// The manager that applied the members, if it is not handsctl.
    pub installer: Option<String>,
    /// The identities of all existing objects of the set.
    pub existing: BTreeSet<ObjectId>,
    /// Plurals of the kinds that the account may not read.
    pub unknown: BTreeSet<&'static str>,
}

/// Reads the set's record, with concurrent requests.
///
/// # Errors
/// Fails if the server is unreachable, or the parent belongs to another tool.
pub async fn read_record(api: &Api, set: &ApplySet) -> Result<SetRecord> {
    let lease = async {
        let lease = api.get_opt(&LEASE.in_namespace(&set.namespace), &set.parent_name()).await;
        lease.map_err(|error| error.into_error("cannot read the lock"))
    };
    let (parent, secrets, lease, namespace) = tokio::join!(
        inventory::get_parent(api, set),
        inventory::list_own_secrets(api, set),
        lease,
        namespaces::get_even_terminating(api, &set.namespace)
    );
    let mut record = SetRecord::default();
    record.parent = unless_forbidden(parent, CONFIG_MAP, &mut record.forbidden)?.flatten();
    let lease = unless_forbidden(lease, LEASE, &mut record.forbidden)?.flatten();
    record.lease = lease.map(|lease| LeaseInfo::read(&lease));
    if let Some(secrets) = unless_forbidden(secrets, SECRET, &mut record.forbidden)? {
        let RevisionSecrets { revisions, foreign, .. } =
            revision::read_all(set, &secrets, record.parent.as_ref());
        record.revisions = Some(revisions);
        record.foreign_revisions = foreign;
        let names = secrets.iter().filter_map(|secret| secret["metadata"]["name"].as_str());
        record.secrets = names.map(|name| SECRET.id(&set.namespace, name)).collect();
    }
    match namespace? {
        NamespaceState::Present(namespace) => record.namespace = Some(namespace),
        NamespaceState::Absent => {}
        NamespaceState::Unknown => {
            record.forbidden.insert(NAMESPACE.plural);
        }
    }
    Ok(record)
}

/// Returns None, and notes the kind, if the account may not read it.
fn unless_forbidden<T>(
    result: Result<T>,
    kind: KindInfo,
    forbidden: &mut BTreeSet<&'static str>,
) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == Kind::Forbidden => {
            forbidden.insert(kind.plural);
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Reads the members and the objects that belong to them, whatever the current configuration has: one request for each
/// kind of the parent and each namespace.
///
/// # Errors
/// Fails if the server is unreachable.
pub async fn open(api: &Api, set: &ApplySet, record: &SetRecord, streaming: bool) -> Result<DeployedMembers> {
    let revisions = record.revisions.iter().flatten().filter_map(|revision| revision.snapshot.as_ref());
    let set = discovery::including_inventory_of(api, set, record.parent.as_ref()).await?;
    let set = set.including_members(revisions.flat_map(Snapshot::objects));
    let is_labelled = |object: &Value| has_set_label(object, &set);
    let (mut observed, forbidden) =
        observed_set::watch_members(api, scopes(&set), streaming, is_labelled).await?;
    let mut unknown = record.forbidden.clone();
    unknown.extend(forbidden.iter().map(|scope| scope.kind.plural));
    let mut existing: BTreeSet<ObjectId> = observed.members.keys().cloned().collect();
    existing.extend(record.secrets.iter().cloned());
    if !has_application(&observed.members, &set) {
        add_labelled(api, &set, &mut observed).await?;
    }
    let installer = installer(&observed.members, &set);
    if installer.is_none() {
        observed.members.retain(|_, object| members::is_member(object, &set));
    }
    unknown.extend(add_extra_dependents(api, &set, &mut observed).await?);
    Ok(DeployedMembers { set, observed, installer, existing, unknown })
}

/// Returns whether an object has the label of the set's members and is not a controller's copy.
fn has_set_label(object: &Value, set: &ApplySet) -> bool {
    object["metadata"]["labels"][PART_OF] == set.id() && has_no_owner(object)
}

fn has_no_owner(object: &Value) -> bool {
    object["metadata"]["ownerReferences"].as_array().is_none_or(Vec::is_empty)
}

fn has_application(members: &Members, set: &ApplySet) -> bool {
    members.iter().any(|(id, object)| id.kind == DEPLOYMENT.kind && labels::is_instance(object, &set.name))
}

/// Returns the scopes of all members except Secrets, which the record has, and of the application's dependents.
fn scopes(set: &ApplySet) -> Vec<WatchScope> {
    let member = set.member_selector();
    let mut scopes = Vec::new();
    for namespace in set.namespaces() {
        let kinds = set.kinds_in(namespace).filter(|kind| *kind != SECRET);
        scopes.extend(kinds.map(|kind| observed_set::scope(kind, namespace, member.clone(), true)));
    }
    let instance = labels::instance_selector(&set.name);
    for kind in [POD, REPLICA_SET, ENDPOINT_SLICE] {
        scopes.push(observed_set::scope(kind, &set.namespace, instance.clone(), true));
    }
    scopes
}

/// Adds the Deployments and claims that carry the set's common labels without its ApplySet label: `handsctl render`
/// prints them so, and a continuous delivery tool applies them.
async fn add_labelled(api: &Api, set: &ApplySet, observed: &mut ObservedSet) -> Result<()> {
    let labels = labels::managed_selector(&set.name);
    let scopes =
        [DEPLOYMENT, CLAIM].map(|kind| observed_set::scope(kind, &set.namespace, labels.clone(), true));
    let (lists, _) = list_all(api, &scopes).await?;
    let base = observed.watches.scopes().len();
    for (index, (scope, items)) in scopes.iter().zip(lists).enumerate() {
        let items: Vec<Value> = items.into_iter().filter(has_no_owner).collect();
        observe::show_list(&mut observed.state, base + index, scope.kind, &items, api.clock().now())?;
        let ids = items.into_iter().filter_map(|item| {
            let id = scope.kind.id(&set.namespace, item["metadata"]["name"].as_str()?);
            Some((id, item))
        });
        observed.members.extend(ids);
    }
    Ok(())
}

/// Returns the manager of a set that handsctl did not apply. A copy beside our own Deployment is no such set.
fn installer(members: &Members, set: &ApplySet) -> Option<String> {
    let mut applications: Vec<(&ObjectId, &Value)> = members
        .iter()
        .filter(|(id, object)| id.kind == DEPLOYMENT.kind && labels::is_instance(object, &set.name))
        .collect();
    applications.sort_by_key(|(id, _)| *id);
    if applications.iter().any(|(_, application)| managed_fields::owns_label(application, PART_OF)) {
        return None;
    }
    let (_, application) = applications.first()?;
    Some(
        foreign_change::installer(application)
            .map_or_else(|| "another tool".to_owned(), |owner| owner.manager),
    )
}

/// Adds the pods and `ReplicaSet`s of the user's own workloads, which do not have the set's labels. Returns the plurals
/// of those that the account may not read.
async fn add_extra_dependents(
    api: &Api,
    set: &ApplySet,
    observed: &mut ObservedSet,
) -> Result<BTreeSet<&'static str>> {
    let workloads = observed.members.iter();
    let workloads = workloads.filter_map(|(id, object)| ExtraWorkload::new(set, id, object));
    let mut scopes: Vec<WatchScope> = Vec::new();
    for scope in workloads.flat_map(|workload| workload.dependents()) {
        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }
    let (lists, forbidden) = list_all(api, &scopes).await?;
    // Numbers that neither a watch nor a list before has.
    let base = observed.watches.scopes().len() + 2;
    for (index, (scope, items)) in scopes.iter().zip(lists).enumerate() {
        observe::show_list(&mut observed.state, base + index, scope.kind, &items, api.clock().now())?;
    }
    Ok(forbidden)
}

/// Lists the scopes concurrently. A scope that the account may not read is empty, and its plural is returned.
async fn list_all(api: &Api, scopes: &[WatchScope]) -> Result<(Vec<Vec<Value>>, BTreeSet<&'static str>)> {
    let requests = scopes.iter().map(|scope| async move {
        let params = ListParams::default().labels(&scope.labels);
        match api.list(&scope.collection(), &params).await {
            Ok(list) => Ok(Ok(list.items)),
            Err(error) if error.code() == Some(403) => Ok(Err(scope.kind.plural)),
            Err(error) => Err(error.into_error(&format!("cannot list {}", scope.kind.plural))),
        }
    });
    let mut forbidden = BTreeSet::new();
    let lists = try_join_all(requests).await?.into_iter().map(|list| {
        list.unwrap_or_else(|plural| {
            forbidden.insert(plural);
            Vec::new()
        })
    });
    let lists = lists.collect();
    Ok((lists, forbidden))
}

/// Reads objects by name: those that lack the set's label. Returns the ones that exist; one that the account may not
/// read counts as existing.
///
/// # Errors
/// Fails if the server is unreachable.
pub async fn read_by_name(
    api: &Api,
    set: &ApplySet,
    ids: &[ObjectId],
) -> Result<BTreeMap<ObjectId, Option<Value>>> {
    let reads = ids.iter().filter_map(|id| {
        let kind = set.kind_of(id)?;
        Some(async move {
            let object = api.get_opt(&kind.collection(id.namespace.as_deref()), &id.name).await;
            (id, object)
        })
    });
    let mut objects = BTreeMap::new();
    let mut results = stream::iter(reads).buffer_unordered(IN_FLIGHT);
    while let Some((id, object)) = results.next().await {
        match object {
            Ok(Some(object)) => {
                objects.insert(id.clone(), Some(object));
            }
            Ok(None) => {}
            Err(ApiError::Status(status)) if status.code == 403 => {
                objects.insert(id.clone(), None);
            }
            Err(error) => return Err(read_error(error, id)),
        }
    }
    Ok(objects)
}

/// Lists the Services and Ingresses of the set's namespace, of whomever. Those that the account may not list are left out:
/// it may not list the set's own either, which is reported.
///
/// # Errors
/// Fails if the server is unreachable.
pub async fn list_routes(api: &Api, set: &ApplySet) -> Result<Vec<(ObjectId, Value)>> {
    let namespace = set.namespace.as_str();
    let scopes = [SERVICE, INGRESS].map(|kind| observed_set::scope(kind, namespace, String::new(), true));
    let (lists, _) = list_all(api, &scopes).await?;
    let objects = scopes.iter().zip(lists).flat_map(|(scope, items)| {
        items.into_iter().filter_map(|mut item| {
            let id = scope.kind.id(namespace, item["metadata"]["name"].as_str()?);
            // A list does not repeat the kind of its items.
            item["kind"] = scope.kind.kind.into();
            Some((id, item))
        })
    });
    Ok(objects.collect())
}

fn read_error(error: ApiError, id: &ObjectId) -> Error {
    error.into_error(&format!("cannot read {id}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::scripted::scripted;

    fn set() -> ApplySet {
        ApplySet { name: "oh".into(), namespace: "n".into(), ..ApplySet::default() }
    }

    /// A Deployment with all labels of the application, which this manager applied.
    fn application(name: &str, manager: &str) -> (ObjectId, Value) {
        let fields = json!({
            "f:metadata": { "f:labels": { format!("f:{PART_OF}"): {} } }, "f:spec": { "f:template": {} } });
        let object = json!({ "metadata": {
            "name": name, "labels": { PART_OF: set().id(), labels::INSTANCE: "oh" },
            "managedFields": [{ "manager": manager, "operation": "Apply", "fieldsV1": fields }],
        } });
        (DEPLOYMENT.id("n", name), object)
    }

    #[test]
    fn installer_of_a_restored_set_is_named() {
        let of = |members: &[(&str, &str)]| {
            let members = members.iter().map(|(name, manager)| application(name, manager)).collect();
            installer(&members, &set())
        };
        assert_eq!(of(&[("oh", "velero-server")]).as_deref(), Some("velero-server"));
        assert_eq!(of(&[("oh", "handsctl")]), None);
        assert_eq!(of(&[("oh", "handsctl"), ("a-copy", "kubectl")]), None, "a copy beside the installation");
        assert_eq!(of(&[]), None);
    }

    #[tokio::test(start_paused = true)]
    async fn forbidden_parts_of_the_record_are_unknown() {
        let (api, mut server) = scripted();
        let set = set();
        let (record, ()) = tokio::join!(read_record(&api, &set), async {
            for _ in 0..4 {
                let exchange = server.next().await;
                if exchange.call.ends_with("/secrets") || exchange.call.ends_with("/leases/handsctl-oh") {
                    let message = "x is forbidden: User \"a\" cannot get resource \"x\" in API group \"\"";
                    exchange.status(403, "Forbidden", message);
                } else if exchange.call.ends_with("/configmaps/handsctl-oh") {
                    exchange.not_found();
                } else {
                    exchange
                        .ok(&json!({ "metadata": { "name": "n" }, "status": { "phase": "Terminating" } }));
                }
            }
        });
        let record = record.unwrap();
        assert_eq!(record.forbidden, BTreeSet::from(["leases", "secrets"]));
        assert!(record.revisions.is_none() && record.lease.is_none() && record.parent.is_none());
        assert_eq!(record.namespace.unwrap()["status"]["phase"], "Terminating");
    }

    #[tokio::test(start_paused = true)]
    async fn object_read_by_name_exists_unless_not_found() {
        let (api, mut server) = scripted();
        let set = set();
        let ids = ["a", "b", "c"].map(|name| CONFIG_MAP.id("n", name));
        let (objects, ()) = tokio::join!(read_by_name(&api, &set, &ids), async {
            for _ in 0..3 {
                let exchange = server.next().await;
                match exchange.call.rsplit('/').next() {
                    Some("a") => exchange.ok(&json!({ "metadata": { "name": "a" } })),
                    Some("b") => exchange.not_found(),
                    _ => exchange.status(403, "Forbidden", "configmaps \"c\" is forbidden"),
                }
            }
        });
        let objects = objects.unwrap();
        let names: Vec<(&str, bool)> =
            objects.iter().map(|(id, object)| (id.name.as_str(), object.is_some())).collect();
        assert_eq!(names, [("a", true), ("c", false)]);
    }
}
