//! Asks the application whether it answers.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;

use super::client::{AppClient, AppError, AppRequest};
use crate::cluster::client::api::Api;
use crate::object::kind::NODE;
use crate::plan::checks::node_fit;

/// Attempts: the application answers at most ten requests a second and counts every client of a proxy as one.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(500);
/// The condition of a pod of our simulated kubelets (`kind/kwok/pods.yaml`).
const SIMULATED_POD: &str = "handsctl.dev/Simulated";

/// What the application answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeResult {
    /// It is alive; 429 counts, it is the application's own limit.
    Alive {
        /// HTTP status.
        status: u16,
        /// How long the answer took.
        took: Duration,
    },
    /// It answered something else, or nothing.
    Unreachable(String),
    /// It could not be asked.
    Forbidden(String),
}

/// Whether no container runs in a pod, because its node is simulated. Our own Stages say it of the pod; else the node
/// is asked for, and where it may not be read the pod counts as real.
pub async fn is_simulated(api: &Api, pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    if conditions.iter().any(|condition| condition.type_ == SIMULATED_POD && condition.status == "True") {
        return true;
    }
    let Some(node) = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) else { return false };
    let found = api.get_opt(&NODE.collection(None), node).await;
    found.is_ok_and(|node| node.is_some_and(|node| node_fit::is_simulated(&node)))
}

/// GET of `path`, several times where nothing answers: the application may have begun to listen just now.
pub async fn probe(api: &Api, application: &AppClient, path: &str) -> ProbeResult {
    let mut last = ProbeResult::Forbidden("it was not asked".to_owned());
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        last = attempt_at(api, application, path).await;
        // What may not be asked now may not be asked later.
        if matches!(last, ProbeResult::Alive { .. } | ProbeResult::Forbidden(_)) {
            break;
        }
    }
    last
}

/// GET of `path`, once: whoever asks how it is now waits no longer than `patience`.
pub async fn probe_within(api: &Api, application: &AppClient, path: &str, patience: Duration) -> ProbeResult {
    match tokio::time::timeout(patience, attempt_at(api, application, path)).await {
        Ok(answer) => answer,
        Err(_) => ProbeResult::Unreachable(format!("no answer within {} ms", patience.as_millis())),
    }
}

/// Through the service proxy, else through a port-forward where proxying is not allowed.
async fn attempt_at(api: &Api, application: &AppClient, path: &str) -> ProbeResult {
    match application.request(api, AppRequest::get(path)).await {
        Ok(reply) if reply.is_alive() => {
            ProbeResult::Alive { status: reply.status.as_u16(), took: reply.took }
        }
        Ok(reply) => ProbeResult::Unreachable(reply.status.to_string()),
        Err(AppError::Forbidden(why)) => ProbeResult::Forbidden(why),
        Err(AppError::Unreachable(why)) => ProbeResult::Unreachable(why),
    }
}
