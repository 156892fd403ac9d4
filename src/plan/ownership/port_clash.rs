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
    live: PortKey,
    planned: PortKey,
    /// Whether another live port has the planned number and keeps it.
    is_present: bool,
    /// The managers of the live entry beside handsctl.
    pub owners: Vec<FieldOwner>,
}

/// What identifies a port in a Service: TCP and UDP may have the same number.
#[derive(Debug, Clone, PartialEq, Eq)]
struct PortKey {
    number: u64,
    protocol: String,
}

impl PortKey {
    fn of(port: &Value) -> Option<Self> {
        let protocol = port["protocol"].as_str().unwrap_or("TCP").to_owned();
        Some(Self { number: port["port"].as_u64()?, protocol })
    }
}

/// Returns the ports of others with the name of a planned port and another number. Empty for other kinds than Service.
#[must_use]
pub fn port_clashes(manifest: &Value, live: &Value) -> Vec<PortClash> {
    if manifest["kind"] != "Service" {
        return Vec::new();
    }
    let live_ports = live["spec"]["ports"].as_array().map(Vec::as_slice).unwrap_or_default();
    let planned: Vec<&Value> = manifest["spec"]["ports"].as_array().into_iter().flatten().collect();
    let clashing = |port: &Value| {
        planned.iter().find(|planned| {
            port["name"].is_string()
                && port["name"] == planned["name"]
                && PortKey::of(port) != PortKey::of(planned)
        })
    };
    let clashes = live_ports.iter().enumerate().filter_map(|(index, port)| {
        let planned = PortKey::of(clashing(port)?)?;
        let has_number = |other: &&Value| PortKey::of(other).as_ref() == Some(&planned);
        Some(PortClash {
            index,
            name: port["name"].as_str()?.to_owned(),
            live: PortKey::of(port)?,
            // A port that gives up its own number leaves it free.
            is_present: live_ports.iter().filter(has_number).any(|other| clashing(other).is_none()),
            planned,
            owners: entry_path(port).owners(live),
        })
    });
    clashes.filter(|clash| !clash.owners.is_empty()).collect()
}

fn entry_path(port: &Value) -> FieldPath {
    let protocol = port["protocol"].as_str().unwrap_or("TCP");
    let keys = [("port", port["port"].clone()), ("protocol", json!(protocol))];
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
        let (live, planned) = (self.shown(&self.live), self.shown(&self.planned));
        format!(
            "port {live} of {} has the name \"{}\", which is planned for port {planned}",
            owners.join(" and "),
            self.name,
        )
    }

    /// Formats a port, with its protocol if that is what differs.
    fn shown(&self, port: &PortKey) -> String {
        let PortKey { number, protocol } = port;
        if self.live.protocol == self.planned.protocol {
            number.to_string()
        } else {
            format!("{number}/{protocol}")
        }
    }

    /// Returns the operations of a JSON patch which check that the entry is still at its place.
    fn tests(&self) -> Vec<Value> {
        let entry = format!("/spec/ports/{}", self.index);
        vec![json!({ "op": "test", "path": format!("{entry}/port"), "value": self.live.number })]
    }

    /// Returns the operations of a JSON patch that give up the entry.
    fn changes(&self) -> Vec<Value> {
        let entry = format!("/spec/ports/{}", self.index);
        if self.is_present {
            return vec![json!({ "op": "remove", "path": entry })];
        }
        // A Service has at least one port.
        let replace = |field: &str, value: Value| json!({ "op": "replace", "path": format!("{entry}/{field}"), "value": value });
        let mut changes = vec![replace("port", json!(self.planned.number))];
        if self.live.protocol != self.planned.protocol {
            changes.push(replace("protocol", json!(self.planned.protocol)));
        }
        changes
    }
}

/// Returns the one command that gives up all these entries. It changes nothing if the Service was changed meanwhile. The
/// last entry is changed first: a removed one moves those behind it.
#[must_use]
pub fn command(id: &ObjectId, clashes: &[PortClash]) -> String {
    let mut from_last: Vec<&PortClash> = clashes.iter().collect();
    from_last.sort_by_key(|clash| std::cmp::Reverse(clash.index));
    let tests = clashes.iter().flat_map(PortClash::tests);
    let patch: Value = tests.chain(from_last.into_iter().flat_map(PortClash::changes)).collect();
    let namespace = id.namespace.as_deref().unwrap_or_default();
    format!("kubectl patch {id} -n {namespace} --type=json -p '{patch}'")
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
            command(&SERVICE.id("n", "oh"), std::slice::from_ref(clash)),
            "kubectl patch service/oh -n n --type=json -p '[{\"op\":\"test\",\"path\":\"/spec/ports/0/port\",\
             \"value\":80},{\"op\":\"replace\",\"path\":\"/spec/ports/0/port\",\"value\":8080}]'"
        );
        let both = live(&[(8080, "old"), (80, "http")], "terraform");
        let text = command(&SERVICE.id("n", "oh"), &port_clashes(&manifest(8080), &both));
        assert!(text.ends_with("{\"op\":\"remove\",\"path\":\"/spec/ports/1\"}]'"), "{text}");
    }

    #[test]
    fn own_port_same_number_and_other_name_are_no_clash() {
        assert_eq!(port_clashes(&manifest(8080), &live(&[(80, "http")], "handsctl")), []);
        assert_eq!(port_clashes(&manifest(80), &live(&[(80, "http")], "terraform")), []);
        assert_eq!(port_clashes(&manifest(8080), &live(&[(80, "web")], "terraform")), []);
        assert!(port_clashes(&manifest(8080), &live(&[(80, "http")], "helm"))[0].is_migrated());
    }

    fn port(name: &str, number: u16, protocol: &str) -> Value {
        json!({ "name": name, "port": number, "protocol": protocol })
    }

    /// The command for a live Service with the first ports and a plan with the second ones.
    fn operations(live_ports: &[Value], planned: &[Value]) -> (Vec<String>, Vec<String>) {
        let fields: serde_json::Map<String, Value> = live_ports
            .iter()
            .map(|port| {
                let key = json!({ "port": port["port"], "protocol": port["protocol"] });
                (format!("k:{key}"), json!({ ".": {}, "f:name": {} }))
            })
            .collect();
        let live = json!({ "kind": "Service", "spec": { "ports": live_ports }, "metadata": { "managedFields": [
            { "manager": "terraform", "operation": "Apply", "fieldsV1": { "f:spec": { "f:ports": fields } } } ] } });
        let clashes = port_clashes(&json!({ "kind": "Service", "spec": { "ports": planned } }), &live);
        let text = command(&SERVICE.id("n", "oh"), &clashes);
        let patch = text.split_once("-p '").unwrap().1.trim_end_matches('\'');
        let patch: Vec<Value> = serde_json::from_str(patch).unwrap();
        let shown = patch.iter().filter(|operation| operation["op"] != "test").map(|operation| {
            format!(
                "{} {} {}",
                operation["op"].as_str().unwrap(),
                operation["path"].as_str().unwrap(),
                operation["value"]
            )
        });
        (clashes.iter().map(PortClash::text).collect(), shown.collect())
    }

    #[test]
    fn several_clashes_are_given_up_from_the_last_one() {
        let live = [port("a", 1, "TCP"), port("b", 2, "TCP"), port("x", 3, "TCP"), port("y", 4, "TCP")];
        let (_, changes) = operations(&live, &[port("a", 3, "TCP"), port("b", 4, "TCP")]);
        assert_eq!(changes, ["remove /spec/ports/1 null", "remove /spec/ports/0 null"]);
        let swapped = operations(&live[..2], &[port("a", 2, "TCP"), port("b", 1, "TCP")]).1;
        assert_eq!(swapped, ["replace /spec/ports/1/port 1", "replace /spec/ports/0/port 2"]);
    }

    #[test]
    fn protocols_of_one_number_are_two_ports() {
        let live = [port("dns", 53, "UDP")];
        assert_eq!(operations(&live, &[port("dns-tcp", 53, "TCP")]).0, Vec::<String>::new());
        let (texts, changes) = operations(&live, &[port("dns", 53, "TCP")]);
        assert_eq!(
            texts,
            ["port 53/UDP of terraform has the name \"dns\", which is planned for port 53/TCP"]
        );
        assert_eq!(changes, ["replace /spec/ports/0/port 53", "replace /spec/ports/0/protocol \"TCP\""]);
    }
}
