//! Pulls an image onto a node with a short-lived pod.

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
use crate::error::{Error, Kind, Result};
use crate::event::Events;
use crate::object::kind::{Collection, EVENT, POD};
use crate::plan::inventory::members::Members;
use crate::plan::manifests::image_pull_pod::{ImagePull, PULL_FOR};
use crate::settings::Settings;
use crate::status::{Expected, Finding, GracePeriods, ObservedState};
use crate::timeline::RunRecord;

/// The result of a pull.
#[derive(Debug)]
pub enum PullResult {
    /// The node has the image.
    Pulled,
    /// The image cannot be pulled. The findings have their evidence, root cause first.
    Failed(Vec<Finding>),
    /// The node has the image, but its command cannot start.
    NotRunnable(Vec<Finding>),
    /// The API server rejected the pod.
    Rejected(Error),
    /// The pod did not run on the node.
    Unscheduled(Vec<Finding>),
}

/// The limits of the wait.
#[derive(Debug, Clone)]
pub struct PullLimits {
    /// How long to wait for faults that may still heal.
    pub grace: GracePeriods,
    /// The command's deadline.
    pub deadline: Instant,
    /// Whether the server supports streaming lists.
    pub streaming: bool,
    /// The timeline of the newest good revision that has one: how long a pull usually takes.
    pub usual: Option<RunRecord>,
}

/// Runs the pod, and deletes it whatever the result.
///
/// # Errors
/// Exit 10 if the deadline passes; also fails if the server is unreachable.
pub async fn pull(
    api: &Api,
    pull: &ImagePull,
    limits: PullLimits,
    settings: &Settings,
    events: &Events,
) -> Result<PullResult> {
    let pods = POD.in_namespace(&pull.namespace);
    // The watch is opened before the pod is created, so that no Event of the pod is missed.
    let scopes = vec![
        WatchScope { labels: format!("{PULL_FOR}={}", pull.set), ..all_of(POD, Some(&pull.namespace)) },
        WatchScope { optional: true, ..all_of(EVENT, Some(&pull.namespace)) },
    ];
    let mut watches = Watches::open(api, scopes, limits.streaming);
    watches.initial_lists().await?;
    let pod = match api.create(&pods, &pull.manifest()).await {
        Ok(response) => response.body,
        Err(ApiError::Status(status)) if matches!(status.code, 400 | 403 | 404 | 422) => {
            return Ok(PullResult::Rejected(ApiError::Status(status).into_error(&pull_action(pull))));
        }
        Err(error) => return Err(error.into_error(&pull_action(pull))),
    };
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    let uid = pod["metadata"]["uid"].as_str().unwrap_or_default();
    let id = POD.id(&pull.namespace, name);
    let expected = Expected { id, uid: uid.to_owned(), generation: 0, changed: true };
    let PullLimits { grace, deadline, usual, .. } = limits;
    let rollout = RolloutWatch { expected: vec![expected], grace, deadline, usual };
    let mut observed = ObservedSet { watches, members: Members::new(), state: ObservedState::default() };
    let result = follow::follow(api, &mut observed, &rollout, Some(settings), events).await;
    delete(api, &pods, &pod).await;
    match result? {
        RolloutResult::Ready(_) => Ok(PullResult::Pulled),
        RolloutResult::Failed(findings) => Ok(pull_result(findings)),
        RolloutResult::Expired(error, findings) => {
            follow::report_findings(&findings, events).await;
            Err(timed_out(pull, &error))
        }
    }
}

fn pull_action(pull: &ImagePull) -> String {
    format!("cannot create a pod in namespace {} that pulls {}", pull.namespace, pull.image)
}

/// Replaces the error of a rollout's deadline: the pod that pulls is deleted, so nothing continues.
fn timed_out(pull: &ImagePull, error: &Error) -> Error {
    let message = format!("timed out before {} was pulled", pull.image);
    let timed_out = Error::new(error.id(), Kind::Deadline, message);
    let facts = error.facts().iter();
    facts
        .fold(timed_out, |timed_out, fact| timed_out.fact(fact.label, fact.text.clone()))
        .hint("--timeout DURATION sets a longer limit")
}

/// Maps the root cause to a result: a container that failed later proves that the image was pulled.
fn pull_result(findings: Vec<Finding>) -> PullResult {
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

/// Deletes the pod. If that fails, the pod ends at its own deadline, and the next run deletes it.
async fn delete(api: &Api, pods: &Collection, pod: &Value) {
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    let _left_to_the_next_run = api.delete(pods, name, &if_same_object(pod).grace_period(0)).await;
}

/// Deletes ended pods that an interrupted run has left.
///
/// # Errors
/// Fails if the server is unreachable. An error status of the server is ignored.
pub async fn delete_leftover_pods(api: &Api, namespace: &str, set: &str) -> Result<()> {
    let pods = POD.in_namespace(namespace);
    let list = match api.list(&pods, &ListParams::default().labels(&format!("{PULL_FOR}={set}"))).await {
        Ok(list) => list,
        Err(ApiError::Status(_)) => return Ok(()),
        Err(error) => return Err(error.into_error("cannot list pods that pulled an image")),
    };
    let has_ended = |pod: &&Value| matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    for pod in list.items.iter().filter(has_ended) {
        delete(api, &pods, pod).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::cluster::scripted::scripted;
    use crate::event::{Event, Receiver};
    use crate::settings::tests::settings_of;

    const PODS: &str = "/api/v1/namespaces/n/pods";

    /// Pulls from a registry whose name does not resolve, with a deadline of 40 s.
    async fn pull_from_unreachable_registry(image_pull_grace: Duration) -> (Result<PullResult>, Receiver) {
        let (api, mut server) = scripted();
        let (events, receiver) = Events::channel();
        let image_pull = ImagePull {
            set: "oh".to_owned(),
            namespace: "n".to_owned(),
            prefix: "oh-pull".to_owned(),
            image: "nope.example.org/nope:1".to_owned(),
            node: None,
            secrets: Value::Null,
            command: vec!["true".to_owned()],
            owner: None,
        };
        let limits = PullLimits {
            grace: GracePeriods { image_pull: image_pull_grace, ..GracePeriods::starting_at(server.now()) },
            deadline: Instant::now() + Duration::from_secs(40),
            streaming: true,
            usual: None,
        };
        let settings = settings_of("");
        let (result, ()) = tokio::join!(pull(&api, &image_pull, limits, &settings, &events), async {
            let mut streams = BTreeMap::new();
            while streams.len() < 2 {
                let exchange = server.next().await;
                if exchange.query.contains("limit=1") {
                    // Events may be forbidden, so they are listed first.
                    exchange.list("9", &[]);
                    continue;
                }
                let path = exchange.call.trim_start_matches("GET ").to_owned();
                let stream = exchange.watch();
                stream.initial_events_end("100");
                streams.insert(path, stream);
            }
            let mut pod = image_pull.manifest();
            pod["metadata"]["name"] = json!("oh-pull-1");
            pod["metadata"]["uid"] = json!("u");
            pod["metadata"]["creationTimestamp"] = json!(server.now().to_string());
            server.expect(&format!("POST {PODS}")).await.created(&pod);
            let waiting = json!({
                "reason": "ErrImagePull",
                "message": "failed to resolve reference: dial tcp: lookup nope.example.org: no such host",
            });
            pod["spec"]["nodeName"] = json!("node-1");
            let scheduled = json!([{ "type": "PodScheduled", "status": "True" }]);
            pod["status"] = json!({ "phase": "Pending", "conditions": scheduled, "containerStatuses": [{
                "name": "pull", "image": image_pull.image, "imageID": "", "ready": false, "restartCount": 0,
                "state": { "waiting": waiting },
            }] });
            streams[PODS].send("ADDED", &pod);
            server.expect(&format!("DELETE {PODS}/oh-pull-1")).await.ok(&json!({}));
        });
        (result, receiver)
    }

    #[tokio::test(start_paused = true)]
    async fn unreachable_registry_fails_before_the_deadline() {
        let (result, _) = pull_from_unreachable_registry(Duration::from_secs(15)).await;
        let result = result.unwrap();
        let PullResult::Failed(findings) = result else { panic!("{result:?}") };
        assert_eq!(findings[0].id, Id::ImageUnavailable);
        assert!(findings[0].message.contains("no such host"), "{findings:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn timed_out_pull_reports_the_registrys_error() {
        let (result, mut receiver) = pull_from_unreachable_registry(Duration::from_secs(60)).await;
        let error = result.unwrap_err();
        assert_eq!(error.message(), "timed out before nope.example.org/nope:1 was pulled");
        assert!(error.facts().iter().any(|fact| fact.text.contains("no such host")), "{error:?}");
        assert_eq!(error.hints(), ["--timeout DURATION sets a longer limit"]);
        let events = std::iter::from_fn(|| receiver.try_recv());
        let findings: Vec<Id> = events
            .filter_map(|event| match event {
                Event::Finding(finding) => Some(finding.id),
                _ => None,
            })
            .collect();
        assert_eq!(findings, [Id::ImageUnavailable]);
    }
}
