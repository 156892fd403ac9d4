//! Asks the application whether it answers, through the API server: no port of the pod need be reachable.

use std::time::{Duration, Instant};

use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;

use super::api::{Api, Fault};
use crate::plan::kind::{NODE, SERVICE};

/// Attempts: the application answers at most ten requests a second and counts every client of a proxy as one.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(500);
/// `status` gives its verdict within 2 s, so it waits no longer than this for an answer.
const NOW: Duration = Duration::from_secs(1);
/// The annotation of a node that kwok simulates (<https://kwok.sigs.k8s.io/docs/user/configuration/>).
const SIMULATED_NODE: &str = "kwok.x-k8s.io/node";
/// The condition of a pod of our simulated kubelets (`kind/kwok/pods.yaml`).
const SIMULATED_POD: &str = "handsctl.dev/Simulated";

/// Where the application is.
#[derive(Debug, Clone)]
pub struct Application {
    /// Namespace of service and pod.
    pub namespace: String,
    /// Its Service.
    pub service: String,
    /// A ready pod, for a port-forward.
    pub pod: Option<String>,
}

/// What the application answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It is alive; 429 counts, it is the application's own limit.
    Alive {
        /// HTTP status.
        status: u16,
        /// How long the answer took.
        took: Duration,
    },
    /// It answered something else, or nothing.
    Dead(String),
    /// It could not be asked.
    Unasked(String),
}

/// Whether no container runs in a pod, because its node is simulated. Our own Stages say it of the pod; else the node
/// is asked for, and where it may not be read the pod counts as real.
pub async fn is_simulated(api: &Api, pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    if conditions.iter().any(|condition| condition.type_ == SIMULATED_POD && condition.status == "True") {
        return true;
    }
    let Some(node) = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) else { return false };
    let found = api.find(&format!("{}/{node}", NODE.path(None))).await;
    found.is_ok_and(|node| {
        node.is_some_and(|node| node["metadata"]["annotations"][SIMULATED_NODE].is_string())
    })
}

/// GET of `path`, several times where nothing answers: the application may have begun to listen just now.
pub async fn ask(api: &Api, application: &Application, path: &str) -> Answer {
    let mut last = Answer::Unasked("it was not asked".to_owned());
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        last = attempt_at(api, application, path).await;
        // What may not be asked now may not be asked later.
        if matches!(last, Answer::Alive { .. } | Answer::Unasked(_)) {
            break;
        }
    }
    last
}

/// GET of `path`, once and not for long: how it is at this moment.
pub async fn ask_now(api: &Api, application: &Application, path: &str) -> Answer {
    match tokio::time::timeout(NOW, attempt_at(api, application, path)).await {
        Ok(answer) => answer,
        Err(_) => Answer::Dead(format!("no answer within {} ms", NOW.as_millis())),
    }
}

/// Through the service proxy, else through a port-forward where proxying is not allowed.
async fn attempt_at(api: &Api, application: &Application, path: &str) -> Answer {
    match through_service(api, application, path).await {
        Answer::Unasked(why) => match &application.pod {
            Some(pod) => through_port_forward(api, &application.namespace, pod, path).await,
            None => Answer::Unasked(why),
        },
        answer => answer,
    }
}

async fn through_service(api: &Api, application: &Application, path: &str) -> Answer {
    let services = SERVICE.path(Some(&application.namespace));
    let begun = Instant::now();
    match api.text(&format!("{services}/{}:http/proxy{path}", application.service)).await {
        Ok(_) => Answer::Alive { status: 200, took: begun.elapsed() },
        Err(Fault::Refused(status)) if status.code == 429 => {
            Answer::Alive { status: 429, took: begun.elapsed() }
        }
        Err(Fault::Refused(status)) if status.code == 403 => Answer::Unasked(status.message.clone()),
        Err(Fault::Refused(status)) => Answer::Dead(format!("{} {}", status.code, status.message)),
        Err(fault) => Answer::Dead(fault.explain("no answer").causes().join(": ")),
    }
}

async fn through_port_forward(api: &Api, namespace: &str, pod: &str, path: &str) -> Answer {
    let begun = Instant::now();
    let asked = tokio::time::timeout(Duration::from_secs(5), forwarded(api, namespace, pod, path)).await;
    match asked {
        Ok(Ok(status)) if status.is_success() || status.as_u16() == 429 => {
            Answer::Alive { status: status.as_u16(), took: begun.elapsed() }
        }
        Ok(Ok(status)) => Answer::Dead(status.to_string()),
        Ok(Err(ForwardError::Refused(why))) => Answer::Unasked(why),
        Ok(Err(ForwardError::Broken(why))) => Answer::Dead(why),
        Err(_) => Answer::Dead("no answer within 5 s".to_owned()),
    }
}

/// The server's own words, where it has some.
fn words(error: kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

enum ForwardError {
    Refused(String),
    Broken(String),
}

async fn forwarded(
    api: &Api,
    namespace: &str,
    pod: &str,
    path: &str,
) -> Result<http::StatusCode, ForwardError> {
    let broken = |error: &dyn std::error::Error| ForwardError::Broken(error.to_string());
    let pods: kube::Api<Pod> = kube::Api::namespaced(api.client().clone(), namespace);
    let mut forwarder =
        pods.portforward(pod, &[3000]).await.map_err(|error| ForwardError::Refused(words(error)))?;
    let stream = forwarder.take_stream(3000).ok_or_else(|| ForwardError::Broken("no stream".to_owned()))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
    let driver = tokio::spawn(connection);
    let request = http::Request::get(path)
        .header(http::header::HOST, "localhost")
        .body(Empty::<bytes::Bytes>::new())
        .map_err(|error| broken(&error))?;
    let response = sender.send_request(request).await.map_err(|error| broken(&error))?;
    let status = response.status();
    let _the_status_is_enough = response.into_body().collect().await;
    driver.abort();
    Ok(status)
}
