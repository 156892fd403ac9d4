//! Has a node pull an image, by a short-lived pod.

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::catalogue::Id;
use crate::cluster::client::api::{Api, Fault};
use crate::cluster::rollout::follow::{self, Ending, Rollout};
use crate::cluster::watch::store::everything;
use crate::cluster::watch::watcher::{Scope, Watches};
use crate::error::{Error, Result};
use crate::event::Events;
use crate::object::kind::{EVENT, POD};
use crate::plan::manifests::image_pull_pod::{FOR, Pull};
use crate::status::{Expected, Finding, Tolerance, World};

/// What came of a pull.
#[derive(Debug)]
pub enum Pulled {
    /// The node has the image.
    Yes,
    /// It cannot have it: root cause first, evidence complete.
    No(Vec<Finding>),
    /// It has the image, in which there is nothing that could be run.
    Lifeless(Vec<Finding>),
    /// The cluster refuses the pod.
    Refused(Error),
    /// The node does not take the pod.
    NotPlaced(Vec<Finding>),
}

/// How long is waited.
#[derive(Debug, Clone)]
pub struct Patience {
    /// For what may heal.
    pub tolerance: Tolerance,
    /// When the command's time is over.
    pub deadline: Instant,
    /// Whether the server streams lists.
    pub streaming: bool,
}

/// Runs the pod and deletes it again, whatever came of it.
///
/// # Errors
/// Exit 10 when the deadline passes, and where the server does not answer.
pub async fn pull(api: &Api, pull: &Pull, patience: Patience, events: &Events) -> Result<Pulled> {
    let pods = POD.path(Some(&pull.namespace));
    // The watch is there before the pod, so that none of its events is missed.
    let scopes = vec![
        Scope { labels: format!("{FOR}={}", pull.set), ..everything(POD, Some(&pull.namespace)) },
        Scope { optional: true, ..everything(EVENT, Some(&pull.namespace)) },
    ];
    let mut watches = Watches::open(api, scopes, patience.streaming);
    watches.listed().await?;
    let pod = match api.create(&pods, &pull.manifest()).await {
        Ok(answer) => answer.body,
        Err(Fault::Refused(status)) if matches!(status.code, 400 | 403 | 404 | 422) => {
            return Ok(Pulled::Refused(Fault::Refused(status).explain(&cannot(pull))));
        }
        Err(fault) => return Err(fault.explain(&cannot(pull))),
    };
    let name = pod["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let uid = pod["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
    let id = POD.id(&pull.namespace, &name);
    let expected = Expected { id, uid: uid.clone(), generation: 0, changed: true };
    let Patience { tolerance, deadline, .. } = patience;
    let mut rollout = Rollout { world: World::default(), expected: vec![expected], tolerance, deadline };
    let ending = follow::track(api, &mut watches, &mut rollout, events).await;
    delete(api, &pods, &name, &uid).await;
    Ok(match ending? {
        Ending::Ready(_) => Pulled::Yes,
        Ending::Failed(findings) => judged(findings),
    })
}

fn cannot(pull: &Pull) -> String {
    format!("cannot make a pod in namespace {} that pulls {}", pull.namespace, pull.image)
}

/// Findings that are not about the image: the node has it, or nobody could try.
fn judged(findings: Vec<Finding>) -> Pulled {
    match findings.first().map(|finding| finding.id) {
        Some(Id::PodFailed | Id::CrashLoop | Id::OutOfMemory) | None => Pulled::Yes,
        Some(
            Id::ImageInvalidName
            | Id::ImageNeverPull
            | Id::ImageNotFound
            | Id::ImageForbidden
            | Id::ImageUnavailable,
        ) => Pulled::No(findings),
        Some(Id::ContainerCannotStart) => Pulled::Lifeless(findings),
        Some(_) => Pulled::NotPlaced(findings),
    }
}

/// A pod that stays is ended by its own deadline, and found by the next run.
async fn delete(api: &Api, pods: &str, name: &str, uid: &str) {
    let options = json!({ "gracePeriodSeconds": 0, "preconditions": { "uid": uid } });
    let _the_next_run_sweeps = api.delete(&format!("{pods}/{name}"), &options).await;
}

/// Deletes what an interrupted run has left, once it has ended.
///
/// # Errors
/// Where the server does not answer; that it refuses is no error.
pub async fn sweep(api: &Api, namespace: &str, set: &str) -> Result<()> {
    let pods = POD.path(Some(namespace));
    let listed = match api.get(&format!("{pods}?labelSelector={FOR}%3D{set}")).await {
        Ok(answer) => answer.body,
        Err(Fault::Refused(_)) => return Ok(()),
        Err(fault) => return Err(fault.explain("cannot look for pods that pulled an image")),
    };
    let items = listed["items"].as_array().map_or(&[][..], Vec::as_slice);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let ended =
        items.iter().filter(|pod| matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed")));
    let deletes = ended.map(|pod| (text(&pod["metadata"]["name"]), text(&pod["metadata"]["uid"])));
    for (name, uid) in deletes {
        delete(api, &pods, &name, &uid).await;
    }
    Ok(())
}
