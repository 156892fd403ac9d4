//! Requests to the application through the API server, so that no port of the pod must be reachable.

use std::pin::pin;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::{Either, select};
use http::{Method, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;

use crate::cluster::client::api::{Api, ApiError};
use crate::cluster::client::transport_error::message_of;
use crate::object::kind::SERVICE;
use crate::phrase;
use crate::reason;
use crate::settings::edition::Edition;
use crate::settings::handsctl::Deploy;

/// The time limit of a response through a port-forward; the service proxy has the limit of API calls.
const RESPONSE_LIMIT: Duration = Duration::from_secs(5);
/// The time after which a request is also sent through a port-forward.
const PROXY_HEAD_START: Duration = Duration::from_secs(1);
/// The longest response, in bytes. The application is not trusted to end one.
const MAX_RESPONSE: usize = 8 << 20;

/// The application's Service and pod.
#[derive(Debug, Clone)]
pub struct AppClient {
    /// Namespace of service and pod.
    pub namespace: String,
    /// The application's Service.
    pub service: String,
    /// A ready pod, for a port-forward.
    pub pod: Option<String>,
    /// The application's edition: its port and paths.
    pub edition: &'static Edition,
}

/// A request to the application.
#[derive(Debug, Clone, Copy)]
pub struct AppRequest<'a> {
    /// `/alive`.
    pub path: &'a str,
    /// What it does there.
    pub action: AppAction<'a>,
    /// The key that the application's API requires, if it does.
    pub session_key: Option<&'a str>,
}

/// What a request does.
#[derive(Debug, Clone, Copy)]
pub enum AppAction<'a> {
    /// GET.
    Get,
    /// POST of this body.
    Post(&'a Value),
    /// PATCH with this body.
    Patch(&'a Value),
    /// DELETE.
    Delete,
}

/// A response of the application.
#[derive(Debug, Clone)]
pub struct AppResponse {
    /// HTTP status.
    pub status: StatusCode,
    /// The raw body.
    pub body: Bytes,
    /// The duration of the request.
    pub duration: Duration,
}

/// Why there is no response from the application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppError {
    /// The account is not allowed to send the request.
    Forbidden(String),
    /// The request was sent, and the application did not respond.
    Unreachable(String),
}

impl AppAction<'_> {
    /// The method of the request.
    #[must_use]
    pub const fn method(&self) -> Method {
        match self {
            Self::Get => Method::GET,
            Self::Post(_) => Method::POST,
            Self::Patch(_) => Method::PATCH,
            Self::Delete => Method::DELETE,
        }
    }

    fn body(&self) -> Bytes {
        match self {
            Self::Get | Self::Delete => Bytes::new(),
            Self::Post(body) | Self::Patch(body) => body.to_string().into(),
        }
    }
}

impl AppError {
    /// Returns why there is no response.
    #[must_use]
    pub fn reason(self) -> String {
        match self {
            Self::Forbidden(why) | Self::Unreachable(why) => why,
        }
    }
}

impl AppResponse {
    /// Whether the application is alive. 429 counts: it is the application's own limit of ten requests per second.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.status.is_success() || self.status == StatusCode::TOO_MANY_REQUESTS
    }
}

impl<'a> AppRequest<'a> {
    /// GET of a path.
    #[must_use]
    pub const fn get(path: &'a str) -> Self {
        Self { path, action: AppAction::Get, session_key: None }
    }

    /// The same request with this key.
    #[must_use]
    pub const fn with_key(self, key: Option<&'a str>) -> Self {
        Self { session_key: key, ..self }
    }

    fn request(&self, uri: &str) -> Result<http::Request<Bytes>, http::Error> {
        let mut request = http::Request::builder()
            .method(self.action.method())
            .uri(uri)
            .header(http::header::HOST, "localhost")
            .header(http::header::CONTENT_TYPE, "application/json");
        if let Some(key) = self.session_key {
            request = request.header("X-Session-API-Key", key);
        }
        request.body(self.action.body())
    }
}

impl AppClient {
    /// Returns the client of an installation. `pod` is the name of a ready one.
    #[must_use]
    pub fn new(deploy: &Deploy, pod: Option<String>, edition: &'static Edition) -> Self {
        let (namespace, service) = (deploy.namespace.to_string(), deploy.name.to_string());
        Self { namespace, service, pod, edition }
    }

    /// Sends the request: through the service proxy, and through a port-forward if proxying is forbidden, fails or takes
    /// long. The proxy connects from the API server's address, which a NetworkPolicy may not admit; a port-forward ends
    /// inside of the pod, where no policy applies. A slow application receives the request twice.
    ///
    /// # Errors
    /// Fails if the application does not respond, or both ways are forbidden.
    pub async fn request(&self, api: &Api, request: AppRequest<'_>) -> Result<AppResponse, AppError> {
        let Some(pod) = &self.pod else { return self.through_service(api, request).await };
        let mut proxied = pin!(self.through_service(api, request));
        let early = tokio::time::timeout(PROXY_HEAD_START, &mut proxied).await;
        let forwarded = through_port_forward(api, &self.namespace, pod, self.edition.port, request);
        match early {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => forwarded.await.map_err(|other| first_cause(error, other)),
            Err(_) => match select(proxied, pin!(forwarded)).await {
                Either::Left((Ok(response), _)) | Either::Right((Ok(response), _)) => Ok(response),
                Either::Left((Err(error), forwarded)) => {
                    forwarded.await.map_err(|other| first_cause(error, other))
                }
                Either::Right((Err(other), proxied)) => {
                    proxied.await.map_err(|error| first_cause(error, other))
                }
            },
        }
    }

    async fn through_service(&self, api: &Api, request: AppRequest<'_>) -> Result<AppResponse, AppError> {
        let services = SERVICE.in_namespace(&self.namespace);
        let uri = format!("{}/{}:http/proxy{}", services.path(), self.service, request.path);
        let request =
            request.request(&uri).map_err(|error| AppError::Unreachable(reason::of_connection(&error)))?;
        let started = Instant::now();
        match api.proxy(request.map(|body| body.to_vec()), MAX_RESPONSE).await {
            Ok((head, body)) => match api_server_message(head.status, &body) {
                None => Ok(AppResponse { status: head.status, body, duration: started.elapsed() }),
                Some(reason) if head.status == StatusCode::FORBIDDEN => Err(AppError::Forbidden(reason)),
                Some(reason) => Err(AppError::Unreachable(format!("{} {reason}", head.status.as_u16()))),
            },
            Err(error) => Err(AppError::Unreachable(cause_text(error))),
        }
    }
}

/// Returns the cause to report if both ways fail: what the proxy reported, unless only proxying is forbidden.
fn first_cause(proxied: AppError, forwarded: AppError) -> AppError {
    match proxied {
        AppError::Forbidden(_) => forwarded,
        AppError::Unreachable(_) => proxied,
    }
}

/// Returns the API server's own error if the response is not from the application: forbidden, no endpoint, no
/// connection.
fn api_server_message(status: StatusCode, body: &Bytes) -> Option<String> {
    if status.is_success() {
        return None;
    }
    let text = String::from_utf8_lossy(body);
    match serde_json::from_slice::<Value>(body) {
        Ok(value) if value["kind"] == "Status" && value["apiVersion"] == "v1" => {
            Some(value["message"].as_str().unwrap_or_default().to_owned())
        }
        // The API server sends `Error trying to reach service: …` as plain text.
        _ => text.starts_with("Error trying to reach service").then(|| text.trim().to_owned()),
    }
}

fn cause_text(error: ApiError) -> String {
    error.into_error("no response").causes().join(": ")
}

/// Sends the request to a port of one pod through a port-forward.
///
/// # Errors
/// Fails if the pod does not respond, or port-forwards are forbidden.
pub async fn through_port_forward(
    api: &Api,
    namespace: &str,
    pod: &str,
    port: u16,
    request: AppRequest<'_>,
) -> Result<AppResponse, AppError> {
    match tokio::time::timeout(RESPONSE_LIMIT, send_forwarded(api, namespace, pod, port, request)).await {
        Ok(result) => result,
        Err(_) => Err(AppError::Unreachable(format!("no response within {}", phrase::span(RESPONSE_LIMIT)))),
    }
}

async fn send_forwarded(
    api: &Api,
    namespace: &str,
    pod: &str,
    port: u16,
    request: AppRequest<'_>,
) -> Result<AppResponse, AppError> {
    let unreachable =
        |error: &(dyn std::error::Error + 'static)| AppError::Unreachable(reason::of_connection(error));
    let broken = |error: Box<dyn std::error::Error + Send + Sync>| {
        AppError::Unreachable(reason::of_connection(&*error))
    };
    let pods: kube::Api<Pod> = kube::Api::namespaced(api.client().clone(), namespace);
    let mut forwarder =
        pods.portforward(pod, &[port]).await.map_err(|error| AppError::Forbidden(message_of(&error)))?;
    let stream = forwarder.take_stream(port).ok_or_else(|| AppError::Unreachable("no stream".to_owned()))?;
    let started = Instant::now();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| unreachable(&error))?;
    let driver = tokio::spawn(connection);
    let request = request.request(request.path).map_err(|error| unreachable(&error))?;
    let response = sender.send_request(request.map(Full::new)).await.map_err(|error| unreachable(&error))?;
    let status = response.status();
    let body = Limited::new(response.into_body(), MAX_RESPONSE).collect().await.map_err(broken)?.to_bytes();
    driver.abort();
    Ok(AppResponse { status, body, duration: started.elapsed() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::scripted::scripted;
    use crate::settings::edition::CLASSIC;

    const PROXY: &str = "GET /api/v1/namespaces/n/services/oh:http/proxy/alive";
    const PORT_FORWARD: &str = "GET /api/v1/namespaces/n/pods/oh-1/portforward";

    fn application() -> AppClient {
        AppClient { namespace: "n".into(), service: "oh".into(), pod: Some("oh-1".into()), edition: &CLASSIC }
    }

    #[tokio::test(start_paused = true)]
    async fn port_forward_follows_a_proxy_that_reaches_nothing() {
        let (api, mut server) = scripted();
        let script = async {
            let message = "error trying to reach service: dial tcp 10.0.0.1:3000: i/o timeout";
            server.expect(PROXY).await.status(503, "ServiceUnavailable", message);
            server.expect(PORT_FORWARD).await.status(403, "Forbidden", "no port-forward");
        };
        let client = application();
        let (result, ()) = tokio::join!(client.request(&api, AppRequest::get("/alive")), script);
        // The first way's cause is reported.
        let AppError::Unreachable(reason) = result.unwrap_err() else { panic!("forbidden") };
        assert!(reason.contains("i/o timeout"), "{reason}");
    }

    #[tokio::test(start_paused = true)]
    async fn port_forward_is_tried_beside_a_silent_proxy() {
        let (api, mut server) = scripted();
        let script = async {
            let proxied = server.expect(PROXY).await;
            server.expect(PORT_FORWARD).await.status(403, "Forbidden", "no port-forward");
            proxied.ok(&Value::from("late"));
        };
        let client = application();
        let (result, ()) = tokio::join!(client.request(&api, AppRequest::get("/alive")), script);
        assert!(result.unwrap().is_alive());
    }

    #[tokio::test(start_paused = true)]
    async fn endless_response_of_the_application_is_an_error() {
        let (api, mut server) = scripted();
        let application = AppClient { pod: None, ..application() };
        let (response, ()) =
            tokio::join!(application.request(&api, AppRequest::get("/server_info")), async {
                let body = server.next().await.watch();
                let chunk = "x".repeat(1 << 20);
                for _ in 0..9 {
                    body.text(&chunk);
                }
            });
        let Err(AppError::Unreachable(why)) = response else { panic!("{response:?}") };
        assert!(why.contains("length limit exceeded"), "{why}");
    }

    #[test]
    fn api_server_errors_are_distinguished_from_application_responses() {
        let message = |status: u16, body: &str| {
            api_server_message(
                StatusCode::from_u16(status).unwrap(),
                &Bytes::copy_from_slice(body.as_bytes()),
            )
        };
        let forbidden = r#"{"kind":"Status","apiVersion":"v1","message":"services \"x\" is forbidden"}"#;
        assert_eq!(message(403, forbidden).as_deref(), Some("services \"x\" is forbidden"));
        assert_eq!(message(404, r#"{"error":"Settings not found"}"#), None);
        assert_eq!(message(200, forbidden), None);
        assert!(
            message(502, "Error trying to reach service: 'dial tcp 10.0.0.1:3000: connection refused'")
                .is_some()
        );
    }
}
