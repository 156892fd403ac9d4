//! Ports of a live Service that have the name of a planned port and another number. Pure.
//!
//! Server-side apply identifies an entry of `spec.ports` by its number and protocol. So a planned port with another number
//! is a further entry, and the server rejects the second one of that name. Our own earlier entry is removed by the same
//! apply, but one of another manager stays.

use serde_json::{Value, json};

use super::adoption;
use crate::object::ObjectId;
use crate::object::field_path::{FieldOwner, FieldPath, PathStep};
use crate::object::item_selector::ItemSelector;

/// A live port whose name a planned port has.
#[derive(Debug, Clone, PartialEq)]
pub struct PortClash {
    /// The position in the live `spec.ports`.
    index: usize,
    name: String,
    live_port: u64,
    planned_port: u64,
    /// Whether the live Service also has the planned number.
    is_present: bool,
    /// The managers of the live entry beside handsctl.
    pub owners: Vec<FieldOwner>,
}

/// Returns the ports of others with the name of a planned port and another number. Empty for other kinds than Service.
#[must_use]
pub fn port_clashes(manifest: &Value, live: &Value) -> Vec<PortClash> {
    if manifest["kind"] != "Service" {
        return Vec::new();
    }
    let live_ports = live["spec"]["ports"].as_array().map(Vec::as_slice).unwrap_or_default();
    let planned = manifest["spec"]["ports"].as_array().into_iter().flatten();
    let clashes = planned.flat_map(|planned| {
        let others = live_ports.iter().enumerate().filter(|(_, port)| {
            port["name"].is_string() && port["name"] == planned["name"] && key(port) != key(planned)
        });
        others.filter_map(|(index, port)| {
            Some(PortClash {
                index,
                name: port["name"].as_str()?.to_owned(),
                live_port: port["port"].as_u64()?,
                planned_port: planned["port"].as_u64()?,
                is_present: live_ports.iter().any(|port| key(port) == key(planned)),
                owners: entry_path(port).owners(live),
            })
        })
    });
    clashes.filter(|clash| !clash.owners.is_empty()).collect()
}

/// Returns what identifies a port in a Service.
fn key(port: &Value) -> (Option<u64>, &str) {
    (port["port"].as_u64(), port["protocol"].as_str().unwrap_or("TCP"))
}

fn entry_path(port: &Value) -> FieldPath {
    let (number, protocol) = key(port);
    let keys = [("port", json!(number)), ("protocol", json!(protocol))];
    let keys = keys.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    let field = |name: &str| PathStep::Field(name.to_owned());
    FieldPath::from_steps(&[field("spec"), field("ports"), PathStep::Item(ItemSelector::Keys(keys))])
}

impl PortClash {
    /// Returns whether only deploy tools own the entry: an adoption removes it.
    #[must_use]
    pub fn is_migrated(&self) -> bool {
        self.owners.iter().all(|owner| adoption::is_migrated(&owner.manager, owner.subresource.as_deref()))
    }

    /// Returns the clash as text: `port 80 of terraform has the name "http", which is planned for port 8080`.
    #[must_use]
    pub fn text(&self) -> String {
        let owners: Vec<&str> = self.owners.iter().map(|owner| owner.manager.as_str()).collect();
        format!(
            "port {} of {} has the name \"{}\", which is planned for port {}",
            self.live_port,
            owners.join(" and "),
            self.name,
            self.planned_port
        )
    }

    /// Returns the command that gives up the live entry. It changes nothing if the Service was changed meanwhile.
    #[must_use]
    pub fn command(&self, id: &ObjectId) -> String {
        let Self { index, live_port, planned_port, is_present, .. } = self;
        let entry = format!("/spec/ports/{index}");
        let test = json!({ "op": "test", "path": format!("{entry}/port"), "value": live_port });
        let change = if *is_present {
            json!({ "op": "remove", "path": entry })
        } else {
            // A Service has at least one port.
            json!({ "op": "replace", "path": format!("{entry}/port"), "value": planned_port })
        };
        let patch = json!([test, change]);
        let namespace = id.namespace.as_deref().unwrap_or_default();
        format!("kubectl patch {id} -n {namespace} --type=json -p '{patch}'")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::kind::SERVICE;

    fn manifest(port: u16) -> Value {
        json!({ "kind": "Service", "spec": { "ports": [{ "name": "http", "port": port }] } })
    }

    /// A Service with these ports, each of which this manager owns.
    fn live(ports: &[(u16, &str)], manager: &str) -> Value {
        let entry = |(port, name): &(u16, &str)| json!({ "name": name, "port": port, "protocol": "TCP" });
        let entries: Vec<Value> = ports.iter().map(entry).collect();
        let fields = ports.iter().map(|(port, _)| {
            (format!("k:{{\"port\":{port},\"protocol\":\"TCP\"}}"), json!({ ".": {}, "f:name": {} }))
        });
        let fields: serde_json::Map<String, Value> = fields.collect();
        json!({ "kind": "Service", "spec": { "ports": entries }, "metadata": { "managedFields": [
            { "manager": manager, "operation": "Apply", "fieldsV1": { "f:spec": { "f:ports": fields } } } ] } })
    }

    #[test]
    fn port_of_another_manager_with_same_name_clashes() {
        let service = live(&[(80, "http")], "terraform");
        let clashes = port_clashes(&manifest(8080), &service);
        let [clash] = clashes.as_slice() else { panic!("{clashes:?}") };
        assert_eq!(
            clash.text(),
            "port 80 of terraform has the name \"http\", which is planned for port 8080"
        );
        assert!(!clash.is_migrated());
        assert_eq!(
            clash.command(&SERVICE.id("n", "oh")),
            "kubectl patch service/oh -n n --type=json -p '[{\"op\":\"test\",\"path\":\"/spec/ports/0/port\",\
             \"value\":80},{\"op\":\"replace\",\"path\":\"/spec/ports/0/port\",\"value\":8080}]'"
        );
        let both = live(&[(8080, "old"), (80, "http")], "terraform");
        let command = port_clashes(&manifest(8080), &both)[0].command(&SERVICE.id("n", "oh"));
        assert!(command.ends_with("{\"op\":\"remove\",\"path\":\"/spec/ports/1\"}]'"), "{command}");
    }

    #[test]
    fn own_port_same_number_and_other_name_are_no_clash() {
        assert_eq!(port_clashes(&manifest(8080), &live(&[(80, "http")], "handsctl")), []);
        assert_eq!(port_clashes(&manifest(80), &live(&[(80, "http")], "terraform")), []);
        assert_eq!(port_clashes(&manifest(8080), &live(&[(80, "web")], "terraform")), []);
        assert!(port_clashes(&manifest(8080), &live(&[(80, "http")], "helm"))[0].is_migrated());
    }
}
