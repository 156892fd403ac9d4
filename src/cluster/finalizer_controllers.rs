//! Finds out which controller should remove the finalizers of a deleted object, and whether it runs.

use kube::api::ListParams;
use serde_json::Value;

use super::client::api::Api;
use crate::object::finalizer::{Finalizer, Remover, finalizers};
use crate::object::kind::POD;
use crate::object::{ObjectId, pod_spec};
use crate::phrase;

/// How many pods a sentence names.
const MAX_NAMED: usize = 3;

/// Returns a sentence about each finalizer of an object: what removes it, and whether that runs. What the account may not
/// read is left out.
pub async fn explain(api: &Api, id: &ObjectId, object: &Value) -> Vec<String> {
    let mut sentences = Vec::new();
    for finalizer in finalizers(object) {
        match finalizer.remover() {
            Remover::Known(work) => sentences.push(work.to_owned()),
            Remover::ClaimProtection => sentences.extend(claim_users(api, id).await),
            Remover::Unknown => sentences.extend(controller(api, finalizer).await),
        }
    }
    sentences
}

/// Names the pods that mount a claim.
async fn claim_users(api: &Api, claim: &ObjectId) -> Option<String> {
    let namespace = claim.namespace.as_deref()?;
    let pods = api.list(&POD.in_namespace(namespace), &ListParams::default()).await.ok()?;
    let name = format!("{namespace}/{}", claim.name);
    let mounts = |pod: &&Value| pod_spec::mounted_claims(pod).any(|mounted| mounted == name);
    let users: Vec<String> = pods.items.iter().filter(mounts).map(described).collect();
    Some(match users.as_slice() {
        [] => "no pod mounts it any more: the controller manager removes the finalizer".to_owned(),
        users => format!("still mounted by {}", named(users)),
    })
}

/// Names the pods that may be the controller of an unknown finalizer.
async fn controller(api: &Api, finalizer: Finalizer<'_>) -> Option<String> {
    let words = finalizer.controller_words();
    if words.is_empty() {
        return None;
    }
    let pods = api.list(&POD.collection(None), &ListParams::default()).await.ok()?;
    let is_candidate = |pod: &&Value| {
        let images = pod["spec"]["containers"].as_array().into_iter().flatten();
        let images = images.filter_map(|container| container["image"].as_str());
        let mut texts = images.chain(pod["metadata"]["name"].as_str());
        texts.any(|text| words.iter().any(|word| text.to_lowercase().contains(word)))
    };
    let candidates: Vec<String> = pods.items.iter().filter(is_candidate).map(described).collect();
    let names = words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" or ");
    Some(match candidates.as_slice() {
        [] => format!(
            "no pod of the cluster has {names} in its name or image: its controller does not seem to run"
        ),
        pods => format!("its controller may be {}", named(pods)),
    })
}

/// Returns `pod/traefik-0 (Running) in namespace traefik`.
fn described(pod: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let metadata = &pod["metadata"];
    let phase = text(&pod["status"]["phase"]);
    format!("pod/{} ({phase}) in namespace {}", text(&metadata["name"]), text(&metadata["namespace"]))
}

fn named(pods: &[String]) -> String {
    phrase::first_few(pods.iter(), MAX_NAMED)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::scripted::scripted;
    use crate::object::kind::{CLAIM, INGRESS};

    fn pod(namespace: &str, name: &str, claim: &str) -> Value {
        json!({ "metadata": { "namespace": namespace, "name": name }, "status": { "phase": "Running" },
            "spec": { "containers": [{ "image": "acme/app:1" }],
                "volumes": [{ "persistentVolumeClaim": { "claimName": claim } }] } })
    }

    #[tokio::test(start_paused = true)]
    async fn pods_that_mount_a_claim_keep_it() {
        let (api, mut server) = scripted();
        let claim = json!({ "metadata": { "finalizers": ["kubernetes.io/pvc-protection"] } });
        let pods = [pod("n", "a", "state"), pod("n", "b", "other")];
        let id = CLAIM.id("n", "state");
        let (sentences, ()) = tokio::join!(explain(&api, &id, &claim), async {
            server.expect("GET /api/v1/namespaces/n/pods").await.list("9", &pods);
        });
        assert_eq!(sentences, ["still mounted by pod/a (Running) in namespace n"]);
    }

    #[tokio::test(start_paused = true)]
    async fn controller_of_an_unknown_finalizer_is_searched_among_all_pods() {
        let (api, mut server) = scripted();
        let ingress = json!({ "metadata": { "finalizers": ["acme.example/hold"] } });
        let id = INGRESS.id("n", "oh");
        for (pods, expected) in [
            (
                vec![pod("acme", "acme-0", "x")],
                "its controller may be pod/acme-0 (Running) in namespace acme",
            ),
            (
                vec![json!({ "metadata": { "name": "other" } })],
                "no pod of the cluster has `acme` in its name or image: its controller does not seem to run",
            ),
        ] {
            let (sentences, ()) = tokio::join!(explain(&api, &id, &ingress), async {
                server.expect("GET /api/v1/pods").await.list("9", &pods);
            });
            assert_eq!(sentences, [expected]);
        }
        let (sentences, ()) = tokio::join!(explain(&api, &id, &ingress), async {
            server.expect("GET /api/v1/pods").await.status(403, "Forbidden", "pods is forbidden");
        });
        assert_eq!(sentences, [""; 0], "nothing is claimed without the right to list pods");
    }
}
