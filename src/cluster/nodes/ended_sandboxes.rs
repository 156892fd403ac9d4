//! Deletes sandbox pods that ended when their node stopped.

use kube::api::ListParams;

use crate::cluster::client::api::{Api, ApiError};
use crate::cluster::client::request::if_same_object;
use crate::error::Result;
use crate::event::{Action, Events, Phase};
use crate::object::ObjectId;
use crate::object::kind::POD;
use crate::status::sandbox;

/// Deletes the ended sandbox pods of a namespace, and returns them. Their claims stay: the next pod of the same
/// conversation mounts its claim again.
///
/// # Errors
/// Fails if the pods cannot be listed or deleted.
pub async fn delete_ended(api: &Api, namespace: &str, events: &Events) -> Result<Vec<ObjectId>> {
    let pods = POD.in_namespace(namespace);
    let list = api.list(&pods, &ListParams::default()).await;
    let list = list.map_err(|error| error.into_error(&format!("cannot list the pods of namespace {namespace}")))?;
    let mut deleted = Vec::new();
    for pod in list.items.iter().filter(|pod| sandbox::is_ended(pod)) {
        let name = pod["metadata"]["name"].as_str().unwrap_or_default();
        let id = POD.id(namespace, name);
        // The kubelet has nothing left to stop, so the name is free at once.
        match api.delete(&pods, name, &if_same_object(pod).grace_period(0)).await {
            Ok(_) => {
                events.object(Phase::Cluster, id.clone(), Action::Deleted, None).await;
                deleted.push(id);
            }
            // Another process deleted it, or the application has created the next one.
            Err(ApiError::Status(status)) if matches!(status.code, 404 | 409) => {}
            Err(error) => return Err(error.into_error(&format!("cannot delete {id}"))),
        }
    }
    Ok(deleted)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::cluster::scripted::scripted;

    const PODS: &str = "/api/v1/namespaces/n/pods";

    fn pod(name: &str, phase: &str) -> Value {
        json!({ "metadata": { "name": name, "namespace": "n", "uid": name }, "status": { "phase": phase } })
    }

    #[tokio::test]
    async fn ended_sandbox_pods_are_deleted_claims_are_not() {
        let (api, mut server) = scripted();
        let (events, _receiver) = Events::channel();
        let pods = [
            pod("openhands-runtime-a", "Failed"),
            pod("openhands-runtime-b", "Running"),
            pod("openhands-runtime-c", "Failed"),
            pod("openhands-1", "Failed"),
        ];
        let (deleted, ()) = tokio::join!(delete_ended(&api, "n", &events), async {
            server.expect(&format!("GET {PODS}")).await.list("9", &pods);
            let delete = server.expect(&format!("DELETE {PODS}/openhands-runtime-a")).await;
            assert_eq!(delete.body["preconditions"], json!({ "uid": "openhands-runtime-a" }));
            delete.ok(&json!({}));
            server.expect(&format!("DELETE {PODS}/openhands-runtime-c")).await.not_found();
        });
        assert_eq!(deleted.unwrap(), [POD.id("n", "openhands-runtime-a")]);
    }
}
