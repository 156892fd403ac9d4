//! Fields that others manage: what the rules say of them, and a manifest that leaves to others what they yield. Pure.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::object::field_path::{FieldPath, PathStep, selects};
use crate::object::item_selector::ItemSelector;
use crate::object::{ObjectId, managed_fields};
use crate::plan::desired::{Member, Plan};
use crate::settings::format::OwnedField;
use crate::settings::handsctl::OwnershipRule;

/// What is done about fields and objects of others.
#[derive(Debug, Clone, Default)]
pub struct Ownership {
    rules: BTreeMap<OwnedField, OwnershipRule>,
    force_conflicts: bool,
    adopt: bool,
}

impl Ownership {
    /// The rules of `[deploy.ownership]`, `--force-conflicts` and `--adopt`.
    #[must_use]
    pub fn new(rules: &BTreeMap<OwnedField, OwnershipRule>, force_conflicts: bool, adopt: bool) -> Self {
        Self { rules: rules.clone(), force_conflicts, adopt }
    }

    /// Whether an object of somebody else's is taken over.
    #[must_use]
    pub fn adopts(&self) -> bool {
        self.adopt
    }

    /// Whether fields that others manage are taken over where no rule is for them.
    #[must_use]
    pub fn forces_conflicts(&self) -> bool {
        self.force_conflicts
    }

    /// The rule for a field of this member: the longest that names the field or something around it.
    #[must_use]
    pub fn rule_for(&self, member: &Member, field: &FieldPath) -> Option<OwnershipRule> {
        self.rules_of(member)
            .filter(|(path, _)| field.is_under(path))
            .max_by_key(|(path, _)| path.depth())
            .map(|(_, rule)| rule)
    }

    /// What is done about a conflict that no rule is for.
    #[must_use]
    pub fn default_rule(&self) -> OwnershipRule {
        if self.force_conflicts { OwnershipRule::Take } else { OwnershipRule::Fail }
    }

    /// The member's manifest as it is sent upon this live object: a field that is yielded is left out where another
    /// manager has it, and else keeps its live value; left out, a field that only we have would be reset.
    #[must_use]
    pub fn without_yielded_fields(&self, member: &Member, live: &Value) -> Value {
        let rules: Vec<(FieldPath, OwnershipRule)> = self.rules_of(member).collect();
        let with = |wanted: bool| {
            let fits = move |rule: &&(FieldPath, OwnershipRule)| (rule.1 == OwnershipRule::Yield) == wanted;
            rules.iter().filter(fits).map(|(path, _)| path)
        };
        let mut manifest = member.manifest.clone();
        for path in with(true) {
            let kept = with(false).filter(|kept| kept.is_under(path)).map(FieldPath::steps).collect();
            yield_field(&mut manifest, path.steps(), &FieldScope::new(live, kept));
        }
        manifest
    }

    /// Rules that no member has a field for.
    #[must_use]
    pub fn rules_without_field(&self, plan: &Plan) -> Vec<&OwnedField> {
        let fits = |rule: &OwnedField| {
            let mut named = plan.members.iter().filter(|member| names(rule, &member.id));
            named.any(|member| FieldPath::find(rule.field(), &member.manifest).is_some())
        };
        self.rules.keys().filter(|rule| !fits(rule)).collect()
    }

    /// The rules for this member, with the fields that they are for.
    fn rules_of<'a>(&'a self, member: &'a Member) -> impl Iterator<Item = (FieldPath, OwnershipRule)> + 'a {
        let named = self.rules.iter().filter(|(rule, _)| names(rule, &member.id));
        named.filter_map(|(rule, what)| Some((FieldPath::find(rule.field(), &member.manifest)?, *what)))
    }
}

fn names(rule: &OwnedField, id: &ObjectId) -> bool {
    rule.kind() == id.kind.to_ascii_lowercase()
        && rule.group().is_none_or(|group| group == id.group)
        && rule.name() == id.name
}

/// One place of a live object: what stands there, and who manages what of it.
struct FieldScope<'a> {
    live: Option<&'a Value>,
    /// Nodes of field sets.
    ours: Option<&'a Value>,
    others: Vec<&'a Value>,
    /// What longer rules keep from being yielded, as steps from here.
    kept: Vec<&'a [PathStep]>,
}

impl<'a> FieldScope<'a> {
    fn new(live: &'a Value, kept: Vec<&'a [PathStep]>) -> Self {
        Self {
            live: Some(live),
            ours: managed_fields::our_entries(live).map(|entry| &entry["fieldsV1"]).next(),
            others: managed_fields::entries_of_others(live).map(|entry| &entry["fieldsV1"]).collect(),
            kept,
        }
    }

    fn below(&self, step: &PathStep) -> Self {
        let rest = |kept: &&'a [PathStep]| {
            kept.split_first().filter(|(first, _)| *first == step).map(|(_, rest)| rest)
        };
        Self {
            live: self.live.and_then(|live| step.value_in(live)),
            ours: self.ours.and_then(|node| step.node_in(node)),
            others: self.others.iter().filter_map(|node| step.node_in(node)).collect(),
            kept: self.kept.iter().filter_map(rest).collect(),
        }
    }

    fn is_kept(&self) -> bool {
        self.kept.iter().any(|rest| rest.is_empty())
    }

    /// Whether somebody else has what stands here as a whole.
    fn others_have_it(&self) -> bool {
        self.others.iter().any(|node| managed_fields::is_leaf(node))
    }

    /// Whether somebody else has the item of a list that stands here, whoever has its fields.
    fn others_have_the_item(&self) -> bool {
        self.others.iter().any(|node| managed_fields::is_leaf(node) || node.get(".").is_some())
    }

    /// The keys by which field sets name this item of a list.
    fn keys_of(&self, item: &Value) -> Option<Map<String, Value>> {
        let nodes = self.ours.iter().chain(&self.others);
        nodes.filter_map(|node| node.as_object()).flat_map(Map::keys).find_map(|name| match selects(name)? {
            ItemSelector::Keys(keys) => {
                keys.iter().all(|(key, value)| item.get(key) == Some(value)).then_some(keys)
            }
            ItemSelector::Value(_) => None,
        })
    }

    fn has(&self, prefix: &str) -> bool {
        let mut nodes = self.ours.iter().chain(&self.others).filter_map(|node| node.as_object());
        nodes.any(|node| node.keys().any(|name| name.starts_with(prefix)))
    }
}

/// Whether nothing is left of what stands here, so that it is left out itself.
type Gone = bool;

fn yield_field(wanted: &mut Value, path: &[PathStep], place: &FieldScope<'_>) -> Gone {
    let Some((step, rest)) = path.split_first() else { return yield_value(wanted, place) };
    let Some(inner) = step.value_in_mut(wanted) else { return false };
    if !yield_field(inner, rest, &place.below(step)) {
        return false;
    }
    step.remove(wanted);
    // An empty map or list would be a value of its own.
    wanted.as_object().is_some_and(Map::is_empty) || wanted.as_array().is_some_and(Vec::is_empty)
}

fn yield_value(wanted: &mut Value, place: &FieldScope<'_>) -> Gone {
    if place.is_kept() {
        return false;
    }
    if place.others_have_it() {
        return true;
    }
    let as_a_whole = place.ours.is_some_and(managed_fields::is_leaf);
    match wanted {
        Value::Object(map) if !as_a_whole => {
            map.retain(|name, value| !yield_value(value, &place.below(&PathStep::Field(name.clone()))));
            map.is_empty()
        }
        Value::Array(items) if !as_a_whole && place.has("k:") => {
            items.retain_mut(|item| !yield_item(item, place));
            items.is_empty()
        }
        Value::Array(items) if !as_a_whole && place.has("v:") => {
            items.retain(|item| {
                !place.below(&PathStep::Item(ItemSelector::Value(item.clone()))).others_have_it()
            });
            items.is_empty()
        }
        _ => {
            if let Some(live) = place.live {
                *wanted = live.clone();
            }
            false
        }
    }
}

/// An item keeps its keys as long as we have anything of it: without them it would be another item.
fn yield_item(item: &mut Value, list: &FieldScope<'_>) -> Gone {
    // An item that nobody has yet is new.
    let Some(keys) = list.keys_of(item) else { return false };
    let place = list.below(&PathStep::Item(ItemSelector::Keys(keys.clone())));
    let Value::Object(fields) = item else { return false };
    if place.is_kept() {
        return false;
    }
    fields.retain(|name, value| {
        keys.contains_key(name) || !yield_value(value, &place.below(&PathStep::Field(name.clone())))
    });
    place.others_have_the_item() && fields.keys().all(|name| keys.contains_key(name))
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

    /// The same with the values that are there: `i:1`, 3 replicas; each entry is a manager's field set.
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
    fn a_yielded_field_of_another_manager_is_left_out() {
        let manifest =
            yielded("spec.replicas", &live(&json!({}), &[json!({ "f:spec": { "f:replicas": {} } })]));
        let mut expected = deployment().manifest;
        expected["spec"].as_object_mut().unwrap().remove("replicas");
        assert_eq!(manifest, expected);
    }

    #[test]
    fn a_yielded_field_that_only_we_have_keeps_its_live_value() {
        let manifest = yielded("spec.replicas", &live(&json!({ "f:spec": { "f:replicas": {} } }), &[]));
        assert_eq!(manifest["spec"]["replicas"], 3);
        assert_eq!(manifest["spec"]["strategy"], json!({ "type": "Recreate" }));
    }

    #[test]
    fn nothing_empty_is_left_behind() {
        let others = json!({ "f:spec": { "f:strategy": { "f:type": {} } } });
        let manifest = yielded("spec.strategy.type", &live(&json!({}), std::slice::from_ref(&others)));
        assert_eq!(manifest["spec"].get("strategy"), None);
        let manifest = yielded("spec.strategy", &live(&json!({}), &[others]));
        assert_eq!(manifest["spec"].get("strategy"), None);
    }

    #[test]
    fn what_is_managed_as_a_whole_is_yielded_as_a_whole() {
        let fields = json!({ "f:spec": { "f:template": { "f:spec": { "f:nodeSelector": {} } } } });
        let field = "spec.template.spec.nodeSelector";
        let manifest = yielded(field, &live(&json!({}), std::slice::from_ref(&fields)));
        assert_eq!(manifest["spec"]["template"]["spec"].get("nodeSelector"), None);
        let manifest = yielded(field, &live(&fields, &[]));
        assert_eq!(manifest["spec"]["template"]["spec"]["nodeSelector"], json!({ "a": "c", "d": "e" }));
    }

    #[test]
    fn an_item_keeps_its_keys_as_long_as_anything_of_it_is_ours() {
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
        // All of the container: the variable that they have goes, ours keeps its live value.
        let manifest = yielded(container, &live);
        let item = &manifest["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(item, &json!({ "name": "main", "env": [{ "name": "A", "value": "1" }] }));
        let manifest = yielded(&format!("{container}.env[name=\"B\"].value"), &live);
        let item = &manifest["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(item["env"], json!([{ "name": "A", "value": "2" }, { "name": "B" }]));
    }

    #[test]
    fn a_longer_rule_keeps_its_field_from_being_yielded() {
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
    fn an_item_that_only_others_have_is_left_out() {
        let theirs = in_container(
            &json!({ "f:env": { "k:{\"name\":\"B\"}": { ".": {}, "f:name": {}, "f:value": {} } } }),
        );
        let manifest =
            yielded("spec.template.spec.containers[name=\"main\"].env", &live(&json!({}), &[theirs]));
        let item = &manifest["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(item["env"], json!([{ "name": "A", "value": "2" }]), "A is not managed by anybody yet");
    }

    #[test]
    fn the_longest_rule_counts_and_only_for_its_object() {
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
