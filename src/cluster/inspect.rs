//! A look at the cluster before anything is planned or changed.

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
use crate::plan::checks::secret_refs::{SecretRef, SecretUse};
use crate::plan::inventory::apply_set::ApplySet;
use crate::plan::inventory::revision::{self, History};
use crate::plan::manifests::extra_manifests::ManifestKind;

/// What was seen.
#[derive(Debug)]
pub struct ClusterState {
    /// Namespaces of the set.
    pub namespaces: BTreeMap<String, NamespaceState>,
    /// The set's parent.
    pub parent: Option<Value>,
    /// The key of the set's secret names, and whether it is stored already.
    pub key: (SecretKey, bool),
    /// What was deployed before.
    pub history: History,
    /// resourceVersion of each referenced Secret that may be read.
    pub secret_versions: BTreeMap<String, String>,
    /// Kinds of the user's own objects that handsctl does not know by itself.
    pub kinds: Vec<KindInfo>,
}

impl ClusterState {
    /// Namespaces that have to be made. Where the account may not look, the server will tell.
    #[must_use]
    pub fn missing_namespaces(&self) -> Vec<String> {
        let absent = self.namespaces.iter().filter(|(_, presence)| **presence == NamespaceState::Absent);
        absent.map(|(name, _)| name.clone()).collect()
    }
}

/// Looks at everything that does not depend on the plan, all at the same time.
///
/// # Errors
/// A namespace that is being deleted, a parent of somebody else's, a key that cannot be read.
pub async fn inspect(
    api: &Api,
    set: &ApplySet,
    wanted: &[SecretRef],
    kinds: &BTreeSet<ManifestKind>,
    events: &Events,
) -> Result<ClusterState> {
    let namespaces = async {
        let looks = set
            .namespaces()
            .into_iter()
            .map(|name| async move { Ok((name.to_owned(), namespaces::get(api, name).await?)) });
        Ok(try_join_all(looks).await?.into_iter().collect())
    };
    let (namespaces, parent, own, secret_versions, kinds) = tokio::join!(
        namespaces,
        inventory::get_parent(api, set),
        inventory::list_own_secrets(api, set),
        versions_of(api, wanted, events),
        discovery::discover(api, kinds)
    );
    let (namespaces, parent, own, secret_versions) = (namespaces?, parent?, own?, secret_versions?);
    let history = History::new(revision::read_all(&own)?);
    let mut kinds = kinds?;
    // What is brought back may be of a kind that the configuration no longer has.
    kinds.extend(discovery::discover_existing(api, &history.unknown_kinds(&kinds)).await?);
    Ok(ClusterState {
        namespaces,
        parent,
        key: inventory::read_key(set, &own)?,
        history,
        secret_versions,
        kinds,
    })
}

impl ClusterState {
    /// Looks again at what another run may have changed before this one took the lock.
    ///
    /// # Errors
    /// As [`survey`].
    pub async fn refresh(&mut self, api: &Api, set: &ApplySet) -> Result<()> {
        let (parent, own) =
            tokio::join!(inventory::get_parent(api, set), inventory::list_own_secrets(api, set));
        let own = own?;
        self.parent = parent?;
        self.history = History::new(revision::read_all(&own)?);
        let (key, stored) = inventory::read_key(set, &own)?;
        // One that was made up before and is stored nowhere is as good as another, and names exist that follow from it.
        if stored {
            self.key = (key, stored);
        }
        Ok(())
    }
}

/// Looks at every Secret that the configuration names, tells what is wrong with it, and gives the resourceVersion of
/// those that the application reads.
async fn versions_of(api: &Api, wanted: &[SecretRef], events: &Events) -> Result<BTreeMap<String, String>> {
    let reads = wanted.iter().map(|wanted| version_of(api, wanted, events));
    Ok(try_join_all(reads).await?.into_iter().flatten().collect())
}

/// Name and resourceVersion; None where it is not there, may not be read, or is nothing that the pod reads.
async fn version_of(api: &Api, wanted: &SecretRef, events: &Events) -> Result<Option<(String, String)>> {
    let SecretRef { namespace, name, used_for: purpose } = wanted;
    let path = format!("{}/{name}", SECRET.path(Some(namespace)));
    match api.get_opt(&path).await {
        Ok(found) => {
            if let Some(fault) = wanted.mistake(found.as_ref()) {
                events.warn(Id::MissingReference, fault).await;
            }
            let version = found.as_ref().and_then(|secret| secret["metadata"]["resourceVersion"].as_str());
            let is_read = matches!(purpose, SecretUse::Keys(_));
            Ok(version.filter(|_| is_read).map(|version| (name.clone(), version.to_owned())))
        }
        Err(ApiError::Status(status))
            if status.code == 403 && !status.message.contains("system:anonymous") =>
        {
            let what = match purpose {
                SecretUse::Keys(_) => {
                    "when it changes the pod is not rolled by itself; handsctl restart does it"
                }
                SecretUse::Pull | SecretUse::Certificate => "whether it is what is needed is not known",
            };
            let message = format!("secret/{name} cannot be read ({}): {what}", status.message);
            events.warn(Id::Forbidden, message).await;
            Ok(None)
        }
        Err(fault) => Err(fault.into_error(&format!("cannot read secret/{name} in namespace {namespace}"))),
    }
}
