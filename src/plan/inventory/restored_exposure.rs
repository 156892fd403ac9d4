//! How a rollback would expose the application more than before. Pure.

use serde_json::Value;

use crate::object::ObjectId;
use crate::plan::desired::{Member, Plan};
use crate::settings::edition::{API_KEY, Edition};
use crate::settings::{self, ExposedBy, ExposingField};

/// The objects of the configuration, or the live ones.
pub type Objects<'a> = Vec<(&'a ObjectId, &'a Value)>;

/// Returns the objects of the restored plan that expose the application more than the same object in each of `known`, each
/// with the way: `service/oh by a load balancer`. A plan whose application requires a key exposes nothing, and what such
/// an application exposes is no measure for one without a key.
#[must_use]
pub fn additional_exposures(restored: &Plan, known: &[Objects<'_>]) -> Vec<String> {
    let set = &restored.set;
    let manifests = restored.members.iter().map(|member| &member.manifest);
    if manifests.clone().any(requires_key) {
        return Vec::new();
    }
    let services = settings::services_of_app(&set.name, &set.namespace, &manifests);
    let known = known.iter().filter(|objects| !objects.iter().any(|(_, object)| requires_key(object)));
    let mut additional = Vec::new();
    for Member { id, manifest, .. } in &restored.members {
        let beyond = |other: &Value| {
            let has_host = settings::exposing_fields(other, &set.name, &services).iter().any(is_single_host);
            let mut fields = settings::fields_beyond(other, manifest, &set.name, &services);
            // Another name of what is exposed already reaches nobody else.
            fields.retain(|field| !(has_host && is_single_host(field)));
            fields
        };
        let mut fields = beyond(&Value::Null);
        for objects in known.clone() {
            let same = objects.iter().find(|(other, _)| *other == id);
            if let Some((_, object)) = same.filter(|_| !fields.is_empty()) {
                fields = beyond(object);
            }
        }
        let mut ways: Vec<&str> = Vec::new();
        for ExposingField { by, .. } in &fields {
            if !ways.contains(&by.as_str()) {
                ways.push(by.as_str());
            }
        }
        if !ways.is_empty() {
            additional.push(format!("{id} {}", ways.join(" and ")));
        }
    }
    additional
}

/// Whether the field exposes the application under one host: no wildcard, no regular expression, not every host.
fn is_single_host(field: &ExposingField) -> bool {
    let is_of_name = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-');
    field.by == ExposedBy::Host && field.value.chars().all(is_of_name)
}

/// Whether a workload's containers have a variable with the key that the application's API requires.
fn requires_key(workload: &Value) -> bool {
    let own = Edition::of_deployment(workload).key_variables.iter().filter(|(_, key)| *key == API_KEY);
    let keys: Vec<&str> = own.map(|(variable, _)| *variable).chain([settings::SESSION_KEY]).collect();
    let containers = workload.pointer("/spec/template/spec/containers").and_then(Value::as_array);
    let mut variables =
        containers.into_iter().flatten().filter_map(|container| container["env"].as_array()).flatten();
    variables.any(|variable| {
        variable["name"].as_str().is_some_and(|name| keys.contains(&name))
            && (variable["value"].as_str().is_some_and(|value| !value.is_empty())
                || variable["valueFrom"].is_object())
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::object::kind::{DEPLOYMENT, INGRESS, KindInfo, SERVICE};
    use crate::object::labels::{self, Component};
    use crate::plan::inventory::apply_set::ApplySet;

    fn member(kind: KindInfo, mut manifest: Value) -> Member {
        manifest["kind"] = json!(kind.kind);
        manifest["metadata"] = json!({ "name": "oh" });
        Member { id: kind.id("n", "oh"), kind, manifest }
    }

    fn service(spec: &Value) -> Member {
        let mut spec = spec.clone();
        spec["selector"] = json!(labels::selector("oh", Component::App));
        member(SERVICE, json!({ "spec": spec }))
    }

    fn application(env: &Value) -> Member {
        let pod = json!({ "containers": [{ "name": "c", "env": env }] });
        member(DEPLOYMENT, json!({ "spec": { "template": { "spec": pod } } }))
    }

    fn additional(restored: Vec<Member>, known: &[&[Member]]) -> Vec<String> {
        let set = ApplySet { name: "oh".into(), namespace: "n".into(), ..ApplySet::default() };
        let known: Vec<Vec<(ObjectId, Value)>> = known
            .iter()
            .map(|members| members.iter().map(|one| (one.id.clone(), one.manifest.clone())).collect())
            .collect();
        let known: Vec<Objects<'_>> =
            known.iter().map(|objects| objects.iter().map(|(id, object)| (id, object)).collect()).collect();
        additional_exposures(&Plan { set, members: restored, ..Plan::default() }, &known)
    }

    #[test]
    fn exposure_beyond_every_known_object_is_named() {
        let (inside, public) = (json!({ "type": "ClusterIP" }), json!({ "type": "LoadBalancer" }));
        let limited = json!({ "type": "LoadBalancer", "loadBalancerSourceRanges": ["10.0.0.0/8"] });
        let of = |spec: &Value| vec![service(spec)];
        let none: &[String] = &[];
        assert_eq!(additional(of(&public), &[&of(&inside)]), ["service/oh by a load balancer"]);
        assert_eq!(additional(of(&public), &[&[]]), ["service/oh by a load balancer"]);
        assert_eq!(
            additional(of(&public), &[&of(&inside), &of(&limited)]),
            ["service/oh to more clients of its load balancer"]
        );
        assert_eq!(additional(of(&public), &[&of(&inside), &of(&public)]), none, "it is exposed already");
        assert_eq!(additional(of(&limited), &[&of(&public), &of(&inside)]), none);
        assert_eq!(additional(of(&inside), &[&[]]), none);
        let host = |host: &str| {
            let path = json!({ "backend": { "service": { "name": "oh" } } });
            vec![member(
                INGRESS,
                json!({ "spec": { "rules": [{ "host": host, "http": { "paths": [path] } }] } }),
            )]
        };
        assert_eq!(
            additional(host("a.example"), &[&host("localhost")]),
            ["ingress.networking.k8s.io/oh by another host"]
        );
        assert_eq!(additional(host("a.example"), &[&host("a.example")]), none);
        assert_eq!(additional(host("a.example"), &[&host("b.example")]), none, "another name");
        for every in ["*.example", ""] {
            assert_eq!(
                additional(host(every), &[&host("b.example")]),
                ["ingress.networking.k8s.io/oh by another host"]
            );
        }
    }

    #[test]
    fn application_that_requires_a_key_is_not_exposed() {
        let public = || service(&json!({ "type": "LoadBalancer" }));
        let key = |entry: Value| application(&json!([{ "name": "A", "value": "1" }, entry]));
        let from_secret = || key(json!({ "name": "SESSION_API_KEY", "valueFrom": { "secretKeyRef": {} } }));
        let none: &[String] = &[];
        assert_eq!(additional(vec![public(), from_secret()], &[&[]]), none);
        let exposed = ["service/oh by a load balancer"];
        let without = || vec![public(), key(json!({ "name": "SESSION_API_KEY" }))];
        assert_eq!(additional(without(), &[&[]]), exposed, "an empty key");
        assert_eq!(additional(without(), &[&[public(), from_secret()]]), exposed, "the others had a key");
        assert_eq!(additional(without(), &[&without()]), none);
    }
}
