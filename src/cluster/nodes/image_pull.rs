//! Has a node pull an image, by a short-lived pod.

use kube::api::ListParams;
use serde_json::Value;
use tokio::time::Instant;

use crate::catalogue::Id;
use crate::cluster::client::api::{Api, ApiError};
use crate::cluster::client::request::if_same_object;
use crate::cluster::rollout::follow::{self, RolloutResult, RolloutWatch};
use crate::cluster::watch::observed_set::ObservedSet;
use crate::cluster::watch::store::all_of;
use crate::cluster::watch::watcher::{WatchScope, Watches};
use crate::error::{Error, Result};
use crate::event::Events;
use crate::object::kind::{Collection, EVENT, POD};
use crate::plan::inventory::members::Members;
use crate::plan::manifests::image_pull_pod::{FOR, ImagePull};
use crate::status::{Expected, Finding, GracePeriods, ObservedState};

/// What came of a pull.
#[derive(Debug)]
pub enum PullResult {
    /// The node has the image.
    Pulled,
    /// It cannot have it: root cause first, evidence complete.
    Failed(Vec<Finding>),
    /// It has the image, in which there is nothing that could be run.
    NotRunnable(Vec<Finding>),
    /// The cluster refuses the pod.
    Rejected(Error),
    /// The node does not take the pod.
    Unscheduled(Vec<Finding>),
}

/// How long is waited.
#[derive(Debug, Clone)]
pub struct PullLimits {
    /// For what may heal.
    pub grace: GracePeriods,
    /// When the command's time is over.
    pub deadline: Instant,
    /// Whether the server streams lists.
    pub streaming: bool,
}

/// Runs the pod and deletes it again, whatever came of it.
///
/// # Errors
/// Exit 10 when the deadline passes, and where the server does not answer.
pub async fn pull(api: &Api, pull: &ImagePull, limits: PullLimits, events: &Events) -> Result<PullResult> {
    let pods = POD.in_namespace(&pull.namespace);
    // The watch is there before the pod, so that none of its events is missed.
    let scopes = vec![
        WatchScope { labels: format!("{FOR}={}", pull.set), ..all_of(POD, Some(&pull.namespace)) },
        WatchScope { optional: true, ..all_of(EVENT, Some(&pull.namespace)) },
    ];
    let mut watches = Watches::open(api, scopes, limits.streaming);
    watches.initial_lists().await?;
    let pod = match api.create(&pods, &pull.manifest()).await {
        Ok(answer) => answer.body,
        Err(ApiError::Status(status)) if matches!(status.code, 400 | 403 | 404 | 422) => {
            return Ok(PullResult::Rejected(ApiError::Status(status).into_error(&cannot(pull))));
        }
        Err(fault) => return Err(fault.into_error(&cannot(pull))),
    };
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    let uid = pod["metadata"]["uid"].as_str().unwrap_or_default();
    let id = POD.id(&pull.namespace, name);
    let expected = Expected { id, uid: uid.to_owned(), generation: 0, changed: true };
    let PullLimits { grace, deadline, .. } = limits;
    let rollout = RolloutWatch { expected: vec![expected], grace, deadline };
    let mut observed = ObservedSet { watches, members: Members::new(), state: ObservedState::default() };
    let ending = follow::follow(api, &mut observed, &rollout, events).await;
    delete(api, &pods, &pod).await;
    Ok(match ending? {
        RolloutResult::Ready(_) => PullResult::Pulled,
        RolloutResult::Failed(findings) => judged(findings),
    })
}

fn cannot(pull: &ImagePull) -> String {
    format!("cannot make a pod in namespace {} that pulls {}", pull.namespace, pull.image)
}

/// Findings that are not about the image: the node has it, or nobody could try.
fn judged(findings: Vec<Finding>) -> PullResult {
    match findings.first().map(|finding| finding.id) {
        Some(Id::PodFailed | Id::CrashLoop | Id::OutOfMemory) | None => PullResult::Pulled,
        Some(
            Id::ImageInvalidName
            | Id::ImageNeverPull
            | Id::ImageNotFound
            | Id::ImageForbidden
            | Id::ImageUnavailable,
        ) => PullResult::Failed(findings),
        Some(Id::ContainerCannotStart) => PullResult::NotRunnable(findings),
        Some(_) => PullResult::Unscheduled(findings),
    }
}

/// A pod that stays is ended by its own deadline, and found by the next run.
async fn delete(api: &Api, pods: &Collection, pod: &Value) {
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    let _the_next_run_deletes_it = api.delete(pods, name, &if_same_object(pod).grace_period(0)).await;
}

/// Deletes what an interrupted run has left, once it has ended.
///
/// # Errors
/// Where the server does not answer; that it refuses is no error.
pub async fn delete_leftover_pods(api: &Api, namespace: &str, set: &str) -> Result<()> {
    let pods = POD.in_namespace(namespace);
    let list = match api.list(&pods, &ListParams::default().labels(&format!("{FOR}={set}"))).await {
        Ok(list) => list,
        Err(ApiError::Status(_)) => return Ok(()),
        Err(error) => return Err(error.into_error("cannot look for pods that pulled an image")),
    };
    let has_ended = |pod: &&Value| matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    for pod in list.items.iter().filter(has_ended) {
        delete(api, &pods, pod).await;
    }
    Ok(())
}
