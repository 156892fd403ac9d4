//! What others added to the pods of a live workload since the deploy: containers, variables and other fields. Pure.
//!
//! An apply keeps fields of others that its manifest lacks, so neither a deploy nor a comparison with the manifest's own
//! fields shows them. No live value of a variable leaves this file: it may be a key.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::foreign_change::owner_text;
use super::policy::Ownership;
use super::restoring_patch::{patch_command, restoring_command};
use crate::object::field_path::{FieldOwner, FieldPath, PathStep};
use crate::object::item_selector::ItemSelector;
use crate::object::labels::MANAGER;
use crate::object::list_items::items;
use crate::object::{managed_fields, secret_name};
use crate::plan::desired::Member;
use crate::settings::handsctl::OwnershipRule;

/// The path of a workload's pod.
const POD: [&str; 3] = ["spec", "template", "spec"];
/// The lists of containers in a pod, with the word for one of them.
const CONTAINER_LISTS: [(&str, &str); 2] =
    [("containers", "container"), ("initContainers", "init container")];
/// The lists of variables in a container, which are compared by name.
const VARIABLE_LISTS: [&str; 2] = ["env", "envFrom"];
/// Fields that the API server sets to a default of its own: who sends a whole object owns them.
const DEFAULTED: &[&str] = &[
    "apiVersion",
    "defaultMode",
    "dnsPolicy",
    "failureThreshold",
    "imagePullPolicy",
    "periodSeconds",
    "protocol",
    "restartPolicy",
    "schedulerName",
    "scheme",
    "serviceAccount",
    "successThreshold",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "timeoutSeconds",
];

/// What others added to the pods of a workload.
#[derive(Debug, Clone, PartialEq)]
pub struct ForeignPod {
    /// Containers, and fields that the manifest lacks.
    pub parts: Vec<PodAddition>,
    /// The command that removes the parts.
    pub parts_command: String,
    /// Variables that the manifest lacks or has otherwise.
    pub variables: Vec<PodAddition>,
    /// The command that restores the variables.
    pub variables_command: String,
}

/// Something that others added.
#[derive(Debug, Clone, PartialEq)]
pub struct PodAddition {
    /// What it is, without the value of a variable: `container side (busybox)`.
    what: String,
    /// Who set it. Empty if somebody removed a field: no removal is recorded.
    owners: Vec<FieldOwner>,
}

impl PodAddition {
    /// Returns what was added and by whom: `container side (busybox), set by kubectl-patch 5 m ago`.
    #[must_use]
    pub fn text(&self, now: Timestamp) -> String {
        let owners: Vec<String> = self.owners.iter().map(|owner| owner_text(owner, now)).collect();
        if owners.is_empty() {
            return format!("{}; the API server has no record of who did it", self.what);
        }
        format!("{}, set by {}", self.what, owners.join(" and "))
    }
}

/// Returns what others added to the pods of a live workload. Fields that `[deploy.ownership]` yields are left out.
#[must_use]
pub fn foreign_pod(member: &Member, live: &Value, ownership: &Ownership) -> ForeignPod {
    let judge = Judge { member, live, ownership };
    let (containers, mut paths) = judge.containers();
    let (fields, field_paths) = judge.fields();
    paths.extend(field_paths);
    let (variables, patch) = judge.variables();
    ForeignPod {
        parts: containers.into_iter().chain(fields).collect(),
        parts_command: restoring_command(&member.id, &member.manifest, paths.iter()),
        variables,
        variables_command: patch_command(&member.id, &patch),
    }
}

struct Judge<'a> {
    member: &'a Member,
    live: &'a Value,
    ownership: &'a Ownership,
}

impl Judge<'_> {
    /// Returns who added a field; None if nobody else did, or if it is left to them.
    fn owners(&self, path: &FieldPath) -> Option<Vec<FieldOwner>> {
        let mut owners = path.owners(self.live);
        // What a webhook adds to our own apply is recorded as an update of ours.
        owners.retain(|owner| owner.manager != MANAGER);
        let is_yielded = self.ownership.rule_for(self.member, path) == Some(OwnershipRule::Yield);
        (!owners.is_empty() && !is_yielded).then_some(owners)
    }

    fn containers(&self) -> (Vec<PodAddition>, Vec<FieldPath>) {
        let mut additions = Vec::new();
        let mut paths = Vec::new();
        for (list, word) in CONTAINER_LISTS {
            let planned = names(&pod(&self.member.manifest)[list]);
            for container in items(&pod(self.live)[list]) {
                let Some(name) = container["name"].as_str().filter(|name| !planned.contains(name)) else {
                    continue;
                };
                let path = FieldPath::from_steps(&[pod_steps(&[list]), vec![named(name)]].concat());
                let Some(owners) = self.owners(&path) else { continue };
                let image = container["image"].as_str().unwrap_or_default();
                additions.push(PodAddition { what: format!("{word} {name} ({image})"), owners });
                paths.push(path);
            }
        }
        (additions, paths)
    }

    /// Returns the outermost fields of others that the manifest lacks, except containers and variables.
    fn fields(&self) -> (Vec<PodAddition>, Vec<FieldPath>) {
        let mut additions = Vec::new();
        let mut paths: Vec<FieldPath> = Vec::new();
        for entry in managed_fields::entries_of_others(self.live) {
            for leaf in FieldPath::leaves(&entry["fieldsV1"]) {
                let Some(path) = self.outermost_missing(&leaf) else { continue };
                if paths.contains(&path) {
                    continue;
                }
                let Some(owners) = self.owners(&path) else { continue };
                additions.push(PodAddition { what: format!("field {path}"), owners });
                paths.push(path);
            }
        }
        (additions, paths)
    }

    fn outermost_missing(&self, leaf: &FieldPath) -> Option<FieldPath> {
        let steps = leaf.steps();
        let is_in_pod = steps.starts_with(&pod_steps(&[]));
        let is_left_out = |step: &PathStep| match step {
            PathStep::Field(name) => {
                VARIABLE_LISTS.contains(&name.as_str()) || DEFAULTED.contains(&name.as_str())
            }
            PathStep::Item(_) => false,
        };
        // An empty map, such as `resources: {}`, sets nothing.
        let is_set = |value: &Value| value.as_object().is_none_or(|map| !map.is_empty());
        let is_set = leaf.value_in(self.live).is_some_and(is_set);
        if !is_in_pod || !is_set || steps.iter().any(is_left_out) {
            return None;
        }
        let prefixes = (POD.len() + 1..=steps.len()).map(|length| FieldPath::from_steps(&steps[..length]));
        let missing = prefixes.into_iter().find(|prefix| prefix.value_in(&self.member.manifest).is_none())?;
        (!is_container(missing.steps())).then_some(missing)
    }

    /// Returns the variables that differ, and the patch that restores them.
    fn variables(&self) -> (Vec<PodAddition>, Value) {
        let mut additions = Vec::new();
        let mut patched = json!({});
        for (list, word) in CONTAINER_LISTS {
            for planned in items(&pod(&self.member.manifest)[list]) {
                let Some(name) = planned["name"].as_str() else { continue };
                let live = items(&pod(self.live)[list]).find(|container| container["name"] == name);
                let Some(live) = live else { continue };
                let container = [pod_steps(&[list]), vec![named(name)]].concat();
                let mut patch = Map::new();
                for mut addition in self.variables_of(planned, live, &container, &mut patch) {
                    addition.what = format!("{word} {name}: {}", addition.what);
                    additions.push(addition);
                }
                if !patch.is_empty() {
                    patch.insert("name".to_owned(), json!(name));
                    match &mut patched[list] {
                        Value::Array(items) => items.push(Value::Object(patch)),
                        empty => *empty = json!([patch]),
                    }
                }
            }
        }
        (additions, json!({ "spec": { "template": { "spec": patched } } }))
    }

    fn variables_of(
        &self,
        planned: &Value,
        live: &Value,
        container: &[PathStep],
        patch: &mut Map<String, Value>,
    ) -> Vec<PodAddition> {
        let path = |list: &str, item: Option<PathStep>| {
            let list = std::iter::once(PathStep::Field(list.to_owned()));
            let steps: Vec<PathStep> = container.iter().cloned().chain(list).chain(item).collect();
            FieldPath::from_steps(&steps)
        };
        let mut additions = Vec::new();
        let mut env = Vec::new();
        for variable in items(&live["env"]) {
            let Some(name) = variable["name"].as_str() else { continue };
            let plan = items(&planned["env"]).find(|planned| planned["name"] == name);
            if plan.is_some_and(|plan| is_same_variable(plan, variable)) {
                continue;
            }
            let Some(owners) = self.owners(&path("env", Some(named(name)))) else { continue };
            let instead = plan.map_or_else(String::new, |plan| format!(" instead of {}", source(name, plan)));
            let what = format!("variable {name} has {}{instead}", source(name, variable));
            additions.push(PodAddition { what, owners });
            env.push(plan.map_or_else(|| json!({ "name": name, "$patch": "delete" }), restored_variable));
        }
        let live_names = names(&live["env"]);
        for plan in items(&planned["env"]) {
            let Some(name) = plan["name"].as_str().filter(|name| !live_names.contains(name)) else {
                continue;
            };
            let field = path("env", Some(named(name)));
            if self.ownership.rule_for(self.member, &field) == Some(OwnershipRule::Yield) {
                continue;
            }
            additions.push(PodAddition { what: format!("variable {name} was removed"), owners: Vec::new() });
            env.push(plan.clone());
        }
        if !env.is_empty() {
            patch.insert("env".to_owned(), Value::Array(env));
        }
        let sources: Vec<&Value> = items(&live["envFrom"])
            .filter(|source| !items(&planned["envFrom"]).any(|plan| includes(source, plan)))
            .collect();
        if !sources.is_empty()
            && let Some(owners) = self.owners(&path("envFrom", None))
        {
            let sources: Vec<String> = sources.iter().map(|source| every_key(source)).collect();
            additions.push(PodAddition { what: format!("variables from {}", sources.join(" and ")), owners });
            patch.insert("envFrom".to_owned(), planned["envFrom"].clone());
        }
        additions
    }
}

/// Returns where a variable has its value from, without the value.
fn source(name: &str, variable: &Value) -> String {
    let from = &variable["valueFrom"];
    for (reference, kind) in [("secretKeyRef", "secret"), ("configMapKeyRef", "configmap")] {
        if let Some(object) = from[reference]["name"].as_str() {
            return format!("the value of {kind}/{object}");
        }
    }
    match from {
        Value::Null if secret_name::is_sensitive(name) => "a value in clear text".to_owned(),
        Value::Null => "a value of its own".to_owned(),
        _ => "the value of a field".to_owned(),
    }
}

fn every_key(source: &Value) -> String {
    for (reference, kind) in [("secretRef", "secret"), ("configMapRef", "configmap")] {
        if let Some(object) = source[reference]["name"].as_str() {
            return format!("every key of {kind}/{object}");
        }
    }
    "another object".to_owned()
}

/// Returns the planned variable with the other form of value removed, which a merge would keep.
fn restored_variable(planned: &Value) -> Value {
    let mut restored = planned.clone();
    let other = if planned["valueFrom"].is_null() { "valueFrom" } else { "value" };
    restored[other] = Value::Null;
    restored
}

/// An empty value is left out by the API server, and references get defaults.
fn is_same_variable(planned: &Value, live: &Value) -> bool {
    let text = |variable: &Value| variable["value"].as_str().unwrap_or_default().to_owned();
    text(planned) == text(live)
        && planned["valueFrom"].is_null() == live["valueFrom"].is_null()
        && includes(&live["valueFrom"], &planned["valueFrom"])
}

/// Returns whether a live value has everything of a planned one.
fn includes(live: &Value, planned: &Value) -> bool {
    match (live, planned) {
        (Value::Object(live), Value::Object(planned)) => {
            planned.iter().all(|(key, value)| live.get(key).is_some_and(|live| includes(live, value)))
        }
        _ => live == planned,
    }
}

fn is_container(steps: &[PathStep]) -> bool {
    let is_list = |step: &PathStep| match step {
        PathStep::Field(name) => CONTAINER_LISTS.iter().any(|(list, _)| list == name),
        PathStep::Item(_) => false,
    };
    // The whole list is missing where the first init container is added.
    steps.last().is_some_and(is_list) || steps.len() >= 2 && is_list(&steps[steps.len() - 2])
}

fn pod(workload: &Value) -> &Value {
    &workload["spec"]["template"]["spec"]
}

fn names(list: &Value) -> BTreeSet<&str> {
    items(list).filter_map(|item| item["name"].as_str()).collect()
}

fn pod_steps(names: &[&str]) -> Vec<PathStep> {
    POD.iter().chain(names).map(|name| PathStep::Field((*name).to_owned())).collect()
}

fn named(name: &str) -> PathStep {
    PathStep::Item(ItemSelector::Keys(Map::from_iter([("name".to_owned(), json!(name))])))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::object::kind::DEPLOYMENT;

    fn member() -> Member {
        let reference = json!({ "secretKeyRef": { "name": "oh-env-1", "key": "LLM_API_KEY" } });
        let env = json!([{ "name": "HOME", "value": "/tmp" }, { "name": "EMPTY", "value": "" },
            { "name": "LLM_API_KEY", "valueFrom": reference }]);
        let container = json!({ "name": "openhands", "image": "i:1", "env": env });
        let manifest = json!({ "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "name": "oh", "namespace": "n" },
            "spec": { "template": { "spec": { "containers": [container] } } } });
        Member { id: DEPLOYMENT.id("n", "oh"), kind: DEPLOYMENT, manifest }
    }

    /// The deployed object after a change of the pod, whose fields this entry of `them` has.
    fn changed(change: impl Fn(&mut Value), fields: &Value) -> Value {
        let mut live = member().manifest;
        live["spec"]["template"]["spec"]["containers"][0]["env"][1] = json!({ "name": "EMPTY" });
        change(&mut live["spec"]["template"]["spec"]);
        live["metadata"]["managedFields"] = json!([{ "manager": "them", "operation": "Update",
            "fieldsV1": { "f:spec": { "f:template": { "f:spec": fields } } } }]);
        live
    }

    fn judged(live: &Value) -> (Vec<String>, Vec<String>, ForeignPod) {
        let pod = foreign_pod(&member(), live, &Ownership::default());
        let texts =
            |all: &[PodAddition]| all.iter().map(|it| it.text(Timestamp::UNIX_EPOCH)).collect::<Vec<_>>();
        (texts(&pod.parts), texts(&pod.variables), pod)
    }

    fn variable(name: &str) -> Value {
        json!({ "f:containers": { "k:{\"name\":\"openhands\"}": { "f:env": {
            format!("k:{{\"name\":\"{name}\"}}"): { ".": {}, "f:name": {}, "f:value": {} } } } } })
    }

    #[test]
    fn deployed_pod_has_nothing_foreign() {
        let (parts, variables, _) = judged(&changed(|_| {}, &json!({})));
        assert_eq!((parts, variables), (vec![], vec![]));
    }

    #[test]
    fn foreign_containers_and_fields_are_named_with_the_command() {
        let live = changed(
            |pod| {
                pod["containers"].as_array_mut().unwrap().insert(0, json!({ "name": "side", "image": "s" }));
                pod["initContainers"] = json!([{ "name": "first", "image": "f" }]);
                pod["hostPID"] = json!(true);
                pod["securityContext"] = json!({});
                pod["dnsPolicy"] = json!("ClusterFirst");
            },
            &json!({ "f:hostPID": {}, "f:dnsPolicy": {}, "f:securityContext": {},
                "f:containers": { "k:{\"name\":\"side\"}": { ".": {}, "f:name": {}, "f:image": {} } },
                "f:initContainers": { ".": {}, "k:{\"name\":\"first\"}": { ".": {}, "f:name": {}, "f:image": {} } } }),
        );
        let (parts, variables, pod) = judged(&live);
        assert_eq!(
            parts,
            [
                "container side (s), set by them",
                "init container first (f), set by them",
                "field .spec.template.spec.hostPID, set by them",
            ]
        );
        assert!(variables.is_empty());
        let patch = pod.parts_command.split('\'').nth(1).unwrap();
        assert_eq!(
            serde_json::from_str::<Value>(patch).unwrap(),
            json!({ "spec": { "template": { "spec": {
                "containers": [{ "name": "side", "$patch": "delete" }],
                "initContainers": [{ "name": "first", "$patch": "delete" }],
                "hostPID": null } } } })
        );
    }

    #[test]
    fn variable_of_others_is_named_without_its_value() {
        let live = changed(
            |pod| pod["containers"][0]["env"][2] = json!({ "name": "LLM_API_KEY", "value": "sk-1" }),
            &variable("LLM_API_KEY"),
        );
        let (parts, variables, pod) = judged(&live);
        assert!(parts.is_empty(), "{parts:?}");
        assert_eq!(
            variables,
            [
                "container openhands: variable LLM_API_KEY has a value in clear text instead of the value of secret/oh-env-1, set by them"
            ]
        );
        assert!(!format!("{pod:?}").contains("sk-1"));
        let patch = pod.variables_command.split('\'').nth(1).unwrap();
        let restored = &serde_json::from_str::<Value>(patch).unwrap()["spec"]["template"]["spec"];
        let reference = json!({ "secretKeyRef": { "name": "oh-env-1", "key": "LLM_API_KEY" } });
        assert_eq!(
            restored["containers"],
            json!([{ "name": "openhands",
                "env": [{ "name": "LLM_API_KEY", "value": null, "valueFrom": reference }] }])
        );
    }

    #[test]
    fn added_and_removed_variables_and_sources_are_named() {
        let mut fields = variable("DEBUG");
        fields["f:containers"]["k:{\"name\":\"openhands\"}"]["f:envFrom"] = json!({});
        let live = changed(
            |pod| {
                pod["containers"][0]["env"].as_array_mut().unwrap().remove(0);
                pod["containers"][0]["env"]
                    .as_array_mut()
                    .unwrap()
                    .push(json!({ "name": "DEBUG", "value": "1" }));
                pod["containers"][0]["envFrom"] = json!([{ "secretRef": { "name": "x" } }]);
            },
            &fields,
        );
        let (_, variables, _) = judged(&live);
        assert_eq!(
            variables,
            [
                "container openhands: variable DEBUG has a value of its own, set by them",
                "container openhands: variable HOME was removed; the API server has no record of who did it",
                "container openhands: variables from every key of secret/x, set by them",
            ]
        );
    }

    #[test]
    fn additions_of_a_webhook_to_our_apply_and_yielded_ones_are_none() {
        let add = |pod: &mut Value| {
            pod["containers"].as_array_mut().unwrap().push(json!({ "name": "side", "image": "s" }));
        };
        let fields = json!({ "f:containers": { "k:{\"name\":\"side\"}": { ".": {}, "f:name": {} } } });
        let mut live = changed(add, &fields);
        let rule = "deployment/oh:spec.template.spec.containers".parse().unwrap();
        let ownership = Ownership::new(&BTreeMap::from([(rule, OwnershipRule::Yield)]), false, false);
        assert_eq!(foreign_pod(&member(), &live, &ownership).parts, []);
        live["metadata"]["managedFields"][0]["manager"] = json!(MANAGER);
        assert_eq!(judged(&live).0, [""; 0]);
    }
}
