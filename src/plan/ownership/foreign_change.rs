//! Fields of a live member that another manager changed since the set was deployed. Pure.

use std::cell::LazyCell;

use jiff::Timestamp;
use serde_json::Value;

use super::conflict::shown;
use super::policy::Ownership;
use super::value_pair;
use crate::object::field_path::{FieldOwner, FieldPath, PathStep};
use crate::object::kind::SECRET;
use crate::object::managed_fields;
use crate::phrase;
use crate::plan::desired::Member;
use crate::settings::handsctl::OwnershipRule;

/// The maximum length of a value in the text, in characters.
const MAX_VALUE_CHARS: usize = 60;

/// A field with another value than the deployed manifest.
#[derive(Debug, Clone, PartialEq)]
pub struct ForeignChange {
    /// The field's path: `.spec.replicas`.
    pub field: String,
    /// Who changed it.
    pub owner: FieldOwner,
    live: Option<Value>,
    deployed: Value,
}

/// Returns the fields that another manager owns with a value other than that of the deployed manifest. Fields that
/// `[deploy.ownership]` yields, and Secrets, are left out.
#[must_use]
pub fn foreign_changes(member: &Member, live: &Value, ownership: &Ownership) -> Vec<ForeignChange> {
    if member.kind == SECRET {
        return Vec::new();
    }
    let manifest = &member.manifest;
    let (shown_live, shown_manifest) =
        (LazyCell::new(|| shown(member, live)), LazyCell::new(|| shown(member, manifest)));
    let mut changes: Vec<ForeignChange> = Vec::new();
    for entry in managed_fields::entries_of_others(live).filter(|entry| entry["subresource"] != "status") {
        for path in FieldPath::leaves(&entry["fieldsV1"]) {
            let Some(deployed) = path.value_in(manifest) else { continue };
            let live_value = path.value_in(live);
            if is_variable(&path) {
                // `foreign_pod` reports it without its value, which may be a key.
                continue;
            }
            let is_yielded = ownership.rule_for(member, &path) == Some(OwnershipRule::Yield);
            let field = path.to_string();
            if live_value == Some(deployed) || is_yielded || changes.iter().any(|known| known.field == field)
            {
                continue;
            }
            changes.push(ForeignChange {
                field,
                owner: FieldOwner::from_entry(entry),
                live: path.value_in(&shown_live).cloned(),
                deployed: path.value_in(&shown_manifest).cloned().unwrap_or_default(),
            });
        }
    }
    changes
}

impl ForeignChange {
    /// Returns the change as text: `.spec.replicas is 2 instead of 1, set by kubectl (scale) 5 m ago`.
    #[must_use]
    pub fn text(&self, now: Timestamp) -> String {
        let (live, deployed) = (text(self.live.as_ref()), text(Some(&self.deployed)));
        let (live, deployed) = value_pair::pair(&live, &deployed, MAX_VALUE_CHARS);
        let owner = owner_text(&self.owner, now);
        format!("{} is {live} instead of {deployed}, set by {owner}", self.field)
    }
}

/// Whether a field is one of a variable in the pod of a workload: `.spec.template.spec.containers[…].env…`.
fn is_variable(path: &FieldPath) -> bool {
    let is_field = |index: usize, names: &[&str]| matches!(path.steps().get(index), Some(PathStep::Field(name)) if names.contains(&name.as_str()));
    let is_in_pod = is_field(0, &["spec"]) && is_field(1, &["template"]) && is_field(2, &["spec"]);
    is_in_pod && is_field(3, &["containers", "initContainers"]) && is_field(5, &["env", "envFrom"])
}

/// Returns a manager with the age of its last change: `kubectl (scale) 5 m ago`.
#[must_use]
pub fn owner_text(owner: &FieldOwner, now: Timestamp) -> String {
    let subresource =
        owner.subresource.as_ref().map_or_else(String::new, |subresource| format!(" ({subresource})"));
    let age = owner.since.map_or_else(String::new, |since| format!(" {} ago", phrase::age(since, now)));
    format!("{}{subresource}{age}", owner.manager)
}

/// Returns who scaled a workload to zero, and when: `scaled to 0 by kubectl (scale) 5 m ago`. `at` is the time of its
/// controller's Event. The API server drops the manager of a field that becomes 0 through the subresource.
#[must_use]
pub fn scale_text(live: &Value, at: Option<Timestamp>, now: Timestamp) -> String {
    let owners = FieldPath::find("spec.replicas", live).map(|path| path.owners(live)).unwrap_or_default();
    let owner = owners.into_iter().rfind(|owner| owner.subresource.as_deref() != Some("status"));
    let age = |since: Option<Timestamp>| {
        since.map_or_else(String::new, |since| format!(" {} ago", phrase::age(since, now)))
    };
    match owner {
        Some(owner) => {
            let since = at.or(owner.since);
            format!("scaled to 0 by {}{}", owner_text(&FieldOwner { since: None, ..owner }, now), age(since))
        }
        None => format!("scaled to 0{}; the API server has no record of who did it", age(at)),
    }
}

/// Returns the manager that applied an object of somebody else: the one that set its pod template, else any.
#[must_use]
pub fn installer(live: &Value) -> Option<FieldOwner> {
    let entries = || managed_fields::entries_of_others(live).filter(|entry| entry["subresource"] != "status");
    let with_template = entries().find(|entry| !entry["fieldsV1"]["f:spec"]["f:template"].is_null());
    with_template.or_else(|| entries().next()).map(FieldOwner::from_entry)
}

fn text(value: Option<&Value>) -> String {
    match value {
        None => "absent".to_owned(),
        Some(Value::String(text)) if !text.is_empty() && !text.contains(char::is_control) => text.clone(),
        Some(value) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::object::kind::DEPLOYMENT;
    use crate::settings::format::OwnedField;

    fn member() -> Member {
        let manifest = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "oh", "namespace": "n" },
            "spec": { "replicas": 1, "template": { "spec": { "containers": [{ "name": "a", "image": "i:1" }] } } },
        });
        Member { id: DEPLOYMENT.id("n", "oh"), kind: DEPLOYMENT, manifest }
    }

    fn live() -> Value {
        let image = json!({ "f:template": { "f:spec": { "f:containers": { "k:{\"name\":\"a\"}": {
            ".": {}, "f:image": {}, "f:stdin": {} } } } } });
        json!({
            "spec": { "replicas": 2, "template": { "spec": { "containers": [
                { "name": "a", "image": "i:2", "stdin": true }] } } },
            "metadata": { "managedFields": [
                { "manager": "handsctl", "operation": "Apply", "fieldsV1": { "f:spec": {} } },
                { "manager": "kubectl-set", "operation": "Update", "time": "2026-01-01T00:00:00Z",
                  "fieldsV1": { "f:spec": image } },
                { "manager": "kubectl", "operation": "Update", "subresource": "scale",
                  "fieldsV1": { "f:spec": { "f:replicas": {} } } },
                { "manager": "kube-controller-manager", "operation": "Update", "subresource": "status",
                  "fieldsV1": { "f:spec": { "f:replicas": {} } } },
            ] },
        })
    }

    #[test]
    fn changed_fields_name_manager_age_and_values() {
        let now = "2026-01-01T00:05:00Z".parse().unwrap();
        let texts: Vec<String> = foreign_changes(&member(), &live(), &Ownership::default())
            .iter()
            .map(|change| change.text(now))
            .collect();
        assert_eq!(
            texts,
            [
                ".spec.template.spec.containers[name=\"a\"].image is i:2 instead of i:1, set by kubectl-set 5 m ago",
                ".spec.replicas is 2 instead of 1, set by kubectl (scale)",
            ]
        );
    }

    #[test]
    fn yielded_field_is_no_foreign_change() {
        let rule = OwnedField::parse("deployment/oh:spec.replicas").unwrap();
        let ownership = Ownership::new(&BTreeMap::from([(rule, OwnershipRule::Yield)]), false, false);
        let fields: Vec<String> =
            foreign_changes(&member(), &live(), &ownership).into_iter().map(|change| change.field).collect();
        assert_eq!(fields, [".spec.template.spec.containers[name=\"a\"].image"]);
    }

    #[test]
    fn scale_names_manager_and_age_as_far_as_recorded() {
        let now: Timestamp = "2026-01-01T00:05:00Z".parse().unwrap();
        let at = "2026-01-01T00:00:00Z".parse().ok();
        assert_eq!(scale_text(&live(), at, now), "scaled to 0 by kubectl (scale) 5 m ago");
        let unrecorded = json!({ "spec": { "replicas": 0 } });
        assert_eq!(
            scale_text(&unrecorded, at, now),
            "scaled to 0 5 m ago; the API server has no record of who did it"
        );
    }

    #[test]
    fn installer_is_the_manager_of_the_pod_template() {
        assert_eq!(installer(&live()).unwrap().manager, "kubectl-set");
        assert_eq!(installer(&json!({})), None);
    }
}
