//! The fields by which a pod template exposes the application at its node. Pure.

use std::net::IpAddr;

use serde_json::{Map, Value};

use super::exposing_field::{ExposedBy, ExposingField};
use crate::object::field_path::{FieldPath, PathStep};
use crate::object::item_selector::ItemSelector;
use crate::object::labels::{self, Component};

/// The lists of containers whose ports a pod opens.
const CONTAINER_LISTS: [&str; 2] = ["containers", "initContainers"];
/// The path of a workload's pod.
const POD: [&str; 3] = ["spec", "template", "spec"];

/// Returns the fields by which a workload's pods are reachable at their node, if they are pods of the application.
pub(super) fn exposing_pod_fields(workload: &Value, app: &str) -> Vec<ExposingField> {
    let template = &workload["spec"]["template"];
    let labels = labels::selector(app, Component::App);
    if !labels.iter().all(|(key, value)| template["metadata"]["labels"][*key] == value.as_str()) {
        return Vec::new();
    }
    let pod = &template["spec"];
    let mut fields = Vec::new();
    if pod["hostNetwork"] == true {
        fields.push(field(&steps(&["hostNetwork"]), "true".to_owned(), ExposedBy::HostNetwork));
    }
    for list in CONTAINER_LISTS {
        for container in pod[list].as_array().into_iter().flatten() {
            let ports = container["ports"].as_array().into_iter().flatten();
            fields.extend(ports.filter_map(|port| host_port(list, &container["name"], port)));
        }
    }
    fields
}

/// Returns the field of a port that the node forwards; None if only the node itself reaches it.
fn host_port(list: &str, container: &Value, port: &Value) -> Option<ExposingField> {
    let number = port["hostPort"].as_u64().filter(|number| *number > 0)?;
    let address = port["hostIP"].as_str().filter(|address| !address.is_empty());
    let is_loopback = |address: &str| address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    if address.is_some_and(is_loopback) {
        return None;
    }
    let mut path = steps(&[list]);
    path.push(item(&[("name", container)]));
    path.push(PathStep::Field("ports".to_owned()));
    let tcp = Value::from("TCP");
    let protocol = port.get("protocol").unwrap_or(&tcp);
    path.push(item(&[("containerPort", &port["containerPort"]), ("protocol", protocol)]));
    path.push(PathStep::Field("hostPort".to_owned()));
    let value = address.map_or_else(|| number.to_string(), |address| format!("{number} of {address}"));
    Some(field(&path, value, ExposedBy::HostPort))
}

fn steps(names: &[&str]) -> Vec<PathStep> {
    POD.iter().chain(names).map(|name| PathStep::Field((*name).to_owned())).collect()
}

fn item(keys: &[(&str, &Value)]) -> PathStep {
    let keys: Map<String, Value> =
        keys.iter().map(|(key, value)| ((*key).to_owned(), (*value).clone())).collect();
    PathStep::Item(ItemSelector::Keys(keys))
}

fn field(steps: &[PathStep], value: String, by: ExposedBy) -> ExposingField {
    ExposingField { path: FieldPath::from_steps(steps), value, by }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn exposed(pod: &Value) -> Vec<String> {
        let labels = labels::selector("oh", Component::App);
        let workload = json!({ "kind": "Deployment",
            "spec": { "template": { "metadata": { "labels": labels }, "spec": pod } } });
        let fields = exposing_pod_fields(&workload, "oh");
        assert!(exposing_pod_fields(&workload, "other").is_empty(), "pods of another installation");
        fields.iter().map(|field| format!("{} {}", field.path, field.value)).collect()
    }

    fn with_port(port: &Value) -> Value {
        json!({ "containers": [{ "name": "openhands", "ports": [port] }] })
    }

    #[test]
    fn host_network_and_host_ports_expose_the_pod() {
        let path = ".spec.template.spec.containers[name=\"openhands\"].ports[containerPort=3000,protocol=\"TCP\"].hostPort";
        for (pod, expected) in [
            (with_port(&json!({ "containerPort": 3000 })), vec![]),
            (with_port(&json!({ "containerPort": 3000, "hostPort": 80 })), vec![format!("{path} 80")]),
            (
                with_port(&json!({ "containerPort": 3000, "hostPort": 80, "hostIP": "203.0.113.7" })),
                vec![format!("{path} 80 of 203.0.113.7")],
            ),
            (with_port(&json!({ "containerPort": 3000, "hostPort": 80, "hostIP": "127.0.0.1" })), vec![]),
            (with_port(&json!({ "containerPort": 3000, "hostPort": 80, "hostIP": "::1" })), vec![]),
            (
                json!({ "hostNetwork": true, "containers": [] }),
                vec![".spec.template.spec.hostNetwork true".into()],
            ),
            (json!({ "hostNetwork": false }), vec![]),
            (
                json!({ "initContainers": [{ "name": "proxy",
                    "ports": [{ "containerPort": 1, "hostPort": 1, "protocol": "UDP" }] }] }),
                vec![
                    ".spec.template.spec.initContainers[name=\"proxy\"].ports[containerPort=1,protocol=\"UDP\"].hostPort 1"
                        .into(),
                ],
            ),
        ] {
            assert_eq!(exposed(&pod), expected, "{pod}");
        }
    }
}
