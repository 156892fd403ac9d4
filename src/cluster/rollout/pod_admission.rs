//! Asks the API server whether it admits a pod of a Deployment, with a dry run.

use k8s_openapi::api::apps::v1::Deployment;
use serde_json::{Value, json};

use crate::cluster::client::api::{Api, ApiError};
use crate::object::kind::POD;

/// Whether the API server admits a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PodAdmission {
    /// It does.
    Admitted,
    /// It rejects the pod with this message.
    Rejected(String),
    /// The account may not create pods, or the server did not answer.
    Unknown,
}

/// Sends a pod of the Deployment's template as a dry run, which passes validation, quotas, Pod Security and webhooks,
/// and stores nothing (<https://kubernetes.io/docs/reference/using-api/api-concepts/#dry-run>).
pub async fn check(api: &Api, deployment: &Deployment) -> PodAdmission {
    let namespace = deployment.metadata.namespace.as_deref().unwrap_or_default();
    match api.create_dry_run(&POD.in_namespace(namespace), &pod(deployment)).await {
        Ok(_) => PodAdmission::Admitted,
        Err(ApiError::Status(status)) if is_missing_right(&status.message) => PodAdmission::Unknown,
        Err(ApiError::Status(status)) if matches!(status.code, 400 | 403 | 404 | 409 | 422) => {
            PodAdmission::Rejected(status.message.clone())
        }
        Err(_) => PodAdmission::Unknown,
    }
}

/// Returns whether the authorizer rejected the request. Admission plugins answer 403 as well.
fn is_missing_right(message: &str) -> bool {
    message.contains("cannot create resource \"pods\"")
}

/// Builds the pod as the controller does (`GetPodFromTemplate` in the controller manager).
fn pod(deployment: &Deployment) -> Value {
    let template = deployment.spec.as_ref().map(|spec| &spec.template);
    let metadata = template.and_then(|template| template.metadata.as_ref());
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": format!("{}-", deployment.metadata.name.as_deref().unwrap_or_default()),
            "namespace": deployment.metadata.namespace,
            "labels": metadata.and_then(|metadata| metadata.labels.as_ref()),
            "annotations": metadata.and_then(|metadata| metadata.annotations.as_ref()),
        },
        "spec": template.and_then(|template| template.spec.as_ref()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::scripted::scripted;

    fn deployment() -> Deployment {
        serde_json::from_value(json!({
            "metadata": { "name": "oh", "namespace": "n" },
            "spec": { "selector": {}, "template": {
                "metadata": { "labels": { "app": "oh" } },
                "spec": { "serviceAccountName": "oh", "containers": [{ "name": "app", "image": "a:1" }] },
            } },
        }))
        .unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn rejection_is_distinguished_from_missing_right() {
        let forbidden = "pods is forbidden: User \"u\" cannot create resource \"pods\" in API group \"\"";
        let denied = "admission webhook \"x\" denied the request: no";
        for (code, message, expected) in [
            (403, denied, PodAdmission::Rejected(denied.to_owned())),
            (403, forbidden, PodAdmission::Unknown),
        ] {
            let (api, mut server) = scripted();
            let deployment = deployment();
            let (admission, ()) = tokio::join!(check(&api, &deployment), async {
                let exchange = server.expect("POST /api/v1/namespaces/n/pods").await;
                assert_eq!(exchange.body["spec"]["serviceAccountName"], "oh");
                assert_eq!(exchange.body["metadata"]["labels"]["app"], "oh");
                exchange.status(code, "Forbidden", message);
            });
            assert_eq!(admission, expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn accepted_dry_run_is_an_admission() {
        let (api, mut server) = scripted();
        let deployment = deployment();
        let (admission, ()) = tokio::join!(check(&api, &deployment), async {
            server.expect("POST /api/v1/namespaces/n/pods").await.created(&json!({ "kind": "Pod" }));
        });
        assert_eq!(admission, PodAdmission::Admitted);
    }
}
