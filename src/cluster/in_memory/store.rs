//! The objects of the server, their versions, and every change for its watches.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::time::Instant;

/// The objects of an API server.
pub(super) struct Store {
    /// By the path of their collection and their name.
    objects: BTreeMap<(String, String), Value>,
    changes: Vec<StoredChange>,
    version: u64,
    start: (Timestamp, Instant),
}

/// A change, as a watch reports it.
pub(super) struct StoredChange {
    pub(super) version: u64,
    /// `ADDED`, `MODIFIED`, `DELETED`.
    pub(super) event: &'static str,
    pub(super) collection: String,
    pub(super) object: Value,
}

impl Store {
    pub(super) fn new() -> Self {
        Self {
            objects: BTreeMap::new(),
            changes: Vec::new(),
            version: 1000,
            start: ("2026-01-01T00:00:00Z".parse().unwrap(), Instant::now()),
        }
    }

    /// Returns a copy without the past changes, which no watch of it needs.
    pub(super) fn fork(&self) -> Self {
        let Self { objects, changes: _, version, start } = self;
        Self { objects: objects.clone(), changes: Vec::new(), version: *version, start: *start }
    }

    /// Returns the server's time.
    pub(super) fn now(&self) -> Timestamp {
        self.start.0 + SignedDuration::try_from(self.start.1.elapsed()).unwrap()
    }

    /// Returns the server's time as objects have it.
    pub(super) fn now_text(&self) -> String {
        self.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    /// Returns the resourceVersion of the last change.
    pub(super) const fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn get(&self, collection: &str, name: &str) -> Option<&Value> {
        self.objects.get(&(collection.to_owned(), name.to_owned()))
    }

    /// Returns the objects of a collection with these labels. A collection without a namespace has those of all.
    pub(super) fn list(&self, collection: &str, selector: &str) -> Vec<Value> {
        let objects = self
            .objects
            .iter()
            .filter(|((path, _), object)| is_in(path, collection) && has_labels(object, selector));
        objects.map(|(_, object)| object.clone()).collect()
    }

    /// Returns the changes after this version.
    pub(super) fn changes_since(&self, version: u64) -> &[StoredChange] {
        let first = self.changes.partition_point(|change| change.version <= version);
        &self.changes[first..]
    }

    /// Stores an object. Returns it as it is stored; one that has not changed keeps its version.
    pub(super) fn put(&mut self, collection: &str, object: &Value) -> Value {
        let stored = self.prepared(collection, object);
        let name = stored["metadata"]["name"].as_str().unwrap().to_owned();
        let before = self.objects.get(&(collection.to_owned(), name.clone()));
        let event = if before.is_none() { "ADDED" } else { "MODIFIED" };
        if before != Some(&stored) {
            self.version += 1;
            self.objects.insert((collection.to_owned(), name), stored.clone());
            self.record(event, collection, &stored);
        }
        stored
    }

    /// Returns the object as [`Store::put`] would store it.
    pub(super) fn prepared(&self, collection: &str, object: &Value) -> Value {
        let mut object = object.clone();
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let before = self.get(collection, name);
        let next = self.version + 1;
        if let Some((_, namespace)) = collection.split_once("/namespaces/") {
            object["metadata"]["namespace"] = json!(namespace.split('/').next());
        }
        let (uid, created, generation) = match before {
            Some(before) => {
                let metadata = &before["metadata"];
                let step = i64::from(before["spec"] != object["spec"]);
                let generation = metadata["generation"].as_i64().unwrap_or_default() + step;
                (metadata["uid"].clone(), metadata["creationTimestamp"].clone(), generation)
            }
            None => (json!(format!("u-{next}")), json!(self.now_text()), 1),
        };
        let version =
            before.map_or_else(|| json!(next.to_string()), |it| it["metadata"]["resourceVersion"].clone());
        let metadata = &mut object["metadata"];
        metadata["uid"] = uid;
        metadata["creationTimestamp"] = created;
        metadata["generation"] = json!(generation);
        metadata["resourceVersion"] = version;
        if before.is_some_and(|before| *before != object) {
            object["metadata"]["resourceVersion"] = json!(next.to_string());
        }
        object
    }

    /// Deletes an object and all that it owns.
    pub(super) fn delete(&mut self, collection: &str, name: &str) {
        let Some(mut object) = self.objects.remove(&(collection.to_owned(), name.to_owned())) else { return };
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.record("DELETED", collection, &object);
        let uid = &object["metadata"]["uid"];
        let is_owned = |(_, object): &(&(String, String), &Value)| {
            object["metadata"]["ownerReferences"].as_array().into_iter().flatten().any(|it| it["uid"] == *uid)
        };
        let owned: Vec<(String, String)> =
            self.objects.iter().filter(is_owned).map(|(key, _)| key.clone()).collect();
        for (collection, name) in owned {
            self.delete(&collection, &name);
        }
    }

    fn record(&mut self, event: &'static str, collection: &str, object: &Value) {
        let (collection, object) = (collection.to_owned(), object.clone());
        self.changes.push(StoredChange { version: self.version, event, collection, object });
    }
}

/// Returns whether the collection with this path is the requested one, or belongs to it.
pub(super) fn is_in(path: &str, collection: &str) -> bool {
    if path == collection {
        return true;
    }
    let Some((root, rest)) = path.split_once("/namespaces/") else { return false };
    let plural = rest.split_once('/').map_or("", |(_, plural)| plural);
    collection.strip_prefix(root).is_some_and(|rest| rest.trim_start_matches('/') == plural)
}

/// Returns whether an object has the labels of an equality-based selector; an empty one selects all.
pub(super) fn has_labels(object: &Value, selector: &str) -> bool {
    let labels = &object["metadata"]["labels"];
    selector.split(',').filter(|term| !term.is_empty()).all(|term| match term.split_once('=') {
        Some((name, value)) => labels[name] == value,
        None => !labels[term].is_null(),
    })
}
