//! The fields by which an object exposes the application. Pure.

use std::collections::BTreeSet;

use serde_json::Value;

use super::exposing_field::{ExposedBy, ExposingField, PRIVATE_ANNOTATIONS};
use super::exposing_pod::exposing_pod_fields;
use super::exposure::is_contained;
use crate::object::field_path::{FieldPath, PathStep};
use crate::object::labels::{self, Component};
use crate::settings::format::IpRange;

/// Kinds of which a field can expose the application, and whose objects are judged as the server has them.
const JUDGED_KINDS: &[&str] = &["Service", "Ingress", "Route", "Deployment"];
/// The ends of annotations with further hosts of an Ingress. Each ingress controller has a prefix of its own.
const HOST_ANNOTATIONS: &[&str] = &["/server-alias", "/server-alias-regex"];
/// The ends of annotations that give a load balancer a public address with this value.
const PUBLIC_ANNOTATIONS: &[(&str, &str)] = &[("alb.ingress.kubernetes.io/scheme", "internet-facing")];
/// The value of a host or of source ranges that are absent.
const EVERY: &str = "every one";

/// Returns whether an object of this kind is judged.
#[must_use]
pub fn is_judged(kind: &str) -> bool {
    JUDGED_KINDS.contains(&kind)
}

/// Returns the names of the Services that lead to the application `app` of this namespace: its own, those that select its
/// pods, and those of type `ExternalName` that name one of them.
#[must_use]
pub fn services_of_app<'a>(
    app: &str,
    namespace: &str,
    objects: &(impl Iterator<Item = &'a Value> + Clone),
) -> BTreeSet<String> {
    let mut names = BTreeSet::from([app.to_owned()]);
    loop {
        let leads = |object: &&Value| {
            object["kind"] == "Service"
                && (selects_app(&object["spec"]["selector"], app) || is_alias(object, &names, namespace))
        };
        let found: Vec<&str> = objects
            .clone()
            .filter(leads)
            .filter_map(|object| object["metadata"]["name"].as_str())
            .filter(|name| !names.contains(*name))
            .collect();
        if found.is_empty() {
            return names;
        }
        names.extend(found.into_iter().map(str::to_owned));
    }
}

/// Returns whether a Service is another name of one of these Services.
fn is_alias(service: &Value, names: &BTreeSet<String>, namespace: &str) -> bool {
    let Some(target) = service["spec"]["externalName"].as_str() else { return false };
    let mut labels = target.split('.');
    service["spec"]["type"] == "ExternalName"
        && labels.next().is_some_and(|name| names.contains(name))
        && labels.next().is_none_or(|label| label == namespace)
}

/// Returns the fields by which a live object exposes the application and its manifest does not. `services` are the names
/// of the Services that lead to the application.
#[must_use]
pub fn fields_beyond(
    manifest: &Value,
    live: &Value,
    app: &str,
    services: &BTreeSet<String>,
) -> Vec<ExposingField> {
    let planned = exposing_fields(manifest, app, services);
    let is_planned = |field: &ExposingField| {
        planned.iter().any(|other| {
            let is_same =
                other.by == field.by && (other.value == EVERY || covers(&other.value, &field.value));
            // A load balancer has a port of every node.
            is_same || other.by == ExposedBy::LoadBalancer && field.by == ExposedBy::NodePort
        })
    };
    let mut fields = exposing_fields(live, app, services);
    fields.retain(|field| !is_planned(field));
    if fields.iter().all(|field| field.by != ExposedBy::LoadBalancer) {
        fields.extend(lost_private_annotations(manifest, live, app));
    } else {
        // The limits of a load balancer that nobody planned do not matter.
        fields.retain(|field| field.by != ExposedBy::Clients);
    }
    fields
}

/// Whether a planned value includes a live one: the same, a host under its wildcard, or a smaller range of addresses.
fn covers(planned: &str, live: &str) -> bool {
    let is_under = |domain: &str| {
        let label = live.strip_suffix(domain).and_then(|rest| rest.strip_suffix('.'));
        label.is_some_and(|label| !label.is_empty() && !label.contains('.'))
    };
    let is_smaller_range = || match (IpRange::parse(planned), IpRange::parse(live)) {
        (Ok(planned), Ok(live)) => planned.contains(&live),
        _ => false,
    };
    planned == live || planned.strip_prefix("*.").is_some_and(is_under) || is_smaller_range()
}

/// Returns the annotations that keep a load balancer of the application private and that the live object lacks.
fn lost_private_annotations(manifest: &Value, live: &Value, app: &str) -> Vec<ExposingField> {
    let is_load_balancer = [manifest, live].iter().all(|object| object["spec"]["type"] == "LoadBalancer");
    if !is_load_balancer || !selects_app(&live["spec"]["selector"], app) {
        return Vec::new();
    }
    let annotations = &live["metadata"]["annotations"];
    let lost = PRIVATE_ANNOTATIONS.iter().filter(|(key, value)| {
        manifest["metadata"]["annotations"][*key] == *value && annotations[*key] != *value
    });
    lost.map(|(key, _)| {
        let value = annotations[*key].as_str().unwrap_or("absent");
        field(&["metadata", "annotations", key], value, ExposedBy::Clients)
    })
    .collect()
}

/// Returns the fields by which an object exposes the application.
#[must_use]
pub fn exposing_fields(object: &Value, app: &str, services: &BTreeSet<String>) -> Vec<ExposingField> {
    let spec = &object["spec"];
    match object["kind"].as_str().filter(|_| !is_of_knative(object)) {
        Some("Service") if selects_app(&spec["selector"], app) => exposing_service_fields(spec),
        Some("Ingress") if names_service(spec, services) => exposing_ingress_fields(object, services),
        Some("Deployment") => exposing_pod_fields(object, app),
        Some("Route") if names_service(spec, services) => {
            let host = spec["host"].as_str().map_or_else(|| EVERY.to_owned(), str::to_owned);
            vec![field(&["spec", "host"], &host, ExposedBy::Host)]
        }
        _ => Vec::new(),
    }
}

/// Knative has a Service and a Route of its own.
fn is_of_knative(object: &Value) -> bool {
    object["apiVersion"].as_str().is_some_and(|version| version.starts_with("serving.knative.dev/"))
}

fn exposing_service_fields(spec: &Value) -> Vec<ExposingField> {
    let mut fields = Vec::new();
    let texts = |key: &str| spec[key].as_array().into_iter().flatten().filter_map(Value::as_str);
    match spec["type"].as_str() {
        Some("LoadBalancer") => {
            fields.push(field(&["spec", "type"], "LoadBalancer", ExposedBy::LoadBalancer));
            let clients =
                |range: &str| field(&["spec", "loadBalancerSourceRanges"], range, ExposedBy::Clients);
            let ranges: Vec<ExposingField> = texts("loadBalancerSourceRanges").map(clients).collect();
            fields.extend(if ranges.is_empty() { vec![clients(EVERY)] } else { ranges });
        }
        Some("NodePort") => fields.push(field(&["spec", "type"], "NodePort", ExposedBy::NodePort)),
        _ => {}
    }
    fields.extend(
        texts("externalIPs").map(|address| field(&["spec", "externalIPs"], address, ExposedBy::ExternalIps)),
    );
    fields
}

fn exposing_ingress_fields(ingress: &Value, services: &BTreeSet<String>) -> Vec<ExposingField> {
    let spec = &ingress["spec"];
    let rules = spec["rules"].as_array().into_iter().flatten();
    let hosts = rules.filter(|rule| names_service(rule, services)).map(|rule| {
        let host = rule["host"].as_str().filter(|host| !host.is_empty()).unwrap_or(EVERY);
        field(&["spec", "rules"], host, ExposedBy::Host)
    });
    let default = names_service(&spec["defaultBackend"], services)
        .then(|| field(&["spec", "defaultBackend"], EVERY, ExposedBy::Host));
    let annotations = ingress["metadata"]["annotations"].as_object().into_iter().flatten();
    let annotations = annotations.filter_map(|(key, value)| Some((key, value.as_str()?)));
    let by_annotation = annotations.flat_map(|(key, value)| {
        let path = ["metadata", "annotations", key];
        let names_hosts = HOST_ANNOTATIONS.iter().any(|end| key.ends_with(end));
        let aliases = value.split(',').map(str::trim).filter(|host| names_hosts && !host.is_empty());
        let aliases = aliases.map(|host| field(&path, host, ExposedBy::Host));
        let is_public = PUBLIC_ANNOTATIONS.contains(&(key.as_str(), value));
        let public = is_public.then(|| field(&path, value, ExposedBy::LoadBalancer));
        aliases.chain(public).collect::<Vec<_>>()
    });
    hosts.chain(default).chain(by_annotation).filter(|field| !is_contained(&field.value)).collect()
}

fn field(path: &[&str], value: &str, by: ExposedBy) -> ExposingField {
    let steps: Vec<PathStep> = path.iter().map(|name| PathStep::Field((*name).to_owned())).collect();
    ExposingField { path: FieldPath::from_steps(&steps), value: value.to_owned(), by }
}

/// Whether a Service's selector matches the labels of the application's pods.
pub(super) fn selects_app(selector: &Value, set: &str) -> bool {
    let labels = labels::selector(set, Component::App);
    selector.as_object().is_some_and(|selector| {
        let matches = |(key, value): (&String, &Value)| {
            labels.get(key.as_str()).is_some_and(|label| value.as_str() == Some(label))
        };
        !selector.is_empty() && selector.iter().all(matches)
    })
}

/// Whether a value names one of these Services as a backend, alone or with its namespace: each kind of route has it under
/// `name`, `VirtualService` in a `destination` under `host`. Elsewhere a `host` is a host of the route, and the `name` of a
/// `port` is that of the port.
pub(super) fn names_service(value: &Value, services: &BTreeSet<String>) -> bool {
    let is_service = |value: &Value| {
        let name = value.as_str().and_then(|text| text.split('.').next());
        name.is_some_and(|name| services.contains(name))
    };
    match value {
        Value::Object(map) => map.iter().any(|(key, value)| match key.as_str() {
            "name" => is_service(value),
            "destination" => is_service(&value["host"]) || names_service(value, services),
            "port" => false,
            _ => names_service(value, services),
        }),
        Value::Array(items) => items.iter().any(|item| names_service(item, services)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn service(spec: &Value) -> Value {
        let mut service = json!({ "kind": "Service", "metadata": { "name": "oh" }, "spec": spec });
        service["spec"]["selector"] = json!(labels::selector("oh", Component::App));
        service
    }

    fn ingress(host: &str, annotations: &Value) -> Value {
        let backend = json!({ "service": { "name": "oh", "port": { "name": "http" } } });
        let rule = json!({ "host": host, "http": { "paths": [{ "path": "/", "backend": backend }] } });
        json!({ "kind": "Ingress", "metadata": { "annotations": annotations }, "spec": { "rules": [rule] } })
    }

    fn beyond(manifest: &Value, live: &Value) -> Vec<String> {
        let fields = fields_beyond(manifest, live, "oh", &BTreeSet::from(["oh".to_owned()]));
        fields.iter().map(|field| format!("{} {} {}", field.path, field.value, field.by.as_str())).collect()
    }

    #[test]
    fn service_is_judged_by_type_addresses_and_clients() {
        let internal = service(&json!({ "type": "ClusterIP" }));
        let of_type = |name: &str| service(&json!({ "type": name }));
        let limited =
            |ranges: &[&str]| service(&json!({ "type": "LoadBalancer", "loadBalancerSourceRanges": ranges }));
        for (manifest, live, expected) in [
            (&internal, internal.clone(), vec![]),
            (&internal, of_type("NodePort"), vec![".spec.type NodePort at every node's address"]),
            (&internal, of_type("LoadBalancer"), vec![".spec.type LoadBalancer by a load balancer"]),
            (&of_type("LoadBalancer"), of_type("NodePort"), vec![]),
            (
                &of_type("NodePort"),
                of_type("LoadBalancer"),
                vec![".spec.type LoadBalancer by a load balancer"],
            ),
            (&of_type("LoadBalancer"), limited(&["10.0.0.0/8"]), vec![]),
            (&limited(&["10.0.0.0/8"]), limited(&["10.1.0.0/16"]), vec![]),
            (
                &limited(&["10.0.0.0/8"]),
                limited(&["10.0.0.0/8", "0.0.0.0/0"]),
                vec![".spec.loadBalancerSourceRanges 0.0.0.0/0 to more clients of its load balancer"],
            ),
            (
                &limited(&["10.0.0.0/8"]),
                of_type("LoadBalancer"),
                vec![".spec.loadBalancerSourceRanges every one to more clients of its load balancer"],
            ),
            (
                &internal,
                service(&json!({ "externalIPs": ["203.0.113.7"] })),
                vec![".spec.externalIPs 203.0.113.7 at its externalIPs"],
            ),
        ] {
            assert_eq!(beyond(manifest, &live), expected, "{live}");
        }
    }

    #[test]
    fn private_load_balancer_that_became_public_is_beyond() {
        let mut planned = service(&json!({ "type": "LoadBalancer" }));
        let scheme = "service.beta.kubernetes.io/aws-load-balancer-scheme";
        planned["metadata"]["annotations"] = json!({ scheme: "internal", "external-dns/hostname": "a" });
        let mut live = planned.clone();
        live["metadata"]["annotations"]["external-dns/hostname"] = json!("b");
        assert_eq!(beyond(&planned, &live), [""; 0], "a name exposes nothing");
        live["metadata"]["annotations"][scheme] = json!("internet-facing");
        assert_eq!(
            beyond(&planned, &live),
            [format!(".metadata.annotations.{scheme} internet-facing to more clients of its load balancer")]
        );
        for object in [&mut planned, &mut live] {
            object["spec"]["selector"] = json!({ "app": "proxy" });
        }
        assert_eq!(beyond(&planned, &live), [""; 0], "the load balancer of a proxy with a login");
    }

    #[test]
    fn service_that_selects_other_pods_exposes_nothing() {
        let mut other = service(&json!({ "type": "LoadBalancer" }));
        other["spec"]["selector"] = json!({ "app": "proxy" });
        assert_eq!(beyond(&service(&json!({})), &other), [""; 0]);
    }

    #[test]
    fn ingress_is_judged_by_hosts_of_rules_and_annotations() {
        let planned = ingress("localhost", &json!({}));
        let alias = |hosts: &str| json!({ "nginx.ingress.kubernetes.io/server-alias": hosts });
        for (live, expected) in [
            (planned.clone(), vec![]),
            (ingress("x.localhost", &json!({})), vec![]),
            (ingress("a.example", &json!({})), vec![".spec.rules a.example by another host"]),
            (ingress("", &json!({})), vec![".spec.rules every one by another host"]),
            (
                ingress("localhost", &alias("b.example, oh.localhost")),
                vec![
                    ".metadata.annotations.nginx.ingress.kubernetes.io/server-alias b.example by another host",
                ],
            ),
            (
                ingress("localhost", &json!({ "alb.ingress.kubernetes.io/scheme": "internet-facing" })),
                vec![
                    ".metadata.annotations.alb.ingress.kubernetes.io/scheme internet-facing by a load balancer",
                ],
            ),
            (ingress("localhost", &json!({ "example.io/note": "b.example" })), vec![]),
        ] {
            assert_eq!(beyond(&planned, &live), expected, "{live}");
        }
        for (planned, alias_host) in [("a.example", "a.example"), ("*.example", "b.example")] {
            let live = ingress(planned, &alias(alias_host));
            assert_eq!(beyond(&ingress(planned, &json!({})), &live), [""; 0], "{planned}");
        }
        assert_eq!(
            beyond(&ingress("*.example", &json!({})), &ingress("*.example", &alias("c.b.example"))).len(),
            1
        );
    }

    #[test]
    fn route_of_another_service_with_our_name_as_host_is_none() {
        let services = BTreeSet::from(["oh".to_owned(), "http".to_owned()]);
        let backend = json!({ "service": { "name": "login-proxy", "port": { "name": "http" } } });
        let rule = json!({ "host": "oh.example.com", "http": { "paths": [{ "backend": backend }] } });
        assert!(!names_service(&json!({ "rules": [rule] }), &services));
        let route = json!({ "hosts": ["a.example"], "http": [{ "route": [{ "destination": { "host": "oh.n.svc" } }] }] });
        assert!(names_service(&route, &services));
    }

    #[test]
    fn services_of_the_application_are_found_through_aliases() {
        let alias = |name: &str, target: &str| {
            json!({ "kind": "Service", "metadata": { "name": name },
                "spec": { "type": "ExternalName", "externalName": target } })
        };
        let mut second = service(&json!({}));
        second["metadata"]["name"] = json!("second");
        let objects = [
            alias("c", "b.n.svc.cluster.local"),
            alias("b", "second.n.svc.cluster.local"),
            second,
            alias("other", "oh.m.svc.cluster.local"),
            alias("outside", "hands.example.org"),
        ];
        let names = services_of_app("oh", "n", &objects.iter());
        assert_eq!(names, ["b", "c", "oh", "second"].map(str::to_owned).into());
    }
}
