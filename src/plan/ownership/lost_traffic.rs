//! Live Services and routes that no longer lead where their manifests do. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::foreign_change::owner_text;
use super::policy::Ownership;
use super::restoring_patch::merge_command;
use crate::object::ObjectId;
use crate::object::field_path::{FieldPath, PathStep};
use crate::object::item_selector::ItemSelector;
use crate::object::labels::{self, MANAGER, SERVICE_NAME};
use crate::object::list_items::items;
use crate::plan::desired::Member;
use crate::settings::handsctl::OwnershipRule;

/// The protocol of a port that names none.
const DEFAULT_PROTOCOL: &str = "TCP";

/// An object that does not lead where its manifest does.
#[derive(Debug, Clone, PartialEq)]
pub struct LostTraffic {
    /// The object.
    pub id: ObjectId,
    /// Whether it is a Service, and no route to one.
    pub is_service: bool,
    /// What is wrong, in words.
    pub faults: Vec<String>,
    /// Who set the fields, in words.
    pub evidence: Vec<String>,
    /// The command that restores the planned fields.
    pub command: String,
}

/// What is observed behind the Services of a namespace.
#[derive(Debug, Clone, Copy)]
pub struct Backends<'a> {
    /// The ready pods.
    pub pods: &'a [Value],
    /// The number of ready endpoints of each Service; a Service without `EndpointSlice`s is absent. None if they may not be
    /// read, or if they may still lag behind a pod that has just become ready.
    pub ready_endpoints: Option<&'a BTreeMap<String, usize>>,
}

/// Returns the Services and routes that do not lead where their manifests do. `live` are pairs of a member and the live
/// object. Fields that `[deploy.ownership]` yields are not compared.
#[must_use]
pub fn lost_traffic(
    live: &[(Member, &Value)],
    backends: Backends<'_>,
    ownership: &Ownership,
    now: Timestamp,
) -> Vec<LostTraffic> {
    let services: BTreeMap<(&str, &str), &Value> = live
        .iter()
        .filter(|(member, _)| member.id.kind == "Service")
        .map(|(member, live)| ((namespace_of(&member.id), member.id.name.as_str()), *live))
        .collect();
    let lost = live.iter().filter_map(|(member, live)| {
        let mut faults = Faults::new(member, live, ownership);
        match (member.id.kind.as_str(), member.id.group.as_str()) {
            ("Service", "") => faults.judge_service(namespace_of(&member.id), backends),
            ("Ingress", "networking.k8s.io") => faults.judge_ingress(namespace_of(&member.id), &services),
            ("Route", "route.openshift.io") => faults.judge_route(),
            _ => return None,
        }
        faults.into_lost(&member.id, now)
    });
    lost.collect()
}

fn namespace_of(id: &ObjectId) -> &str {
    id.namespace.as_deref().unwrap_or_default()
}

/// The faults of one object, and the patch of its `spec` that fixes them.
struct Faults<'a> {
    member: &'a Member,
    ownership: &'a Ownership,
    planned: &'a Value,
    live: &'a Value,
    texts: Vec<String>,
    patch: Map<String, Value>,
}

impl<'a> Faults<'a> {
    fn new(member: &'a Member, live: &'a Value, ownership: &'a Ownership) -> Self {
        let planned = &member.manifest;
        Self { member, ownership, planned, live, texts: Vec::new(), patch: Map::new() }
    }

    fn is_yielded(&self, steps: &[PathStep]) -> bool {
        let path = FieldPath::from_steps(steps);
        self.ownership.rule_for(self.member, &path) == Some(OwnershipRule::Yield)
    }

    /// Adds a fault of a field of `spec`, which its planned value fixes.
    fn add(&mut self, text: String, field: &str) {
        if self.is_yielded(&spec_steps(field)) {
            return;
        }
        self.texts.push(text);
        let (planned, live) = (&self.planned["spec"][field], &self.live["spec"][field]);
        self.patch.insert(field.to_owned(), restored(planned, live));
    }

    fn judge_service(&mut self, namespace: &str, backends: Backends<'_>) {
        let (planned, live) = (&self.planned["spec"], &self.live["spec"]);
        if planned["selector"].as_object().is_none_or(Map::is_empty) {
            // It leads to another name, or to endpoints that somebody else keeps.
            return;
        }
        if live["type"] == "ExternalName" {
            let name = live["externalName"].as_str().unwrap_or_default();
            self.add(format!("it is another name of {name}, and leads to no pod"), "type");
            self.patch.insert("externalName".to_owned(), Value::Null);
            return;
        }
        let is_planned = |pod: &&Value| {
            pod["metadata"]["namespace"] == namespace && labels::selects(&planned["selector"], pod)
        };
        let pods: Vec<&Value> = backends.pods.iter().filter(is_planned).collect();
        if let Some(text) = lost_selector(&planned["selector"], &live["selector"], &pods) {
            self.add(text, "selector");
        }
        for port in items(&planned["ports"]) {
            if let Some(text) = lost_port(port, &live["ports"], &pods)
                && !self.is_yielded(&target_port_steps(port))
            {
                self.add(text, "ports");
            }
        }
        let name = self.live["metadata"]["name"].as_str().unwrap_or_default();
        // The EndpointSlices of a Service without the set's label are not listed.
        let ready = backends.ready_endpoints.and_then(|ready| ready.get(name).copied());
        if self.texts.is_empty()
            && let Some(pod) = pods.first()
            && ready == Some(0)
        {
            let pod = pod["metadata"]["name"].as_str().unwrap_or_default();
            self.texts.push(format!("it has no ready endpoint, although pod/{pod} is ready"));
        }
    }

    fn judge_ingress(&mut self, namespace: &str, services: &BTreeMap<(&str, &str), &Value>) {
        let (planned, live) = (&self.planned["spec"], &self.live["spec"]);
        let live_backends = backends_of(live);
        for (path, backend) in backends_of(planned) {
            let field = if path == DEFAULT_BACKEND { "defaultBackend" } else { "rules" };
            match live_backends.iter().find(|(other, _)| *other == path) {
                None => self.add(format!("it has no rule for {path}"), field),
                Some((_, other)) if *other != backend => {
                    self.add(format!("{path} leads to {other} instead of {backend}"), field);
                }
                Some(_) => {
                    let service = services.get(&(namespace, backend.service.as_str()));
                    if service.is_some_and(|service| !has_port(service, &backend.port)) {
                        let Backend { service, port } = &backend;
                        let text =
                            format!("{path} leads to port {port}, which service/{service} does not have");
                        self.texts.push(text);
                    }
                }
            }
        }
        let class = |spec: &Value| spec["ingressClassName"].as_str().map(str::to_owned);
        if let Some(planned) = class(planned)
            && class(live).as_ref() != Some(&planned)
        {
            let live = class(live).map_or_else(|| "no class".to_owned(), |class| format!("class {class}"));
            self.add(format!("it has {live} instead of class {planned}"), "ingressClassName");
        }
    }

    fn judge_route(&mut self) {
        let target = |spec: &Value| Backend {
            service: spec["to"]["name"].as_str().unwrap_or_default().to_owned(),
            port: text(&spec["port"]["targetPort"]),
        };
        let (planned, live) = (target(&self.planned["spec"]), target(&self.live["spec"]));
        if planned != live {
            self.add(format!("it leads to {live} instead of {planned}"), "to");
            self.patch.insert("port".to_owned(), self.planned["spec"]["port"].clone());
        }
    }

    fn into_lost(self, id: &ObjectId, now: Timestamp) -> Option<LostTraffic> {
        if self.texts.is_empty() {
            return None;
        }
        let evidence = self.patch.keys().map(|field| {
            let owners = FieldPath::from_steps(&spec_steps(field)).owners(self.live);
            let others: Vec<String> = owners
                .iter()
                .filter(|owner| owner.manager != MANAGER && owner.subresource.as_deref() != Some("status"))
                .map(|owner| owner_text(owner, now))
                .collect();
            if others.is_empty() {
                // The API server records no removal.
                return format!(".spec.{field}: the API server has no record of who changed it");
            }
            format!(".spec.{field} was set by {}", others.join(" and "))
        });
        let is_service = id.kind == "Service";
        let command = if self.patch.is_empty() && !is_service {
            "handsctl deploy --force-conflicts restores the port of the Service".to_owned()
        } else if self.patch.is_empty() {
            let selector = format!("{}={}", SERVICE_NAME, id.name);
            format!("kubectl get endpointslices -n {} -l {selector} -o yaml", namespace_of(id))
        } else {
            merge_command(id, &json!({ "spec": self.patch }))
        };
        Some(LostTraffic {
            id: id.clone(),
            is_service,
            evidence: evidence.collect(),
            faults: self.texts,
            command,
        })
    }
}

fn spec_steps(field: &str) -> Vec<PathStep> {
    ["spec", field].map(|name| PathStep::Field(name.to_owned())).into()
}

/// Returns the path of a port's target.
fn target_port_steps(port: &Value) -> Vec<PathStep> {
    let protocol = port["protocol"].as_str().unwrap_or(DEFAULT_PROTOCOL);
    let keys = [("port", port["port"].clone()), ("protocol", json!(protocol))];
    let keys = keys.map(|(key, value)| (key.to_owned(), value));
    let item = PathStep::Item(ItemSelector::Keys(Map::from_iter(keys)));
    [spec_steps("ports"), vec![item, PathStep::Field("targetPort".to_owned())]].concat()
}

/// A Service and one of its ports.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Backend {
    service: String,
    port: String,
}

impl std::fmt::Display for Backend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "service/{} port {}", self.service, self.port)
    }
}

/// The name of the backend for requests that no rule has.
const DEFAULT_BACKEND: &str = "the default backend";

/// Returns the backends of an Ingress, each with its host and path.
fn backends_of(spec: &Value) -> Vec<(String, Backend)> {
    let backend = |value: &Value| {
        let port = &value["service"]["port"];
        let port = if port["name"].is_string() { &port["name"] } else { &port["number"] };
        Some(Backend { service: value["service"]["name"].as_str()?.to_owned(), port: text(port) })
    };
    let rules = items(&spec["rules"]).flat_map(|rule| {
        let host = rule["host"].as_str().unwrap_or("every host");
        items(&rule["http"]["paths"]).filter_map(move |path| {
            let exact = if path["pathType"] == "Exact" { "exactly " } else { "" };
            let name = format!("path {exact}{} of {host}", path["path"].as_str().unwrap_or("/"));
            Some((name, backend(&path["backend"])?))
        })
    });
    let default = backend(&spec["defaultBackend"]).map(|backend| (DEFAULT_BACKEND.to_owned(), backend));
    rules.chain(default).collect()
}

fn has_port(service: &Value, port: &str) -> bool {
    items(&service["spec"]["ports"]).any(|own| own["name"] == port || text(&own["port"]) == port)
}

/// Returns what is wrong with a selector that none of the ready pods has that the planned one selects; without a ready pod,
/// with one that wants other labels.
fn lost_selector(planned: &Value, live: &Value, pods: &[&Value]) -> Option<String> {
    let leads = if pods.is_empty() {
        let pairs = live.as_object();
        pairs
            .is_some_and(|pairs| !pairs.is_empty() && pairs.iter().all(|(key, value)| planned[key] == *value))
    } else {
        pods.iter().any(|pod| labels::selects(live, pod))
    };
    if leads {
        return None;
    }
    let pairs =
        live.as_object().into_iter().flatten().filter(|(key, value)| planned[key.as_str()] != **value);
    let pairs: Vec<String> = pairs.map(|(key, value)| format!("{key}={}", text(value))).collect();
    Some(if pairs.is_empty() {
        "it has no selector, so it leads to no pod".to_owned()
    } else {
        format!("its selector matches no pod: it wants {}", pairs.join(","))
    })
}

/// Returns what is wrong with a planned port of a Service.
fn lost_port(planned: &Value, live: &Value, pods: &[&Value]) -> Option<String> {
    let protocol = |port: &Value| port["protocol"].as_str().unwrap_or(DEFAULT_PROTOCOL).to_owned();
    let target = |port: &Value| match &port["targetPort"] {
        Value::Null => text(&port["port"]),
        target => text(target),
    };
    let is_same = |port: &&Value| port["port"] == planned["port"] && protocol(port) == protocol(planned);
    let number = text(&planned["port"]);
    let Some(port) = items(live).find(is_same) else {
        let ports: Vec<String> = items(live).map(|port| text(&port["port"])).collect();
        return Some(format!("it has no port {number}; it has {}", ports.join(", ")));
    };
    if target(port) != target(planned) {
        let (live, planned) = (target(port), target(planned));
        return Some(format!("its port {number} leads to port {live} of the pods instead of {planned}"));
    }
    let name = planned["targetPort"].as_str()?;
    let has_name = |pod: &&Value| {
        let containers = ["containers", "initContainers"].into_iter();
        let mut ports = containers
            .flat_map(|list| items(&pod["spec"][list]).flat_map(|container| items(&container["ports"])));
        ports.any(|port| port["name"] == name)
    };
    (!pods.is_empty() && !pods.iter().any(has_name))
        .then(|| format!("its port {number} leads to a port {name}, which no pod has"))
}

/// Returns the merge patch of a field: a map loses the keys that are not planned.
fn restored(planned: &Value, live: &Value) -> Value {
    let (Value::Object(planned), Value::Object(live)) = (planned, live) else { return planned.clone() };
    let removed = live.keys().filter(|key| !planned.contains_key(*key)).map(|key| (key.clone(), Value::Null));
    let kept = planned.iter().map(|(key, value)| (key.clone(), value.clone()));
    Value::Object(kept.chain(removed).collect())
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::kind::{INGRESS, SERVICE};

    fn service() -> Value {
        json!({ "kind": "Service", "metadata": { "name": "oh" }, "spec": {
            "selector": { "app": "oh" }, "ports": [{ "name": "http", "port": 3000, "targetPort": "http" }] } })
    }

    fn ingress() -> Value {
        let backend = json!({ "service": { "name": "oh", "port": { "name": "http" } } });
        let rule = json!({ "host": "a.b", "http": { "paths": [{ "path": "/", "backend": backend }] } });
        json!({ "kind": "Ingress", "metadata": { "name": "oh" },
            "spec": { "ingressClassName": "traefik", "rules": [rule] } })
    }

    fn pod(labels: &Value, port: &str) -> Value {
        json!({ "metadata": { "name": "oh-1", "namespace": "n", "labels": labels },
            "spec": { "containers": [{ "name": "c", "ports": [{ "name": port, "containerPort": 3000 }] }] } })
    }

    fn members() -> [Member; 2] {
        [
            Member { id: SERVICE.id("n", "oh"), kind: SERVICE, manifest: service() },
            Member { id: INGRESS.id("n", "oh"), kind: INGRESS, manifest: ingress() },
        ]
    }

    fn judged(service: &Value, ingress: &Value, pods: &[Value], ready: Option<usize>) -> Vec<LostTraffic> {
        let [of_service, of_ingress] = members();
        let ready = ready.map(|ready| BTreeMap::from([("oh".to_owned(), ready)]));
        let backends = Backends { pods, ready_endpoints: ready.as_ref() };
        let live = [(of_service, service), (of_ingress, ingress)];
        lost_traffic(&live, backends, &Ownership::default(), Timestamp::UNIX_EPOCH)
    }

    fn faults(service: &Value, pods: &[Value], ready: Option<usize>) -> Vec<String> {
        judged(service, &ingress(), pods, ready).into_iter().flat_map(|lost| lost.faults).collect()
    }

    fn changed(pointer: &str, value: Value) -> Value {
        let mut service = service();
        *service.pointer_mut(pointer).unwrap() = value;
        service
    }

    #[test]
    fn service_that_leads_nowhere_names_the_fault() {
        let pods = [pod(&json!({ "app": "oh", "hash": "1" }), "http")];
        let port = |port: Value| changed("/spec/ports", json!([port]));
        for (live, expected) in [
            (service(), ""),
            (changed("/spec/selector", json!({ "app": "oh", "hash": "1" })), ""),
            (
                changed("/spec/selector", json!({ "app": "x", "tier": "y" })),
                "its selector matches no pod: it wants app=x,tier=y",
            ),
            (changed("/spec/selector", Value::Null), "it has no selector, so it leads to no pod"),
            (
                port(json!({ "name": "http", "port": 3000, "targetPort": 3999, "protocol": "TCP" })),
                "its port 3000 leads to port 3999 of the pods instead of http",
            ),
            (
                changed("/spec", json!({ "type": "ExternalName", "externalName": "a.b" })),
                "it is another name of a.b, and leads to no pod",
            ),
        ] {
            let found = faults(&live, &pods, Some(1));
            assert_eq!(found.first().map(String::as_str).unwrap_or_default(), expected, "{live}");
        }
        let moved = port(json!({ "name": "http", "port": 3999, "targetPort": "http" }));
        assert_eq!(faults(&moved, &pods, Some(1)), ["it has no port 3000; it has 3999"]);
    }

    #[test]
    fn endpoints_count_only_if_they_are_known_and_a_pod_is_ready() {
        let ready = [pod(&json!({ "app": "oh" }), "http")];
        assert_eq!(
            faults(&service(), &ready, Some(0)),
            ["it has no ready endpoint, although pod/oh-1 is ready"]
        );
        assert_eq!(faults(&service(), &ready, None), [""; 0]);
        assert_eq!(faults(&service(), &[], Some(0)), [""; 0], "the workload says why no pod is ready");
        let renamed = [pod(&json!({ "app": "oh" }), "web")];
        assert_eq!(
            faults(&service(), &renamed, Some(1)),
            ["its port 3000 leads to a port http, which no pod has"]
        );
    }

    #[test]
    fn command_restores_exactly_the_planned_fields() {
        let live = changed("/spec/selector", json!({ "app": "oh", "tier": "y" }));
        let pods = [pod(&json!({ "app": "oh" }), "http")];
        let lost = judged(&live, &ingress(), &pods, None);
        assert_eq!(
            lost[0].command,
            "kubectl patch service/oh -n n --type=merge -p \
             '{\"spec\":{\"selector\":{\"app\":\"oh\",\"tier\":null}}}'"
        );
    }

    #[test]
    fn yielded_port_is_left_to_its_manager() {
        let live = changed("/spec/ports/0/targetPort", json!(3999));
        let [member, _] = members();
        let backends = Backends { pods: &[], ready_endpoints: None };
        for (rule, count) in [
            ("service/oh:spec.ports", 0),
            ("service/oh:spec.ports[port=3000,protocol=\"TCP\"].targetPort", 0),
            ("service/oh:spec.selector", 1),
        ] {
            let rules = BTreeMap::from([(rule.parse().unwrap(), OwnershipRule::Yield)]);
            let ownership = Ownership::new(&rules, false, false);
            let live = [(member.clone(), &live)];
            let lost = lost_traffic(&live, backends, &ownership, Timestamp::UNIX_EPOCH);
            assert_eq!(lost.len(), count, "{rule}");
        }
    }

    #[test]
    fn ingress_is_judged_by_backends_and_class() {
        let with = |pointer: &str, value: Value| {
            let mut ingress = ingress();
            *ingress.pointer_mut(pointer).unwrap() = value;
            let lost = judged(&service(), &ingress, &[], None);
            lost.into_iter().flat_map(|lost| lost.faults).collect::<Vec<_>>()
        };
        let backend = "/spec/rules/0/http/paths/0/backend/service";
        for (pointer, value, expected) in [
            (
                format!("{backend}/name"),
                json!("other"),
                "path / of a.b leads to service/other port http instead of service/oh port http",
            ),
            (
                format!("{backend}/port"),
                json!({ "number": 80 }),
                "path / of a.b leads to service/oh port 80 instead of service/oh port http",
            ),
            ("/spec/rules/0/host".to_owned(), json!("c.d"), "it has no rule for path / of a.b"),
            (
                "/spec/ingressClassName".to_owned(),
                json!("nginx"),
                "it has class nginx instead of class traefik",
            ),
        ] {
            assert_eq!(with(&pointer, value), [expected]);
        }
        let renamed = changed("/spec/ports/0/name", json!("web"));
        let lost = judged(&renamed, &ingress(), &[], None);
        assert_eq!(lost[0].faults, ["path / of a.b leads to port http, which service/oh does not have"]);
    }
}
