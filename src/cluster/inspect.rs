//! Reads the state of a set for the plan: namespaces, inventory, revisions, and the Secrets that it references.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::try_join_all;
use serde_json::Value;

use super::apply::inventory;
use super::apply::namespaces::{self, NamespaceState};
use super::client::api::{Api, ApiError};
use super::client::discovery;
use crate::catalogue::Id;
use crate::error::Result;
use crate::event::Events;
use crate::object::kind::{KindInfo, SECRET};
use crate::plan::SecretKey;
use crate::plan::checks::secret_refs::{IncompleteSecret, POD_WAITS, SecretRef, SecretUse};
use crate::plan::inventory::app_keys::{self, StoredAppKeys};
use crate::plan::inventory::apply_set::ApplySet;
use crate::plan::inventory::history::History;
use crate::plan::inventory::revision;
use crate::plan::manifests::extra_manifests::ManifestKind;

/// The state of a set in the cluster, without its members.
#[derive(Debug)]
pub struct ClusterState {
    /// The set, with the namespaces and kinds of its parent as well as those of the configuration: members may exist
    /// that the configuration no longer has.
    pub set: ApplySet,
    /// Namespaces of the set.
    pub namespaces: BTreeMap<String, NamespaceState>,
    /// The ApplySet's parent.
    pub parent: Option<Value>,
    /// The key of the set's Secret names.
    pub key: SetKey,
    /// The keys of an application that keeps its settings itself.
    pub app_keys: StoredAppKeys,
    /// The kept revisions.
    pub history: History,
    /// Whether the set's Secrets were listed. If not, its key and its revisions are unknown.
    pub secrets_listed: bool,
    /// The resourceVersion of each readable Secret that the pod reads keys from.
    pub secret_versions: BTreeMap<String, String>,
    /// The names of the Secrets that the pod reads keys from and that this account has no right to get.
    pub unreadable_secrets: BTreeSet<String>,
    /// The Secrets that the pod reads keys from and that lack them, each with its fault.
    pub incomplete_secrets: Vec<IncompleteSecret>,
    /// The discovered kinds of the user's own objects, beyond the built-in kinds.
    pub kinds: Vec<KindInfo>,
}

/// The key of a set's Secret names.
#[derive(Debug)]
pub struct SetKey {
    /// The key.
    pub key: SecretKey,
    /// Whether it is stored in the cluster; false if this run generated it.
    pub stored: bool,
}

/// Whether a command can do without the right to list the set's Secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretRights {
    /// It fails without the right.
    Needed,
    /// It does without the key and the revisions.
    Optional,
}

/// Reads everything that does not depend on the plan, concurrently.
///
/// # Errors
/// Fails if a namespace is being deleted, the parent belongs to another tool, or a key or revision is unreadable.
pub async fn inspect(
    api: &Api,
    set: &ApplySet,
    secret_refs: &[SecretRef],
    kinds: &BTreeSet<ManifestKind>,
    events: &Events,
) -> Result<ClusterState> {
    inspect_with(api, set, secret_refs, kinds, SecretRights::Needed, events).await
}

/// As [`inspect`], with these rights.
///
/// # Errors
/// As [`inspect`].
pub async fn inspect_with(
    api: &Api,
    set: &ApplySet,
    secret_refs: &[SecretRef],
    kinds: &BTreeSet<ManifestKind>,
    rights: SecretRights,
    events: &Events,
) -> Result<ClusterState> {
    let namespaces = async {
        let reads = set.namespaces().into_iter().map(|name| async move {
            namespaces::get(api, name).await.map(|state| (name.to_owned(), state))
        });
        Ok(try_join_all(reads).await?.into_iter().collect())
    };
    let (namespaces, parent, own_secrets, referenced, kinds) = tokio::join!(
        namespaces,
        inventory::get_parent(api, set),
        list_own_secrets(api, set, rights),
        referenced_secrets(api, secret_refs, events),
        discovery::discover(api, kinds)
    );
    let (namespaces, parent, own_secrets, referenced) = (namespaces?, parent?, own_secrets?, referenced?);
    let secrets_listed = own_secrets.is_some();
    let own_secrets = own_secrets.unwrap_or_default();
    let history = History::from_secrets(set, &own_secrets, parent.as_ref());
    warn_of_unusable(set, &history, events).await;
    let mut kinds = kinds?;
    // A rollback may restore objects of kinds that the configuration no longer has.
    kinds.extend(discovery::discover_existing(api, &history.unknown_kinds(&kinds)).await?);
    let (key, stored) = inventory::read_key(set, &own_secrets)?;
    let app_keys = app_keys::stored(set, &own_secrets);
    let set = with_inventory(api, set, parent.as_ref(), &kinds).await?.including_members(history.members());
    Ok(ClusterState {
        set,
        namespaces,
        parent,
        key: SetKey { key, stored },
        app_keys,
        history,
        secrets_listed,
        secret_versions: referenced.versions,
        unreadable_secrets: referenced.unreadable,
        incomplete_secrets: referenced.incomplete,
        kinds,
    })
}

/// Warns of each revision that cannot be read, and of each Secret that only looks like a revision.
async fn warn_of_unusable(set: &ApplySet, history: &History, events: &Events) {
    for foreign in history.foreign() {
        events.warn(Id::ForeignRevision, foreign.warning(set)).await;
    }
    for revision in history.all().iter().filter(|revision| revision.is_unreadable) {
        let (name, number) = (revision::name(set, revision.number), revision.number);
        let message = format!(
            "secret/{name} cannot be read as revision {number}, which cannot be restored; to delete it: kubectl delete secret {name} -n {}",
            set.namespace
        );
        events.warn(Id::RevisionUnreadable, message).await;
    }
}

/// Lists the set's Secrets; `None` if this is forbidden and the rights are optional.
async fn list_own_secrets(api: &Api, set: &ApplySet, rights: SecretRights) -> Result<Option<Vec<Value>>> {
    match inventory::list_own_secrets(api, set).await {
        Err(error) if rights == SecretRights::Optional && error.id() == Id::Forbidden => Ok(None),
        secrets => secrets.map(Some),
    }
}

impl ClusterState {
    /// Warns of each Secret that lacks keys which the pod reads.
    pub async fn warn_of_incomplete_secrets(&self, events: &Events) {
        for IncompleteSecret { fault, .. } in &self.incomplete_secrets {
            events.warn(Id::MissingReference, format!("{fault}; {POD_WAITS}")).await;
        }
    }

    /// Returns the namespaces to create. Unreadable ones are left out; applying into a missing one fails later.
    #[must_use]
    pub fn missing_namespaces(&self) -> Vec<String> {
        let absent = self.namespaces.iter().filter(|(_, state)| **state == NamespaceState::Absent);
        absent.map(|(name, _)| name.clone()).collect()
    }

    /// Reads the parent and the revisions again, because another run may have changed them before this one took the
    /// lock. The parent also lists kinds that the other run added. Returns whether another run has changed them.
    ///
    /// # Errors
    /// As [`inspect`].
    pub async fn refresh(&mut self, api: &Api, events: &Events) -> Result<bool> {
        let (parent, own_secrets) =
            tokio::join!(inventory::get_parent(api, &self.set), inventory::list_own_secrets(api, &self.set));
        let (parent, own_secrets) = (parent?, own_secrets?);
        let history = History::from_secrets(&self.set, &own_secrets, parent.as_ref());
        let has_changed = version_of(parent.as_ref()) != version_of(self.parent.as_ref())
            || !history.is_same_record(&self.history);
        if has_changed {
            self.parent = parent;
            self.history = history;
            warn_of_unusable(&self.set, &self.history, events).await;
            let set = with_inventory(api, &self.set, self.parent.as_ref(), &self.kinds).await?;
            self.set = set.including_members(self.history.members());
        }
        self.app_keys = app_keys::stored(&self.set, &own_secrets);
        let (key, stored) = inventory::read_key(&self.set, &own_secrets)?;
        // Keep the key generated earlier in this run: it is not stored yet, and Secret names already depend on it.
        if stored {
            self.key = SetKey { key, stored };
        }
        Ok(has_changed)
    }
}

/// Returns the `uid` and `resourceVersion` of the parent.
fn version_of(parent: Option<&Value>) -> Option<(&Value, &Value)> {
    parent.map(|parent| (&parent["metadata"]["uid"], &parent["metadata"]["resourceVersion"]))
}

async fn with_inventory(
    api: &Api,
    set: &ApplySet,
    parent: Option<&Value>,
    kinds: &[KindInfo],
) -> Result<ApplySet> {
    let mut set = set.clone();
    set.extra_kinds.extend(kinds);
    discovery::including_inventory_of(api, &set, parent).await
}

/// The Secrets of others that the application reads.
#[derive(Debug, Default)]
struct ReferencedSecrets {
    /// The resourceVersion of each Secret by name.
    versions: BTreeMap<String, String>,
    /// The names of those that this account has no right to get.
    unreadable: BTreeSet<String>,
    /// Those without the keys that the application reads, each with its fault.
    incomplete: Vec<IncompleteSecret>,
}

/// A referenced Secret as far as the plan depends on it.
enum SecretState {
    /// The application reads it, and this is its resourceVersion.
    Version(String),
    /// The application reads it, and this account has no right to get it.
    Unreadable,
    /// It lacks keys that the application reads, and has this resourceVersion if it exists.
    Incomplete(IncompleteSecret, Option<String>),
    /// The application does not read it.
    Irrelevant,
}

/// Reads every Secret that the configuration references, and warns about mistakes that do not stop the pod.
async fn referenced_secrets(
    api: &Api,
    secret_refs: &[SecretRef],
    events: &Events,
) -> Result<ReferencedSecrets> {
    let reads = secret_refs.iter().map(|secret_ref| secret_state(api, secret_ref, events));
    let states = try_join_all(reads).await?;
    let mut referenced = ReferencedSecrets::default();
    for (SecretRef { name, .. }, state) in secret_refs.iter().zip(states) {
        match state {
            SecretState::Incomplete(incomplete, version) => {
                referenced.incomplete.push(incomplete);
                referenced.versions.extend(version.map(|version| (name.clone(), version)));
            }
            SecretState::Version(version) => {
                referenced.versions.insert(name.clone(), version);
            }
            SecretState::Unreadable => {
                referenced.unreadable.insert(name.clone());
            }
            SecretState::Irrelevant => {}
        }
    }
    Ok(referenced)
}

async fn secret_state(api: &Api, secret_ref: &SecretRef, events: &Events) -> Result<SecretState> {
    let SecretRef { namespace, name, used_for } = secret_ref;
    match api.get_opt(&SECRET.in_namespace(namespace), name).await {
        Ok(secret) => {
            let version = secret.as_ref().and_then(|secret| secret["metadata"]["resourceVersion"].as_str());
            let version = version.map(str::to_owned);
            if let Some(incomplete) = secret_ref.incomplete(secret.as_ref()) {
                return Ok(SecretState::Incomplete(incomplete, version));
            }
            if let Some(fault) = secret_ref.fault(secret.as_ref(), api.clock().now()) {
                events.warn(Id::MissingReference, fault).await;
            }
            let version = version.filter(|_| matches!(used_for, SecretUse::Keys(_)));
            Ok(version.map_or(SecretState::Irrelevant, SecretState::Version))
        }
        Err(ApiError::Status(status))
            if status.code == 403 && !status.message.contains("system:anonymous") =>
        {
            let consequence = match used_for {
                SecretUse::Keys(_) => {
                    "a change of it does not restart the pod automatically; handsctl restart does"
                }
                SecretUse::Pull | SecretUse::Certificate { .. } => "its content is not checked",
            };
            let message = format!("secret/{name} cannot be read ({}): {consequence}", status.message);
            events.warn(Id::Forbidden, message).await;
            Ok(match used_for {
                SecretUse::Keys(_) => SecretState::Unreadable,
                SecretUse::Pull | SecretUse::Certificate { .. } => SecretState::Irrelevant,
            })
        }
        Err(error) => Err(error.into_error(&format!("cannot read secret/{name} in namespace {namespace}"))),
    }
}
