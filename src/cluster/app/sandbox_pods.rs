//! Lists the pods and Services of the conversations' sandboxes.

use kube::api::ListParams;
use serde_json::Value;

use crate::cluster::client::api::{Api, UnreadFields};
use crate::error::Result;
use crate::object::kind::{POD, SERVICE};
use crate::object::labels;

/// What nobody reads of a sandbox's pod: most of it.
pub(super) const UNREAD_OF_PODS: UnreadFields = &[
    "managedFields",
    "command",
    "args",
    "env",
    "ports",
    "resources",
    "securityContext",
    "readinessProbe",
    "livenessProbe",
    "startupProbe",
    "tolerations",
    "projected",
];

/// Lists the pods of the sandboxes in a namespace with one request. None if the account may not list pods there.
///
/// # Errors
/// Fails if the server is unreachable.
pub async fn list(api: &Api, namespace: &str) -> Result<Option<Vec<Value>>> {
    let params = ListParams::default().labels(labels::SANDBOX_SELECTOR);
    match api.list_without(&POD.in_namespace(namespace), &params, UNREAD_OF_PODS).await {
        Ok(list) => Ok(Some(list.items)),
        Err(error) if error.code() == Some(403) => Ok(None),
        Err(error) => Err(error.into_error(&format!("cannot list pods in namespace {namespace}"))),
    }
}

/// Lists the metadata of the Services of a namespace, among them those of the sandboxes, which no label tells apart. None if the account
/// may not list Services there.
///
/// # Errors
/// Fails if the server is unreachable.
pub async fn list_services(api: &Api, namespace: &str) -> Result<Option<Vec<Value>>> {
    match api.list_names(&SERVICE.in_namespace(namespace), &ListParams::default()).await {
        Ok(list) => Ok(Some(list.items)),
        Err(error) if error.code() == Some(403) => Ok(None),
        Err(error) => Err(error.into_error(&format!("cannot list services in namespace {namespace}"))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::scripted::scripted;

    #[tokio::test(start_paused = true)]
    async fn forbidden_sandbox_pods_are_unknown() {
        let (api, mut server) = scripted();
        let pod = json!({ "metadata": { "name": "openhands-runtime-a" } });
        let (pods, ()) = tokio::join!(list(&api, "boxes"), async {
            server.expect("GET /api/v1/namespaces/boxes/pods").await.list("9", std::slice::from_ref(&pod));
        });
        assert_eq!(pods.unwrap().map(|pods| pods.len()), Some(1));
        let (pods, ()) = tokio::join!(list(&api, "boxes"), async {
            let message = "pods is forbidden: User \"a\" cannot list resource \"pods\" in API group \"\"";
            server.expect("GET /api/v1/namespaces/boxes/pods").await.status(403, "Forbidden", message);
        });
        assert_eq!(pods.unwrap(), None);
    }
}
