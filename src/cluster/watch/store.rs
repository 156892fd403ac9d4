//! What watches show, kept up to date: for waits whose condition is a look at the objects.

use std::collections::BTreeMap;

use serde_json::Value;

use super::watcher::{WatchScope, WatchedChange, Watches};
use crate::cluster::client::api::Api;
use crate::error::{Error, Result};
use crate::object::ObjectId;
use crate::object::kind::KindInfo;

/// The objects of some scopes as they are now. No two scopes of a view have the same kind.
pub(crate) struct Store {
    watches: Watches,
    objects: BTreeMap<ObjectId, Value>,
}

impl Store {
    /// Opens the watches and waits until each has shown what is there.
    ///
    /// # Errors
    /// Where one cannot be had.
    pub(crate) async fn open(api: &Api, scopes: Vec<WatchScope>, streaming: bool) -> Result<Self> {
        let mut watches = Watches::open(api, scopes, streaming);
        let (lists, _) = watches.initial_lists().await?;
        let mut view = Self { watches, objects: BTreeMap::new() };
        for (index, list) in lists.into_iter().enumerate() {
            for object in list {
                view.put(index, object);
            }
        }
        Ok(view)
    }

    /// The objects, by identity.
    pub(crate) fn objects(&self) -> &BTreeMap<ObjectId, Value> {
        &self.objects
    }

    /// The objects of a kind.
    pub(crate) fn of_kind(&self, kind: KindInfo) -> impl Iterator<Item = &Value> {
        self.objects.iter().filter(move |(id, _)| id.kind == kind.kind).map(|(_, object)| object)
    }

    /// Waits until something has changed.
    ///
    /// # Errors
    /// Where a watch cannot be had any more.
    pub(crate) async fn wait_for_change(&mut self) -> Result<()> {
        match self.watches.next().await {
            Some(WatchedChange::Listed(index, objects)) => {
                let kind = self.watches.scopes()[index].kind.kind;
                self.objects.retain(|id, _| id.kind != kind);
                for object in objects {
                    self.put(index, object);
                }
            }
            Some(WatchedChange::Changed(index, object)) => self.put(index, object),
            Some(WatchedChange::Gone(index, object)) => {
                if let Some(id) = self.id(index, &object) {
                    self.objects.remove(&id);
                }
            }
            Some(WatchedChange::Failed(index, fault)) => {
                let plural = self.watches.scopes()[index].kind.plural;
                return Err(fault.into_error(&format!("cannot watch {plural}")));
            }
            None => return Err(Error::internal("all watches ended")),
        }
        Ok(())
    }

    fn put(&mut self, index: usize, object: Value) {
        if let Some(id) = self.id(index, &object) {
            self.objects.insert(id, object);
        }
    }

    fn id(&self, index: usize, object: &Value) -> Option<ObjectId> {
        let metadata = &object["metadata"];
        let namespace = metadata["namespace"].as_str().unwrap_or_default();
        Some(self.watches.scopes()[index].kind.id(namespace, metadata["name"].as_str()?))
    }
}

/// Everything of a kind, in one namespace or in the cluster.
pub(crate) fn all_of(kind: KindInfo, namespace: Option<&str>) -> WatchScope {
    WatchScope { kind, namespace: namespace.map(str::to_owned), labels: String::new(), optional: false }
}
