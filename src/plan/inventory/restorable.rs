//! Which members of a revision may be restored: a revision can contain no object that a plan could not. Pure.
//!
//! Whoever can read the set's key can forge a revision. These rules limit it to the set.

use std::collections::BTreeSet;

use serde_json::Value;

use super::apply_set::ApplySet;
use super::members::Members;
use crate::object::kind::{CONFIG_MAP, KindInfo, LEASE, SECRET};
use crate::object::{ObjectId, labels};

/// The set as a rollback finds it.
#[derive(Debug, Clone, Copy)]
pub struct RestoreTarget<'a> {
    /// The set, with the kinds that API discovery found.
    pub set: &'a ApplySet,
    /// The set as the configuration describes it. What the parent lists is no right to write to a namespace.
    pub configured: &'a ApplySet,
    /// The set's live members. Only handsctl creates them.
    pub live: &'a Members,
}

impl RestoreTarget<'_> {
    /// Returns why a plan of this set cannot contain the object; `None` if it can.
    pub(super) fn rejection(&self, id: &ObjectId, kind: KindInfo, manifest: &Value) -> Option<String> {
        if !kind.namespaced {
            return Some("it is cluster-scoped".to_owned());
        }
        let Some(namespace) = id.namespace.as_deref() else { return Some("it has no namespace".to_owned()) };
        if !self.namespaces().contains(namespace) {
            return Some(format!("the installation has no members in namespace {namespace}"));
        }
        let is_record = [CONFIG_MAP, SECRET, LEASE].contains(&kind) && id.name == self.set.parent_name();
        if is_record {
            return Some("it is a record of handsctl".to_owned());
        }
        if kind == SECRET && !self.is_own_secret(id, manifest) {
            return Some("it is not a Secret that handsctl names after its content".to_owned());
        }
        (!labels::is_marked(manifest)).then(|| "it does not have the labels of a member".to_owned())
    }

    /// The configured namespaces, and those of an earlier configuration whose members still exist.
    fn namespaces(&self) -> BTreeSet<&str> {
        let live = self.live.keys().filter_map(|id| id.namespace.as_deref());
        self.configured.namespaces().into_iter().chain(live).collect()
    }

    fn is_own_secret(&self, id: &ObjectId, manifest: &Value) -> bool {
        id.name.starts_with(&format!("{}-env-", self.set.name)) && manifest["stringData"].is_null()
    }
}
