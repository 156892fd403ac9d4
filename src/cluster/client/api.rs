//! One request, one answer: deadline, bounded retries, warnings, and what was refused.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Method, Request};
use http_body_util::BodyExt as _;
use kube::Client;
use kube::client::Body;
use kube::core::Status;
use kube::core::response::StatusDetails;
use serde_json::Value;

use super::traffic::Traffic;
use super::{lost_response, status_error, transport_error};
use crate::error::{Error, Result};
use crate::object::{labels, yaml};

/// How long one unary call may take, its retries included.
const CALL_DEADLINE: Duration = Duration::from_secs(10);
/// How often a call is sent at most.
const ATTEMPTS: u32 = 6;
/// The first pause between two attempts; each next one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// A connection to a cluster.
#[derive(Clone)]
pub struct Api {
    client: Client,
    traffic: Arc<Traffic>,
}

/// How an apply is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ApplyOptions {
    /// The server checks and answers, and keeps nothing.
    pub dry_run: bool,
    /// Fields that others manage are taken over.
    pub force: bool,
}

/// An answer in the 2xx range.
#[derive(Debug)]
pub struct Response {
    /// 200: it existed. 201: it was created.
    pub status: u16,
    /// The texts of the `Warning` headers.
    pub warnings: Vec<String>,
    /// The object.
    pub body: Value,
}

/// Why there is no answer in the 2xx range.
#[derive(Debug)]
pub enum ApiError {
    /// The server refused, and said why.
    Status(Box<Status>),
    /// There was no answer.
    Transport(kube::Error),
    /// There was no answer in time.
    Timeout(Duration),
}

impl ApiError {
    /// The HTTP status of a refusal.
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        match self {
            ApiError::Status(status) => Some(status.code),
            ApiError::Transport(_) | ApiError::Timeout(_) => None,
        }
    }

    /// The error for people; `action` says what could not be done and to which object.
    #[must_use]
    pub fn into_error(self, action: &str) -> Error {
        match self {
            ApiError::Status(status) => status_error::status_error(action, &status),
            ApiError::Transport(error) => transport_error::transport_error(action, error),
            ApiError::Timeout(limit) => transport_error::timeout_error(action, limit),
        }
    }
}

impl Api {
    pub(crate) fn new(client: Client, wire: Arc<Traffic>) -> Self {
        Self { client, traffic: wire }
    }

    /// The client, for watches, logs and port-forwards.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// What went over the wire.
    #[must_use]
    pub fn traffic(&self) -> &Arc<Traffic> {
        &self.traffic
    }

    /// GET of a path with its query.
    pub async fn get(&self, path: &str) -> Result<Response, ApiError> {
        self.call(&Method::GET, path, String::new(), "application/json").await
    }

    /// GET where 404 is an answer.
    pub async fn get_opt(&self, path: &str) -> Result<Option<Value>, ApiError> {
        match self.get(path).await {
            Ok(answer) => Ok(Some(answer.body)),
            Err(fault) if fault.code() == Some(404) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// POST of a question: a review is answered and not kept.
    pub async fn review(&self, path: &str, review: &Value) -> Result<Response, ApiError> {
        self.call(&Method::POST, path, review.to_string(), "application/json").await
    }

    /// POST of an object as a dry run: whether the server would take it. Sent once: who asks is waiting for a change.
    pub async fn create_dry_run(&self, path: &str, object: &Value) -> Result<Response, ApiError> {
        let path = format!("{}&dryRun=All", with_field_manager(path));
        let body = object.to_string().into_bytes();
        tokio::time::timeout(CALL_DEADLINE, self.send_once(&Method::POST, &path, body, "application/json"))
            .await
            .unwrap_or(Err(ApiError::Timeout(CALL_DEADLINE)))
    }

    /// POST of an object: create-only.
    pub async fn create(&self, path: &str, object: &Value) -> Result<Response, ApiError> {
        let (outcome, attempts) =
            self.send(&Method::POST, &with_field_manager(path), object.to_string(), "application/json").await;
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        self.unless_our_write(outcome, attempts, &format!("{path}/{name}"), object).await
    }

    /// PATCH as server-side apply (<https://kubernetes.io/docs/reference/using-api/server-side-apply/>).
    pub async fn apply(&self, path: &str, object: &Value) -> Result<Response, ApiError> {
        let (outcome, attempts) = self.patch(&with_field_manager(path), object).await;
        self.unless_our_write(outcome, attempts, path, object).await
    }

    /// The same in the name of `restart`, whose annotation no deploy owns. By force: an earlier restart by kubectl is
    /// no conflict.
    pub async fn apply_as_restart(&self, path: &str, object: &Value) -> Result<Response, ApiError> {
        let manager = format!("{}-restart", labels::MANAGER);
        let path = format!("{path}?fieldManager={manager}&fieldValidation=Strict&force=true");
        self.patch(&path, object).await.0
    }

    /// The same as a dry run, where the server checks and answers and keeps nothing, or by force, where fields that
    /// others manage are taken over.
    pub async fn apply_with(
        &self,
        path: &str,
        object: &Value,
        manner: ApplyOptions,
    ) -> Result<Response, ApiError> {
        let dry_run = if manner.dry_run { "&dryRun=All" } else { "" };
        let force = if manner.force { "&force=true" } else { "" };
        let (outcome, attempts) =
            self.patch(&format!("{}{dry_run}{force}", with_field_manager(path)), object).await;
        if manner.dry_run { outcome } else { self.unless_our_write(outcome, attempts, path, object).await }
    }

    /// PATCH of single fields as a JSON merge patch (RFC 7396). It may be sent twice, so it has to carry what keeps
    /// it from doing its work twice, such as a resourceVersion.
    pub async fn merge_patch(&self, path: &str, patch: &Value) -> Result<Response, ApiError> {
        let body = patch.to_string();
        self.call(&Method::PATCH, &with_field_manager(path), body, "application/merge-patch+json").await
    }

    /// The server reads the body as YAML, although it is JSON.
    async fn patch(&self, path: &str, object: &Value) -> (Result<Response, ApiError>, u32) {
        let body = yaml::printable(&object.to_string());
        self.send(&Method::PATCH, path, body, "application/apply-patch+yaml").await
    }

    /// A write whose answer was lost is sent again, and may then be refused for what it did itself: a 409 is
    /// believed only where the object does not say what was sent.
    async fn unless_our_write(
        &self,
        outcome: Result<Response, ApiError>,
        attempts: u32,
        path: &str,
        object: &Value,
    ) -> Result<Response, ApiError> {
        if attempts == 1 || !matches!(&outcome, Err(fault) if fault.code() == Some(409)) {
            return outcome;
        }
        match self.get_opt(path).await? {
            Some(found) if lost_response::is_our_write(object, &found) => {
                let status = if lost_response::is_create(object) { 201 } else { 200 };
                Ok(Response { status, warnings: Vec::new(), body: found })
            }
            _ => outcome,
        }
    }

    /// PUT of an object that was read: refused where somebody changed it since.
    pub async fn replace(&self, path: &str, object: &Value) -> Result<Response, ApiError> {
        self.call(&Method::PUT, &with_field_manager(path), object.to_string(), "application/json").await
    }

    /// DELETE with `DeleteOptions`.
    pub async fn delete(&self, path: &str, options: &Value) -> Result<Response, ApiError> {
        self.call(&Method::DELETE, path, options.to_string(), "application/json").await
    }

    /// A request to something behind the API server, with whatever it answers. Sent once.
    pub(crate) async fn proxy(
        &self,
        request: Request<http_body_util::Full<bytes::Bytes>>,
    ) -> Result<(http::response::Parts, bytes::Bytes), ApiError> {
        let (head, body) = request.into_parts();
        let call = format!("{} {}", head.method, head.uri.path());
        let body = match body.collect().await {
            Ok(body) => body.to_bytes(),
            Err(impossible) => match impossible {},
        };
        let sent = Instant::now();
        let answer = self.answered(Request::from_parts(head, Body::from(body.to_vec())));
        let answer = tokio::time::timeout(CALL_DEADLINE, answer).await;
        let (head, body) = answer.unwrap_or(Err(ApiError::Timeout(CALL_DEADLINE)))?;
        self.traffic.on_answered(sent.elapsed(), || call);
        Ok((head, body))
    }

    /// GET of something that is no object: a log, an answer through a proxy. Sent once.
    pub async fn get_text(&self, path: &str) -> Result<String, ApiError> {
        let sent = Instant::now();
        let (_, bytes) =
            tokio::time::timeout(CALL_DEADLINE, self.exchange(&Method::GET, path, Vec::new(), "*/*"))
                .await
                .unwrap_or(Err(ApiError::Timeout(CALL_DEADLINE)))?;
        self.traffic.on_answered(sent.elapsed(), || format!("GET {path}"));
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    async fn call(
        &self,
        method: &Method,
        path: &str,
        body: String,
        content: &'static str,
    ) -> Result<Response, ApiError> {
        self.send(method, path, body, content).await.0
    }

    /// The outcome, and how often it was sent for that.
    async fn send(
        &self,
        method: &Method,
        path: &str,
        body: String,
        content: &'static str,
    ) -> (Result<Response, ApiError>, u32) {
        let bytes = body.into_bytes();
        let begun = Instant::now();
        // A server that has never answered is not waited for longer than one that takes no connection.
        let limit = if self.traffic.has_answered() { CALL_DEADLINE } else { transport_error::CONNECT };
        let mut pause = FIRST_PAUSE;
        let mut attempt = 1;
        loop {
            let left = limit.saturating_sub(begun.elapsed());
            let sent = Instant::now();
            let outcome = tokio::time::timeout(left, self.send_once(method, path, bytes.clone(), content))
                .await
                .unwrap_or(Err(ApiError::Timeout(limit)));
            let fault = match outcome {
                Ok(answer) => {
                    self.traffic.on_answered(sent.elapsed(), || format!("{method} {path}"));
                    return (Ok(answer), attempt);
                }
                Err(fault) => fault,
            };
            let wait = self.retry_after(&fault).map(|asked| asked.max(pause));
            match wait.filter(|wait| attempt < ATTEMPTS && begun.elapsed() + *wait < limit) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return (Err(fault), attempt),
            }
            attempt += 1;
            pause *= 2;
        }
    }

    /// Whether the call may succeed when it is sent again, and how long the server asks to wait.
    /// Every call of handsctl may be sent twice: applies carry a UID or are create-only, deletes carry a UID.
    fn retry_after(&self, fault: &ApiError) -> Option<Duration> {
        match fault {
            ApiError::Status(status) if matches!(status.code, 429 | 500..) => {
                let seconds = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
                let is_passing = matches!(status.code, 429 | 503 | 504) || seconds > 0;
                is_passing.then(|| Duration::from_secs(u64::from(seconds)))
            }
            ApiError::Status(status) if status.code == 403 && self.traffic.rbac_may_be_loading() => {
                Some(Duration::ZERO)
            }
            ApiError::Status(_) | ApiError::Timeout(_) => None,
            ApiError::Transport(error) => {
                let may_come_back = transport_error::may_come_back(error) && self.traffic.has_answered();
                self.traffic.on_lost();
                may_come_back.then_some(Duration::ZERO)
            }
        }
    }

    async fn send_once(
        &self,
        method: &Method,
        path: &str,
        bytes: Vec<u8>,
        content: &'static str,
    ) -> Result<Response, ApiError> {
        let (head, bytes) = self.exchange(method, path, bytes, content).await?;
        let warnings = head
            .headers
            .get_all(http::header::WARNING)
            .iter()
            .filter_map(|value| warning_text(value.to_str().ok()?))
            .collect();
        let body = serde_json::from_slice(&bytes)
            .map_err(|error| ApiError::Transport(kube::Error::SerdeError(error)))?;
        Ok(Response { status: head.status.as_u16(), warnings, body })
    }

    async fn exchange(
        &self,
        method: &Method,
        path: &str,
        bytes: Vec<u8>,
        content: &'static str,
    ) -> Result<(http::response::Parts, bytes::Bytes), ApiError> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::ACCEPT, "application/json, */*;q=0.8")
            .header(http::header::CONTENT_TYPE, content)
            .body(Body::from(bytes))
            .map_err(|error| ApiError::Transport(kube::Error::HttpError(error)))?;
        let (head, bytes) = self.answered(request).await?;
        if !head.status.is_success() {
            return Err(ApiError::Status(Box::new(status_of(&head, &bytes))));
        }
        Ok((head, bytes))
    }

    /// Whatever is answered.
    async fn answered(
        &self,
        request: Request<Body>,
    ) -> Result<(http::response::Parts, bytes::Bytes), ApiError> {
        let response = self.client.send(request).await.map_err(ApiError::Transport)?;
        let (head, body) = response.into_parts();
        let date = head.headers.get(http::header::DATE).and_then(|date| date.to_str().ok());
        if let Some(date) = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok()) {
            self.traffic.on_date(date.timestamp());
        }
        let bytes = body.collect().await.map_err(ApiError::Transport)?.to_bytes();
        Ok((head, bytes))
    }
}

/// Every write is in our name, and an unknown field is an error instead of a silence.
fn with_field_manager(path: &str) -> String {
    format!("{path}?fieldManager={}&fieldValidation=Strict", labels::MANAGER)
}

/// The server's `Status`, or one made of what something else answered: a proxy in between, or the server's own
/// priority and fairness, whose 429 says only in a header when to come again.
fn status_of(head: &http::response::Parts, body: &[u8]) -> Status {
    let mut status: Status = serde_json::from_slice(body).unwrap_or_else(|_not_a_status| Status {
        message: String::from_utf8_lossy(body).chars().take(500).collect(),
        ..Status::default()
    });
    status.code = head.status.as_u16();
    let seconds =
        head.headers.get(http::header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    if let Some(seconds) = seconds {
        let details = status.details.get_or_insert_with(|| StatusDetails {
            name: String::new(),
            group: String::new(),
            kind: String::new(),
            uid: String::new(),
            causes: Vec::new(),
            retry_after_seconds: 0,
        });
        details.retry_after_seconds = details.retry_after_seconds.max(seconds);
    }
    status
}

/// The text of a header `299 - "text"` (RFC 7234, section 5.5).
fn warning_text(header: &str) -> Option<String> {
    let (_, rest) = header.split_once('"')?;
    let (text, _) = rest.rsplit_once('"')?;
    Some(text.replace("\\\"", "\"").replace("\\\\", "\\"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_the_quoted_text() {
        assert_eq!(warning_text(r#"299 - "would \"violate\" it""#).as_deref(), Some(r#"would "violate" it"#));
        assert_eq!(warning_text("299 -"), None);
    }

    #[test]
    fn an_answer_that_is_no_status_keeps_its_text_and_its_header() {
        let head = |code: u16| http::Response::builder().status(code);
        let head_of = |head: http::response::Builder| head.body(()).unwrap().into_parts().0;
        let status = status_of(&head_of(head(502)), b"<html>bad gateway</html>");
        assert_eq!((status.code, status.message.as_str()), (502, "<html>bad gateway</html>"));
        assert_eq!(status.details, None);
        let status = status_of(&head_of(head(429).header("Retry-After", "3")), b"Too many requests");
        assert_eq!(status.details.unwrap().retry_after_seconds, 3);
    }
}
