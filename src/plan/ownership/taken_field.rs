//! Fields of ours that somebody took without leaving a manager. Pure.
//!
//! An update through a subresource to an empty value (`kubectl scale --replicas=0`), and the removal of a field, end our
//! ownership of the field and make nobody its owner. The API server then reports no conflict, and an apply would silently
//! undo the change.

use std::cell::LazyCell;

use serde_json::{Map, Value};

use super::conflict::{Conflict, shown};
use super::policy::Ownership;
use crate::object::field_path::{FieldPath, PathStep, selects};
use crate::object::item_selector::ItemSelector;
use crate::object::kind::SECRET;
use crate::object::managed_fields;
use crate::plan::desired::Member;

/// The fields that no field set contains: identity, and what the server writes.
const WITHOUT_OWNER: &[&str] = &["apiVersion", "kind", "status"];
const METADATA_WITHOUT_OWNER: &[&str] =
    &["name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "managedFields"];

/// Returns the fields of a member that earlier applies owned and that have no manager now, with a live value other than
/// the planned one. `applied` are the member's manifests in the revisions since the last complete deploy: a field that
/// one of them lacks was given up by us.
#[must_use]
pub fn taken_fields(
    member: &Member,
    live: &Value,
    applied: &[&Value],
    ownership: &Ownership,
) -> Vec<Conflict> {
    let version = &member.manifest["apiVersion"];
    let ours = managed_fields::our_entries(live).find(|entry| entry["apiVersion"] == *version);
    let Some(ours) = ours.filter(|_| member.kind != SECRET && !applied.is_empty()) else { return Vec::new() };
    let mut unowned = Vec::new();
    collect(&member.manifest, &ours["fieldsV1"], &mut Vec::new(), &mut unowned);
    let is_taken = |path: &FieldPath| {
        path.value_in(&member.manifest) != path.value_in(live)
            && path.owners(live).is_empty()
            && applied.iter().all(|manifest| path.value_in(manifest).is_some())
    };
    let (shown_live, shown_planned) =
        (LazyCell::new(|| shown(member, live)), LazyCell::new(|| shown(member, &member.manifest)));
    let conflict = |path: FieldPath| {
        Conflict::without_manager(&path, &shown_live, &shown_planned, ownership.rule_for(member, &path))
    };
    unowned.into_iter().filter(is_taken).map(conflict).collect()
}

/// Collects the outermost fields of the manifest that our field set does not contain.
fn collect(manifest: &Value, ours: &Value, path: &mut Vec<PathStep>, unowned: &mut Vec<FieldPath>) {
    if managed_fields::is_leaf(ours) && !path.is_empty() {
        return;
    }
    for step in steps(manifest, ours, path.as_slice()) {
        let Some(value) = step.value_in(manifest) else { continue };
        path.push(step);
        let last = &path[path.len() - 1];
        match (last.node_in(ours), value) {
            (Some(node), value) => collect(value, node, path, unowned),
            // Of a map that we own no field of, each field is one.
            (None, Value::Object(map)) if !map.is_empty() && matches!(last, PathStep::Field(_)) => {
                collect(value, &Value::Null, path, unowned);
            }
            (None, _) => unowned.push(FieldPath::from_steps(path)),
        }
        path.pop();
    }
}

/// Returns the steps to the children of a value: the fields of a map, or the items of a list that our field set
/// distinguishes.
fn steps(manifest: &Value, ours: &Value, path: &[PathStep]) -> Vec<PathStep> {
    match manifest {
        Value::Object(map) => {
            let excluded = match path {
                [] => WITHOUT_OWNER,
                [PathStep::Field(name)] if name == "metadata" => METADATA_WITHOUT_OWNER,
                _ => &[],
            };
            let names = map.keys().filter(|name| !excluded.contains(&name.as_str()));
            names.map(|name| PathStep::Field(name.clone())).collect()
        }
        Value::Array(items) => {
            match ours.as_object().into_iter().flat_map(Map::keys).find_map(|name| selects(name)) {
                Some(sample) => items.iter().filter_map(|item| item_step(item, &sample)).collect(),
                None => Vec::new(),
            }
        }
        _ => Vec::new(),
    }
}

/// Returns the step to an item of a list, identified as this other item is.
fn item_step(item: &Value, sample: &ItemSelector) -> Option<PathStep> {
    Some(PathStep::Item(match sample {
        ItemSelector::Value(_) => ItemSelector::Value(item.clone()),
        ItemSelector::Keys(keys) => ItemSelector::Keys(
            keys.keys().map(|key| Some((key.clone(), item.get(key)?.clone()))).collect::<Option<_>>()?,
        ),
    }))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::object::kind::DEPLOYMENT;
    use crate::settings::handsctl::OwnershipRule;

    fn member() -> Member {
        let manifest = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "name": "oh", "namespace": "n", "labels": { "a": "1", "b": "1" } },
            "spec": { "replicas": 1, "revisionHistoryLimit": 3, "template": { "spec": {
                "nodeSelector": { "disk": "ssd" },
                "containers": [{ "name": "a", "image": "i:1", "env": [{ "name": "A", "value": "1" }, { "name": "B", "value": "2" }] }],
            } } },
        });
        Member { id: DEPLOYMENT.id("n", "oh"), kind: DEPLOYMENT, manifest }
    }

    /// The deployed object. Its field set has every field of the manifest.
    fn deployed() -> Value {
        let mut live = member().manifest;
        let variable = json!({ ".": {}, "f:name": {}, "f:value": {} });
        let container = json!({ ".": {}, "f:name": {}, "f:image": {}, "f:env": {
            "k:{\"name\":\"A\"}": variable, "k:{\"name\":\"B\"}": variable } });
        live["metadata"]["managedFields"] = json!([{
            "manager": "handsctl", "operation": "Apply", "apiVersion": "apps/v1", "fieldsV1": {
                "f:metadata": { "f:labels": { "f:a": {}, "f:b": {} } },
                "f:spec": { "f:replicas": {}, "f:revisionHistoryLimit": {}, "f:template": { "f:spec": {
                    "f:nodeSelector": {}, "f:containers": { "k:{\"name\":\"a\"}": container } } } },
            },
        }]);
        live
    }

    fn remove(live: &mut Value, pointer: &str, key: &str) {
        live.pointer_mut(pointer).unwrap().as_object_mut().unwrap().remove(key).unwrap();
    }

    fn remove_ours(live: &mut Value, pointer: &str, key: &str) {
        remove(live, &format!("/metadata/managedFields/0/fieldsV1{pointer}"), key);
    }

    /// What the API server stores after `kubectl scale --replicas=0`.
    fn scaled_to_zero() -> Value {
        let mut live = deployed();
        live["spec"]["replicas"] = json!(0);
        remove_ours(&mut live, "/f:spec", "f:replicas");
        live
    }

    fn taken(live: &Value, applied: &[&Value]) -> Vec<String> {
        let conflicts = taken_fields(&member(), live, applied, &Ownership::default());
        assert!(conflicts.iter().all(|conflict| conflict.owners[0].manager == "unknown"));
        conflicts.into_iter().map(|conflict| conflict.field).collect()
    }

    #[test]
    fn scale_to_zero_is_a_field_of_an_unknown_manager() {
        let manifest = member().manifest;
        assert_eq!(taken(&deployed(), &[&manifest]), [""; 0]);
        assert_eq!(taken(&scaled_to_zero(), &[&manifest]), [".spec.replicas"]);
        let same_value = json!(1);
        let mut live = scaled_to_zero();
        live["spec"]["replicas"] = same_value;
        assert_eq!(taken(&live, &[&manifest]), [""; 0], "the planned value is no conflict");
    }

    #[test]
    fn removed_fields_and_items_are_taken() {
        let manifest = member().manifest;
        let mut live = deployed();
        remove(&mut live, "/metadata/labels", "a");
        remove_ours(&mut live, "/f:metadata/f:labels", "f:a");
        remove(&mut live, "/spec/template/spec", "nodeSelector");
        remove_ours(&mut live, "/f:spec/f:template/f:spec", "f:nodeSelector");
        live["spec"]["template"]["spec"]["containers"][0]["env"].as_array_mut().unwrap().pop();
        let container = "/f:spec/f:template/f:spec/f:containers/k:{\"name\":\"a\"}";
        remove_ours(&mut live, &format!("{container}/f:env"), "k:{\"name\":\"B\"}");
        assert_eq!(
            taken(&live, &[&manifest]),
            [
                ".metadata.labels.a",
                ".spec.template.spec.containers[name=\"a\"].env[name=\"B\"]",
                ".spec.template.spec.nodeSelector.disk",
            ]
        );
    }

    #[test]
    fn field_that_we_gave_up_or_never_had_is_not_taken() {
        let manifest = member().manifest;
        let mut without = manifest.clone();
        remove(&mut without, "/spec", "replicas");
        assert_eq!(taken(&scaled_to_zero(), &[&manifest, &without]), [""; 0], "removed by our own deploy");
        assert_eq!(taken(&scaled_to_zero(), &[]), [""; 0], "no revision proves that it was ours");
        let mut never_applied = scaled_to_zero();
        never_applied["metadata"]["managedFields"] = json!([]);
        assert_eq!(taken(&never_applied, &[&manifest]), [""; 0]);
    }

    #[test]
    fn field_of_a_known_manager_is_left_to_the_server() {
        let mut live = scaled_to_zero();
        live["metadata"]["managedFields"].as_array_mut().unwrap().push(json!({
            "manager": "kubectl", "operation": "Update", "subresource": "scale",
            "fieldsV1": { "f:spec": { "f:replicas": {} } },
        }));
        assert_eq!(taken(&live, &[&member().manifest]), [""; 0]);
    }

    #[test]
    fn taken_field_has_the_rule_of_the_configuration() {
        for rule in [OwnershipRule::Take, OwnershipRule::Yield, OwnershipRule::Fail] {
            let rules = BTreeMap::from([("deployment/oh:spec.replicas".parse().unwrap(), rule)]);
            let ownership = Ownership::new(&rules, false, false);
            let conflicts = taken_fields(&member(), &scaled_to_zero(), &[&member().manifest], &ownership);
            assert_eq!(conflicts[0].rule, Some(rule));
        }
    }
}
