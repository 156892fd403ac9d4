//! Asks the API server whether it would create a pod of a Deployment now: webhooks, policies, Pod Security, quotas.

use std::time::Duration;

use kube::core::Status;
use serde_json::{Value, json};

use crate::catalogue::Id;
use crate::cluster::client::api::{Api, ApiError};
use crate::cluster::client::status_error;
use crate::error::{Error, Kind};
use crate::object::ObjectId;
use crate::object::kind::POD;
use crate::object::webhook::failed_webhook;

/// The pause after a call of a webhook failed. A single lost call is no reason to end a command.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Whether the API server admits a pod.
#[derive(Debug)]
pub enum PodAdmission {
    /// It does.
    Admitted,
    /// It rejects the pod.
    Rejected(Error),
    /// This account cannot find out: it may not create pods, a webhook does not support dry runs, or there was no answer.
    Unknown,
}

/// Sends a pod of the Deployment's template as a dry run.
///
/// `owner` is a `ReplicaSet` of the Deployment, name and UID, because some policies only accept pods of a controller.
pub async fn check(
    api: &Api,
    id: &ObjectId,
    deployment: &Value,
    owner: Option<(&str, &str)>,
) -> PodAdmission {
    let Some(namespace) = id.namespace.as_deref() else { return PodAdmission::Unknown };
    let pod = pod(id, deployment, owner);
    let mut response = api.create_dry_run(&POD.in_namespace(namespace), &pod).await;
    if matches!(&response, Err(ApiError::Status(status)) if is_failed_webhook(status)) {
        tokio::time::sleep(RETRY_PAUSE).await;
        response = api.create_dry_run(&POD.in_namespace(namespace), &pod).await;
    }
    match response {
        Ok(_) => PodAdmission::Admitted,
        Err(ApiError::Status(status)) => {
            rejection_of(id, &status).map_or(PodAdmission::Unknown, PodAdmission::Rejected)
        }
        Err(
            ApiError::Transport(_)
            | ApiError::Timeout(_)
            | ApiError::Deadline(_)
            | ApiError::NotKubernetes(_)
            | ApiError::TooLarge(_),
        ) => PodAdmission::Unknown,
    }
}

/// Builds the pod as the `ReplicaSet` controller would, except for the label with the template's hash.
fn pod(id: &ObjectId, deployment: &Value, owner: Option<(&str, &str)>) -> Value {
    let template = &deployment["spec"]["template"];
    let owners = owner.map(|(name, uid)| {
        json!({ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": name, "uid": uid, "controller": true })
    });
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": format!("{}-", id.name),
            "namespace": id.namespace,
            "labels": template["metadata"]["labels"],
            "annotations": template["metadata"]["annotations"],
            "ownerReferences": owners.into_iter().collect::<Vec<_>>(),
        },
        "spec": template["spec"],
    })
}

fn rejection_of(id: &ObjectId, status: &Status) -> Option<Error> {
    let namespace = id.namespace.as_deref().unwrap_or_default();
    let action = format!("the server would reject the new pods of {id} in namespace {namespace}");
    if is_failed_webhook(status) {
        return Some(pods_rejected(id, action, status));
    }
    let error = status_error::status_error(&action, status);
    match error.id() {
        Id::QuotaRejected => Some(error.of_rejected(id.rejected_as(POD.kind))),
        Id::Rejected if !status_error::is_dry_run_unsupported(status) => {
            Some(pods_rejected(id, action, status))
        }
        _ => None,
    }
}

/// Whether the API server could not call a webhook.
fn is_failed_webhook(status: &Status) -> bool {
    status.code == 500 && failed_webhook(&status.message).is_some()
}

fn pods_rejected(id: &ObjectId, action: String, status: &Status) -> Error {
    Error::new(Id::PodsRejected, Kind::Rejected, action)
        .caused_by(status.message.clone())
        .of_rejected(id.rejected_as(POD.kind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::scripted::{Exchange, ScriptedServer, scripted};
    use crate::object::kind::DEPLOYMENT;

    async fn admission_after(answer: impl FnOnce(Exchange)) -> PodAdmission {
        admission_of(async |server| {
            let exchange = server.expect("POST /api/v1/namespaces/n/pods").await;
            assert!(exchange.query.contains("dryRun=All"), "{}", exchange.query);
            assert_eq!(exchange.body["metadata"]["generateName"], "oh-");
            assert_eq!(exchange.body["metadata"]["labels"], json!({ "app": "oh" }));
            assert_eq!(exchange.body["metadata"]["ownerReferences"][0]["name"], "oh-1");
            assert_eq!(exchange.body["spec"]["containers"][0]["image"], "a:1");
            answer(exchange);
        })
        .await
    }

    async fn admission_of(script: impl AsyncFnOnce(&mut ScriptedServer)) -> PodAdmission {
        let (api, mut server) = scripted();
        let deployment = json!({ "spec": { "template": {
            "metadata": { "labels": { "app": "oh" } }, "spec": { "containers": [{ "name": "a", "image": "a:1" }] },
        } } });
        let id = DEPLOYMENT.id("n", "oh");
        let owner = Some(("oh-1", "u-1"));
        let (admission, ()) = tokio::join!(check(&api, &id, &deployment, owner), script(&mut server));
        admission
    }

    #[tokio::test(start_paused = true)]
    async fn pod_rejection_has_the_servers_reason() {
        let quota =
            "pods \"oh-x\" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1";
        let webhook = "admission webhook \"pods.example\" denied the request: no";
        for (code, message, id) in [
            (403, quota, Id::QuotaRejected),
            (403, webhook, Id::PodsRejected),
            (400, webhook, Id::PodsRejected),
        ] {
            let admission = admission_after(|exchange| exchange.status(code, "", message)).await;
            let PodAdmission::Rejected(error) = admission else { panic!("{message}: {admission:?}") };
            assert_eq!((error.id(), error.kind()), (id, Kind::Rejected), "{message}");
            assert_eq!(error.causes(), [message]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn failed_call_of_a_webhook_is_repeated_once() {
        const PODS: &str = "POST /api/v1/namespaces/n/pods";
        let silent = "Internal error occurred: failed calling webhook \"pods.example\": connection refused";
        let admission = admission_of(async |server| {
            server.expect(PODS).await.status(500, "InternalError", silent);
            server.expect(PODS).await.created(&json!({}));
        })
        .await;
        assert!(matches!(admission, PodAdmission::Admitted), "{admission:?}");
        let admission = admission_of(async |server| {
            for _ in 0..2 {
                server.expect(PODS).await.status(500, "InternalError", silent);
            }
        })
        .await;
        let PodAdmission::Rejected(error) = admission else { panic!("{admission:?}") };
        assert_eq!((error.id(), error.causes()), (Id::PodsRejected, vec![silent.to_owned()]));
    }

    #[tokio::test(start_paused = true)]
    async fn pod_without_an_answer_about_it_is_unknown() {
        let unsupported = "admission webhook \"pods.example\" does not support dry run";
        let rights = "pods is forbidden: User \"x\" cannot create resource \"pods\" in API group \"\" in the namespace \"n\"";
        let admitted = admission_after(|exchange| exchange.created(&json!({}))).await;
        assert!(matches!(admitted, PodAdmission::Admitted), "{admitted:?}");
        for (code, message) in [(400, unsupported), (403, rights), (503, "unavailable")] {
            let unknown = admission_after(|exchange| exchange.status(code, "", message)).await;
            assert!(matches!(unknown, PodAdmission::Unknown), "{message}: {unknown:?}");
        }
        assert!(matches!(admission_after(Exchange::lost).await, PodAdmission::Unknown));
    }
}
