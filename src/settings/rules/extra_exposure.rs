//! Extra manifests that expose the application, which has no login.

use serde_json::Value;

use super::checker::RuleChecker;
use crate::catalogue::Id;
use crate::diagnostic::Severity;
use crate::object::labels::{self, Component};

/// How an object exposes the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ExposedBy {
    /// A Service for whoever reaches an address.
    Address(&'static str),
    /// A route of a controller, which may have a login of its own.
    Route,
}

impl RuleChecker<'_> {
    /// Reports the user's own objects that expose the application.
    pub(super) fn exposing_extra_manifests(&mut self, consent: &str) {
        let settings = self.settings;
        let name = settings.deploy.name.as_str();
        for extra in &settings.extra_objects {
            let Some(by) = exposed_by(&extra.manifest, name) else { continue };
            let text = |key: &str| extra.manifest.pointer(key).and_then(Value::as_str).unwrap_or_default();
            let object = format!("{}/{}", text("/kind").to_lowercase(), text("/metadata/name"));
            let source = &extra.source;
            let (id, severity, message) = match by {
                ExposedBy::Address(how) => (
                    Id::Exposed,
                    Severity::Error,
                    format!("OpenHands has no login, but {object} of {source} exposes it {how}"),
                ),
                ExposedBy::Route => (
                    Id::ReachableByOthers,
                    Severity::Warning,
                    format!("OpenHands has no login, and {object} of {source} routes to it"),
                ),
            };
            self.report(id, severity, &["deploy", "extra_manifests"], message, consent);
        }
    }
}

/// Returns how an object exposes the application of this set; None: it does not.
fn exposed_by(manifest: &Value, set: &str) -> Option<ExposedBy> {
    let spec = &manifest["spec"];
    match manifest["kind"].as_str()? {
        "Service" if selects_app(&spec["selector"], set) => {
            let has_addresses = spec["externalIPs"].as_array().is_some_and(|addresses| !addresses.is_empty());
            match spec["type"].as_str() {
                Some("LoadBalancer") => Some(ExposedBy::Address("by a load balancer")),
                Some("NodePort") => Some(ExposedBy::Address("at every node's address")),
                _ if has_addresses => Some(ExposedBy::Address("at its externalIPs")),
                _ => None,
            }
        }
        "Ingress" | "Route" | "HTTPRoute" | "TCPRoute" | "TLSRoute" | "IngressRoute" | "VirtualService"
            if names_service(spec, set) =>
        {
            Some(ExposedBy::Route)
        }
        _ => None,
    }
}

/// Whether a Service's selector matches the labels of the application's pods.
fn selects_app(selector: &Value, set: &str) -> bool {
    let labels = labels::selector(set, Component::App);
    selector.as_object().is_some_and(|selector| {
        let matches = |(key, value): (&String, &Value)| {
            labels.get(key.as_str()).is_some_and(|label| value.as_str() == Some(label))
        };
        !selector.is_empty() && selector.iter().all(matches)
    })
}

/// Whether a value names the application's Service as a backend: each of these kinds has it under `name`, `VirtualService`
/// under `host`, alone or with its namespace.
fn names_service(value: &Value, service: &str) -> bool {
    match value {
        Value::Object(map) => map.iter().any(|(key, value)| {
            let is_name = matches!(key.as_str(), "name" | "host")
                && value.as_str().is_some_and(|text| text.split('.').next() == Some(service));
            is_name || names_service(value, service)
        }),
        Value::Array(items) => items.iter().any(|item| names_service(item, service)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::settings::load::read::{Request, read};

    fn service(spec: &Value) -> Value {
        json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "mine" }, "spec": spec })
    }

    #[test]
    fn services_with_an_address_expose_the_pods_that_they_select() {
        let app = json!({ "app.kubernetes.io/instance": "oh", "app.kubernetes.io/component": "app" });
        for (spec, expected) in [
            (
                json!({ "type": "LoadBalancer", "selector": app }),
                Some(ExposedBy::Address("by a load balancer")),
            ),
            (
                json!({ "type": "NodePort", "selector": app }),
                Some(ExposedBy::Address("at every node's address")),
            ),
            (
                json!({ "selector": app, "externalIPs": ["203.0.113.7"] }),
                Some(ExposedBy::Address("at its externalIPs")),
            ),
            (json!({ "selector": app }), None),
            (json!({ "type": "LoadBalancer", "selector": { "app.kubernetes.io/instance": "other" } }), None),
            (json!({ "type": "LoadBalancer", "selector": { "app": "proxy" } }), None),
            (json!({ "type": "LoadBalancer" }), None),
        ] {
            assert_eq!(exposed_by(&service(&spec), "oh"), expected, "{spec}");
        }
    }

    #[test]
    fn routes_of_every_kind_are_found_by_the_service_they_name() {
        let backend = |name: &str| json!({ "service": { "name": name, "port": { "number": 3000 } } });
        let ingress = |name: &str| json!({ "rules": [{ "http": { "paths": [{ "path": "/", "backend": backend(name) }] } }] });
        for (kind, spec, expected) in [
            ("Ingress", ingress("oh"), true),
            ("Ingress", json!({ "defaultBackend": backend("oh") }), true),
            ("Ingress", ingress("login-proxy"), false),
            ("Route", json!({ "to": { "kind": "Service", "name": "oh" } }), true),
            ("HTTPRoute", json!({ "rules": [{ "backendRefs": [{ "name": "oh", "port": 3000 }] }] }), true),
            (
                "VirtualService",
                json!({ "http": [{ "route": [{ "destination": { "host": "oh.hands.svc" } }] }] }),
                true,
            ),
            ("ConfigMap", json!({ "name": "oh" }), false),
        ] {
            let manifest = json!({ "kind": kind, "metadata": { "name": "mine" }, "spec": spec });
            assert_eq!(exposed_by(&manifest, "oh").is_some(), expected, "{manifest}");
        }
    }

    #[test]
    fn exposing_manifest_is_an_error_until_acknowledged() {
        let folder = tempfile::tempdir().unwrap();
        let selector = "{app.kubernetes.io/instance: openhands}";
        let text = format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: public}}\nspec: {{type: LoadBalancer, selector: {selector}}}\n"
        );
        std::fs::write(folder.path().join("public.yaml"), text).unwrap();
        let load = |consent: &str| {
            let config = format!("[deploy]\nextra_manifests = [\"public.yaml\"]\n{consent}");
            std::fs::write(folder.path().join("config.toml"), config).unwrap();
            read(&Request::default(), &[], folder.path())
        };
        let Err(error) = load("") else { panic!("it was accepted") };
        let [diagnostic] = error.diagnostics() else { panic!("{error:?}") };
        assert_eq!(diagnostic.id, Id::Exposed);
        assert_eq!(
            diagnostic.message,
            "OpenHands has no login, but service/public of public.yaml exposes it by a load balancer"
        );
        assert!(load("exposure = \"acknowledged\"\n").is_ok());
    }
}
