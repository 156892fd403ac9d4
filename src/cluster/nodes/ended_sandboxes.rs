//! Deletes what is left of sandboxes that ended with their node.

use kube::api::{DeleteParams, ListParams};
use serde_json::Value;

use crate::cluster::client::api::Api;
use crate::cluster::client::request::if_same_object;
use crate::error::Result;
use crate::event::{Action, Events, Phase};
use crate::object::ObjectId;
use crate::object::kind::{KindInfo, POD, SERVICE};
use crate::status::sandbox::{self, EndedSandbox};

/// Deletes the ended sandboxes of a namespace, and returns their number. Services and Ingress are deleted before the pod,
/// as the application itself does when it closes a sandbox: it fails to create them again. The claims stay: the next pod
/// of the same conversation mounts its claim again.
///
/// # Errors
/// Fails if pods and Services cannot be listed or an object cannot be deleted.
pub async fn delete_ended(api: &Api, namespace: &str, events: &Events) -> Result<usize> {
    // The pods are listed last: the application creates a sandbox's pod before its Services.
    let services = list(api, SERVICE, namespace).await?;
    let pods = list(api, POD, namespace).await?;
    let ended = sandbox::ended(&pods, &services);
    for sandbox in &ended {
        delete_one(api, namespace, sandbox, events).await?;
    }
    Ok(ended.len())
}

async fn list(api: &Api, kind: KindInfo, namespace: &str) -> Result<Vec<Value>> {
    let list = api.list(&kind.in_namespace(namespace), &ListParams::default()).await;
    let action = format!("cannot list {} in namespace {namespace}", kind.plural);
    Ok(list.map_err(|error| error.into_error(&action))?.items)
}

async fn delete_one(api: &Api, namespace: &str, sandbox: &EndedSandbox<'_>, events: &Events) -> Result<()> {
    let objects = sandbox.entry_points().map(|(kind, name)| (kind, name, DeleteParams::default()));
    // The kubelet has nothing left to stop, so the name is free at once.
    let pod = sandbox.pod.map(|pod| (POD, sandbox.name.to_owned(), if_same_object(pod).grace_period(0)));
    for (kind, name, parameters) in objects.into_iter().chain(pod) {
        let id = kind.id(namespace, &name);
        if delete(api, &id, kind, &parameters).await? {
            events.object(Phase::Cluster, id, Action::Deleted, None).await;
        }
    }
    Ok(())
}

/// Deletes an object; false if it does not exist, or if the application has created the next one.
async fn delete(api: &Api, id: &ObjectId, kind: KindInfo, parameters: &DeleteParams) -> Result<bool> {
    let deleted = api.delete_same(&kind.collection(id.namespace.as_deref()), &id.name, parameters).await;
    deleted.map_err(|error| error.into_error(&format!("cannot delete {id}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::scripted::scripted;

    const PODS: &str = "/api/v1/namespaces/n/pods";
    const SERVICES: &str = "/api/v1/namespaces/n/services";
    const INGRESSES: &str = "/apis/networking.k8s.io/v1/namespaces/n/ingresses";

    fn pod(name: &str, phase: &str) -> Value {
        json!({ "metadata": { "name": name, "namespace": "n", "uid": name }, "status": { "phase": phase } })
    }

    #[tokio::test]
    async fn ended_sandboxes_are_deleted_without_their_claims() {
        let (api, mut server) = scripted();
        let (events, _receiver) = Events::channel();
        let pods = [
            pod("openhands-runtime-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "Failed"),
            pod("openhands-runtime-bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", "Running"),
            pod("openhands-1", "Failed"),
        ];
        let (deleted, ()) = tokio::join!(delete_ended(&api, "n", &events), async {
            server.expect(&format!("GET {SERVICES}")).await.list("9", &[]);
            server.expect(&format!("GET {PODS}")).await.list("9", &pods);
            server
                .expect(&format!(
                    "DELETE {INGRESSES}/openhands-runtime-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-ingress-code"
                ))
                .await
                .ok(&json!({}));
            server
                .expect(&format!(
                    "DELETE {SERVICES}/openhands-runtime-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-svc-code"
                ))
                .await
                .ok(&json!({}));
            server
                .expect(&format!("DELETE {SERVICES}/openhands-runtime-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-svc"))
                .await
                .not_found();
            let delete = server
                .expect(&format!("DELETE {PODS}/openhands-runtime-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"))
                .await;
            assert_eq!(
                delete.body["preconditions"],
                json!({ "uid": "openhands-runtime-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" })
            );
            delete.ok(&json!({}));
        });
        assert_eq!(deleted.unwrap(), 1);
    }
}
