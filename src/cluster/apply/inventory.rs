//! What must be there before the first member: namespaces, the set's parent, the key of its secret names.

use serde_json::{Value, json};

use super::namespaces::missing_namespace;
use crate::catalogue::Id;
use crate::cluster::client::api::{Api, ApiError};
use crate::cluster::client::status_error;
use crate::error::{Error, Kind, Result};
use crate::event::{Action, Events, Phase};
use crate::object::kind::{CONFIG_MAP, SECRET};
use crate::object::{ObjectId, labels};
use crate::plan::SecretKey;
use crate::plan::inventory::apply_set::{self, ApplySet};

/// The error for one of these objects that the server refuses: no member of the set has been sent by then.
fn refused(fault: ApiError, action: &str, namespace: &str) -> Error {
    let error = match fault {
        // It could not be looked at before.
        ApiError::Status(status)
            if status.code == 404 && status_error::is_missing_namespace(&status.message) =>
        {
            missing_namespace(namespace)
        }
        fault => fault.into_error(&format!("{action} in namespace {namespace}")),
    };
    error.state("nothing of the set was changed")
}

/// The set's parent as it is now.
///
/// # Errors
/// Exit 7 where the parent belongs to another tool.
pub async fn get_parent(api: &Api, set: &ApplySet) -> Result<Option<Value>> {
    let path = format!("{}/{}", CONFIG_MAP.path(Some(&set.namespace)), set.parent_name());
    let parent = api
        .get_opt(&path)
        .await
        .map_err(|fault| fault.into_error(&format!("cannot read {}", set.parent())))?;
    match &parent {
        Some(parent) => {
            let tooling = parent["metadata"]["annotations"][apply_set::TOOLING].as_str().unwrap_or_default();
            if !apply_set::is_handsctl(tooling) {
                return Err(foreign_parent(set, tooling));
            }
        }
        None => return Ok(None),
    }
    Ok(parent)
}

fn foreign_parent(set: &ApplySet, tooling: &str) -> Error {
    let owner = if tooling.is_empty() { "no tool".to_owned() } else { format!("`{tooling}`") };
    Error::new(
        Id::ForeignSet,
        Kind::Ownership,
        format!(
            "{} in namespace {} is not the parent of a set of handsctl: {owner} made it",
            set.parent(),
            set.namespace
        ),
    )
    .hint("choose another name with --name or [deploy].name")
}

/// What the parent has to name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InventoryScope<'a> {
    /// At least these members, and what it names already: before the first of them is sent, so that a run that is
    /// killed leaves nothing that a later one cannot find.
    Superset(&'a [&'a ObjectId]),
    /// These members and nothing else: after what is no longer planned has been pruned.
    Exact(&'a [&'a ObjectId]),
}

/// The manifest of the parent that names these members.
#[must_use]
pub fn parent_manifest(set: &ApplySet, extent: InventoryScope<'_>, live: Option<&Value>) -> Value {
    let (InventoryScope::Superset(members) | InventoryScope::Exact(members)) = extent;
    let mut kinds = apply_set::group_kinds(members.iter().copied());
    let namespaces = members.iter().filter_map(|id| id.namespace.clone());
    let mut named = set.clone();
    named.additional_namespaces = namespaces.filter(|name| *name != set.namespace).collect();
    if matches!(extent, InventoryScope::Superset(_)) {
        let listed = live.and_then(|live| live["metadata"]["annotations"][apply_set::CONTAINS].as_str());
        kinds.extend(apply_set::split(listed.unwrap_or_default()));
        named = named.including_inventory_of(live);
    }
    named.manifest(&kinds)
}

/// Makes the parent say what it has to, and gives it as it is then. Nothing is sent where it says so already.
///
/// # Errors
/// Where the server refuses, or somebody else changed it meanwhile.
pub async fn apply_parent(
    api: &Api,
    set: &ApplySet,
    extent: InventoryScope<'_>,
    live: Option<Value>,
    events: &Events,
) -> Result<Value> {
    let mut manifest = parent_manifest(set, extent, live.as_ref());
    match live {
        Some(live) if matches(&live, &manifest) => return Ok(live),
        Some(live) => {
            manifest["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"].clone();
        }
        None => manifest["metadata"]["resourceVersion"] = json!("1"),
    }
    let path = format!("{}/{}", CONFIG_MAP.path(Some(&set.namespace)), set.parent_name());
    let answer = api.apply(&path, &manifest).await.map_err(|fault| match fault {
        ApiError::Status(status) if status.code == 409 => Error::new(
            Id::ForeignSet,
            Kind::Ownership,
            format!("{} was changed by somebody else meanwhile", set.parent()),
        )
        .caused_by(status.message.clone())
        .hint("run the command again"),
        fault => refused(fault, &format!("cannot apply {}", set.parent()), &set.namespace),
    })?;
    let action = if answer.status == 201 { Action::Created } else { Action::Configured };
    events.object(Phase::Apply, set.parent(), action, None).await;
    Ok(answer.body)
}

/// Whether the parent has these labels and annotations; what others added to it is theirs.
#[must_use]
pub fn matches(live: &Value, manifest: &Value) -> bool {
    let named = |object: &Value| object["metadata"]["annotations"][apply_set::NAMESPACES].clone();
    named(live) == named(manifest)
        && ["labels", "annotations"].iter().all(|part| {
            let wanted = manifest["metadata"][part].as_object();
            wanted.into_iter().flatten().all(|(key, value)| live["metadata"][part][key] == *value)
        })
}

/// The Secrets of the set that are no members: its key and its revisions. (The Secrets that are members come along.)
///
/// # Errors
/// Where they may not be listed.
pub async fn list_own_secrets(api: &Api, set: &ApplySet) -> Result<Vec<Value>> {
    let labels =
        format!("{}%3D{},app.kubernetes.io/managed-by%3D{}", labels::INSTANCE, set.name, labels::MANAGER);
    let path = format!("{}?labelSelector={labels}", SECRET.path(Some(&set.namespace)));
    let mut answer = api
        .get(&path)
        .await
        .map_err(|fault| fault.into_error(&format!("cannot list secrets in namespace {}", set.namespace)))?;
    Ok(match answer.body["items"].take() {
        Value::Array(items) => items,
        _ => Vec::new(),
    })
}

/// The key of the set's secret names, and whether it is in the cluster already.
///
/// # Errors
/// Where the Secret of that name does not hold a key.
pub fn read_key(set: &ApplySet, own: &[Value]) -> Result<(SecretKey, bool)> {
    use base64::Engine as _;
    let Some(secret) = own.iter().find(|secret| secret["metadata"]["name"] == set.parent_name()) else {
        let mut bytes = vec![0; 32];
        getrandom::fill(&mut bytes)
            .map_err(|error| Error::internal("this computer gives no random numbers").caused_by(error))?;
        return Ok((SecretKey(bytes), false));
    };
    let engine = base64::engine::general_purpose::STANDARD;
    let bytes = secret["data"]["key"].as_str().and_then(|text| engine.decode(text).ok());
    match bytes.filter(|bytes| bytes.len() >= 16) {
        Some(bytes) => Ok((SecretKey(bytes), true)),
        None => Err(foreign_key(set)),
    }
}

fn foreign_key(set: &ApplySet) -> Error {
    let id = SECRET.id(&set.namespace, &set.parent_name());
    Error::new(
        Id::ForeignObject,
        Kind::Ownership,
        format!("{id} in namespace {} was not made by handsctl", set.namespace),
    )
    .hint("choose another name with --name or [deploy].name")
}

/// Stores a new key, create-only.
///
/// # Errors
/// Exit 7 where a Secret of that name exists that is no key of this set: the lock keeps other runs away.
pub async fn create_key(api: &Api, set: &ApplySet, key: &SecretKey, events: &Events) -> Result<()> {
    use base64::Engine as _;
    let id = SECRET.id(&set.namespace, &set.parent_name());
    let manifest = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": set.parent_name(),
            "namespace": set.namespace,
            "labels": labels::of_member(&set.name, labels::Component::App),
            "annotations": { labels::CREATED_BY: apply_set::tooling() },
        },
        "immutable": true,
        "type": "handsctl.dev/key",
        "data": { "key": base64::engine::general_purpose::STANDARD.encode(&key.0) },
    });
    match api.create(&SECRET.path(Some(&set.namespace)), &manifest).await {
        Ok(_) => {
            events.object(Phase::Apply, id, Action::Created, None).await;
            Ok(())
        }
        Err(fault) if fault.code() == Some(409) => Err(foreign_key(set)),
        Err(fault) => Err(refused(fault, &format!("cannot create {id}"), &set.namespace)),
    }
}
