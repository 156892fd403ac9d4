//! The command that gives fields of a live object their planned values back. Pure.

use serde_json::{Map, Value, json};

use crate::object::ObjectId;
use crate::object::field_path::{FieldPath, PathStep};
use crate::object::item_selector::ItemSelector;

/// The end of the groups of Kubernetes itself, whose kinds kubectl can patch by list item.
const OWN_GROUP_END: &str = ".k8s.io";
/// The groups of Kubernetes itself without that end.
const OWN_GROUPS: [&str; 3] = ["", "apps", "batch"];

/// Returns the command that restores these fields as the manifest has them, and removes those that it lacks.
#[must_use]
pub fn restoring_command<'a>(
    id: &ObjectId,
    manifest: &Value,
    paths: impl Iterator<Item = &'a FieldPath>,
) -> String {
    let mut patch = json!({});
    for path in paths {
        insert(&mut patch, path.steps(), Some(manifest));
    }
    patch_command(id, &patch)
}

/// Returns the command that sends this patch. kubectl merges lists by the keys of their items, which it can only do for
/// kinds of Kubernetes itself: an object of another kind is edited by hand, because a merge would replace the whole list.
#[must_use]
pub fn patch_command(id: &ObjectId, patch: &Value) -> String {
    let is_own = OWN_GROUPS.contains(&id.group.as_str()) || id.group.ends_with(OWN_GROUP_END);
    if is_own {
        return command(id, "", patch);
    }
    if has_list(patch) {
        let namespace = id.namespace.as_deref().unwrap_or_default();
        return format!("kubectl edit {id} -n {namespace}");
    }
    command(id, " --type=merge", patch)
}

/// Returns the command that sends this patch, whose lists replace the live ones.
#[must_use]
pub fn merge_command(id: &ObjectId, patch: &Value) -> String {
    command(id, " --type=merge", patch)
}

fn command(id: &ObjectId, form: &str, patch: &Value) -> String {
    let namespace = id.namespace.as_deref().unwrap_or_default();
    let patch = patch.to_string().replace('\'', r"'\''");
    format!("kubectl patch {id} -n {namespace}{form} -p '{patch}'")
}

fn has_list(patch: &Value) -> bool {
    match patch {
        Value::Array(_) => true,
        Value::Object(fields) => fields.values().any(has_list),
        _ => false,
    }
}

/// Adds the planned value of a field to the patch. A list item that the manifest lacks is deleted as a whole.
fn insert(patch: &mut Value, steps: &[PathStep], planned: Option<&Value>) {
    match steps.split_first() {
        None => *patch = planned.cloned().unwrap_or(Value::Null),
        Some((PathStep::Field(name), rest)) => {
            if !patch.is_object() {
                *patch = json!({});
            }
            insert(&mut patch[name.as_str()], rest, planned.and_then(|planned| planned.get(name)));
        }
        Some((PathStep::Item(ItemSelector::Value(_)), _)) => {
            *patch = planned.cloned().unwrap_or(Value::Null);
        }
        Some((step @ PathStep::Item(ItemSelector::Keys(keys)), rest)) => {
            let planned = planned.and_then(|planned| step.value_in(planned));
            let item = item_of(patch, keys);
            match planned {
                None => item["$patch"] = json!("delete"),
                Some(planned) if rest.is_empty() => *item = planned.clone(),
                Some(planned) => insert(item, rest, Some(planned)),
            }
        }
    }
}

/// Returns the patch's item with these keys, and adds it if there is none.
fn item_of<'a>(patch: &'a mut Value, keys: &Map<String, Value>) -> &'a mut Value {
    if !patch.is_array() {
        *patch = json!([]);
    }
    let has_keys = |item: &Value| keys.iter().all(|(key, value)| item.get(key) == Some(value));
    let position = patch.as_array().and_then(|items| items.iter().position(has_keys));
    let end = patch.as_array().map_or(0, Vec::len);
    if position.is_none()
        && let Some(items) = patch.as_array_mut()
    {
        items.push(Value::Object(keys.clone()));
    }
    &mut patch[position.unwrap_or(end)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::kind::{DEPLOYMENT, SERVICE};

    fn path(text: &str, object: &Value) -> FieldPath {
        FieldPath::find(text, object).unwrap()
    }

    #[test]
    fn planned_values_are_restored_and_others_removed() {
        let planned = json!({ "spec": { "type": "ClusterIP", "externalIPs": ["203.0.113.1"] },
            "metadata": { "annotations": { "a.b/c": "it's" } } });
        let live = json!({ "spec": { "type": "NodePort", "externalIPs": ["203.0.113.7"], "x": 1 },
            "metadata": { "annotations": { "a.b/c": "2", "other": "3" } } });
        let paths = [".spec.externalIPs", ".spec.type", ".spec.x", ".metadata.annotations.a.b/c"];
        let paths = paths.map(|text| path(text, &live));
        assert_eq!(
            restoring_command(&SERVICE.id("n", "oh"), &planned, paths.iter()),
            "kubectl patch service/oh -n n -p '{\"metadata\":{\"annotations\":{\"a.b/c\":\"it'\\''s\"}},\
             \"spec\":{\"externalIPs\":[\"203.0.113.1\"],\"type\":\"ClusterIP\",\"x\":null}}'"
        );
        let route = ObjectId::namespaced("route.openshift.io", "Route", "n", "oh");
        let host = path(".spec.type", &live);
        assert!(restoring_command(&route, &planned, std::iter::once(&host)).contains(" --type=merge -p "));
    }

    #[test]
    fn list_items_are_merged_by_their_keys() {
        let planned = json!({ "spec": { "containers": [
            { "name": "a", "ports": [{ "containerPort": 3000, "protocol": "TCP" }] }] } });
        let port = json!({ "containerPort": 3000, "protocol": "TCP", "hostPort": 80 });
        let foreign = json!({ "containerPort": 99, "protocol": "TCP", "hostPort": 99 });
        let live = json!({ "spec": { "containers": [
            { "name": "a", "ports": [port, foreign] }, { "name": "side", "image": "x" }] } });
        let paths = [
            ".spec.containers[name=\"a\"].ports[containerPort=3000,protocol=\"TCP\"].hostPort",
            ".spec.containers[name=\"a\"].ports[containerPort=99,protocol=\"TCP\"].hostPort",
            ".spec.containers[name=\"side\"].image",
        ];
        let paths = paths.map(|text| path(text, &live));
        let command = restoring_command(&DEPLOYMENT.id("n", "oh"), &planned, paths.iter());
        let patch = command.split('\'').nth(1).unwrap();
        assert_eq!(
            serde_json::from_str::<Value>(patch).unwrap(),
            json!({ "spec": { "containers": [
                { "name": "a", "ports": [
                    { "containerPort": 3000, "protocol": "TCP", "hostPort": null },
                    { "containerPort": 99, "protocol": "TCP", "$patch": "delete" },
                ] },
                { "name": "side", "$patch": "delete" },
            ] } })
        );
    }
}
