//! The members of a revision, as they are stored and restored.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::apply_set::ApplySet;
use super::provenance::Provenance;
use super::restorable::RestoreTarget;
use crate::object::ObjectId;
use crate::object::kind::{CLAIM, SECRET};
use crate::object::labels;
use crate::plan::desired::{Member, Plan, PlanOrigin, extra_kinds};

/// JSON pointer to the requested size of a claim.
const CLAIM_SIZE: &str = "/spec/resources/requests/storage";
/// The note of a rollback's revision, followed by the number of the restored revision.
const ROLLBACK: &str = "rollback to ";

/// Returns the note of a revision that restores revision `number`.
#[must_use]
pub fn rollback_to(number: u64) -> String {
    format!("{ROLLBACK}{number}")
}

/// The members of a revision. Secrets have no data; the hash in a Secret's name identifies its content.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The manifests, in the order in which they are sent.
    pub members: Vec<Value>,
    /// `rollback to 3` for a rollback; empty for a deploy.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// Who started the run that recorded it, and why; empty in revisions of earlier versions.
    #[serde(default, skip_serializing_if = "Provenance::is_empty")]
    pub provenance: Provenance,
}

impl Snapshot {
    /// Builds the snapshot of a plan.
    #[must_use]
    pub fn from_plan(plan: &Plan) -> Self {
        let note = match plan.origin {
            PlanOrigin::Configuration => String::new(),
            PlanOrigin::Revision(number) => rollback_to(number),
        };
        let members = plan.members.iter().map(without_data).collect();
        Self { members, note, provenance: Provenance::default() }
    }

    /// Adds who started the run.
    #[must_use]
    pub fn with_provenance(self, provenance: Provenance) -> Self {
        Self { provenance, ..self }
    }

    /// Returns the number of the revision that this one restores.
    #[must_use]
    pub fn restored_revision(&self) -> Option<u64> {
        self.note.strip_prefix(ROLLBACK)?.parse().ok()
    }

    /// Returns whether the snapshot has exactly the members of a plan.
    #[must_use]
    pub fn matches(&self, plan: &Plan) -> bool {
        self.members.len() == plan.members.len()
            && self.members.iter().zip(&plan.members).all(|(stored, member)| is_stored_as(member, stored))
    }

    /// Returns whether both snapshots restore the same members.
    #[must_use]
    pub fn has_content_of(&self, other: &Self) -> bool {
        self.members == other.members
    }

    /// Describes the changes from this snapshot to another: `deployment.apps/oh changed, configmap/oh-b added`.
    #[must_use]
    pub fn changes_to(&self, other: &Self) -> Vec<String> {
        let (before, after) = (by_id(&self.members), by_id(&other.members));
        let ids: BTreeSet<&ObjectId> = before.keys().chain(after.keys()).collect();
        let describe = |id: &ObjectId| match (before.get(id), after.get(id)) {
            (Some(_), None) => Some(format!("{id} removed")),
            (None, Some(_)) => Some(format!("{id} added")),
            (old, new) => (old != new).then(|| format!("{id} changed")),
        };
        ids.into_iter().filter_map(describe).collect()
    }

    /// Returns the application's image, for display.
    #[must_use]
    pub fn image(&self) -> Option<&str> {
        let is_application =
            |member: &&Value| member["kind"] == "Deployment" && labels::is_of_application(member);
        let deployment = self.members.iter().find(is_application)?;
        deployment["spec"]["template"]["spec"]["containers"][0]["image"].as_str()
    }

    /// Returns whether the snapshot has every volume claim of a plan.
    #[must_use]
    pub fn has_claims_of(&self, plan: &Plan) -> bool {
        let objects = self.objects();
        let mut claims = plan.members.iter().filter(|member| member.kind == CLAIM);
        claims.all(|claim| objects.contains(&claim.id))
    }

    /// Returns the members' identities, in the order in which they are sent.
    #[must_use]
    pub fn objects(&self) -> Vec<ObjectId> {
        self.members.iter().filter_map(ObjectId::from_object).collect()
    }

    /// Builds the plan that restores this revision. Secrets get their data from the live ones. An existing claim keeps
    /// its size, because a claim cannot shrink and a rollback must not grow it.
    ///
    /// # Errors
    /// If a member is not one that a plan of the set can have, Secrets no longer exist, or a member has a kind that this
    /// version does not know.
    pub fn plan(&self, number: u64, target: RestoreTarget<'_>) -> Result<Plan, RestoreError> {
        let RestoreTarget { set, live, .. } = target;
        let mut missing = Vec::new();
        let mut rejected = Vec::new();
        let mut members = Vec::with_capacity(self.members.len());
        for stored in &self.members {
            let Some(id) = ObjectId::from_object(stored) else { continue };
            let Some(kind) = set.kind_of(&id) else {
                missing.push(id);
                continue;
            };
            if let Some(reason) = target.rejection(&id, kind, stored) {
                rejected.push((id, reason));
                continue;
            }
            let mut manifest = stored.clone();
            let live_object = live.get(&id);
            if kind == SECRET {
                match live_object {
                    Some(object) => manifest["data"] = object["data"].clone(),
                    None => missing.push(id.clone()),
                }
            }
            if kind == CLAIM
                && let Some(size) = live_object.and_then(|claim| claim.pointer(CLAIM_SIZE))
                && let Some(planned_size) = manifest.pointer_mut(CLAIM_SIZE)
            {
                *planned_size = size.clone();
            }
            members.push(Member { id, kind, manifest });
        }
        if !rejected.is_empty() {
            return Err(RestoreError::Rejected(rejected));
        }
        if !missing.is_empty() {
            return Err(RestoreError::Missing(missing));
        }
        let namespaces = members.iter().filter_map(|member| member.id.namespace.clone());
        let set = ApplySet {
            additional_namespaces: namespaces.filter(|name| *name != set.namespace).collect(),
            extra_kinds: extra_kinds(&members),
            ..set.clone()
        };
        Ok(Plan { origin: PlanOrigin::Revision(number), set, members, ..Plan::default() })
    }
}

/// Why a revision cannot be restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RestoreError {
    /// These Secrets do not exist any more, or these objects have an unknown kind.
    Missing(Vec<ObjectId>),
    /// No plan of the set can contain these objects, each with the reason.
    Rejected(Vec<(ObjectId, String)>),
}

fn without_data(member: &Member) -> Value {
    let mut manifest = member.manifest.clone();
    if member.kind == SECRET
        && let Some(object) = manifest.as_object_mut()
    {
        object.remove("data");
    }
    manifest
}

/// Returns whether `stored` equals the result of [`without_data`] for the member.
fn is_stored_as(member: &Member, stored: &Value) -> bool {
    if member.kind != SECRET {
        return member.manifest == *stored;
    }
    let (Some(manifest), Some(stored)) = (member.manifest.as_object(), stored.as_object()) else {
        return false;
    };
    let data = usize::from(manifest.contains_key("data"));
    manifest.len() == stored.len() + data
        && stored.iter().all(|(key, value)| key != "data" && manifest.get(key) == Some(value))
}

/// Returns members by their identities.
pub(in crate::plan) fn by_id(members: &[Value]) -> BTreeMap<ObjectId, &Value> {
    members.iter().filter_map(|member| Some((ObjectId::from_object(member)?, member))).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;
    use crate::object::kind::{CLUSTER_ROLE_BINDING, CONFIG_MAP, KindInfo, NAMESPACE, SERVICE};
    use crate::plan::inventory::members::Members;

    pub(in crate::plan::inventory) fn set() -> ApplySet {
        ApplySet { name: "oh".into(), namespace: "n".into(), ..ApplySet::default() }
    }

    fn metadata(name: &str) -> Value {
        json!({ "name": name, "namespace": "n", "labels": labels::member_labels("oh", labels::Component::App) })
    }

    /// Plans the revision for the set without another namespace.
    fn restored(snapshot: &Snapshot, live: &Members) -> Result<Plan, RestoreError> {
        snapshot.plan(3, RestoreTarget { set: &set(), configured: &set(), live })
    }

    /// A set of a Secret and a ConfigMap with this text.
    pub(in crate::plan::inventory) fn plan(text: &str) -> Plan {
        let member = |kind: KindInfo, name: &str, data: Value| Member {
            id: kind.id("n", name),
            kind,
            manifest: json!({ "apiVersion": "v1", "kind": kind.kind, "metadata": metadata(name), "data": data }),
        };
        Plan {
            set: set(),
            members: vec![
                member(SECRET, "oh-env-1", json!({ "KEY": "c2VjcmV0" })),
                member(CONFIG_MAP, &format!("oh-config-{text}"), json!({ "config.toml": text })),
            ],
            ..Plan::default()
        }
    }

    #[test]
    fn plan_takes_secret_data_from_live_secrets() {
        let snapshot = Snapshot::from_plan(&plan("a"));
        let id = SECRET.id("n", "oh-env-1");
        assert_eq!(
            restored(&snapshot, &Members::new()).unwrap_err(),
            RestoreError::Missing(vec![id.clone()])
        );
        let live = Members::from([(id, json!({ "data": { "KEY": "c2VjcmV0" } }))]);
        assert_eq!(restored(&snapshot, &live).unwrap().members, plan("a").members);
    }

    #[test]
    fn changes_to_lists_removed_added_and_changed_members() {
        let object = |name: &str, datum: &str| json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name, "namespace": "n" }, "data": { "a": datum } });
        let snapshot = |members: Vec<Value>| Snapshot { members, ..Snapshot::default() };
        let before = snapshot(vec![object("a", "1"), object("b", "1"), object("c", "1")]);
        let after = snapshot(vec![object("b", "1"), object("c", "2"), object("d", "1")]);
        assert_eq!(
            before.changes_to(&after),
            ["configmap/a removed", "configmap/c changed", "configmap/d added"]
        );
        assert!(before.changes_to(&before).is_empty());
    }

    #[test]
    fn has_claims_of_compares_identities() {
        let with_claims = |names: &[&str]| {
            let claim = |name: &&str| Member {
                id: CLAIM.id("n", name),
                kind: CLAIM,
                manifest: json!({
                    "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": { "name": name, "namespace": "n" },
                }),
            };
            Plan { members: names.iter().map(claim).collect(), ..plan("a") }
        };
        let snapshot = Snapshot::from_plan(&with_claims(&["one", "two"]));
        for (planned, has) in
            [(&[][..], true), (&["one"], true), (&["one", "two"], true), (&["one", "three"], false)]
        {
            assert_eq!(snapshot.has_claims_of(&with_claims(planned)), has, "{planned:?}");
        }
    }

    #[test]
    fn plan_keeps_the_live_claim_size() {
        let claim = |size: &str| {
            json!({
                "apiVersion": "v1", "kind": "PersistentVolumeClaim",
                "metadata": metadata("oh-state"),
                "spec": { "resources": { "requests": { "storage": size } } },
            })
        };
        let snapshot = Snapshot { members: vec![claim("5Gi")], ..Snapshot::default() };
        let live = Members::from([(CLAIM.id("n", "oh-state"), claim("10Gi"))]);
        assert_eq!(restored(&snapshot, &live).unwrap().members[0].manifest, claim("10Gi"));
        assert_eq!(restored(&snapshot, &Members::new()).unwrap().members[0].manifest, claim("5Gi"));
    }

    #[test]
    fn object_that_no_plan_has_is_not_restored() {
        let object = |kind: KindInfo, namespace: Value, name: &str| {
            let mut metadata = metadata(name);
            metadata["namespace"] = namespace;
            json!({ "apiVersion": kind.api_version(), "kind": kind.kind, "metadata": metadata })
        };
        let own = |kind, name| object(kind, json!("n"), name);
        let unlabelled =
            json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "a", "namespace": "n" } });
        let mut with_text = own(SECRET, "oh-env-1");
        with_text["stringData"] = json!({ "KEY": "theirs" });
        for (member, reason) in [
            (object(CLUSTER_ROLE_BINDING, Value::Null, "admins"), "it is cluster-scoped"),
            (object(CLUSTER_ROLE_BINDING, json!("n"), "admins"), "it is cluster-scoped"),
            (object(NAMESPACE, Value::Null, "n"), "it is cluster-scoped"),
            (
                object(CONFIG_MAP, json!("kube-system"), "a"),
                "the installation has no members in namespace kube-system",
            ),
            (object(CONFIG_MAP, json!(""), "a"), "the installation has no members in namespace "),
            (object(CONFIG_MAP, Value::Null, "a"), "it has no namespace"),
            (own(CONFIG_MAP, "handsctl-oh"), "it is a record of handsctl"),
            (own(SECRET, "handsctl-oh"), "it is a record of handsctl"),
            (own(SECRET, "handsctl-oh-r9"), "it is not a Secret that handsctl names after its content"),
            (own(SECRET, "theirs"), "it is not a Secret that handsctl names after its content"),
            (with_text, "it is not a Secret that handsctl names after its content"),
            (unlabelled, "it does not have the labels of a member"),
        ] {
            let snapshot =
                Snapshot { members: vec![own(SERVICE, "oh"), member.clone()], ..Snapshot::default() };
            let Err(RestoreError::Rejected(rejected)) = restored(&snapshot, &Members::new()) else {
                panic!("{member}");
            };
            assert_eq!(rejected, [(ObjectId::from_object(&member).unwrap(), reason.to_owned())]);
        }
    }

    #[test]
    fn parent_opens_no_namespace_but_live_members_do() {
        let mut elsewhere = json!({ "apiVersion": "v1", "kind": "Service", "metadata": metadata("a") });
        elsewhere["metadata"]["namespace"] = json!("boxes");
        let snapshot = Snapshot { members: vec![elsewhere], ..Snapshot::default() };
        // As after reading a parent that lists the namespace.
        let listed = ApplySet { additional_namespaces: BTreeSet::from(["boxes".to_owned()]), ..set() };
        let restored = |configured: &ApplySet, live: &Members| {
            snapshot.plan(3, RestoreTarget { set: &listed, configured, live }).is_ok()
        };
        assert!(!restored(&set(), &Members::new()));
        assert!(restored(&listed, &Members::new()), "the configuration has the namespace");
        let live = Members::from([(SERVICE.id("boxes", "b"), json!({}))]);
        assert!(restored(&set(), &live), "the installation still has a member there");
    }
}
