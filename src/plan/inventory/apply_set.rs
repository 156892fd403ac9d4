//! The set's identity and membership, as kubectl defines ApplySets
//! (KEP-3659 and kubectl's `pkg/cmd/apply/applyset.go`).

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::object::ObjectId;
use crate::object::kind::{self, CONFIG_MAP, KindInfo};
use crate::object::labels::MANAGER;

/// The members' label with the set's id.
pub const PART_OF: &str = "applyset.kubernetes.io/part-of";
/// The parent's label with the set's id.
pub const ID: &str = "applyset.kubernetes.io/id";
/// The parent's annotation with the tool that manages the set: `handsctl/v0.1.0`.
pub const TOOLING: &str = "applyset.kubernetes.io/tooling";
/// The parent's annotation with the kinds of the members.
pub const CONTAINS: &str = "applyset.kubernetes.io/contains-group-kinds";
/// The parent's annotation with the members' namespaces, except its own.
pub const NAMESPACES: &str = "applyset.kubernetes.io/additional-namespaces";
/// The parent's annotation with the fingerprint of the set's key. An account that may create Secrets, but not
/// ConfigMaps, cannot give the set a key of its own.
pub const KEY: &str = "handsctl.dev/key";

/// The parent's name, before the set's name.
const PARENT_PREFIX: &str = "handsctl-";

/// A set, identified by the name and namespace of its parent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ApplySet {
    /// The set's name, `[deploy].name`.
    pub name: String,
    /// The parent's namespace, which is the application's.
    pub namespace: String,
    /// The members' namespaces, except the parent's.
    pub additional_namespaces: BTreeSet<String>,
    /// The members' kinds, except those that every set can have.
    pub extra_kinds: BTreeSet<KindInfo>,
    /// The kinds that every other set has members of, and this one has not, now or in its inventory.
    pub unused_kinds: BTreeSet<KindInfo>,
    /// The kinds of members outside of the parent's namespace that other sets have only inside of it, each with its
    /// namespace: those of extra manifests.
    pub kinds_elsewhere: BTreeSet<(String, KindInfo)>,
    /// The fingerprint of the set's key, once a run writes the parent.
    pub key_fingerprint: Option<String>,
}

impl ApplySet {
    /// Returns the name of the parent ConfigMap, of the Secret with the set's key, and of the lock's Lease.
    #[must_use]
    pub fn parent_name(&self) -> String {
        format!("{PARENT_PREFIX}{}", self.name)
    }

    /// Returns the parent's identity.
    #[must_use]
    pub fn parent(&self) -> ObjectId {
        CONFIG_MAP.id(&self.namespace, &self.parent_name())
    }

    /// Returns the set's id, a hash of the parent's identity:
    /// `applyset-<base64url(sha256("name.namespace.kind.group"))>-v1`.
    #[must_use]
    pub fn id(&self) -> String {
        let hash = Sha256::digest(format!("{}.{}.ConfigMap.", self.parent_name(), self.namespace));
        format!("applyset-{}-v1", URL_SAFE_NO_PAD.encode(hash))
    }

    /// Returns the label selector of the members.
    #[must_use]
    pub fn member_selector(&self) -> String {
        format!("{PART_OF}={}", self.id())
    }

    /// The label selector of the objects that are not members.
    #[must_use]
    pub fn foreign_selector(&self) -> String {
        format!("{PART_OF}!={}", self.id())
    }

    /// Adds the namespaces and optional kinds that the live parent lists, because members that are no longer configured
    /// may be there.
    #[must_use]
    pub fn including_inventory_of(&self, parent: Option<&Value>) -> Self {
        let listed = |annotation: &str| {
            let value = parent.and_then(|parent| parent["metadata"]["annotations"][annotation].as_str());
            split(value.unwrap_or_default())
        };
        let mut set = self.clone();
        set.additional_namespaces.extend(listed(NAMESPACES));
        let kinds = listed(CONTAINS);
        set.unused_kinds.retain(|kind| !kinds.contains(&kind.group_kind()));
        set.extra_kinds
            .extend(kind::OPTIONAL_MEMBERS.iter().filter(|kind| kinds.contains(&kind.group_kind())));
        set
    }

    /// Returns the set with the kinds of these members in their namespaces.
    #[must_use]
    pub fn including_members(mut self, members: impl IntoIterator<Item = ObjectId>) -> Self {
        for id in members {
            let kind = KindInfo::for_id(&id);
            if let (Some(namespace), Some(kind)) = (id.namespace, kind)
                && namespace != self.namespace
            {
                self.kinds_elsewhere.insert((namespace, kind));
            }
        }
        self
    }

    /// Returns the kinds that the parent lists but the set does not have, as kind and group; the core group is empty.
    #[must_use]
    pub fn unknown_kinds_of(&self, parent: Option<&Value>) -> Vec<(String, String)> {
        let listed = parent.and_then(|parent| parent["metadata"]["annotations"][CONTAINS].as_str());
        let own_kinds: BTreeSet<String> = self.kinds().map(|kind| kind.group_kind()).collect();
        let unknown =
            split(listed.unwrap_or_default()).into_iter().filter(|listed| !own_kinds.contains(listed));
        unknown
            .map(|listed| {
                let (kind, group) = listed.split_once('.').unwrap_or((&listed, ""));
                (kind.to_owned(), group.to_owned())
            })
            .collect()
    }

    /// Returns the kind of an object that can be a member.
    #[must_use]
    pub fn kind_of(&self, id: &ObjectId) -> Option<KindInfo> {
        let extra = self.extra_kinds.iter().copied();
        KindInfo::for_id(id)
            .or_else(|| extra.into_iter().find(|kind| kind.group == id.group && kind.kind == id.kind))
    }

    /// Returns all kinds that a member can have.
    pub fn kinds(&self) -> impl Iterator<Item = KindInfo> {
        kind::MEMBERS.iter().chain(&self.extra_kinds).copied()
    }

    /// Returns the kinds whose members are listed: all but the unused ones.
    pub fn used_kinds(&self) -> impl Iterator<Item = KindInfo> {
        self.kinds().filter(|kind| !self.unused_kinds.contains(kind))
    }

    /// Returns all kinds that a member in a namespace can have, except the unused ones.
    pub fn kinds_in<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = KindInfo> + 'a {
        let is_own = namespace == self.namespace;
        self.used_kinds().filter(move |kind| {
            is_own
                || kind::SANDBOX_NAMESPACE_MEMBERS.contains(kind)
                || !kind::MEMBERS.contains(kind)
                || self.kinds_elsewhere.iter().any(|(place, other)| place == namespace && other == kind)
        })
    }

    /// Returns all namespaces with members, the parent's first.
    #[must_use]
    pub fn namespaces(&self) -> Vec<&str> {
        let others = self.additional_namespaces.iter().map(String::as_str);
        std::iter::once(self.namespace.as_str()).chain(others).collect()
    }

    /// Builds the parent's manifest for members of these kinds.
    #[must_use]
    pub fn manifest(&self, group_kinds: &BTreeSet<String>) -> Value {
        let mut annotations = json!({
            TOOLING: tooling(),
            CONTAINS: join(group_kinds),
        });
        if !self.additional_namespaces.is_empty() {
            annotations[NAMESPACES] = json!(join(&self.additional_namespaces));
        }
        if let Some(fingerprint) = &self.key_fingerprint {
            annotations[KEY] = json!(fingerprint);
        }
        json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": self.parent_name(),
                "namespace": self.namespace,
                "labels": { ID: self.id() },
                "annotations": annotations,
            },
        })
    }
}

/// The members whose kinds and namespaces the parent has to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InventoryScope<'a> {
    /// These members, and everything that the parent already lists. Written before the first member is sent, so that a
    /// later run finds all members of a run that was killed.
    Superset(&'a [&'a ObjectId]),
    /// Only these members. Written after the prune.
    Exact(&'a [&'a ObjectId]),
}

impl ApplySet {
    /// Builds the parent's manifest for these members.
    #[must_use]
    pub fn parent_manifest(&self, scope: InventoryScope<'_>, live: Option<&Value>) -> Value {
        let (InventoryScope::Superset(members) | InventoryScope::Exact(members)) = scope;
        let mut kinds = group_kinds(members.iter().copied());
        let namespaces = members.iter().filter_map(|id| id.namespace.clone());
        let mut set = self.clone();
        set.additional_namespaces = namespaces.filter(|name| *name != self.namespace).collect();
        if matches!(scope, InventoryScope::Superset(_)) {
            let listed = live.and_then(|live| live["metadata"]["annotations"][CONTAINS].as_str());
            kinds.extend(split(listed.unwrap_or_default()));
            set = set.including_inventory_of(live);
        }
        set.manifest(&kinds)
    }
}

/// Returns whether a live parent has the labels and annotations of a manifest. Other labels and annotations of the live
/// parent are ignored, except its list of namespaces.
#[must_use]
pub fn parent_matches(live: &Value, manifest: &Value) -> bool {
    let listed_namespaces = |object: &Value| object["metadata"]["annotations"][NAMESPACES].clone();
    listed_namespaces(live) == listed_namespaces(manifest)
        && ["labels", "annotations"].iter().all(|part| {
            let expected = manifest["metadata"][part].as_object();
            expected.into_iter().flatten().all(|(key, value)| live["metadata"][part][key] == *value)
        })
}

/// Returns whether two versions of a parent are the same object with the same inventory, so that only other tools'
/// labels and annotations differ.
#[must_use]
pub fn is_same_inventory(one: &Value, other: &Value) -> bool {
    let inventory = |parent: &Value| {
        let metadata = &parent["metadata"];
        let annotations = [TOOLING, CONTAINS, NAMESPACES].map(|name| metadata["annotations"][name].clone());
        (
            metadata["uid"].clone(),
            metadata["labels"][ID].clone(),
            annotations,
            metadata["deletionTimestamp"].clone(),
        )
    };
    inventory(one) == inventory(other)
}

/// Returns the value of the tooling annotation: `handsctl/v0.1.0`.
#[must_use]
pub fn tooling() -> String {
    format!("{MANAGER}/v{}", env!("CARGO_PKG_VERSION"))
}

/// Returns the name of the set whose parent has this name; None if no set's parent has it.
#[must_use]
pub fn name_of_parent(parent: &str) -> Option<&str> {
    parent.strip_prefix(PARENT_PREFIX).filter(|name| !name.is_empty())
}

/// Returns whether a tooling annotation names handsctl, in any version.
#[must_use]
pub fn is_handsctl(tooling: &str) -> bool {
    tooling.split('/').next() == Some(MANAGER)
}

/// Returns the kinds of these members.
#[must_use]
pub fn group_kinds<'a>(members: impl IntoIterator<Item = &'a ObjectId>) -> BTreeSet<String> {
    members.into_iter().map(ObjectId::group_kind).collect()
}

/// Parses the comma-separated list in an annotation.
#[must_use]
pub fn split(value: &str) -> BTreeSet<String> {
    value.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

fn join(values: &BTreeSet<String>) -> String {
    values.iter().map(String::as_str).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set() -> ApplySet {
        ApplySet {
            name: "openhands".into(),
            namespace: "hands".into(),
            additional_namespaces: BTreeSet::from(["boxes".to_owned()]),
            extra_kinds: BTreeSet::new(),
            unused_kinds: BTreeSet::new(),
            kinds_elsewhere: BTreeSet::new(),
            key_fingerprint: None,
        }
    }

    #[test]
    fn id_equals_the_hash_of_kubectl() {
        // printf 'handsctl-openhands.hands.ConfigMap.' | sha256sum | xxd -r -p | basenc --base64url
        assert_eq!(set().id(), "applyset-h4Mtk9-tloCbFMmrh5032o2EB5WaKgLp7VCcl3ckAvs-v1");
    }

    #[test]
    fn parent_lists_sorted_kinds_and_namespaces() {
        let kinds = BTreeSet::from(["Service".to_owned(), "Deployment.apps".to_owned()]);
        let manifest = set().manifest(&kinds);
        let annotations = &manifest["metadata"]["annotations"];
        assert_eq!(annotations[CONTAINS], "Deployment.apps,Service");
        assert_eq!(annotations[NAMESPACES], "boxes");
        assert_eq!(split("Deployment.apps,Service"), kinds);
    }

    #[test]
    fn including_inventory_adds_listed_kinds_and_namespaces() {
        let parent = set().manifest(&BTreeSet::from(["ResourceQuota".to_owned(), "Service".to_owned()]));
        let own = ApplySet { additional_namespaces: BTreeSet::new(), ..set() };
        assert!(!own.kinds().any(|kind| kind == kind::RESOURCE_QUOTA));
        let extended = own.including_inventory_of(Some(&parent));
        assert_eq!(extended.namespaces(), ["hands", "boxes"]);
        assert!(extended.kinds_in("boxes").any(|kind| kind == kind::RESOURCE_QUOTA));
        assert!(!extended.kinds_in("boxes").any(|kind| kind == kind::DEPLOYMENT));
        assert!(extended.kinds_in("hands").any(|kind| kind == kind::DEPLOYMENT));
        let with_extra = extended.including_members([kind::DEPLOYMENT.id("boxes", "proxy")]);
        assert!(with_extra.kinds_in("boxes").any(|kind| kind == kind::DEPLOYMENT));
        assert!(!with_extra.kinds_in("boxes").any(|kind| kind == kind::SERVICE));
    }

    #[test]
    fn unused_kind_is_listed_while_the_inventory_has_it() {
        let own = ApplySet { unused_kinds: BTreeSet::from([kind::ROLE]), ..set() };
        let lists_roles = |set: &ApplySet| {
            (
                set.kinds_in("hands").any(|kind| kind == kind::ROLE),
                set.used_kinds().any(|kind| kind == kind::ROLE),
            )
        };
        assert_eq!(lists_roles(&own), (false, false));
        let parent = set().manifest(&BTreeSet::from(["Role.rbac.authorization.k8s.io".to_owned()]));
        assert_eq!(lists_roles(&own.including_inventory_of(Some(&parent))), (true, true));
    }

    #[test]
    fn is_handsctl_rejects_other_tools() {
        assert!(is_handsctl(&tooling()));
        assert!(!is_handsctl("kubectl/v1.34.4"));
        assert!(!is_handsctl("handsctlx/v1"));
    }
}
