//! A store of watched objects, kept up to date, for waits whose condition is a function of the objects.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::watcher::{WatchScope, WatchedChange, Watches};
use crate::cluster::client::api::Api;
use crate::error::{Error, Result};
use crate::object::ObjectId;
use crate::object::kind::KindInfo;

/// The current objects of some scopes. Scopes may overlap: an object is removed once no scope contains it.
pub(crate) struct Store {
    watches: Watches,
    scoped: ScopedObjects,
}

/// The objects, and the scopes that contain each of them.
#[derive(Debug, Default)]
struct ScopedObjects {
    objects: BTreeMap<ObjectId, Value>,
    scopes: BTreeMap<ObjectId, BTreeSet<usize>>,
}

impl Store {
    /// Opens the watches and waits for their initial lists.
    ///
    /// # Errors
    /// Fails if a required watch fails.
    pub(crate) async fn open(api: &Api, scopes: Vec<WatchScope>, streaming: bool) -> Result<Self> {
        let mut watches = Watches::open(api, scopes, streaming);
        let (lists, _) = watches.initial_lists().await?;
        let mut store = Self { watches, scoped: ScopedObjects::default() };
        for (scope, list) in lists.into_iter().enumerate() {
            store.list(scope, list);
        }
        Ok(store)
    }

    /// The objects, by identity.
    pub(crate) fn objects(&self) -> &BTreeMap<ObjectId, Value> {
        &self.scoped.objects
    }

    /// The objects of a kind.
    pub(crate) fn of_kind(&self, kind: KindInfo) -> impl Iterator<Item = (&ObjectId, &Value)> {
        let is_of_kind = move |id: &ObjectId| id.kind == kind.kind && id.group == kind.group;
        self.scoped.objects.iter().filter(move |(id, _)| is_of_kind(id))
    }

    /// Whether the object with this UID exists. A recreated object of the same name has another UID.
    pub(crate) fn has(&self, id: &ObjectId, uid: &Value) -> bool {
        self.scoped.objects.get(id).is_some_and(|object| object["metadata"]["uid"] == *uid)
    }

    /// Waits for the next change, and stores it.
    ///
    /// # Errors
    /// Fails if a watch fails for good.
    pub(crate) async fn wait_for_change(&mut self) -> Result<()> {
        match self.watches.next().await {
            Some(WatchedChange::Listed(scope, objects)) => self.list(scope, objects),
            Some(WatchedChange::Changed(scope, object)) => {
                if let Some(id) = self.id(scope, &object) {
                    self.scoped.show(scope, id, object);
                }
            }
            Some(WatchedChange::Deleted(scope, object)) => {
                if let Some(id) = self.id(scope, &object) {
                    self.scoped.hide(scope, &id);
                }
            }
            Some(WatchedChange::Failed(scope, error)) => {
                let plural = self.watches.scopes()[scope].kind.plural;
                return Err(error.into_error(&format!("cannot continue watching {plural}")));
            }
            None => return Err(Error::internal("all watches ended")),
        }
        Ok(())
    }

    fn list(&mut self, scope: usize, objects: Vec<Value>) {
        let kind = self.watches.scopes()[scope].kind;
        let with_ids = objects.into_iter().filter_map(|object| Some((id(kind, &object)?, object)));
        self.scoped.replace(scope, with_ids.collect());
    }

    fn id(&self, scope: usize, object: &Value) -> Option<ObjectId> {
        id(self.watches.scopes()[scope].kind, object)
    }
}

impl ScopedObjects {
    /// Replaces the objects of a scope: objects that are not in the new list leave it.
    fn replace(&mut self, scope: usize, objects: Vec<(ObjectId, Value)>) {
        let listed: BTreeSet<&ObjectId> = objects.iter().map(|(id, _)| id).collect();
        let shown = self.scopes.iter().filter(|(_, scopes)| scopes.contains(&scope));
        let unlisted: Vec<ObjectId> =
            shown.map(|(id, _)| id).filter(|id| !listed.contains(id)).cloned().collect();
        for id in unlisted {
            self.hide(scope, &id);
        }
        for (id, object) in objects {
            self.show(scope, id, object);
        }
    }

    fn show(&mut self, scope: usize, id: ObjectId, object: Value) {
        self.scopes.entry(id.clone()).or_default().insert(scope);
        self.objects.insert(id, object);
    }

    fn hide(&mut self, scope: usize, id: &ObjectId) {
        let Some(scopes) = self.scopes.get_mut(id) else { return };
        scopes.remove(&scope);
        if scopes.is_empty() {
            self.scopes.remove(id);
            self.objects.remove(id);
        }
    }
}

fn id(kind: KindInfo, object: &Value) -> Option<ObjectId> {
    let metadata = &object["metadata"];
    let namespace = metadata["namespace"].as_str().unwrap_or_default();
    Some(kind.id(namespace, metadata["name"].as_str()?))
}

/// The scope of all objects of a kind, in one namespace or in the cluster.
pub(crate) fn all_of(kind: KindInfo, namespace: Option<&str>) -> WatchScope {
    WatchScope { kind, namespace: namespace.map(str::to_owned), labels: String::new(), optional: false }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::kind::DEPLOYMENT;
    use serde_json::json;

    fn object(namespace: &str, name: &str) -> (ObjectId, Value) {
        let object = json!({ "metadata": { "namespace": namespace, "name": name } });
        (id(DEPLOYMENT, &object).unwrap(), object)
    }

    fn names(scoped: &ScopedObjects) -> Vec<String> {
        scoped.objects.keys().map(|id| format!("{}/{}", id.namespace.as_deref().unwrap(), id.name)).collect()
    }

    #[test]
    fn list_of_one_namespace_keeps_objects_of_others() {
        let mut scoped = ScopedObjects::default();
        scoped.replace(0, vec![object("a", "app")]);
        scoped.replace(1, vec![object("b", "extra")]);
        assert_eq!(names(&scoped), ["a/app", "b/extra"]);
        scoped.replace(1, Vec::new());
        assert_eq!(names(&scoped), ["a/app"]);
    }

    #[test]
    fn object_of_two_scopes_is_removed_with_the_last() {
        let mut scoped = ScopedObjects::default();
        let (id, value) = object("a", "app");
        scoped.show(0, id.clone(), value.clone());
        scoped.show(1, id.clone(), value);
        scoped.hide(0, &id);
        assert_eq!(names(&scoped), ["a/app"]);
        scoped.hide(1, &id);
        assert!(names(&scoped).is_empty());
    }
}
