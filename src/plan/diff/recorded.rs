//! Compares two recorded contents of the set: what one revision changed against another.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::compare::{has_content, has_same_stem, stem};
use super::difference::{DiffOutcome, Difference};
use super::field_change::{ChangeCause, Comparison, FieldChange, Hidden, ValueChange};
use super::field_owners::Owners;
use super::pointer::FieldPointer;
use crate::object::labels::{self, SECRET_VERSION_PREFIX};
use crate::object::references::map_strings;
use crate::object::{Mask, ObjectId};
use crate::plan::inventory::snapshot::by_id;
use crate::settings::FieldKeys;
use crate::settings::key_changes::changed_keys;

/// The name of a Secret whose content differs, which no revision stores.
const SECRET_VALUES: &str = "secret values";

/// Two recorded contents, compared.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RecordedChanges {
    /// The objects that differ, sorted by identity.
    pub differences: Vec<Difference>,
    /// What differs, in words: keys of config.toml, then objects where no key is known to set the difference.
    pub names: Vec<String>,
}

/// Compares the members of two revisions. A ConfigMap or Secret that is named after its content is compared with the one
/// of the same name without the hash.
#[must_use]
pub fn recorded_changes(before: &[Value], after: &[Value], mask: &Mask, keys: &FieldKeys) -> RecordedChanges {
    let after = by_id(after);
    let renamed = renamed(&by_id(before), &after);
    let new_name = |text: &str| renamed.get(text).map_or(text, String::as_str).to_owned();
    let before: Vec<Value> = before.iter().map(|member| map_strings(member, &new_name)).collect();
    let before = by_id(&before);
    let ids: BTreeSet<&ObjectId> = before.keys().chain(after.keys()).collect();
    let mut changes = RecordedChanges::default();
    let mut objects = Vec::new();
    for id in ids {
        let (old, new) = (before.get(id).copied(), after.get(id).copied());
        let is_renamed = renamed.values().any(|name| *name == id.name);
        let Some(difference) = difference(id, old, new, is_renamed, mask) else { continue };
        match new.or(old).and_then(|object| keys_of(&difference, object, keys)) {
            Some(names) => changes.names.extend(names),
            None => objects.push(format!("{id} {}", word(&difference.outcome))),
        }
        changes.differences.push(difference);
    }
    changes.names.sort_by_key(|name| name == SECRET_VALUES);
    changes.names.extend(objects);
    let mut seen = BTreeSet::new();
    changes.names.retain(|name| seen.insert(name.clone()));
    changes
}

/// Returns the new names of the ConfigMaps and Secrets that were replaced by one with another content, by the old ones.
fn renamed(
    before: &BTreeMap<ObjectId, &Value>,
    after: &BTreeMap<ObjectId, &Value>,
) -> BTreeMap<String, String> {
    let gone = before.keys().filter(|id| has_content(id) && !after.contains_key(*id));
    let successor = |old: &ObjectId| {
        let is_successor = |new: &&ObjectId| has_same_stem(new, old) && !before.contains_key(*new);
        after.keys().find(is_successor).map(|new| (old.name.clone(), new.name.clone()))
    };
    gone.filter_map(successor).collect()
}

fn difference(
    id: &ObjectId,
    before: Option<&Value>,
    after: Option<&Value>,
    is_renamed: bool,
    mask: &Mask,
) -> Option<Difference> {
    let (Some(before), Some(after)) = (before, after) else {
        let outcome = match after {
            Some(_) => DiffOutcome::Created,
            None => DiffOutcome::Deleted { data_loss: false },
        };
        return Some(Difference::new(id.clone(), outcome));
    };
    // A manifest has nothing that a server wrote, so every field counts, also its apiVersion.
    let comparison = Comparison { kind: &id.kind, manifest: after, owners: Owners::none(), mask };
    let mut fields = comparison.between(before, after);
    if id.kind == "Secret" && is_renamed {
        // A revision has no data of a Secret; its name has another hash of them.
        let path = FieldPointer::from_keys(&["data"]);
        let change = ValueChange::Hidden(Hidden::Changed);
        fields.push(FieldChange { path, change, cause: ChangeCause::You });
    }
    let changed = Difference { fields, ..Difference::new(id.clone(), DiffOutcome::Changed) };
    (!changed.fields.is_empty()).then_some(changed)
}

const fn word(outcome: &DiffOutcome) -> &'static str {
    match outcome {
        DiffOutcome::Created => "added",
        DiffOutcome::Deleted { .. } => "removed",
        _ => "changed",
    }
}

/// Returns the keys of config.toml that a difference comes from; empty if it only follows from another object's. Fields
/// without a key, beside others that have one, follow from those. None if no key is known.
fn keys_of(difference: &Difference, object: &Value, keys: &FieldKeys) -> Option<Vec<String>> {
    // No key sets a field of an extra manifest.
    let set = object["metadata"]["labels"][labels::INSTANCE].as_str()?;
    if !labels::is_own(object, set) {
        return None;
    }
    let (kind, is_named_by_content) = (difference.id.kind.as_str(), stem(&difference.id.name).is_some());
    if difference.outcome != DiffOutcome::Changed {
        return match kind {
            // The variables and files that use it are in the pod.
            "Secret" if is_named_by_content => Some(Vec::new()),
            _ => keys.of_object(kind).map(|key| vec![key.to_owned()]),
        };
    }
    if kind == "Secret" && is_named_by_content {
        return Some(vec![SECRET_VALUES.to_owned()]);
    }
    let names: Vec<String> =
        difference.fields.iter().flat_map(|field| keys_of_field(kind, field, keys)).collect();
    (!names.is_empty()).then_some(names)
}

fn keys_of_field(kind: &str, field: &FieldChange, keys: &FieldKeys) -> Vec<String> {
    let path = field.path.keys();
    if kind == "ConfigMap" && path == ["data", "config.toml"] {
        let ValueChange::Values { before, after } = &field.change else { return Vec::new() };
        let text =
            |side: &Option<Value>| side.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned();
        return changed_keys(&text(before), &text(after)).unwrap_or_default();
    }
    if let Some(name) = path.last().and_then(|name| name.strip_prefix(SECRET_VERSION_PREFIX)) {
        return vec![format!("secret/{name}")];
    }
    if let Some(variable) = field.path.item_name("env") {
        return keys.of_variable(variable).into_iter().collect();
    }
    if field.path.item_name("volumes").is_some_and(|volume| volume != STATE_VOLUME) {
        return Vec::new();
    }
    keys.of_field(kind, &path).into_iter().collect()
}

/// The only volume of the pod that a key names.
const STATE_VOLUME: &str = "state";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn metadata(name: &str) -> Value {
        let labels = labels::member_labels("oh", labels::Component::App);
        json!({ "name": name, "namespace": "n", "labels": labels })
    }

    /// The members of a set with this configuration, which is named by `hash`.
    fn members(hash: &str, model: &str, image: &str) -> Vec<Value> {
        let config = format!("oh-config-{hash}");
        let text = format!("[llm]\nmodel = \"{model}\"\n");
        let container = json!({
            "name": "openhands", "image": image, "env": [{ "name": "HOME", "value": "/tmp" }],
        });
        let volumes = json!([{ "name": "config", "configMap": { "name": config } }]);
        let pod = json!({ "spec": { "containers": [container], "volumes": volumes } });
        vec![
            json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata(&config), "data": { "config.toml": text } }),
            json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata("oh"), "spec": { "template": pod } }),
        ]
    }

    fn secret(name: &str) -> Value {
        json!({ "apiVersion": "v1", "kind": "Secret", "metadata": metadata(name), "type": "Opaque" })
    }

    fn changes(before: &[Value], after: &[Value]) -> RecordedChanges {
        recorded_changes(before, after, &Mask::default(), &FieldKeys::default())
    }

    #[test]
    fn changed_config_names_keys_and_no_consequences() {
        let before = members("0000000001", "gpt-4", "a:1");
        let model = changes(&before, &members("0000000002", "gpt-5", "a:1"));
        assert_eq!(model.names, ["llm.model"]);
        let ids: Vec<String> = model.differences.iter().map(|it| it.id.to_string()).collect();
        assert_eq!(ids, ["configmap/oh-config-0000000002"], "the reference to its name is no difference");
        let image = changes(&before, &members("0000000001", "gpt-4", "a:2"));
        assert_eq!(image.names, ["deploy.image"]);
        assert_eq!(changes(&before, &before), RecordedChanges::default());
    }

    #[test]
    fn secret_values_are_named_without_the_values() {
        let with = |hash: &str| {
            let mut all = members("0000000001", "gpt-4", "a:1");
            let variable = json!({
                "name": "LLM_API_KEY",
                "valueFrom": { "secretKeyRef": { "name": format!("oh-env-{hash}"), "key": "LLM_API_KEY" } },
            });
            all[1]["spec"]["template"]["spec"]["containers"][0]["env"].as_array_mut().unwrap().push(variable);
            all.push(secret(&format!("oh-env-{hash}")));
            all
        };
        let rotated = changes(&with("0000000001"), &with("0000000002"));
        assert_eq!(rotated.names, ["secret values"]);
        assert_eq!(rotated.differences[0].fields[0].change, ValueChange::Hidden(Hidden::Changed));
        let added = changes(&members("0000000001", "gpt-4", "a:1"), &with("0000000002"));
        assert_eq!(added.names, ["llm.api_key"]);
    }

    #[test]
    fn objects_are_named_by_the_key_that_decides() {
        let before = members("0000000001", "gpt-4", "a:1");
        let with = |object: Value| [before.clone(), vec![object]].concat();
        let ingress = |host: &str| {
            let rules = json!([{ "host": host }]);
            let api = "networking.k8s.io/v1";
            json!({ "apiVersion": api, "kind": "Ingress", "metadata": metadata("oh"), "spec": { "rules": rules } })
        };
        assert_eq!(changes(&before, &with(ingress("a"))).names, ["deploy.expose"]);
        assert_eq!(changes(&with(ingress("a")), &with(ingress("b"))).names, ["deploy.host"]);
        let extra = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "mine", "namespace": "n" } });
        assert_eq!(changes(&before, &with(extra.clone())).names, ["configmap/mine added"]);
        assert_eq!(changes(&with(extra), &before).names, ["configmap/mine removed"]);
    }

    #[test]
    fn change_of_an_extra_manifest_names_its_object() {
        let with = |image: &str, labels: Value| {
            let container = json!({ "name": "c", "image": image, "env": [{ "name": "A", "value": image }] });
            let extra = json!({ "apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": { "name": "extra", "namespace": "n", "labels": labels },
                "spec": { "template": { "spec": { "containers": [container] } } } });
            [members("0000000001", "gpt-4", "a:1"), vec![extra]].concat()
        };
        // The user may give it labels of the application.
        for labels in [json!({}), json!({ labels::INSTANCE: "oh" }), metadata("extra")["labels"].clone()] {
            let changes = changes(&with("a:1", labels.clone()), &with("a:2", labels));
            assert_eq!(changes.names, ["deployment.apps/extra changed"]);
        }
    }

    #[test]
    fn fields_that_servers_write_elsewhere_count_in_manifests() {
        let with = |version: &str, annotation: &str| {
            let annotations = json!({ "kubectl.kubernetes.io/last-applied-configuration": annotation });
            let extra = json!({ "apiVersion": version, "kind": "Gadget",
                "metadata": { "name": "mine", "namespace": "n", "annotations": annotations } });
            [members("0000000001", "gpt-4", "a:1"), vec![extra]].concat()
        };
        for (version, annotation) in [("a.example/v2", "x"), ("a.example/v1", "y")] {
            let changes = changes(&with("a.example/v1", "x"), &with(version, annotation));
            assert_eq!(changes.names, ["gadget.a.example/mine changed"]);
        }
    }

    #[test]
    fn field_without_a_key_names_its_object() {
        let before = members("0000000001", "gpt-4", "a:1");
        let mut after = before.clone();
        after[1]["spec"]["template"]["spec"]["enableServiceLinks"] = json!(false);
        assert_eq!(changes(&before, &after).names, ["deployment.apps/oh changed"]);
    }

    #[test]
    fn variable_of_deploy_env_is_named() {
        let before = members("0000000001", "gpt-4", "a:1");
        let mut after = before.clone();
        after[1]["spec"]["template"]["spec"]["containers"][0]["env"] =
            json!([{ "name": "HOME", "value": "/tmp" }, { "name": "HTTP_PROXY", "value": "http://p" }]);
        assert_eq!(changes(&before, &after).names, ["deploy.env.HTTP_PROXY"]);
    }
}
