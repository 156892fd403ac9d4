//! Reads who installed a webhook that the API server cannot call, and whether its server runs.

use kube::api::ListParams;

use crate::cluster::client::api::{Api, ApiError};
use crate::object::kind::{ENDPOINT_SLICE, KindInfo, MUTATING_WEBHOOK, SERVICE, VALIDATING_WEBHOOK};
use crate::object::labels;
use crate::object::list_items::items;
use crate::object::webhook::{self, WebhookOrigin};

/// Returns what is known of a webhook's server; a request that fails is a line, too. Accounts that only deploy usually may
/// not list the configurations of webhooks.
pub(crate) async fn lines(api: &Api, name: &str) -> Vec<String> {
    let (validating, mutating) =
        tokio::join!(origin(api, name, VALIDATING_WEBHOOK), origin(api, name, MUTATING_WEBHOOK));
    let mut lines = Vec::new();
    for found in [validating, mutating] {
        match found {
            Ok(Some((kind, WebhookOrigin { configuration, service }))) => {
                let id = kind.id("", &configuration);
                let server = match service {
                    None => "and is called at a URL".to_owned(),
                    Some((namespace, service)) => server(api, &namespace, &service).await,
                };
                return vec![format!("webhook {name} is of {id}, {server}")];
            }
            Ok(None) => {}
            Err(error) => lines.push(unread("who installed the webhook", &error)),
        }
    }
    lines.dedup();
    lines
}

async fn origin(
    api: &Api,
    name: &str,
    kind: KindInfo,
) -> Result<Option<(KindInfo, WebhookOrigin)>, ApiError> {
    let list = api.list(&kind.collection(None), &ListParams::default()).await?;
    Ok(webhook::origin(name, &list.items).map(|origin| (kind, origin)))
}

/// Describes the Service of a webhook: `whose service/gone in namespace policy does not exist`.
async fn server(api: &Api, namespace: &str, service: &str) -> String {
    let of_service = ListParams::default().labels(&format!("{}={service}", labels::SERVICE_NAME));
    let slices_of = ENDPOINT_SLICE.in_namespace(namespace);
    let collection = SERVICE.in_namespace(namespace);
    let (live, slices) = tokio::join!(api.get_opt(&collection, service), api.list(&slices_of, &of_service));
    let named = format!("service/{service} in namespace {namespace}");
    let ready = |slice: &serde_json::Value| {
        items(&slice["endpoints"]).filter(|endpoint| endpoint["conditions"]["ready"] != false).count()
    };
    match (live, slices) {
        (Ok(None), _) => format!("whose {named} does not exist"),
        (Err(error), _) | (_, Err(error)) => format!("whose {}", unread(&named, &error)),
        (Ok(Some(_)), Ok(slices)) if slices.items.iter().map(ready).sum::<usize>() == 0 => {
            format!("whose {named} has no ready pod")
        }
        (Ok(Some(_)), Ok(_)) => format!("whose {named} has ready pods"),
    }
}

fn unread(what: &str, error: &ApiError) -> String {
    match error.code() {
        Some(403) => format!("{what} was not read: no right"),
        _ => format!("{what} was not read: {}", error.reason()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::cluster::scripted::{ScriptedServer, scripted};

    const NAME: &str = "check.gone.io";

    async fn lines_with(script: impl AsyncFnOnce(&mut ScriptedServer)) -> Vec<String> {
        let (api, mut server) = scripted();
        let (lines, ()) = tokio::join!(lines(&api, NAME), script(&mut server));
        lines
    }

    /// Answers the two lists of configurations: the validating one has the webhook.
    async fn answer_configurations(server: &mut ScriptedServer) {
        for _ in 0..2 {
            let exchange = server.next().await;
            let service = json!({ "namespace": "policy", "name": "gone" });
            let webhook = json!([{ "name": NAME, "clientConfig": { "service": service } }]);
            let items = if exchange.call.contains("validating") {
                json!([{ "metadata": { "name": "policy" }, "webhooks": webhook }])
            } else {
                json!([])
            };
            exchange.ok(&json!({ "items": items }));
        }
    }

    async fn answer_service(server: &mut ScriptedServer, service: Option<&Value>, slices: &Value) {
        for _ in 0..2 {
            let exchange = server.next().await;
            match service {
                _ if exchange.call.contains("endpointslices") => exchange.ok(&json!({ "items": slices })),
                Some(service) => exchange.ok(service),
                None => exchange.status(404, "NotFound", "not found"),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn service_that_is_gone_is_named_with_the_configuration() {
        let origin = "webhook check.gone.io is of validatingwebhookconfiguration.admissionregistration.k8s.io/policy, \
                      whose service/gone in namespace policy";
        let gone = lines_with(async |server| {
            answer_configurations(server).await;
            answer_service(server, None, &json!([])).await;
        })
        .await;
        assert_eq!(gone, [format!("{origin} does not exist")]);
        let slice = |ready: bool| json!([{ "endpoints": [{ "conditions": { "ready": ready } }] }]);
        for (ready, text) in [(false, "has no ready pod"), (true, "has ready pods")] {
            let lines = lines_with(async |server| {
                answer_configurations(server).await;
                answer_service(server, Some(&json!({})), &slice(ready)).await;
            })
            .await;
            assert_eq!(lines, [format!("{origin} {text}")]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn configurations_that_may_not_be_listed_are_one_line() {
        let lines = lines_with(async |server| {
            for _ in 0..2 {
                server.next().await.status(403, "Forbidden", "no right");
            }
        })
        .await;
        assert_eq!(lines, ["who installed the webhook was not read: no right"]);
    }
}
