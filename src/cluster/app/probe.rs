//! Probes the application over HTTP.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;

use super::client::{AppClient, AppError, AppRequest};
use crate::catalogue::Id;
use crate::cluster::client::api::Api;
use crate::error::{Error, Kind};
use crate::object::kind::NODE;
use crate::plan::checks::node_fit;

/// The maximum number of attempts: few, because the application allows ten requests per second, and counts all clients
/// behind a proxy as one.
const ATTEMPTS: u32 = 5;
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// The condition that our simulated kubelets set on a pod (`kind/kwok/pods.yaml`).
const SIMULATED_POD: &str = "handsctl.dev/Simulated";

/// The result of a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeResult {
    /// The application is alive. 429 counts: it is the application's own limit.
    Alive {
        /// HTTP status.
        status: u16,
        /// The duration of the request.
        duration: Duration,
    },
    /// The application responded with an error, or not at all.
    Unreachable(String),
    /// The account is not allowed to send the request.
    Forbidden(String),
}

/// Whether a pod runs no container, because its node is simulated. Our own Stages mark the pod; without the mark the
/// node is read, and if that is forbidden the pod counts as real.
pub async fn is_simulated(api: &Api, pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    if conditions.iter().any(|condition| condition.type_ == SIMULATED_POD && condition.status == "True") {
        return true;
    }
    let Some(node) = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) else { return false };
    let live_node = api.get_opt(&NODE.collection(None), node).await;
    live_node.is_ok_and(|node| node.is_some_and(|node| node_fit::is_simulated(&node)))
}

/// Returns the error of a command that needs a container, on a simulated node. `consequence`: `there is no log`.
#[must_use]
pub fn simulated_error(consequence: &str) -> Error {
    let message = format!("simulated nodes: no container runs, so {consequence}");
    Error::new(Id::SimulatedNodes, Kind::Prerequisite, message)
        .hint(
            "once Docker or Podman runs: handsctl cluster up --recreate replaces the simulation, with everything in it; \
             then handsctl up",
        )
}

/// Sends GET of `path`, with retries: the application may have just begun to listen.
pub async fn probe(api: &Api, application: &AppClient, path: &str) -> ProbeResult {
    let mut result = ProbeResult::Forbidden("no request was sent".to_owned());
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            tokio::time::sleep(RETRY_PAUSE).await;
        }
        result = probe_once(api, application, path).await;
        // A retry of a forbidden request is useless.
        if matches!(result, ProbeResult::Alive { .. } | ProbeResult::Forbidden(_)) {
            break;
        }
    }
    result
}

/// Sends GET of `path` once, and waits at most `limit` for the response.
pub async fn probe_within(api: &Api, application: &AppClient, path: &str, limit: Duration) -> ProbeResult {
    match tokio::time::timeout(limit, probe_once(api, application, path)).await {
        Ok(result) => result,
        Err(_) => ProbeResult::Unreachable(format!("no response within {} ms", limit.as_millis())),
    }
}

/// Sends one request through the service proxy or a port-forward, see [`AppClient::request`].
async fn probe_once(api: &Api, application: &AppClient, path: &str) -> ProbeResult {
    match application.request(api, AppRequest::get(path)).await {
        Ok(response) if response.is_alive() => {
            ProbeResult::Alive { status: response.status.as_u16(), duration: response.duration }
        }
        Ok(response) => ProbeResult::Unreachable(response.status.to_string()),
        Err(AppError::Forbidden(reason)) => ProbeResult::Forbidden(reason),
        Err(AppError::Unreachable(reason)) => ProbeResult::Unreachable(reason),
    }
}
