//! Admission webhooks: the failed one in a message of the API server, and its server in its configuration. Pure.

use serde_json::Value;

use super::list_items::items;

/// Returns the name of the webhook that the API server could not call, from its message
/// (`k8s.io/apiserver/pkg/admission/plugin/webhook/errors`).
#[must_use]
pub fn failed_webhook(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("failed calling webhook \"")?;
    rest.split_once('"').map(|(name, _)| name)
}

/// Where a webhook is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookOrigin {
    /// The name of its configuration.
    pub configuration: String,
    /// Namespace and name of its Service; None: it is called at a URL.
    pub service: Option<(String, String)>,
}

/// Returns the configuration of a webhook, from a list of configurations of one kind.
#[must_use]
pub fn origin(name: &str, configurations: &[Value]) -> Option<WebhookOrigin> {
    configurations.iter().find_map(|configuration| {
        let webhook = items(&configuration["webhooks"]).find(|webhook| webhook["name"] == name)?;
        let service = &webhook["clientConfig"]["service"];
        let text = |value: &Value| value.as_str().map(str::to_owned);
        Some(WebhookOrigin {
            configuration: text(&configuration["metadata"]["name"])?,
            service: text(&service["namespace"]).zip(text(&service["name"])),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn failed_webhook_is_found_with_its_service() {
        let message = "Internal error occurred: failed calling webhook \"check.gone.io\": failed to call webhook: Post \
                       \"https://gone.n.svc:443/?timeout=10s\": service \"gone\" not found";
        assert_eq!(failed_webhook(message), Some("check.gone.io"));
        assert_eq!(failed_webhook("admission webhook \"x\" denied the request: no"), None);
        let webhooks = json!([{ "name": "other.io" }, {
            "name": "check.gone.io", "clientConfig": { "service": { "namespace": "n", "name": "gone" } },
        }]);
        let configurations = [json!({ "metadata": { "name": "policy" }, "webhooks": webhooks })];
        let found = origin("check.gone.io", &configurations).unwrap();
        assert_eq!(found.configuration, "policy");
        assert_eq!(found.service, Some(("n".to_owned(), "gone".to_owned())));
        assert_eq!(origin("other.io", &configurations).unwrap().service, None);
        assert_eq!(origin("absent.io", &configurations), None);
    }
}
