//! Runs the short-lived pod that mounts a volume, and deletes it.

use kube::api::ListParams;
use serde_json::Value;
use tokio::time::Instant;

use super::transfer::MountedVolume;
use crate::cluster::client::api::Api;
use crate::cluster::client::request::if_same_object;
use crate::cluster::rollout::finding_error::finding_error;
use crate::cluster::rollout::follow::{self, RolloutResult, RolloutWatch};
use crate::cluster::watch::observe;
use crate::cluster::watch::observed_set::ObservedSet;
use crate::cluster::watch::store::all_of;
use crate::cluster::watch::watcher::{WatchScope, Watches};
use crate::error::{Error, Result};
use crate::event::Events;
use crate::object::kind::{EVENT, POD};
use crate::object::pod_spec::claim_mounts;
use crate::plan::inventory::members::Members;
use crate::plan::manifests::volume_pod::{VOLUME_OF, VolumePod};
use crate::settings::Settings;
use crate::status::{Expected, GracePeriods, ObservedState};

/// The limits of the wait for the pod.
#[derive(Debug, Clone)]
pub struct PodLimits {
    /// How long to wait for faults that may still heal.
    pub grace: GracePeriods,
    /// The command's deadline.
    pub deadline: Instant,
    /// Whether the server supports streaming lists.
    pub streaming: bool,
}

/// Creates the pod. It runs until it is deleted, or ends by itself much later.
///
/// # Errors
/// The API server rejects the pod.
pub async fn create(api: &Api, pod: &VolumePod) -> Result<Value> {
    let namespace = pod.manifest["metadata"]["namespace"].as_str().unwrap_or_default();
    let created = api.create(&POD.in_namespace(namespace), &pod.manifest).await;
    let action =
        format!("cannot create a pod in namespace {namespace} that mounts volume claim {}", pod.mount.claim);
    Ok(created.map_err(|error| error.into_error(&action))?.body)
}

/// Waits until the created pod runs.
///
/// # Errors
/// Exit 9 with the cause if it cannot run, exit 10 at the deadline.
pub async fn await_ready(
    api: &Api,
    pod: &VolumePod,
    created: &Value,
    limits: PodLimits,
    settings: &Settings,
    events: &Events,
) -> Result<MountedVolume> {
    let text = |field: &str| created["metadata"][field].as_str().unwrap_or_default().to_owned();
    let (namespace, name) = (text("namespace"), text("name"));
    let set = text_label(created);
    let scopes = vec![
        WatchScope { labels: format!("{VOLUME_OF}={set}"), ..all_of(POD, Some(&namespace)) },
        WatchScope { optional: true, ..all_of(EVENT, Some(&namespace)) },
    ];
    let mut watches = Watches::open(api, scopes, limits.streaming);
    let (lists, _) = watches.initial_lists().await?;
    let mut state = ObservedState::default();
    for (index, (scope, list)) in watches.scopes().iter().zip(lists).enumerate() {
        observe::show_list(&mut state, index, scope.kind, &list, api.clock().now())?;
    }
    let expected = Expected { id: POD.id(&namespace, &name), uid: text("uid"), generation: 0, changed: true };
    let PodLimits { grace, deadline, .. } = limits;
    let rollout = RolloutWatch { expected: vec![expected], grace, deadline, usual: None };
    let mut observed = ObservedSet { watches, members: Members::new(), state };
    match follow::follow(api, &mut observed, &rollout, Some(settings), events).await? {
        RolloutResult::Ready(_) => {
            Ok(MountedVolume { namespace, pod: name, mount: pod.mount.clone(), is_live: false })
        }
        RolloutResult::Failed(findings) => {
            follow::report_findings(&findings, events).await;
            Err(finding_error(&findings))
        }
        RolloutResult::Expired(error, findings) => {
            follow::report_findings(&findings, events).await;
            Err(error)
        }
    }
}

fn text_label(pod: &Value) -> String {
    pod["metadata"]["labels"][VOLUME_OF].as_str().unwrap_or_default().to_owned()
}

/// Deletes a pod that [`create`] has returned. One that is gone is no error.
///
/// # Errors
/// The server does not accept the request.
async fn delete(api: &Api, pod: &Value) -> Result<()> {
    let namespace = pod["metadata"]["namespace"].as_str().unwrap_or_default();
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    let params = if_same_object(pod).grace_period(0);
    let deleted = api.delete_same(&POD.in_namespace(namespace), name, &params).await;
    deleted.map(drop).map_err(|error| {
        let hint = format!("kubectl delete pod {name} -n {namespace}");
        error.into_error(&format!("cannot delete pod/{name}, which mounted a volume")).hint(hint)
    })
}

/// Deletes the pods with this claim that interrupted runs have left. The caller holds the set's lock.
///
/// # Errors
/// The server does not accept a request.
pub async fn delete_leftover(api: &Api, namespace: &str, set: &str, claim: &str) -> Result<()> {
    let params = ListParams::default().labels(&format!("{VOLUME_OF}={set}"));
    let pods = api.list(&POD.in_namespace(namespace), &params).await;
    let pods = pods.map_err(|error| -> Error {
        error.into_error(&format!("cannot list pods in namespace {namespace}"))
    })?;
    let has_claim = |pod: &Value| claim_mounts(pod).iter().any(|mount| mount.claim == claim);
    for mut pod in pods.items.into_iter().filter(has_claim) {
        pod["metadata"]["namespace"] = namespace.into();
        delete(api, &pod).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::scripted::scripted;
    use crate::error::Kind;
    use crate::plan::manifests::volume_pod;

    #[tokio::test(start_paused = true)]
    async fn rejected_pod_names_the_claim() {
        let (api, mut server) = scripted();
        let pod = volume_pod::for_sandbox("n", "c-pvc", "a:1", None, "oh", 60);
        let (created, ()) = tokio::join!(create(&api, &pod), async {
            let message = "pods \"x\" is forbidden: exceeded quota: team";
            server.expect("POST /api/v1/namespaces/n/pods").await.status(403, "Forbidden", message);
        });
        let error = created.unwrap_err();
        assert_eq!(error.kind(), Kind::Rejected);
        assert!(error.message().ends_with("volume claim c-pvc"), "{}", error.message());
    }

    #[tokio::test(start_paused = true)]
    async fn pods_of_interrupted_runs_are_deleted() {
        let (api, mut server) = scripted();
        let pod = |name: &str, claim: &str| {
            let mut pod = volume_pod::for_sandbox("n", claim, "a:1", None, "oh", 60).manifest;
            pod["metadata"]["name"] = json!(name);
            pod["metadata"]["uid"] = json!(name);
            pod
        };
        let (deleted, ()) = tokio::join!(delete_leftover(&api, "n", "oh", "c-pvc"), async {
            let exchange = server.expect("GET /api/v1/namespaces/n/pods").await;
            assert!(exchange.query.contains("handsctl.dev%2Fvolume-of%3Doh"), "{}", exchange.query);
            exchange.list("9", &[pod("a", "c-pvc"), pod("other", "d-pvc"), pod("b", "c-pvc")]);
            server.expect("DELETE /api/v1/namespaces/n/pods/a").await.ok(&json!({}));
            server.expect("DELETE /api/v1/namespaces/n/pods/b").await.not_found();
        });
        deleted.unwrap();
    }
}
