//! Services and Ingresses of others that expose the application. Pure.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::foreign_change::{installer, owner_text};
use crate::object::ObjectId;
use crate::object::labels::{self, Component};
use crate::object::list_items::items;
use crate::settings::{self, ExposedBy};

/// An object that is no member of the installation and exposes its application.
#[derive(Debug, Clone, PartialEq)]
pub struct ForeignExposure {
    /// The object.
    pub id: ObjectId,
    /// How it exposes the application: `by a load balancer`.
    pub by: Vec<&'static str>,
    /// The addresses and ports, and who made it.
    pub evidence: Vec<String>,
}

impl ForeignExposure {
    /// Returns the command that ends the exposure.
    #[must_use]
    pub fn command(&self) -> String {
        format!("kubectl delete {} -n {}", self.id, self.id.namespace.as_deref().unwrap_or_default())
    }
}

/// Returns those of `objects`, the Services and Ingresses of the namespace, that expose the application `app` and that
/// `is_member` does not accept. `pods` are pods of the application, whose labels a selector may name.
#[must_use]
pub fn foreign_exposures(
    app: &str,
    namespace: &str,
    objects: &[(ObjectId, Value)],
    is_member: impl Fn(&ObjectId) -> bool,
    pods: &[Value],
    now: Timestamp,
) -> Vec<ForeignExposure> {
    let objects: Vec<(&ObjectId, Value)> =
        objects.iter().map(|(id, object)| (id, with_selector(object, app, pods))).collect();
    let services = settings::services_of_app(app, namespace, &objects.iter().map(|(_, object)| object));
    let exposures = objects.iter().filter(|(id, _)| !is_member(id)).filter_map(|(id, object)| {
        let fields = settings::exposing_fields(object, app, &services);
        let mut by: Vec<&str> = Vec::new();
        let mut evidence = Vec::new();
        for field in fields.iter().filter(|field| field.by != ExposedBy::Clients) {
            if !by.contains(&words(field.by)) {
                by.push(words(field.by));
            }
            let line = line(field.by, &field.value, object);
            if !evidence.contains(&line) {
                evidence.push(line);
            }
        }
        let made = installer(object).map(|owner| format!("made by {}", owner_text(&owner, now)));
        evidence.extend(made);
        (!by.is_empty()).then(|| ForeignExposure { id: (*id).clone(), by, evidence })
    });
    exposures.collect()
}

/// Returns a Service that selects a pod of the application by other labels as if it had selected them all.
fn with_selector(object: &Value, app: &str, pods: &[Value]) -> Value {
    let mut object = object.clone();
    let selector = &object["spec"]["selector"];
    if object["kind"] == "Service" && pods.iter().any(|pod| labels::selects(selector, pod)) {
        object["spec"]["selector"] = json!(labels::selector(app, Component::App));
    }
    object
}

/// A host of an object of others is no other one than another.
fn words(by: ExposedBy) -> &'static str {
    if by == ExposedBy::Host { "by a host of its own" } else { by.as_str() }
}

fn line(by: ExposedBy, value: &str, object: &Value) -> String {
    match by {
        ExposedBy::LoadBalancer if object["kind"] == "Service" => {
            let addresses = addresses(object);
            let at = if addresses.is_empty() {
                "has no address yet".to_owned()
            } else {
                format!("has {}", addresses.join(", "))
            };
            let ranges: Vec<&str> =
                items(&object["spec"]["loadBalancerSourceRanges"]).filter_map(Value::as_str).collect();
            let clients =
                if ranges.is_empty() { String::new() } else { format!(" for {}", ranges.join(", ")) };
            let nodes = node_ports(object);
            let nodes =
                if nodes.is_empty() { String::new() } else { format!(", and port {nodes} of every node") };
            format!("the load balancer {at}, port {}{clients}{nodes}", ports(object, "port"))
        }
        ExposedBy::NodePort => format!("type NodePort, at port {} of every node", node_ports(object)),
        ExposedBy::ExternalIps => format!("at {value}, port {}", ports(object, "port")),
        ExposedBy::Host => format!("host {value} leads to it"),
        _ => format!("has {value}"),
    }
}

/// Returns the addresses of a load balancer that its controller has assigned.
fn addresses(service: &Value) -> Vec<&str> {
    let assigned = items(&service["status"]["loadBalancer"]["ingress"]);
    assigned.filter_map(|entry| entry["ip"].as_str().or_else(|| entry["hostname"].as_str())).collect()
}

fn node_ports(service: &Value) -> String {
    ports(service, "nodePort")
}

fn ports(service: &Value, key: &str) -> String {
    let ports = items(&service["spec"]["ports"]).filter_map(|port| port[key].as_u64());
    ports.map(|port| port.to_string()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::kind::{INGRESS, SERVICE};

    fn service(name: &str, spec: &Value) -> (ObjectId, Value) {
        let mut object = json!({ "kind": "Service", "metadata": { "name": name }, "spec": spec });
        if object["spec"]["selector"].is_null() {
            object["spec"]["selector"] = json!(labels::selector("oh", Component::App));
        }
        object["spec"]["ports"] = json!([{ "port": 80, "nodePort": 31234 }]);
        (SERVICE.id("n", name), object)
    }

    fn texts(objects: &[(ObjectId, Value)]) -> Vec<String> {
        let mut labels = json!(labels::selector("oh", Component::App));
        labels["pod-template-hash"] = json!("1");
        let pods = [json!({ "metadata": { "labels": labels } })];
        let is_member = |id: &ObjectId| id.name == "oh";
        let found = foreign_exposures("oh", "n", objects, is_member, &pods, Timestamp::UNIX_EPOCH);
        found.iter().map(|it| format!("{} {}: {}", it.id, it.by.join(" "), it.evidence.join("; "))).collect()
    }

    #[test]
    fn services_of_others_name_type_address_and_port() {
        let mut assigned = service("lb", &json!({ "type": "LoadBalancer" }));
        assigned.1["status"] = json!({ "loadBalancer": { "ingress": [{ "ip": "198.51.100.4" }] } });
        let hash = json!({ "pod-template-hash": "1" });
        for (object, expected) in [
            (
                assigned,
                "service/lb by a load balancer: the load balancer has 198.51.100.4, port 80, and port 31234 of every node",
            ),
            (
                service("np", &json!({ "type": "NodePort", "selector": hash })),
                "service/np at every node's address: type NodePort, at port 31234 of every node",
            ),
            (
                service("ip", &json!({ "externalIPs": ["203.0.113.7"] })),
                "service/ip at its externalIPs: at 203.0.113.7, port 80",
            ),
        ] {
            assert_eq!(texts(&[object]), [expected]);
        }
        let nothing = [
            service("oh", &json!({ "type": "NodePort" })),
            service("inside", &json!({ "type": "ClusterIP" })),
            service("other", &json!({ "type": "NodePort", "selector": { "app": "x" } })),
        ];
        assert_eq!(texts(&nothing), [""; 0]);
    }

    #[test]
    fn ingress_of_others_leads_by_a_service_of_others() {
        let backend = json!({ "service": { "name": "second", "port": { "number": 80 } } });
        let ingress = |host: &str| {
            let rule = json!({ "host": host, "http": { "paths": [{ "path": "/", "backend": backend }] } });
            let object =
                json!({ "kind": "Ingress", "metadata": { "name": "i" }, "spec": { "rules": [rule] } });
            (INGRESS.id("n", "i"), object)
        };
        let second = || service("second", &json!({ "type": "ClusterIP" }));
        assert_eq!(
            texts(&[second(), ingress("a.example")]),
            ["ingress.networking.k8s.io/i by a host of its own: host a.example leads to it"]
        );
        assert_eq!(texts(&[second(), ingress("a.localhost")]), [""; 0]);
        assert_eq!(texts(&[ingress("a.example")]), [""; 0], "there is no such Service");
    }
}
