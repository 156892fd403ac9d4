//! Ownership rules for fields that others manage, and manifests without yielded fields. Pure.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::object::field_path::{FieldPath, PathStep, selects};
use crate::object::item_selector::ItemSelector;
use crate::object::{ObjectId, managed_fields};
use crate::plan::desired::{Member, Plan};
use crate::settings::format::OwnedField;
use crate::settings::handsctl::OwnershipRule;

/// The rules and flags for fields and objects that others manage.
#[derive(Debug, Clone, Default)]
pub struct Ownership {
    rules: BTreeMap<OwnedField, OwnershipRule>,
    force_conflicts: bool,
    adopt: bool,
}

impl Ownership {
    /// Combines the rules of `[deploy.ownership]` with `--force-conflicts` and `--adopt`.
    #[must_use]
    pub fn new(rules: &BTreeMap<OwnedField, OwnershipRule>, force_conflicts: bool, adopt: bool) -> Self {
        Self { rules: rules.clone(), force_conflicts, adopt }
    }

    /// Returns whether objects that others created are adopted.
    #[must_use]
    pub fn adopts(&self) -> bool {
        self.adopt
    }

    /// Returns whether fields that others manage are taken over if no rule applies to them.
    #[must_use]
    pub fn forces_conflicts(&self) -> bool {
        self.force_conflicts
    }

    /// Returns the rule for a member's field: the longest one that names the field or a parent of it.
    #[must_use]
    pub fn rule_for(&self, member: &Member, field: &FieldPath) -> Option<OwnershipRule> {
        self.rules_of(member)
            .filter(|(path, _)| field.is_under(path))
            .max_by_key(|(path, _)| path.depth())
            .map(|(_, rule)| rule)
    }

    /// Returns the rule for conflicts without a rule in `[deploy.ownership]`.
    #[must_use]
    pub fn default_rule(&self) -> OwnershipRule {
        if self.force_conflicts { OwnershipRule::Take } else { OwnershipRule::Fail }
    }

    /// Returns the member's manifest without its yielded fields. A yielded field that another manager owns is left out.
    /// One that only we own keeps its live value, because the server would remove it if it were left out.
    #[must_use]
    pub fn without_yielded_fields(&self, member: &Member, live: &Value) -> Value {
        let rules: Vec<(FieldPath, OwnershipRule)> = self.rules_of(member).collect();
        let paths = |yielded: bool| {
            let matches =
                move |rule: &&(FieldPath, OwnershipRule)| (rule.1 == OwnershipRule::Yield) == yielded;
            rules.iter().filter(matches).map(|(path, _)| path)
        };
        let mut manifest = member.manifest.clone();
        for path in paths(true) {
            let protected = paths(false).filter(|other| other.is_under(path)).map(FieldPath::steps).collect();
            yield_field(&mut manifest, path.steps(), &FieldScope::new(live, protected));
        }
        manifest
    }

    /// Returns the rules that match no field of any member.
    #[must_use]
    pub fn rules_without_field(&self, plan: &Plan) -> Vec<&OwnedField> {
        let has_field = |rule: &OwnedField| {
            let mut members = plan.members.iter().filter(|member| is_for(rule, &member.id));
            members.any(|member| FieldPath::find(rule.field(), &member.manifest).is_some())
        };
        self.rules.keys().filter(|rule| !has_field(rule)).collect()
    }

    /// Returns the rules for a member, with the paths of their fields.
    fn rules_of<'a>(&'a self, member: &'a Member) -> impl Iterator<Item = (FieldPath, OwnershipRule)> + 'a {
        let rules = self.rules.iter().filter(|(field, _)| is_for(field, &member.id));
        rules.filter_map(|(field, rule)| Some((FieldPath::find(field.field(), &member.manifest)?, *rule)))
    }
}

fn is_for(rule: &OwnedField, id: &ObjectId) -> bool {
    rule.kind() == id.kind.to_ascii_lowercase()
        && rule.group().is_none_or(|group| group == id.group)
        && rule.name() == id.name
}

/// One field of a live object: its value, and the managers of the field and of its children.
struct FieldScope<'a> {
    live: Option<&'a Value>,
    /// The field's node in our field set, and in those of others.
    ours: Option<&'a Value>,
    others: Vec<&'a Value>,
    /// Fields that longer rules exclude from yielding, as steps from this field.
    protected: Vec<&'a [PathStep]>,
}

impl<'a> FieldScope<'a> {
    fn new(live: &'a Value, protected: Vec<&'a [PathStep]>) -> Self {
        Self {
            live: Some(live),
            ours: managed_fields::our_entries(live).map(|entry| &entry["fieldsV1"]).next(),
            others: managed_fields::entries_of_others(live).map(|entry| &entry["fieldsV1"]).collect(),
            protected,
        }
    }

    fn below(&self, step: &PathStep) -> Self {
        let rest = |path: &&'a [PathStep]| {
            path.split_first().filter(|(first, _)| *first == step).map(|(_, rest)| rest)
        };
        Self {
            live: self.live.and_then(|live| step.value_in(live)),
            ours: self.ours.and_then(|node| step.node_in(node)),
            others: self.others.iter().filter_map(|node| step.node_in(node)).collect(),
            protected: self.protected.iter().filter_map(rest).collect(),
        }
    }

    fn is_protected(&self) -> bool {
        self.protected.iter().any(|rest| rest.is_empty())
    }

    /// Returns whether another manager owns the field as a whole.
    fn is_owned_by_others(&self) -> bool {
        self.others.iter().any(|node| managed_fields::is_leaf(node))
    }

    /// Returns whether another manager owns this list item, regardless of the item's fields.
    fn item_is_owned_by_others(&self) -> bool {
        self.others.iter().any(|node| managed_fields::is_leaf(node) || node.get(".").is_some())
    }

    /// Returns the keys by which the field sets identify a list item.
    fn keys_of(&self, item: &Value) -> Option<Map<String, Value>> {
        let nodes = self.ours.iter().chain(&self.others);
        nodes.filter_map(|node| node.as_object()).flat_map(Map::keys).find_map(|name| match selects(name)? {
            ItemSelector::Keys(keys) => {
                keys.iter().all(|(key, value)| item.get(key) == Some(value)).then_some(keys)
            }
            ItemSelector::Value(_) => None,
        })
    }

    fn has_children(&self, prefix: &str) -> bool {
        let mut nodes = self.ours.iter().chain(&self.others).filter_map(|node| node.as_object());
        nodes.any(|node| node.keys().any(|name| name.starts_with(prefix)))
    }
}

/// Whether yielding leaves nothing of a value, so that the caller removes it.
type Emptied = bool;

fn yield_field(desired: &mut Value, path: &[PathStep], scope: &FieldScope<'_>) -> Emptied {
    let Some((step, rest)) = path.split_first() else { return yield_value(desired, scope) };
    let Some(inner) = step.value_in_mut(desired) else { return false };
    if !yield_field(inner, rest, &scope.below(step)) {
        return false;
    }
    step.remove(desired);
    // An empty map or list would be a value of its own, so it is removed too.
    desired.as_object().is_some_and(Map::is_empty) || desired.as_array().is_some_and(Vec::is_empty)
}

fn yield_value(desired: &mut Value, scope: &FieldScope<'_>) -> Emptied {
    if scope.is_protected() {
        return false;
    }
    if scope.is_owned_by_others() {
        return true;
    }
    let is_atomic = scope.ours.is_some_and(managed_fields::is_leaf);
    match desired {
        Value::Object(map) if !is_atomic => {
            map.retain(|name, value| !yield_value(value, &scope.below(&PathStep::Field(name.clone()))));
            map.is_empty()
        }
        Value::Array(items) if !is_atomic && scope.has_children("k:") => {
            items.retain_mut(|item| !yield_item(item, scope));
            items.is_empty()
        }
        Value::Array(items) if !is_atomic && scope.has_children("v:") => {
            items.retain(|item| {
                !scope.below(&PathStep::Item(ItemSelector::Value(item.clone()))).is_owned_by_others()
            });
            items.is_empty()
        }
        _ => {
            if let Some(live) = scope.live {
                *desired = live.clone();
            }
            false
        }
    }
}

/// Yields the fields of a list item. The item keeps its keys while we own any other field of it, because they identify
/// the item.
fn yield_item(item: &mut Value, list: &FieldScope<'_>) -> Emptied {
    // An item without a manager is new.
    let Some(keys) = list.keys_of(item) else { return false };
    let scope = list.below(&PathStep::Item(ItemSelector::Keys(keys.clone())));
    let Value::Object(fields) = item else { return false };
    if scope.is_protected() {
        return false;
    }
    fields.retain(|name, value| {
        keys.contains_key(name) || !yield_value(value, &scope.below(&PathStep::Field(name.clone())))
    });
    scope.item_is_owned_by_others() && fields.keys().all(|name| keys.contains_key(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::kind::{DEPLOYMENT, KindInfo, SERVICE};
    use serde_json::json;

    fn member(kind: KindInfo, manifest: Value) -> Member {
        Member { id: kind.id("n", "oh"), kind, manifest }
    }

    fn ownership(rules: &[(&str, OwnershipRule)]) -> Ownership {
        let rules = rules.iter().map(|(field, rule)| (field.parse().unwrap(), *rule)).collect();
        Ownership::new(&rules, false, false)
    }

    fn deployment() -> Member {
        member(
            DEPLOYMENT,
            json!({ "spec": {
                "replicas": 1,
                "strategy": { "type": "Recreate" },
                "template": { "spec": {
                    "nodeSelector": { "a": "b" },
                    "containers": [{ "name": "main", "image": "i:2", "env": [{ "name": "A", "value": "2" }, { "name": "B", "value": "2" }] }],
                } },
            } }),
        )
    }

    /// Returns the live Deployment, with the image `i:1` and 3 replicas, and these managers' field sets.
    fn live(ours: &Value, others: &[Value]) -> Value {
        let mut entries = vec![json!({ "manager": "handsctl", "operation": "Apply", "fieldsV1": ours })];
        entries.extend(
            others
                .iter()
                .map(|fields| json!({ "manager": "them", "operation": "Update", "fieldsV1": fields })),
        );
        json!({
            "metadata": { "managedFields": entries },
            "spec": {
                "replicas": 3,
                "strategy": { "type": "RollingUpdate" },
                "template": { "spec": {
                    "nodeSelector": { "a": "c", "d": "e" },
                    "containers": [{ "name": "main", "image": "i:1", "env": [{ "name": "A", "value": "1" }, { "name": "B", "value": "1" }] }],
                } },
            },
        })
    }

    fn yielded(field: &str, live: &Value) -> Value {
        ownership(&[(&format!("deployment/oh:{field}"), OwnershipRule::Yield)])
            .without_yielded_fields(&deployment(), live)
    }

    fn in_container(fields: &Value) -> Value {
        json!({ "f:spec": { "f:template": { "f:spec": { "f:containers": { "k:{\"name\":\"main\"}": fields } } } } })
    }

    #[test]
    fn yielded_field_of_another_manager_is_omitted() {
        let manifest =
            yielded("spec.replicas", &live(&json!({}), &[json!({ "f:spec": { "f:replicas": {} } })]));
        let mut expected = deployment().manifest;
        expected["spec"].as_object_mut().unwrap().remove("replicas");
        assert_eq!(manifest, expected);
    }

    #[test]
    fn yielded_field_without_other_manager_keeps_live_value() {
        let manifest = yielded("spec.replicas", &live(&json!({ "f:spec": { "f:replicas": {} } }), &[]));
        assert_eq!(manifest["spec"]["replicas"], 3);
        assert_eq!(manifest["spec"]["strategy"], json!({ "type": "Recreate" }));
    }

    #[test]
    fn yielding_removes_emptied_parents() {
        let others = json!({ "f:spec": { "f:strategy": { "f:type": {} } } });
        let manifest = yielded("spec.strategy.type", &live(&json!({}), std::slice::from_ref(&others)));
        assert_eq!(manifest["spec"].get("strategy"), None);
        let manifest = yielded("spec.strategy", &live(&json!({}), &[others]));
        assert_eq!(manifest["spec"].get("strategy"), None);
    }

    #[test]
    fn atomic_field_is_yielded_as_a_whole() {
        let fields = json!({ "f:spec": { "f:template": { "f:spec": { "f:nodeSelector": {} } } } });
        let field = "spec.template.spec.nodeSelector";
        let manifest = yielded(field, &live(&json!({}), std::slice::from_ref(&fields)));
        assert_eq!(manifest["spec"]["template"]["spec"].get("nodeSelector"), None);
        let manifest = yielded(field, &live(&fields, &[]));
        assert_eq!(manifest["spec"]["template"]["spec"]["nodeSelector"], json!({ "a": "c", "d": "e" }));
    }

    #[test]
    fn partly_owned_item_keeps_its_keys() {
        let container = "spec.template.spec.containers[name=\"main\"]";
        let ours = in_container(&json!({ ".": {}, "f:name": {}, "f:env": {
            "k:{\"name\":\"A\"}": { ".": {}, "f:name": {}, "f:value": {} },
            "k:{\"name\":\"B\"}": { ".": {}, "f:name": {} } } }));
        let theirs = in_container(&json!({ "f:image": {}, "f:env": {
            "k:{\"name\":\"B\"}": { ".": {}, "f:name": {}, "f:value": {} } } }));
        let live = live(&ours, &[theirs]);
        let manifest = yielded(&format!("{container}.image"), &live);
        let item = &manifest["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(
            (item.get("image"), &item["name"], item["env"].as_array().unwrap().len()),
            (None, &json!("main"), 2)
        );
        // The whole container is yielded: their variable is removed, ours keeps its live value.
        let manifest = yielded(container, &live);
        let item = &manifest["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(item, &json!({ "name": "main", "env": [{ "name": "A", "value": "1" }] }));
        let manifest = yielded(&format!("{container}.env[name=\"B\"].value"), &live);
        let item = &manifest["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(item["env"], json!([{ "name": "A", "value": "2" }, { "name": "B" }]));
    }

    #[test]
    fn longer_rule_protects_its_field() {
        let fields = json!({ "f:spec": { "f:replicas": {}, "f:strategy": { "f:type": {} } } });
        let live = live(&json!({}), &[fields]);
        let rules = [
            ("deployment/oh:spec", OwnershipRule::Yield),
            ("deployment/oh:spec.replicas", OwnershipRule::Take),
        ];
        let manifest = ownership(&rules).without_yielded_fields(&deployment(), &live);
        assert_eq!((&manifest["spec"]["replicas"], manifest["spec"].get("strategy")), (&json!(1), None));
    }

    #[test]
    fn item_of_other_managers_is_omitted() {
        let theirs = in_container(
            &json!({ "f:env": { "k:{\"name\":\"B\"}": { ".": {}, "f:name": {}, "f:value": {} } } }),
        );
        let manifest =
            yielded("spec.template.spec.containers[name=\"main\"].env", &live(&json!({}), &[theirs]));
        let item = &manifest["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(item["env"], json!([{ "name": "A", "value": "2" }]), "A has no manager yet");
    }

    #[test]
    fn longest_rule_of_the_object_applies() {
        let rules = ownership(&[
            ("deployment/oh:spec", OwnershipRule::Take),
            ("deployment.apps/oh:spec.replicas", OwnershipRule::Fail),
            ("deployment.other/oh:spec.replicas", OwnershipRule::Yield),
            ("deployment/other:spec.replicas", OwnershipRule::Yield),
        ]);
        let member = deployment();
        let rule = |name: &str| rules.rule_for(&member, &FieldPath::find(name, &member.manifest).unwrap());
        assert_eq!(rule("spec.replicas"), Some(OwnershipRule::Fail));
        assert_eq!(rule("spec.strategy.type"), Some(OwnershipRule::Take));
        let service = Member { id: SERVICE.id("n", "oh"), ..deployment() };
        let field = FieldPath::find("spec.replicas", &service.manifest).unwrap();
        assert_eq!(rules.rule_for(&service, &field), None);
    }
}
