//! Reads what an Ingress depends on and never says: its class, the pods of its controller, its TLS Secrets.

use std::collections::BTreeMap;

use kube::api::ListParams;
use serde_json::Value;

use crate::cluster::client::api::{Api, ApiError};
use crate::object::kind::{INGRESS_CLASS, POD, SECRET};
use crate::object::list_items::items;
use crate::plan::checks::ingress_controller::{self, RouteFault, class_of};
use crate::plan::checks::secret_refs::{SecretRef, SecretUse};

/// The maximum number of pods to list: in a larger cluster the controller is not looked up.
const MAX_PODS: u32 = 500;

/// What keeps an Ingress from being served.
#[derive(Debug, Default)]
pub(crate) struct RouteReport {
    pub(crate) faults: Vec<RouteFault>,
    /// What could not be read, with the reason.
    pub(crate) unread: Vec<String>,
}

/// How the controller of an ingress class is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Controllers {
    /// Among the pods of the whole cluster.
    Listed,
    /// Not at all: a large cluster has many pods, and on simulated nodes no controller runs.
    Unlisted,
}

/// Reads the class, the controller and the TLS Secrets of a live Ingress. A request that fails is reported as unread.
pub(crate) async fn read(api: &Api, ingress: &Value, controllers: Controllers) -> RouteReport {
    let (of_class, of_secrets) =
        tokio::join!(read_class(api, ingress, controllers), read_secrets(api, ingress));
    RouteReport {
        faults: [of_class.faults, of_secrets.faults].concat(),
        unread: [of_class.unread, of_secrets.unread].concat(),
    }
}

async fn read_class(api: &Api, ingress: &Value, controllers: Controllers) -> RouteReport {
    let mut report = RouteReport::default();
    let class = match class_of(ingress) {
        None => None,
        Some(name) => match api.get_opt(&INGRESS_CLASS.collection(None), name).await {
            Ok(class) => class,
            Err(error) => {
                report.unread.push(unread(&format!("ingress class {name}"), &error));
                return report;
            }
        },
    };
    report.faults.extend(ingress_controller::class_fault(ingress, class.as_ref()));
    if let Some(class) = class.filter(|_| controllers == Controllers::Listed) {
        let running = ListParams::default().limit(MAX_PODS).fields("status.phase=Running");
        match api.list(&POD.collection(None), &running).await {
            Ok(pods) if pods.is_complete => {
                report.faults.extend(ingress_controller::controller_fault(ingress, &class, &pods.items));
            }
            // The controller may be among the others.
            Ok(_page) => {}
            Err(error) => report.unread.push(unread("the pods of the ingress controller", &error)),
        }
    }
    report
}

async fn read_secrets(api: &Api, ingress: &Value) -> RouteReport {
    let mut report = RouteReport::default();
    let Some(namespace) = ingress["metadata"]["namespace"].as_str() else { return report };
    for (name, host) in certificates(ingress) {
        let secret_ref = SecretRef {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            used_for: SecretUse::Certificate { host: host.to_owned() },
        };
        match api.get_opt(&SECRET.in_namespace(namespace), name).await {
            Ok(secret) => {
                report
                    .faults
                    .extend(secret_ref.fault(secret.as_ref(), api.clock().now()).map(RouteFault::of_secret));
            }
            Err(error) => report.unread.push(unread(&format!("secret/{name}"), &error)),
        }
    }
    report
}

/// Returns each TLS Secret of an Ingress with one host that its certificate must cover: the first one of the last entry
/// that names the Secret. An entry without hosts is left out.
fn certificates(ingress: &Value) -> BTreeMap<&str, &str> {
    let entries = items(&ingress["spec"]["tls"]).filter_map(|entry| {
        let host = items(&entry["hosts"]).find_map(Value::as_str);
        Some((entry["secretName"].as_str()?, host?))
    });
    entries.collect()
}

fn unread(what: &str, error: &ApiError) -> String {
    match error.code() {
        Some(403) => format!("{what} was not checked: no right to read it"),
        _ => format!("{what} was not checked: {}", error.reason()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::catalogue::Id;
    use crate::cluster::scripted::{ScriptedServer, scripted};

    fn ingress(tls: &Value) -> Value {
        json!({
            "metadata": { "name": "oh", "namespace": "n" },
            "spec": { "ingressClassName": "traefik", "tls": tls },
        })
    }

    async fn read_with(
        ingress: &Value,
        controllers: Controllers,
        script: impl AsyncFnOnce(&mut ScriptedServer),
    ) -> RouteReport {
        let (api, mut server) = scripted();
        let (report, ()) = tokio::join!(read(&api, ingress, controllers), script(&mut server));
        report
    }

    const CLASS: &str = "GET /apis/networking.k8s.io/v1/ingressclasses/traefik";

    #[tokio::test(start_paused = true)]
    async fn class_that_does_not_exist_is_named() {
        let report = read_with(&ingress(&json!([])), Controllers::Unlisted, async |server| {
            server.expect(CLASS).await.status(404, "NotFound", "not found");
        })
        .await;
        assert_eq!(report.faults[0].id, Id::IngressClassMissing);
        assert_eq!(report.unread, [""; 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn controller_without_pods_is_named_if_all_pods_are_listed() {
        let class = json!({ "metadata": { "name": "traefik" }, "spec": { "controller": "traefik.io/ingress-controller" } });
        let report = read_with(&ingress(&json!([])), Controllers::Listed, async |server| {
            server.expect(CLASS).await.ok(&class);
            server.expect("GET /api/v1/pods").await.ok(&json!({ "items": [] }));
        })
        .await;
        assert_eq!(report.faults[0].id, Id::IngressWithoutController);
        let large = read_with(&ingress(&json!([])), Controllers::Listed, async |server| {
            server.expect(CLASS).await.ok(&class);
            let page = json!({ "metadata": { "continue": "more" }, "items": [] });
            server.expect("GET /api/v1/pods").await.ok(&page);
        })
        .await;
        assert!(large.faults.is_empty(), "the controller may be on another page: {large:?}");
        let unlisted = read_with(&ingress(&json!([])), Controllers::Unlisted, async |server| {
            server.expect(CLASS).await.ok(&class);
        })
        .await;
        assert!(unlisted.faults.is_empty(), "{unlisted:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn missing_certificate_and_missing_right_are_two_different_things() {
        let tls = json!([{ "hosts": ["x.org"], "secretName": "tls" }]);
        let report = read_with(&ingress(&tls), Controllers::Listed, async |server| {
            for _ in 0..2 {
                let exchange = server.next().await;
                if exchange.call.contains("ingressclasses") {
                    exchange.status(403, "Forbidden", "no right");
                } else {
                    exchange.status(404, "NotFound", "not found");
                }
            }
        })
        .await;
        let [fault] = &report.faults[..] else { panic!("{report:?}") };
        assert_eq!(fault.id, Id::MissingReference);
        assert!(fault.text.starts_with("secret/tls in namespace n does not exist"), "{}", fault.text);
        assert_eq!(report.unread, ["ingress class traefik was not checked: no right to read it"]);
    }
}
