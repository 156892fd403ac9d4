//! Extra manifests that expose the application, which has no login.

use std::collections::BTreeSet;

use serde_json::Value;

use super::checker::RuleChecker;
use super::exposing_fields::{exposing_fields, names_service, services_of_app};
use crate::catalogue::Id;
use crate::diagnostic::Severity;

/// How an object exposes the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ManifestExposure {
    /// A Service for whoever reaches an address.
    Address(&'static str),
    /// A route of a controller, which may have a login of its own.
    Route,
}

impl RuleChecker<'_> {
    /// Reports the user's own objects that expose the application.
    pub(super) fn exposing_extra_manifests(&mut self, consent: &str) {
        let settings = self.settings;
        let (name, namespace) = (settings.deploy.name.as_str(), settings.deploy.namespace.as_str());
        let manifests = settings.extra_objects.iter().map(|extra| &extra.manifest);
        let services = services_of_app(name, namespace, &manifests);
        for extra in &settings.extra_objects {
            let Some(by) = exposed_by(&extra.manifest, name, &services) else { continue };
            let text = |key: &str| extra.manifest.pointer(key).and_then(Value::as_str).unwrap_or_default();
            let object = format!("{}/{}", text("/kind").to_lowercase(), text("/metadata/name"));
            let source = &extra.source;
            let (id, severity, message) = match by {
                ManifestExposure::Address(how) => (
                    Id::Exposed,
                    Severity::Error,
                    format!("OpenHands has no login, but {object} of {source} exposes it {how}"),
                ),
                ManifestExposure::Route => (
                    Id::ReachableByOthers,
                    Severity::Warning,
                    format!("OpenHands has no login, and {object} of {source} routes to it"),
                ),
            };
            self.report(id, severity, &["deploy", "extra_manifests"], message, consent);
        }
    }
}

/// Returns how an object exposes the application of this set; None: it does not. `services` lead to the application.
fn exposed_by(manifest: &Value, set: &str, services: &BTreeSet<String>) -> Option<ManifestExposure> {
    match manifest["kind"].as_str()? {
        "Service" => exposing_fields(manifest, set, services)
            .first()
            .map(|field| ManifestExposure::Address(field.by.as_str())),
        "Ingress" | "Route" | "HTTPRoute" | "TCPRoute" | "TLSRoute" | "IngressRoute" | "VirtualService"
            if names_service(&manifest["spec"], services) =>
        {
            Some(ManifestExposure::Route)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::settings::load::read::{Request, read};

    fn exposed_by(manifest: &Value) -> Option<ManifestExposure> {
        super::exposed_by(manifest, "oh", &BTreeSet::from(["oh".to_owned()]))
    }

    fn service(spec: &Value) -> Value {
        json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "mine" }, "spec": spec })
    }

    #[test]
    fn services_with_an_address_expose_the_pods_that_they_select() {
        let app = json!({ "app.kubernetes.io/instance": "oh", "app.kubernetes.io/component": "app" });
        for (spec, expected) in [
            (
                json!({ "type": "LoadBalancer", "selector": app }),
                Some(ManifestExposure::Address("by a load balancer")),
            ),
            (
                json!({ "type": "NodePort", "selector": app }),
                Some(ManifestExposure::Address("at every node's address")),
            ),
            (
                json!({ "selector": app, "externalIPs": ["203.0.113.7"] }),
                Some(ManifestExposure::Address("at its externalIPs")),
            ),
            (json!({ "selector": app }), None),
            (json!({ "type": "LoadBalancer", "selector": { "app.kubernetes.io/instance": "other" } }), None),
            (json!({ "type": "LoadBalancer", "selector": { "app": "proxy" } }), None),
            (json!({ "type": "LoadBalancer" }), None),
        ] {
            assert_eq!(exposed_by(&service(&spec)), expected, "{spec}");
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
            assert_eq!(exposed_by(&manifest).is_some(), expected, "{manifest}");
        }
    }

    #[test]
    fn route_to_a_second_service_is_a_warning() {
        let folder = tempfile::tempdir().unwrap();
        let ingress = |service: &str| {
            json!({ "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": { "name": "public" },
                "spec": { "defaultBackend": { "service": { "name": service, "port": { "number": 3000 } } } } })
        };
        let second = json!({ "selector": { "app.kubernetes.io/instance": "openhands" },
            "ports": [{ "port": 3000 }] });
        let alias =
            json!({ "type": "ExternalName", "externalName": "openhands.openhands.svc.cluster.local" });
        let other = json!({ "selector": { "app": "proxy" }, "ports": [{ "port": 3000 }] });
        for (spec, expected) in [(&second, true), (&alias, true), (&other, false)] {
            let text = format!("{}\n---\n{}\n", service(spec), ingress("mine"));
            std::fs::write(folder.path().join("public.yaml"), text).unwrap();
            let config = "[deploy]\nextra_manifests = [\"public.yaml\"]\n";
            std::fs::write(folder.path().join("config.toml"), config).unwrap();
            let loaded = read(&Request::default(), &[], folder.path()).unwrap();
            let ids: Vec<Id> = loaded.warnings.iter().map(|warning| warning.id).collect();
            assert_eq!(ids.contains(&Id::ReachableByOthers), expected, "{spec}: {ids:?}");
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
