//! Membership of the set, as kubectl defines ApplySets
//! (KEP-3659 and kubectl's `pkg/cmd/apply/applyset.go`).

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::object::ObjectId;
use crate::object::kind::{self, CONFIG_MAP, KindInfo};
use crate::object::labels::MANAGER;

/// The label of members; its value is the set's id.
pub const PART_OF: &str = "applyset.kubernetes.io/part-of";
/// The label of the parent; its value is the set's id.
pub const ID: &str = "applyset.kubernetes.io/id";
/// The annotation of the parent that says whose set it is: `handsctl/v0.1.0`.
pub const TOOLING: &str = "applyset.kubernetes.io/tooling";
/// The annotation of the parent that lists the kinds of the members.
pub const CONTAINS: &str = "applyset.kubernetes.io/contains-group-kinds";
/// The annotation of the parent that lists the members' namespaces beside its own.
pub const NAMESPACES: &str = "applyset.kubernetes.io/additional-namespaces";

/// A set: where its parent is, and so its id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ApplySet {
    /// The set's name, `[deploy].name`.
    pub name: String,
    /// The parent's namespace, which is the application's.
    pub namespace: String,
    /// Namespaces of members beside the parent's.
    pub additional_namespaces: BTreeSet<String>,
    /// Kinds of members beside those that every set can have.
    pub extra_kinds: BTreeSet<KindInfo>,
}

impl ApplySet {
    /// Name of the parent ConfigMap, and of the Secret that holds the set's key.
    #[must_use]
    pub fn parent_name(&self) -> String {
        format!("handsctl-{}", self.name)
    }

    /// Identity of the parent.
    #[must_use]
    pub fn parent(&self) -> ObjectId {
        CONFIG_MAP.id(&self.namespace, &self.parent_name())
    }

    /// `applyset-<base64url(sha256("name.namespace.kind.group"))>-v1`.
    #[must_use]
    pub fn id(&self) -> String {
        let hash = Sha256::digest(format!("{}.{}.ConfigMap.", self.parent_name(), self.namespace));
        format!("applyset-{}-v1", URL_SAFE_NO_PAD.encode(hash))
    }

    /// The label selector of the members.
    #[must_use]
    pub fn member_selector(&self) -> String {
        format!("{PART_OF}={}", self.id())
    }

    /// The same set with the namespaces and kinds that its parent in the cluster names, too: where members may be
    /// that the configuration no longer knows of.
    #[must_use]
    pub fn including_inventory_of(&self, parent: Option<&Value>) -> Self {
        let listed = |annotation: &str| {
            let value = parent.and_then(|parent| parent["metadata"]["annotations"][annotation].as_str());
            split(value.unwrap_or_default())
        };
        let mut set = self.clone();
        set.additional_namespaces.extend(listed(NAMESPACES));
        let kinds = listed(CONTAINS);
        set.extra_kinds.extend(kind::FURTHER.iter().filter(|kind| kinds.contains(&kind.group_kind())));
        set
    }

    /// Kinds that the parent names and that nobody knows: kind and group, which is empty for the core group.
    #[must_use]
    pub fn unknown_kinds_of(&self, parent: Option<&Value>) -> Vec<(String, String)> {
        let listed = parent.and_then(|parent| parent["metadata"]["annotations"][CONTAINS].as_str());
        let known: BTreeSet<String> = self.kinds().map(|kind| kind.group_kind()).collect();
        let unknown = split(listed.unwrap_or_default()).into_iter().filter(|listed| !known.contains(listed));
        unknown
            .map(|listed| {
                let (kind, group) = listed.split_once('.').unwrap_or((&listed, ""));
                (kind.to_owned(), group.to_owned())
            })
            .collect()
    }

    /// The kind of an object that can be a member.
    #[must_use]
    pub fn kind_of(&self, id: &ObjectId) -> Option<KindInfo> {
        let further = self.extra_kinds.iter().copied();
        KindInfo::of_id(id)
            .or_else(|| further.into_iter().find(|kind| kind.group == id.group && kind.kind == id.kind))
    }

    /// Every kind that a member can have.
    pub fn kinds(&self) -> impl Iterator<Item = KindInfo> {
        kind::MEMBERS.iter().chain(&self.extra_kinds).copied()
    }

    /// Every kind that a member in this namespace can have.
    pub fn kinds_in(&self, namespace: &str) -> impl Iterator<Item = KindInfo> {
        let is_own = namespace == self.namespace;
        self.kinds().filter(move |kind| {
            is_own || kind::BESIDE_SANDBOXES.contains(kind) || !kind::MEMBERS.contains(kind)
        })
    }

    /// All namespaces with members, the parent's first.
    #[must_use]
    pub fn namespaces(&self) -> Vec<&str> {
        let others = self.additional_namespaces.iter().map(String::as_str);
        std::iter::once(self.namespace.as_str()).chain(others).collect()
    }

    /// The parent's manifest for members of these kinds.
    #[must_use]
    pub fn manifest(&self, group_kinds: &BTreeSet<String>) -> Value {
        let mut annotations = json!({
            TOOLING: tooling(),
            CONTAINS: join(group_kinds),
        });
        if !self.additional_namespaces.is_empty() {
            annotations[NAMESPACES] = json!(join(&self.additional_namespaces));
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

/// Which members the parent has to name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InventoryScope<'a> {
    /// These members, and those that the parent names already. Written before the first member is sent, so that a run
    /// that is killed leaves nothing that a later one cannot find.
    Superset(&'a [&'a ObjectId]),
    /// These members and no others. Written after members that are no longer planned have been pruned.
    Exact(&'a [&'a ObjectId]),
}

impl ApplySet {
    /// The manifest of the parent that names these members.
    #[must_use]
    pub fn parent_manifest(&self, scope: InventoryScope<'_>, live: Option<&Value>) -> Value {
        let (InventoryScope::Superset(members) | InventoryScope::Exact(members)) = scope;
        let mut kinds = group_kinds(members.iter().copied());
        let namespaces = members.iter().filter_map(|id| id.namespace.clone());
        let mut named = self.clone();
        named.additional_namespaces = namespaces.filter(|name| *name != self.namespace).collect();
        if matches!(scope, InventoryScope::Superset(_)) {
            let listed = live.and_then(|live| live["metadata"]["annotations"][CONTAINS].as_str());
            kinds.extend(split(listed.unwrap_or_default()));
            named = named.including_inventory_of(live);
        }
        named.manifest(&kinds)
    }
}

/// Whether a live parent has the labels and annotations of this manifest. What others added to it is not compared.
#[must_use]
pub fn parent_matches(live: &Value, manifest: &Value) -> bool {
    let named = |object: &Value| object["metadata"]["annotations"][NAMESPACES].clone();
    named(live) == named(manifest)
        && ["labels", "annotations"].iter().all(|part| {
            let wanted = manifest["metadata"][part].as_object();
            wanted.into_iter().flatten().all(|(key, value)| live["metadata"][part][key] == *value)
        })
}

/// Whose sets these are, and by which version: `handsctl/v0.1.0`.
#[must_use]
pub fn tooling() -> String {
    format!("{MANAGER}/v{}", env!("CARGO_PKG_VERSION"))
}

/// Whether the parent's tooling annotation is of handsctl, of whatever version.
#[must_use]
pub fn is_handsctl(tooling: &str) -> bool {
    tooling.split('/').next() == Some(MANAGER)
}

/// The kinds of these members.
#[must_use]
pub fn group_kinds<'a>(members: impl IntoIterator<Item = &'a ObjectId>) -> BTreeSet<String> {
    members.into_iter().map(ObjectId::group_kind).collect()
}

/// The list in an annotation's value.
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
        }
    }

    #[test]
    fn the_id_is_the_hash_that_kubectl_computes() {
        // printf 'handsctl-openhands.hands.ConfigMap.' | sha256sum | xxd -r -p | basenc --base64url
        assert_eq!(set().id(), "applyset-h4Mtk9-tloCbFMmrh5032o2EB5WaKgLp7VCcl3ckAvs-v1");
    }

    #[test]
    fn the_parent_lists_kinds_and_namespaces_in_order() {
        let kinds = BTreeSet::from(["Service".to_owned(), "Deployment.apps".to_owned()]);
        let manifest = set().manifest(&kinds);
        let annotations = &manifest["metadata"]["annotations"];
        assert_eq!(annotations[CONTAINS], "Deployment.apps,Service");
        assert_eq!(annotations[NAMESPACES], "boxes");
        assert_eq!(split("Deployment.apps,Service"), kinds);
    }

    #[test]
    fn what_the_parent_names_is_looked_for() {
        let parent = set().manifest(&BTreeSet::from(["ResourceQuota".to_owned(), "Service".to_owned()]));
        let own = ApplySet { additional_namespaces: BTreeSet::new(), ..set() };
        assert!(!own.kinds().any(|kind| kind == kind::RESOURCE_QUOTA));
        let found = own.including_inventory_of(Some(&parent));
        assert_eq!(found.namespaces(), ["hands", "boxes"]);
        assert!(found.kinds_in("boxes").any(|kind| kind == kind::RESOURCE_QUOTA));
        assert!(!found.kinds_in("boxes").any(|kind| kind == kind::DEPLOYMENT));
        assert!(found.kinds_in("hands").any(|kind| kind == kind::DEPLOYMENT));
    }

    #[test]
    fn another_tool_is_not_us() {
        assert!(is_handsctl(&tooling()));
        assert!(!is_handsctl("kubectl/v1.34.4"));
        assert!(!is_handsctl("handsctlx/v1"));
    }
}
