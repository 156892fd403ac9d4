//! Requests to the application, through the API server: no port of the pod need be reachable.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;

use crate::cluster::client::api::{Api, ApiError};
use crate::object::kind::SERVICE;
use crate::phrase;

/// How long an answer may take through a port-forward; through the service proxy it is the API's own limit.
const ANSWER: Duration = Duration::from_secs(5);
/// The port that the application listens on.
pub const PORT: u16 = 3000;

/// Where the application is.
#[derive(Debug, Clone)]
pub struct AppClient {
    /// Namespace of service and pod.
    pub namespace: String,
    /// Its Service.
    pub service: String,
    /// A ready pod, for a port-forward.
    pub pod: Option<String>,
}

/// What the application is asked.
#[derive(Debug, Clone, Copy)]
pub struct AppRequest<'a> {
    /// `/alive`.
    pub path: &'a str,
    /// What is sent; None: nothing, a GET.
    pub body: Option<&'a Value>,
    /// The key that it asks every visitor for, where it does (`SESSION_API_KEY`).
    pub session_key: Option<&'a str>,
}

/// What the application answered.
#[derive(Debug, Clone)]
pub struct AppResponse {
    /// HTTP status.
    pub status: StatusCode,
    /// As it is.
    pub body: Bytes,
    /// How long it took.
    pub took: Duration,
}

/// Why there is no answer of the application's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppError {
    /// It could not be asked: the account may not.
    Forbidden(String),
    /// It was asked and does not answer.
    Unreachable(String),
}

impl AppResponse {
    /// Whether the application is alive: 429 is its own limit of ten requests a second.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.status.is_success() || self.status == StatusCode::TOO_MANY_REQUESTS
    }
}

impl<'a> AppRequest<'a> {
    /// GET of a path.
    #[must_use]
    pub const fn get(path: &'a str) -> Self {
        Self { path, body: None, session_key: None }
    }

    fn request(&self, uri: &str) -> Result<http::Request<Bytes>, http::Error> {
        let method = if self.body.is_some() { Method::POST } else { Method::GET };
        let body = self.body.map_or_else(Bytes::new, |body| body.to_string().into());
        let mut request = http::Request::builder()
            .method(method)
            .uri(uri)
            .header(http::header::HOST, "localhost")
            .header(http::header::CONTENT_TYPE, "application/json");
        if let Some(key) = self.session_key {
            request = request.header("X-Session-API-Key", key);
        }
        request.body(body)
    }
}

impl AppClient {
    /// Asks through the service proxy, else through a port-forward where proxying is not allowed. Sent once.
    ///
    /// # Errors
    /// Where nobody answers, or nobody may ask.
    pub async fn request(&self, api: &Api, question: AppRequest<'_>) -> Result<AppResponse, AppError> {
        match self.through_service(api, question).await {
            Err(AppError::Forbidden(why)) => match &self.pod {
                Some(pod) => through_port_forward(api, &self.namespace, pod, question).await,
                None => Err(AppError::Forbidden(why)),
            },
            answered => answered,
        }
    }

    async fn through_service(&self, api: &Api, question: AppRequest<'_>) -> Result<AppResponse, AppError> {
        let services = SERVICE.in_namespace(&self.namespace);
        let uri = format!("{}/{}:http/proxy{}", services.path(), self.service, question.path);
        let request = question.request(&uri).map_err(|error| AppError::Unreachable(error.to_string()))?;
        let begun = Instant::now();
        match api.proxy(request.map(|body| body.to_vec())).await {
            Ok((head, body)) => match servers_own(head.status, &body) {
                None => Ok(AppResponse { status: head.status, body, took: begun.elapsed() }),
                Some(why) if head.status == StatusCode::FORBIDDEN => Err(AppError::Forbidden(why)),
                Some(why) => Err(AppError::Unreachable(format!("{} {why}", head.status.as_u16()))),
            },
            Err(fault) => Err(AppError::Unreachable(words_of(fault))),
        }
    }
}

/// What the API server itself has to say instead of the application: no right, no endpoint, no connection.
fn servers_own(status: StatusCode, body: &Bytes) -> Option<String> {
    if status.is_success() {
        return None;
    }
    let text = String::from_utf8_lossy(body);
    match serde_json::from_slice::<Value>(body) {
        Ok(value) if value["kind"] == "Status" && value["apiVersion"] == "v1" => {
            Some(value["message"].as_str().unwrap_or_default().to_owned())
        }
        // `Error trying to reach service: …` comes as plain text.
        _ => text.starts_with("Error trying to reach service").then(|| text.trim().to_owned()),
    }
}

fn words_of(fault: ApiError) -> String {
    fault.into_error("no answer").causes().join(": ")
}

/// Asks one pod, through a port-forward.
///
/// # Errors
/// Where it does not answer, or port-forwards are not allowed.
pub async fn through_port_forward(
    api: &Api,
    namespace: &str,
    pod: &str,
    question: AppRequest<'_>,
) -> Result<AppResponse, AppError> {
    match tokio::time::timeout(ANSWER, forwarded(api, namespace, pod, question)).await {
        Ok(answer) => answer,
        Err(_) => Err(AppError::Unreachable(format!("no answer within {}", phrase::span(ANSWER)))),
    }
}

/// The server's own words, where it has some.
fn words(error: kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

async fn forwarded(
    api: &Api,
    namespace: &str,
    pod: &str,
    question: AppRequest<'_>,
) -> Result<AppResponse, AppError> {
    let broken = |error: &dyn std::error::Error| AppError::Unreachable(error.to_string());
    let pods: kube::Api<Pod> = kube::Api::namespaced(api.client().clone(), namespace);
    let mut forwarder =
        pods.portforward(pod, &[PORT]).await.map_err(|error| AppError::Forbidden(words(error)))?;
    let stream = forwarder.take_stream(PORT).ok_or_else(|| AppError::Unreachable("no stream".to_owned()))?;
    let begun = Instant::now();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
    let driver = tokio::spawn(connection);
    let request = question.request(question.path).map_err(|error| broken(&error))?;
    let response = sender.send_request(request.map(Full::new)).await.map_err(|error| broken(&error))?;
    let status = response.status();
    let body = response.into_body().collect().await.map_err(|error| broken(&error))?.to_bytes();
    driver.abort();
    Ok(AppResponse { status, body, took: begun.elapsed() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_servers_words_are_told_from_the_applications() {
        let own = |status: u16, body: &str| {
            servers_own(StatusCode::from_u16(status).unwrap(), &Bytes::copy_from_slice(body.as_bytes()))
        };
        let refused = r#"{"kind":"Status","apiVersion":"v1","message":"services \"x\" is forbidden"}"#;
        assert_eq!(own(403, refused).as_deref(), Some("services \"x\" is forbidden"));
        assert_eq!(own(404, r#"{"error":"Settings not found"}"#), None);
        assert_eq!(own(200, refused), None);
        assert!(
            own(502, "Error trying to reach service: 'dial tcp 10.0.0.1:3000: connection refused'").is_some()
        );
    }
}
