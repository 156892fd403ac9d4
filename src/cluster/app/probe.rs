//! Probes the application over HTTP.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use tokio::time::Instant;

use super::client::{AppClient, AppError, AppRequest};
use crate::catalogue::Id;
use crate::cluster::client::api::Api;
use crate::error::{Error, Kind};
use crate::object::kind::NODE;
use crate::plan::checks::node_fit;

/// How long a probe that fails is repeated. The kubelet's own probe succeeded already, so only the way to the
/// application may need a moment. A failed rollout is reported at most two seconds after its cause.
const RETRY_WINDOW: Duration = Duration::from_millis(1500);
/// The pause before another attempt: the application allows ten requests per second, and counts all clients behind a
/// proxy as one.
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
    let started = Instant::now();
    loop {
        let result = probe_once(api, application, path).await;
        // A retry of a forbidden request is useless.
        let is_final = matches!(result, ProbeResult::Alive { .. } | ProbeResult::Forbidden(_));
        if is_final || started.elapsed() >= RETRY_WINDOW {
            return result;
        }
        tokio::time::sleep(RETRY_PAUSE).await;
    }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::scripted::scripted;
    use crate::settings::edition::CLASSIC;

    const ALIVE: &str = "GET /api/v1/namespaces/n/services/oh:http/proxy/alive";

    fn application() -> AppClient {
        AppClient { namespace: "n".into(), service: "oh".into(), pod: None, edition: &CLASSIC }
    }

    #[tokio::test(start_paused = true)]
    async fn silent_application_is_reported_after_the_retry_window() {
        let (api, mut server) = scripted();
        let script = async {
            for _ in 0..4 {
                server.expect(ALIVE).await.status(503, "ServiceUnavailable", "no endpoints available");
            }
        };
        let started = Instant::now();
        let application = application();
        let (result, ()) = tokio::join!(probe(&api, &application, "/alive"), script);
        assert!(matches!(result, ProbeResult::Unreachable(_)), "{result:?}");
        assert_eq!(started.elapsed(), RETRY_WINDOW);
    }

    #[tokio::test(start_paused = true)]
    async fn application_that_answers_within_the_window_is_alive() {
        let (api, mut server) = scripted();
        let script = async {
            for _ in 0..3 {
                server.expect(ALIVE).await.status(503, "ServiceUnavailable", "no endpoints available");
            }
            server.expect(ALIVE).await.ok(&json!("alive"));
        };
        let application = application();
        let (result, ()) = tokio::join!(probe(&api, &application, "/alive"), script);
        assert!(matches!(result, ProbeResult::Alive { status: 200, .. }), "{result:?}");
    }
}
