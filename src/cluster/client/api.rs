//! Sends one request: deadline, bounded retries, warnings, and errors of the server.

use std::sync::Arc;
use std::time::Duration;

use http::Request;
use http_body_util::BodyExt as _;
use kube::Client;
use kube::api::{DeleteParams, ListParams, LogParams};
use kube::client::Body;
use kube::core::Status;
use kube::core::response::StatusDetails;
use serde_json::Value;
use tokio::time::Instant;

use super::request::{self, ApiRequest, ApplyOptions};
use super::server_clock::ServerClock;
use super::traffic::Traffic;
use super::{lost_response, status_error, transport_error};
use crate::error::{Error, Result};
use crate::object::kind::Collection;

/// The time limit of one unary call, including its retries.
const CALL_DEADLINE: Duration = Duration::from_secs(10);
/// The maximum number of attempts of a call.
const ATTEMPTS: u32 = 6;
/// The first pause between two attempts; it doubles each time.
const FIRST_BACKOFF: Duration = Duration::from_millis(100);

/// A connection to a cluster.
#[derive(Clone)]
pub struct Api {
    client: Client,
    traffic: Arc<Traffic>,
    clock: Arc<ServerClock>,
}

/// A response in the 2xx range.
#[derive(Debug)]
pub struct Response {
    /// The HTTP status; 201 if the object was created.
    pub status: u16,
    /// The texts of the `Warning` headers.
    pub warnings: Vec<String>,
    /// The object.
    pub body: Value,
}

/// A list, or its first page.
#[derive(Debug, Default)]
pub struct ObjectList {
    /// The objects, without `apiVersion` and `kind`.
    pub items: Vec<Value>,
    /// Whether the list has no further page.
    pub is_complete: bool,
}

/// Why there is no response in the 2xx range.
#[derive(Debug)]
pub enum ApiError {
    /// The server responded with an error.
    Status(Box<Status>),
    /// There was no response.
    Transport(kube::Error),
    /// There was no response in time.
    Timeout(Duration),
}

impl ApiError {
    /// The HTTP status of the server's error.
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        match self {
            ApiError::Status(status) => Some(status.code),
            ApiError::Transport(_) | ApiError::Timeout(_) => None,
        }
    }

    /// Returns the error to report; `action` names the failed action and its object.
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
    pub(crate) fn new(client: Client, traffic: Arc<Traffic>) -> Self {
        Self { client, traffic, clock: Arc::default() }
    }

    /// The client, for watches, logs and port-forwards.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The traffic counters.
    #[must_use]
    pub fn traffic(&self) -> &Arc<Traffic> {
        &self.traffic
    }

    /// The server's clock.
    #[must_use]
    pub fn clock(&self) -> &ServerClock {
        &self.clock
    }

    /// GET of a path outside of collections.
    pub(crate) async fn get_path(&self, path: &str) -> Result<Response, ApiError> {
        self.send(request::get_path(path)).await.0
    }

    /// GET of an object.
    pub async fn get(&self, collection: &Collection, name: &str) -> Result<Response, ApiError> {
        self.send(request::get(collection, name)).await.0
    }

    /// GET of an object; None on 404.
    pub async fn get_opt(&self, collection: &Collection, name: &str) -> Result<Option<Value>, ApiError> {
        unless_not_found(self.get(collection, name).await)
    }

    /// GET of a path outside of collections; None on 404.
    pub(crate) async fn get_path_opt(&self, path: &str) -> Result<Option<Value>, ApiError> {
        unless_not_found(self.get_path(path).await)
    }

    /// GET of a list.
    pub async fn list(&self, collection: &Collection, params: &ListParams) -> Result<ObjectList, ApiError> {
        let mut list = self.send(request::list(collection, params)).await.0?.body;
        let is_complete = list["metadata"]["continue"].as_str().unwrap_or_default().is_empty();
        Ok(ObjectList { items: take_items(&mut list), is_complete })
    }

    /// POST of a review, which the server evaluates and does not store.
    pub async fn review(&self, collection: &Collection, review: &Value) -> Result<Response, ApiError> {
        self.send(request::review(collection, review)).await.0
    }

    /// POST of an object as a dry run: whether the server would accept it. Sent once, because its callers poll.
    pub async fn create_dry_run(
        &self,
        collection: &Collection,
        object: &Value,
    ) -> Result<Response, ApiError> {
        let request = request::create(collection, object, true).map_err(not_built)?;
        with_timeout(CALL_DEADLINE, self.send_once(&request)).await
    }

    /// POST of an object: create-only.
    pub async fn create(&self, collection: &Collection, object: &Value) -> Result<Response, ApiError> {
        let (result, attempts) = self.send(request::create(collection, object, false)).await;
        self.unless_our_write(result, attempts, collection, object).await
    }

    /// PATCH as server-side apply (<https://kubernetes.io/docs/reference/using-api/server-side-apply/>).
    pub async fn apply(
        &self,
        collection: &Collection,
        object: &Value,
        options: ApplyOptions,
    ) -> Result<Response, ApiError> {
        let (result, attempts) = self.send(request::apply(collection, object, options)).await;
        if options.dry_run {
            return result;
        }
        self.unless_our_write(result, attempts, collection, object).await
    }

    /// PATCH as server-side apply with the field manager of `restart`, by force.
    pub async fn apply_as_restart(
        &self,
        collection: &Collection,
        object: &Value,
    ) -> Result<Response, ApiError> {
        self.send(request::apply_as_restart(collection, object)).await.0
    }

    /// PATCH of single fields as a JSON merge patch (RFC 7396). It may be sent twice, so it must be idempotent or carry
    /// a precondition such as a resourceVersion.
    pub async fn merge_patch(
        &self,
        collection: &Collection,
        name: &str,
        patch: &Value,
    ) -> Result<Response, ApiError> {
        self.send(request::merge_patch(collection, name, patch)).await.0
    }

    /// Turns a 409 into a success if a retry conflicts with our own earlier write, whose response was lost: the object
    /// then has every field of the write.
    async fn unless_our_write(
        &self,
        result: Result<Response, ApiError>,
        attempts: u32,
        collection: &Collection,
        object: &Value,
    ) -> Result<Response, ApiError> {
        if attempts == 1 || !matches!(&result, Err(error) if error.code() == Some(409)) {
            return result;
        }
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        match self.get_opt(collection, name).await? {
            Some(live) if lost_response::is_our_write(object, &live) => {
                let status = if lost_response::is_create(object) { 201 } else { 200 };
                Ok(Response { status, warnings: Vec::new(), body: live })
            }
            _ => result,
        }
    }

    /// PUT of an object that was read before; a conflict if it has changed since.
    pub async fn replace(&self, collection: &Collection, object: &Value) -> Result<Response, ApiError> {
        self.send(request::replace(collection, object)).await.0
    }

    /// DELETE of an object.
    pub async fn delete(
        &self,
        collection: &Collection,
        name: &str,
        params: &DeleteParams,
    ) -> Result<Response, ApiError> {
        self.send(request::delete(collection, name, params)).await.0
    }

    /// Sends a request to a service behind the API server, and returns any response. Sent once.
    pub(crate) async fn proxy(
        &self,
        request: Request<Vec<u8>>,
    ) -> Result<(http::response::Parts, bytes::Bytes), ApiError> {
        let call = format!("{} {}", request.method(), request.uri().path());
        let sent_at = Instant::now();
        let response = with_timeout(CALL_DEADLINE, self.exchange(request)).await?;
        self.traffic.on_completed(sent_at.elapsed(), || call);
        Ok(response)
    }

    /// The last lines of a container's log. Sent once.
    pub async fn get_log(
        &self,
        pods: &Collection,
        pod: &str,
        params: &LogParams,
    ) -> Result<String, ApiError> {
        let request = request::log(pods, pod, params).map_err(not_built)?;
        let call = format!("GET {}", request.uri());
        let sent_at = Instant::now();
        let (_, bytes) = with_timeout(CALL_DEADLINE, self.successful(request)).await?;
        self.traffic.on_completed(sent_at.elapsed(), || call);
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Sends the request with retries, and returns the result and the number of attempts.
    async fn send(
        &self,
        request: Result<ApiRequest, kube::core::request::Error>,
    ) -> (Result<Response, ApiError>, u32) {
        let request = match request {
            Ok(request) => request,
            Err(error) => return (Err(not_built(error)), 1),
        };
        let started = Instant::now();
        // A server that has never responded gets no more time than opening a connection does.
        let limit = if self.traffic.has_responded() { CALL_DEADLINE } else { transport_error::CONNECT };
        let mut backoff = FIRST_BACKOFF;
        let mut attempt = 1;
        loop {
            let remaining = limit.saturating_sub(started.elapsed());
            let sent_at = Instant::now();
            let result = tokio::time::timeout(remaining, self.send_once(&request)).await;
            let error = match result.unwrap_or(Err(ApiError::Timeout(limit))) {
                Ok(response) => {
                    let call = || format!("{} {}", request.method(), request.uri());
                    self.traffic.on_completed(sent_at.elapsed(), call);
                    return (Ok(response), attempt);
                }
                Err(error) => error,
            };
            if matches!(error, ApiError::Transport(_) | ApiError::Timeout(_)) {
                self.traffic.on_lost();
            }
            let wait = self.retry_after(&error).map(|requested| requested.max(backoff));
            match wait.filter(|wait| attempt < ATTEMPTS && started.elapsed() + *wait < limit) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return (Err(error), attempt),
            }
            attempt += 1;
            backoff *= 2;
        }
    }

    /// Returns the wait that the server requests before a retry; None if a retry is useless. Every call of handsctl may
    /// be sent twice: writes carry a UID or a resourceVersion, are create-only, or are idempotent.
    fn retry_after(&self, error: &ApiError) -> Option<Duration> {
        match error {
            ApiError::Status(status) if matches!(status.code, 429 | 500..) => {
                let seconds = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
                let is_transient = matches!(status.code, 429 | 503 | 504) || seconds > 0;
                is_transient.then(|| Duration::from_secs(u64::from(seconds)))
            }
            ApiError::Status(status) if status.code == 403 && self.traffic.rbac_may_be_loading() => {
                Some(Duration::ZERO)
            }
            ApiError::Status(_) | ApiError::Timeout(_) => None,
            ApiError::Transport(error) => {
                let is_retryable = transport_error::is_retryable(error) && self.traffic.has_responded();
                is_retryable.then_some(Duration::ZERO)
            }
        }
    }

    async fn send_once(&self, request: &ApiRequest) -> Result<Response, ApiError> {
        let (head, bytes) = self.successful(request.clone()).await?;
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

    /// Sends the request once, and returns the response if it is in the 2xx range.
    async fn successful(
        &self,
        request: ApiRequest,
    ) -> Result<(http::response::Parts, bytes::Bytes), ApiError> {
        let (head, bytes) = self.exchange(request).await?;
        if !head.status.is_success() {
            return Err(ApiError::Status(Box::new(status_of(&head, &bytes))));
        }
        Ok((head, bytes))
    }

    /// Sends the request once, and returns any response.
    async fn exchange(&self, request: ApiRequest) -> Result<(http::response::Parts, bytes::Bytes), ApiError> {
        let response = self.client.send(request.map(Body::from)).await.map_err(ApiError::Transport)?;
        let (head, body) = response.into_parts();
        let date = head.headers.get(http::header::DATE).and_then(|date| date.to_str().ok());
        if let Some(date) = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok()) {
            self.clock.on_date(date.timestamp());
        }
        let bytes = body.collect().await.map_err(ApiError::Transport)?.to_bytes();
        Ok((head, bytes))
    }
}

/// Returns the error for a request that kube could not build, because of an invalid name or parameter.
pub(crate) fn not_built(error: kube::core::request::Error) -> ApiError {
    ApiError::Transport(kube::Error::BuildRequest(error))
}

/// Takes the objects out of a list.
pub(crate) fn take_items(list: &mut Value) -> Vec<Value> {
    match list["items"].take() {
        Value::Array(items) => items,
        // Go encodes an empty list as null.
        _ => Vec::new(),
    }
}

fn unless_not_found(result: Result<Response, ApiError>) -> Result<Option<Value>, ApiError> {
    match result {
        Ok(response) => Ok(Some(response.body)),
        Err(error) if error.code() == Some(404) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn with_timeout<T>(
    limit: Duration,
    response: impl Future<Output = Result<T, ApiError>>,
) -> Result<T, ApiError> {
    tokio::time::timeout(limit, response).await.unwrap_or(Err(ApiError::Timeout(limit)))
}

/// Returns the server's `Status`, or builds one from another response: from a proxy, or from the server's priority and
/// fairness, whose 429 names the wait only in a header.
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

/// Returns the text of a header `299 - "text"` (RFC 7234, section 5.5).
fn warning_text(header: &str) -> Option<String> {
    let (_, rest) = header.split_once('"')?;
    let (text, _) = rest.rsplit_once('"')?;
    Some(text.replace("\\\"", "\"").replace("\\\\", "\\"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warning_text_is_the_quoted_part() {
        assert_eq!(warning_text(r#"299 - "would \"violate\" it""#).as_deref(), Some(r#"would "violate" it"#));
        assert_eq!(warning_text("299 -"), None);
    }

    #[test]
    fn non_status_response_keeps_text_and_retry_after() {
        let head = |code: u16| http::Response::builder().status(code);
        let head_of = |head: http::response::Builder| head.body(()).unwrap().into_parts().0;
        let status = status_of(&head_of(head(502)), b"<html>bad gateway</html>");
        assert_eq!((status.code, status.message.as_str()), (502, "<html>bad gateway</html>"));
        assert_eq!(status.details, None);
        let status = status_of(&head_of(head(429).header("Retry-After", "3")), b"Too many requests");
        assert_eq!(status.details.unwrap().retry_after_seconds, 3);
    }
}
