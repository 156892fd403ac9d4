//! One request, one answer: deadline, bounded retries, warnings, and what was refused.

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
    clock: Arc<ServerClock>,
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

/// A list, or its first page.
#[derive(Debug, Default)]
pub struct ObjectList {
    /// The objects. They do not say of which kind they are.
    pub items: Vec<Value>,
    /// Whether this is all.
    pub is_complete: bool,
    /// Where a watch goes on from here.
    pub resource_version: String,
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
    pub(crate) fn new(client: Client, traffic: Arc<Traffic>) -> Self {
        Self { client, traffic, clock: Arc::default() }
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

    /// The server's clock.
    #[must_use]
    pub fn clock(&self) -> &ServerClock {
        &self.clock
    }

    /// GET of a path that is no collection.
    pub(crate) async fn get_path(&self, path: &str) -> Result<Response, ApiError> {
        self.send(request::get_path(path)).await.0
    }

    /// GET of an object.
    pub async fn get(&self, collection: &Collection, name: &str) -> Result<Response, ApiError> {
        self.send(request::get(collection, name)).await.0
    }

    /// GET where 404 is an answer.
    pub async fn get_opt(&self, collection: &Collection, name: &str) -> Result<Option<Value>, ApiError> {
        unless_not_found(self.get(collection, name).await)
    }

    /// The same for a path that is no collection.
    pub(crate) async fn get_path_opt(&self, path: &str) -> Result<Option<Value>, ApiError> {
        unless_not_found(self.get_path(path).await)
    }

    /// GET of a list.
    pub async fn list(&self, collection: &Collection, params: &ListParams) -> Result<ObjectList, ApiError> {
        let mut list = self.send(request::list(collection, params)).await.0?.body;
        let word = |name: &str| list["metadata"][name].as_str().unwrap_or_default().to_owned();
        let (resource_version, next) = (word("resourceVersion"), word("continue"));
        let items = match list["items"].take() {
            Value::Array(items) => items,
            // What an empty list of Go looks like.
            _ => Vec::new(),
        };
        Ok(ObjectList { items, is_complete: next.is_empty(), resource_version })
    }

    /// POST of a question: a review is answered and not kept.
    pub async fn review(&self, collection: &Collection, review: &Value) -> Result<Response, ApiError> {
        self.send(request::review(collection, review)).await.0
    }

    /// POST of an object as a dry run: whether the server would take it. Sent once: who asks is waiting for a change.
    pub async fn create_dry_run(
        &self,
        collection: &Collection,
        object: &Value,
    ) -> Result<Response, ApiError> {
        let request = request::create(collection, object, true).map_err(not_built)?;
        in_time(CALL_DEADLINE, self.send_once(&request)).await
    }

    /// POST of an object: create-only.
    pub async fn create(&self, collection: &Collection, object: &Value) -> Result<Response, ApiError> {
        let (outcome, attempts) = self.send(request::create(collection, object, false)).await;
        self.unless_our_write(outcome, attempts, collection, object).await
    }

    /// PATCH as server-side apply (<https://kubernetes.io/docs/reference/using-api/server-side-apply/>).
    pub async fn apply(
        &self,
        collection: &Collection,
        object: &Value,
        options: ApplyOptions,
    ) -> Result<Response, ApiError> {
        let (outcome, attempts) = self.send(request::apply(collection, object, options)).await;
        if options.dry_run {
            return outcome;
        }
        self.unless_our_write(outcome, attempts, collection, object).await
    }

    /// The same in the name of `restart`, by force.
    pub async fn apply_as_restart(
        &self,
        collection: &Collection,
        object: &Value,
    ) -> Result<Response, ApiError> {
        self.send(request::apply_as_restart(collection, object)).await.0
    }

    /// PATCH of single fields as a JSON merge patch (RFC 7396). It may be sent twice, so it has to carry what keeps
    /// it from doing its work twice, such as a resourceVersion.
    pub async fn merge_patch(
        &self,
        collection: &Collection,
        name: &str,
        patch: &Value,
    ) -> Result<Response, ApiError> {
        self.send(request::merge_patch(collection, name, patch)).await.0
    }

    /// A write whose answer was lost is sent again, and may then be refused for what it did itself: a 409 is
    /// believed only where the object does not say what was sent.
    async fn unless_our_write(
        &self,
        outcome: Result<Response, ApiError>,
        attempts: u32,
        collection: &Collection,
        object: &Value,
    ) -> Result<Response, ApiError> {
        if attempts == 1 || !matches!(&outcome, Err(error) if error.code() == Some(409)) {
            return outcome;
        }
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        match self.get_opt(collection, name).await? {
            Some(found) if lost_response::is_our_write(object, &found) => {
                let status = if lost_response::is_create(object) { 201 } else { 200 };
                Ok(Response { status, warnings: Vec::new(), body: found })
            }
            _ => outcome,
        }
    }

    /// PUT of an object that was read: refused where somebody changed it since.
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

    /// A request to something behind the API server, with whatever it answers. Sent once.
    pub(crate) async fn proxy(
        &self,
        request: Request<Vec<u8>>,
    ) -> Result<(http::response::Parts, bytes::Bytes), ApiError> {
        let call = format!("{} {}", request.method(), request.uri().path());
        let sent = Instant::now();
        let answer = in_time(CALL_DEADLINE, self.exchange(request)).await?;
        self.traffic.on_answered(sent.elapsed(), || call);
        Ok(answer)
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
        let sent = Instant::now();
        let (_, bytes) = in_time(CALL_DEADLINE, self.successful(request)).await?;
        self.traffic.on_answered(sent.elapsed(), || call);
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The outcome, and how often the request was sent for it.
    async fn send(
        &self,
        request: Result<ApiRequest, kube::core::request::Error>,
    ) -> (Result<Response, ApiError>, u32) {
        let request = match request {
            Ok(request) => request,
            Err(error) => return (Err(not_built(error)), 1),
        };
        let begun = Instant::now();
        // A server that has never answered is not waited for longer than one that takes no connection.
        let limit = if self.traffic.has_answered() { CALL_DEADLINE } else { transport_error::CONNECT };
        let mut pause = FIRST_PAUSE;
        let mut attempt = 1;
        loop {
            let left = limit.saturating_sub(begun.elapsed());
            let sent = Instant::now();
            let outcome = tokio::time::timeout(left, self.send_once(&request)).await;
            let error = match outcome.unwrap_or(Err(ApiError::Timeout(limit))) {
                Ok(response) => {
                    let call = || format!("{} {}", request.method(), request.uri());
                    self.traffic.on_answered(sent.elapsed(), call);
                    return (Ok(response), attempt);
                }
                Err(error) => error,
            };
            let wait = self.retry_after(&error).map(|asked| asked.max(pause));
            match wait.filter(|wait| attempt < ATTEMPTS && begun.elapsed() + *wait < limit) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return (Err(error), attempt),
            }
            attempt += 1;
            pause *= 2;
        }
    }

    /// Whether the call may succeed when it is sent again, and how long the server asks to wait.
    /// Every call of handsctl may be sent twice: applies carry a UID or are create-only, deletes carry a UID.
    fn retry_after(&self, error: &ApiError) -> Option<Duration> {
        match error {
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

    /// The answer in the 2xx range.
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

    /// Whatever is answered.
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

/// A request that kube could not build: a name or a parameter that no server would take.
pub(crate) fn not_built(error: kube::core::request::Error) -> ApiError {
    ApiError::Transport(kube::Error::BuildRequest(error))
}

fn unless_not_found(outcome: Result<Response, ApiError>) -> Result<Option<Value>, ApiError> {
    match outcome {
        Ok(response) => Ok(Some(response.body)),
        Err(error) if error.code() == Some(404) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn in_time<T>(
    limit: Duration,
    answer: impl Future<Output = Result<T, ApiError>>,
) -> Result<T, ApiError> {
    tokio::time::timeout(limit, answer).await.unwrap_or(Err(ApiError::Timeout(limit)))
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
