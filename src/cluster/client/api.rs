//! Sends one request: deadline, bounded retries, warnings, and errors of the server.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::{Method, Request};
use http_body_util::{BodyExt as _, Limited};
use jiff::Timestamp;
use kube::Client;
use kube::api::{DeleteParams, ListParams, LogParams};
use kube::client::Body;
use kube::core::Status;
use kube::core::response::StatusDetails;
use serde_json::Value;
use tokio::time::Instant;

use super::in_flight::InFlight;
use super::pending_calls::{CallEntry, PendingCall};
use super::request::{self, ApiRequest, ApplyOptions};
use super::retry::{self, FailedAttempt, Pause};
use super::server_clock::{self, ServerClock};
use super::traffic::Traffic;
use super::write_gate::WriteGate;
use super::{lost_response, reduced_json, status_error, transport_error};
use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};
use crate::object::kind::Collection;
use crate::phrase;

/// The time limit of a request that is sent once.
const SINGLE_REQUEST: Duration = Duration::from_secs(10);

/// The largest object or list, in bytes. etcd stores objects of about 1 MiB, and a list may have thousands.
const LARGEST_BODY: usize = 256 << 20;
/// The largest log that is read at once, in bytes.
const LARGEST_LOG: usize = 8 << 20;
/// The largest body of an error, in bytes.
const LARGEST_ERROR: usize = 1 << 20;

/// The names of fields that a response is parsed without.
pub type UnreadFields = &'static [&'static str];

/// A connection to a cluster.
#[derive(Clone)]
pub struct Api {
    client: Client,
    traffic: Arc<Traffic>,
    clock: Arc<ServerClock>,
    in_flight: Arc<InFlight>,
    writes: Arc<WriteGate>,
    /// Whether the server streams lists; unset until its version was read.
    streams_lists: Arc<OnceLock<bool>>,
    limits: CallLimits,
}

/// How long a call may take, and what it waits for.
#[derive(Debug, Clone, Copy)]
enum CallLimits {
    /// The calls of a command without a deadline: each gets [`retry::CALL_LIMIT`].
    PerCall,
    /// All calls end at the command's deadline.
    Until(Instant),
    /// All calls of one reading end at this time, and the command goes on: an error is that of the last attempt.
    Reading(Instant),
    /// Calls about the lock. They do not wait for the lock or for other requests, and each has this time limit.
    Lock(Duration),
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
    /// The command's deadline passed before a request succeeded.
    Deadline(Box<PendingCall>),
    /// The response is not one of the Kubernetes API; what it is.
    NotKubernetes(String),
    /// The response has more bytes than this.
    TooLarge(usize),
}

impl From<kube::Error> for ApiError {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::Status(status),
            error => Self::Transport(error),
        }
    }
}

impl ApiError {
    /// The HTTP status of the server's error.
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        match self {
            ApiError::Status(status) => Some(status.code),
            ApiError::Transport(_)
            | ApiError::Timeout(_)
            | ApiError::Deadline(_)
            | ApiError::NotKubernetes(_)
            | ApiError::TooLarge(_) => None,
        }
    }

    /// Returns the error to report; `action` names the failed action and its object.
    #[must_use]
    pub fn into_error(self, action: &str) -> Error {
        match self {
            ApiError::Status(status) => status_error::status_error(action, &status),
            ApiError::Transport(error) => transport_error::transport_error(action, error),
            ApiError::Timeout(limit) => transport_error::timeout_error(action, limit),
            ApiError::Deadline(call) => deadline_error(action, &call),
            ApiError::NotKubernetes(response) => status_error::not_kubernetes_error(action, &response),
            ApiError::TooLarge(_) => {
                Error::new(Id::Unreachable, Kind::Unreachable, action).caused_by(self.reason())
            }
        }
    }

    /// Returns the reason of a failed attempt in one clause.
    pub(crate) fn reason(&self) -> String {
        match self {
            ApiError::Status(status) => format!("the API server responded {}", status.code),
            ApiError::Transport(error) => transport_error::message_of(error),
            ApiError::Timeout(limit) => format!("no response within {}", phrase::span(*limit)),
            ApiError::Deadline(call) => call.describe(),
            ApiError::NotKubernetes(response) => format!("the server responded with {response}"),
            ApiError::TooLarge(limit) => format!("the response has more than {} MiB", limit >> 20),
        }
    }
}

/// Returns the error for a call that the command's deadline ended.
fn deadline_error(action: &str, call: &PendingCall) -> Error {
    Error::new(Id::DeadlinePassed, Kind::Deadline, format!("{action}: the command timed out"))
        .fact("request", call.describe())
        .hint("--timeout DURATION sets a longer limit")
}

impl Api {
    pub(crate) fn new(client: Client, traffic: Arc<Traffic>) -> Self {
        Self {
            client,
            traffic,
            clock: Arc::default(),
            in_flight: Arc::default(),
            writes: Arc::default(),
            streams_lists: Arc::default(),
            limits: CallLimits::PerCall,
        }
    }

    /// Returns the connection for a command with this deadline: until then, calls are repeated.
    #[must_use]
    pub fn until(&self, deadline: Instant) -> Self {
        Self { limits: CallLimits::Until(deadline), ..self.clone() }
    }

    /// Returns the connection for one reading of a command that goes on after a failed one. Until this time, calls are
    /// repeated.
    #[must_use]
    pub fn for_reading_until(&self, end: Instant) -> Self {
        Self { limits: CallLimits::Reading(end), ..self.clone() }
    }

    /// Returns the connection without a deadline, for a part of a command that ends with Ctrl-C.
    #[must_use]
    pub fn without_deadline(&self) -> Self {
        Self { limits: CallLimits::PerCall, ..self.clone() }
    }

    /// Returns the connection for requests about the lock. Each call may take this long. They are sent at once, even
    /// while writes are held back.
    pub(crate) fn for_lock(&self, call_limit: Duration) -> Self {
        Self { limits: CallLimits::Lock(call_limit), ..self.clone() }
    }

    /// The gate that every write passes.
    pub(crate) fn writes(&self) -> &WriteGate {
        &self.writes
    }

    /// Returns when a call that begins now ends at the latest.
    pub(crate) fn end_of_call(&self) -> Instant {
        match self.limits {
            CallLimits::PerCall => Instant::now() + retry::CALL_LIMIT,
            CallLimits::Until(end) | CallLimits::Reading(end) => end,
            CallLimits::Lock(limit) => Instant::now() + limit,
        }
    }

    /// Returns the command's deadline, if the calls end with it.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.limits {
            CallLimits::Until(end) | CallLimits::Reading(end) => Some(end),
            CallLimits::PerCall | CallLimits::Lock(_) => None,
        }
    }

    /// Whether the server supports streaming lists. False until its version was read: every server can list and watch.
    pub(crate) fn streams_lists(&self) -> bool {
        self.streams_lists.get().copied().unwrap_or_default()
    }

    /// Records that the server's version supports streaming lists or does not.
    pub(crate) fn on_version(&self, streams_lists: bool) {
        let _the_same_for_every_copy = self.streams_lists.set(streams_lists);
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
        self.send_list(request::list(collection, params)).await
    }

    /// GET of a list without the data of its objects.
    pub async fn list_metadata(
        &self,
        collection: &Collection,
        params: &ListParams,
    ) -> Result<ObjectList, ApiError> {
        self.send_list(request::list_metadata(collection, params)).await
    }

    /// GET of a list without the fields of these names, wherever they are in its objects.
    pub async fn list_without(
        &self,
        collection: &Collection,
        params: &ListParams,
        left_out: UnreadFields,
    ) -> Result<ObjectList, ApiError> {
        self.send_list(without(request::list(collection, params), left_out)).await
    }

    /// GET of a list without the data of its objects, and without their managed fields.
    pub async fn list_names(
        &self,
        collection: &Collection,
        params: &ListParams,
    ) -> Result<ObjectList, ApiError> {
        self.send_list(without(request::list_metadata(collection, params), &["managedFields"])).await
    }

    async fn send_list(
        &self,
        request: Result<ApiRequest, kube::core::request::Error>,
    ) -> Result<ObjectList, ApiError> {
        let mut list = self.send(request).await.0?.body;
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
        with_timeout(retry::attempt_limit(&Method::POST, 1), self.send_once(&request)).await
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

    /// PATCH as server-side apply with the field manager of `restore`, by force.
    pub async fn apply_as_restore(
        &self,
        collection: &Collection,
        object: &Value,
    ) -> Result<Response, ApiError> {
        self.send(request::apply_as_restore(collection, object)).await.0
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

    /// DELETE of an object by its UID; false if it is gone, or if another object has its name now.
    pub async fn delete_same(
        &self,
        collection: &Collection,
        name: &str,
        params: &DeleteParams,
    ) -> Result<bool, ApiError> {
        match self.delete(collection, name, params).await {
            Ok(_) => Ok(true),
            Err(error) if matches!(error.code(), Some(404 | 409)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Sends a request to a service behind the API server, and returns any response whose body has at most `limit`
    /// bytes. Sent once.
    pub(crate) async fn proxy(
        &self,
        request: Request<Vec<u8>>,
        limit: usize,
    ) -> Result<(http::response::Parts, bytes::Bytes), ApiError> {
        let call = format!("{} {}", request.method(), request.uri().path());
        if request::is_write(&request) {
            self.writes.opened().await;
        }
        let sent_at = Instant::now();
        let exchange = async {
            let (head, body) = self.begin_exchange(request).await?;
            let body = Limited::new(body, limit).collect().await;
            let body = body.map_err(|error| ApiError::Transport(kube::Error::Service(error)))?;
            Ok((head, body.to_bytes()))
        };
        let response = with_timeout(SINGLE_REQUEST, exchange).await?;
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
        let (_, bytes) = with_timeout(SINGLE_REQUEST, self.successful(request, LARGEST_LOG)).await?;
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
        let (started, end) = (Instant::now(), self.end_of_call());
        let entry = self.traffic.calls().begin(request::describe(&request));
        let mut attempt = 1;
        loop {
            let sent_at = Instant::now();
            let result = tokio::time::timeout_at(end, self.attempt(&request, attempt, &entry)).await;
            let error = match result {
                Ok(Ok(response)) => {
                    let call = || format!("{} {}", request.method(), request.uri());
                    self.traffic.on_completed(sent_at.elapsed(), call);
                    return (Ok(response), attempt);
                }
                Ok(Err(error)) => error,
                Err(_elapsed) => {
                    self.traffic.on_lost();
                    return (Err(self.overdue(&entry, ApiError::Timeout(started.elapsed()))), attempt);
                }
            };
            if matches!(error, ApiError::Transport(_) | ApiError::Timeout(_)) {
                self.traffic.on_lost();
            }
            entry.on_failure(error.reason());
            let failed = FailedAttempt {
                attempt,
                elapsed: started.elapsed(),
                has_responded: self.traffic.has_responded(),
                rbac_may_be_loading: self.traffic.rbac_may_be_loading(),
            };
            match pause(failed, &error) {
                Some(Pause::Backoff(pause) | Pause::Requested(pause)) if Instant::now() + pause < end => {
                    tokio::time::sleep(pause).await;
                }
                Some(Pause::Backoff(_)) => {
                    tokio::time::sleep_until(end).await;
                    return (Err(self.overdue(&entry, error)), attempt);
                }
                // The server itself tells that waiting until the end is useless.
                Some(Pause::Requested(_)) | None => return (Err(error), attempt),
            }
            attempt += 1;
        }
    }

    /// Returns the error of a call that has not succeeded in time; `last` is its last error.
    pub(crate) fn overdue(&self, entry: &CallEntry, last: ApiError) -> ApiError {
        match (self.limits, entry.call()) {
            // Before the first response the command has done nothing: the cluster is unreachable.
            (CallLimits::Until(_), Some(call)) if self.traffic.has_responded() => {
                ApiError::Deadline(Box::new(call))
            }
            _ => last,
        }
    }

    /// Sends the request once, when the lock and the server's load allow it.
    async fn attempt(
        &self,
        request: &ApiRequest,
        attempt: u32,
        entry: &CallEntry,
    ) -> Result<Response, ApiError> {
        let limit = retry::attempt_limit(request.method(), attempt);
        let send = with_timeout(limit, self.send_once(request));
        if matches!(self.limits, CallLimits::Lock(_)) {
            return send.await;
        }
        let is_write = request::is_write(request);
        let slot = loop {
            if is_write && !self.writes.is_open() {
                entry.on_failure("the lock must be renewed first".to_owned());
                self.writes.opened().await;
            }
            let slot = self.in_flight.slot().await;
            // The lock may have expired while the request waited for its turn.
            if !is_write || self.writes.is_open() {
                break slot;
            }
        };
        let sent_at = Instant::now();
        let result = tokio::select! {
            result = send => result,
            // The server may have executed it: it is sent again when the lock is confirmed.
            () = self.writes.closed(), if is_write => Err(ApiError::Timeout(sent_at.elapsed())),
        };
        match &result {
            Ok(_) => slot.on_response(false),
            Err(ApiError::Status(status)) => slot.on_response(status.code == 429),
            Err(_) => {}
        }
        result
    }

    async fn send_once(&self, request: &ApiRequest) -> Result<Response, ApiError> {
        let left_out: UnreadFields = request.extensions().get::<UnreadFields>().copied().unwrap_or_default();
        let (head, bytes) = self.successful(request.clone(), LARGEST_BODY).await?;
        let warnings = head
            .headers
            .get_all(http::header::WARNING)
            .iter()
            .filter_map(|value| warning_text(value.to_str().ok()?))
            .collect();
        let body = if left_out.is_empty() {
            serde_json::from_slice(&bytes)
        } else {
            reduced_json::parse(&bytes, left_out)
        };
        let body = body.map_err(|_error| ApiError::NotKubernetes("a text that is not JSON".to_owned()))?;
        Ok(Response { status: head.status.as_u16(), warnings, body })
    }

    /// Sends the request once, and returns the response if it is in the 2xx range.
    async fn successful(
        &self,
        request: ApiRequest,
        limit: usize,
    ) -> Result<(http::response::Parts, bytes::Bytes), ApiError> {
        let (head, bytes) = self.exchange(request, limit).await?;
        if let Some(response) = status_error::foreign_response(&head, &bytes) {
            return Err(ApiError::NotKubernetes(response));
        }
        if !head.status.is_success() {
            return Err(ApiError::Status(Box::new(status_of(&head, &bytes))));
        }
        Ok((head, bytes))
    }

    /// Sends the request once, and returns any response. `limit` is that of a response in the 2xx range.
    async fn exchange(
        &self,
        request: ApiRequest,
        limit: usize,
    ) -> Result<(http::response::Parts, bytes::Bytes), ApiError> {
        let (head, body) = self.begin_exchange(request).await?;
        let limit = if head.status.is_success() { limit } else { LARGEST_ERROR };
        let body = Limited::new(body, limit).collect().await;
        let body = body.map_err(|error| match error.downcast::<kube::Error>() {
            Ok(error) => ApiError::Transport(*error),
            // The length limit. A retry would read it again.
            Err(_) => ApiError::TooLarge(limit),
        })?;
        Ok((head, body.to_bytes()))
    }

    /// Sends the request once, and returns the head of any response, and its body as it arrives.
    async fn begin_exchange(&self, request: ApiRequest) -> Result<(http::response::Parts, Body), ApiError> {
        let is_own_path = server_clock::is_own_path(request.uri().path());
        let response = self.client.send(request.map(Body::from)).await.map_err(ApiError::Transport)?;
        let (head, body) = response.into_parts();
        if let Some(date) = date_of(&head).filter(|_| is_own_path && may_be_json(&head)) {
            self.clock.on_date(date);
        }
        Ok((head, body))
    }
}

fn date_of(head: &http::response::Parts) -> Option<Timestamp> {
    let date = head.headers.get(http::header::DATE)?.to_str().ok()?;
    jiff::fmt::rfc2822::parse(date).ok().map(|date| date.timestamp())
}

/// Whether the response may be the API server's: a load balancer's or a proxy's error is a page, and has its clock.
fn may_be_json(head: &http::response::Parts) -> bool {
    let content_type = head.headers.get(http::header::CONTENT_TYPE);
    content_type.is_none_or(|content_type| content_type.as_bytes().starts_with(b"application/json"))
}

/// Returns the pause before the next attempt; None if a retry is useless.
fn pause(failed: FailedAttempt, error: &ApiError) -> Option<Pause> {
    match error {
        ApiError::Status(status) => failed.after_status(status),
        ApiError::Transport(error) => failed.after_transport_error(error),
        ApiError::Timeout(_) => Some(failed.after_silence()),
        ApiError::Deadline(_) | ApiError::NotKubernetes(_) | ApiError::TooLarge(_) => None,
    }
}

/// Returns the error for a request that kube could not build, because of an invalid name or parameter.
pub(crate) fn not_built(error: kube::core::request::Error) -> ApiError {
    ApiError::Transport(kube::Error::BuildRequest(error))
}

/// Marks a request: its response is parsed without the fields of these names.
fn without(
    request: Result<ApiRequest, kube::core::request::Error>,
    left_out: UnreadFields,
) -> Result<ApiRequest, kube::core::request::Error> {
    request.map(|mut request| {
        request.extensions_mut().insert(left_out);
        request
    })
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

    use crate::cluster::scripted::scripted;
    use crate::object::kind::{CONFIG_MAP, POD, SECRET};
    use serde_json::json;

    const MAPS: &str = "/api/v1/namespaces/n/configmaps";

    fn map() -> Value {
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "a", "namespace": "n" } })
    }

    #[tokio::test(start_paused = true)]
    async fn endless_response_is_an_error_without_retry() {
        let (api, mut server) = scripted();
        let (pods, params) = (POD.in_namespace("n"), LogParams::default());
        let (result, ()) = tokio::join!(api.get_log(&pods, "p", &params), async {
            let body = server.next().await.watch();
            let chunk = "x".repeat(1 << 20);
            for _ in 0..9 {
                body.text(&chunk);
            }
        });
        let Err(ApiError::TooLarge(limit)) = result else { panic!("{result:?}") };
        assert_eq!(limit, 8 << 20);
        let (result, ()) = tokio::join!(api.get(&pods, "p"), async {
            server.next().await.status(400, "BadRequest", &"x".repeat(2 << 20));
        });
        let Err(ApiError::TooLarge(limit)) = result else { panic!("{result:?}") };
        assert_eq!(limit, 1 << 20);
        server.expect_none_for(Duration::from_secs(60)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn write_waits_longer_than_a_webhook() {
        let (api, mut server) = scripted();
        let maps = CONFIG_MAP.in_namespace("n");
        let created = map();
        let (response, ()) = tokio::join!(api.create(&maps, &created), async {
            let exchange = server.expect(&format!("POST {MAPS}")).await;
            tokio::time::sleep(Duration::from_secs(30)).await;
            exchange.created(&map());
        });
        assert_eq!(response.unwrap().status, 201);
        server.expect_none_for(Duration::from_secs(60)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn unavailable_server_is_asked_until_the_deadline() {
        let (api, mut server) = scripted();
        let begin = Instant::now();
        let api = api.until(begin + Duration::from_secs(300));
        let (secrets, params) = (SECRET.in_namespace("n"), ListParams::default());
        let (list, ()) = tokio::join!(api.list(&secrets, &params), async {
            while begin.elapsed() < Duration::from_secs(250) {
                server.next().await.status(503, "ServiceUnavailable", "starting");
            }
            server.next().await.lost();
            server.next().await.list("1", &[]);
        });
        assert!(list.unwrap().is_complete);
    }

    #[tokio::test(start_paused = true)]
    async fn slow_first_answer_is_waited_for_until_the_deadline() {
        let (api, mut server) = scripted();
        let api = api.until(Instant::now() + Duration::from_secs(60));
        let (response, ()) = tokio::join!(api.get_path("/version"), async {
            // The first attempt ends after 10 s, and the second one would after 20 s more.
            let _unanswered = server.next().await;
            let second = server.next().await;
            tokio::time::sleep(Duration::from_secs(15)).await;
            second.ok(&map());
        });
        assert_eq!(response.unwrap().status, 200);
    }

    #[tokio::test(start_paused = true)]
    async fn reading_that_fails_names_the_reason_and_no_timeout_of_the_command() {
        let (api, mut server) = scripted();
        let (secrets, params) = (SECRET.in_namespace("n"), ListParams::default());
        let (list, ()) = tokio::join!(api.list(&secrets, &params), async {
            server.next().await.list("1", &[]);
        });
        list.unwrap();
        for (is_refused, expected) in
            [(true, "the API server responded 503"), (false, "no response within 15 s")]
        {
            let api = api.for_reading_until(Instant::now() + Duration::from_secs(15));
            let result = tokio::select! {
                result = api.list(&secrets, &params) => result,
                () = server.reject_all(503, "ServiceUnavailable"), if is_refused => unreachable!("it never ends"),
            };
            let error = result.unwrap_err();
            let reason = error.reason();
            assert_eq!(error.into_error("cannot list secrets").id(), Id::Unreachable, "{reason}");
            assert_eq!(reason, expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn call_that_ends_at_the_deadline_names_request_and_reason() {
        let (api, mut server) = scripted();
        let api = api.until(Instant::now() + Duration::from_secs(30));
        let (secrets, params) = (SECRET.in_namespace("n"), ListParams::default());
        let result = tokio::select! {
            result = api.list(&secrets, &params) => result,
            () = server.reject_all(503, "ServiceUnavailable") => unreachable!("the client is not dropped"),
        };
        let error = result.unwrap_err().into_error("cannot list secrets");
        assert_eq!((error.id(), error.kind()), (Id::DeadlinePassed, Kind::Deadline));
        let text = format!("{error:?}");
        assert!(text.contains("list secrets in namespace n, 30.0 s, "), "{text}");
        assert!(text.contains("the API server responded 503"), "{text}");
    }

    #[tokio::test(start_paused = true)]
    async fn call_without_a_deadline_ends_after_a_minute() {
        let (api, mut server) = scripted();
        let begin = Instant::now();
        let (secrets, params) = (SECRET.in_namespace("n"), ListParams::default());
        let result = tokio::select! {
            result = api.list(&secrets, &params) => result,
            () = server.reject_all(503, "ServiceUnavailable") => unreachable!("the client is not dropped"),
        };
        assert_eq!(result.unwrap_err().into_error("cannot list secrets").kind(), Kind::Unreachable);
        assert_eq!(begin.elapsed().as_secs(), 60);
    }

    #[tokio::test(start_paused = true)]
    async fn longer_retry_after_than_the_deadline_fails_at_once() {
        let (api, mut server) = scripted();
        let begin = Instant::now();
        let api = api.until(begin + Duration::from_secs(30));
        let (secrets, params) = (SECRET.in_namespace("n"), ListParams::default());
        let (list, ()) = tokio::join!(api.list(&secrets, &params), async {
            let exchange = server.next().await;
            exchange.status_with(429, "TooManyRequests", "later", &json!({ "retryAfterSeconds": 600 }));
        });
        assert_eq!(list.unwrap_err().code(), Some(429));
        assert_eq!(begin.elapsed().as_secs(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn throttled_requests_are_sent_a_few_at_a_time() {
        let (api, mut server) = scripted();
        let maps = CONFIG_MAP.in_namespace("n");
        let requests = futures::future::join_all((0..16).map(|_| api.get(&maps, "a")));
        let (responses, ()) = tokio::join!(requests, async {
            let mut burst = Vec::new();
            for _ in 0..16 {
                burst.push(server.next().await);
            }
            for exchange in burst {
                exchange.status_with(429, "TooManyRequests", "later", &json!({ "retryAfterSeconds": 1 }));
            }
            let mut retries = Vec::new();
            for _ in 0..8 {
                retries.push(server.next().await);
            }
            server.expect_none_for(Duration::from_secs(2)).await;
            for exchange in retries {
                exchange.ok(&map());
            }
            for _ in 0..8 {
                server.next().await.ok(&map());
            }
        });
        assert!(responses.iter().all(Result::is_ok));
    }

    #[tokio::test(start_paused = true)]
    async fn throttled_write_is_not_sent_after_the_lock_expired() {
        // Which branch of a `select!` is polled first is random.
        for _ in 0..20 {
            let (api, mut server) = scripted();
            let maps = CONFIG_MAP.in_namespace("n");
            let created = map();
            let write = async {
                tokio::time::sleep(Duration::from_secs(5)).await;
                api.create(&maps, &created).await
            };
            let (read, written, ()) = tokio::join!(api.get(&maps, "a"), write, async {
                let exchange = server.next().await;
                exchange.status_with(429, "TooManyRequests", "later", &json!({ "retryAfterSeconds": 1 }));
                // The only request that may be sent: the write waits for its response.
                let read = server.expect(&format!("GET {MAPS}/a")).await;
                tokio::time::sleep(Duration::from_secs(6)).await;
                api.writes().close();
                read.ok(&map());
                server.expect_none_for(Duration::from_secs(5)).await;
                api.writes().open();
                server.expect(&format!("POST {MAPS}")).await.created(&map());
            });
            assert!(read.is_ok() && written.is_ok());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn date_of_a_forwarded_response_is_not_the_servers() {
        let (api, mut server) = scripted();
        let (time, of_application) = (server.now(), "2031-01-01T00:00:00Z".parse().unwrap());
        let alive =
            Request::get("/api/v1/namespaces/n/services/oh:http/proxy/alive").body(Vec::new()).unwrap();
        let (pods, params) = (POD.in_namespace("n"), LogParams::default());
        let calls = async {
            api.proxy(alive, 1 << 20).await.unwrap();
            api.get_log(&pods, "p", &params).await.unwrap();
        };
        tokio::join!(calls, async {
            server.next().await.at(of_application).ok(&json!({}));
            server.next().await.at(of_application).ok(&json!({}));
        });
        assert_eq!((api.clock().monotonic(), api.clock().floor()), (time, time));
        let maps = CONFIG_MAP.in_namespace("n");
        let (_, ()) = tokio::join!(api.get(&maps, "a"), async {
            server.next().await.at(of_application).ok(&map());
        });
        assert_eq!(api.clock().monotonic(), of_application, "the server's own response sets its clock");
    }

    #[test]
    fn page_of_a_load_balancer_is_not_the_servers() {
        let head = |content_type: &str| {
            http::Response::builder().header("Content-Type", content_type).body(()).unwrap().into_parts().0
        };
        assert!(!may_be_json(&head("text/html; charset=utf-8")));
        assert!(may_be_json(&head("application/json")));
        assert!(may_be_json(&http::Response::new(()).into_parts().0));
    }

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
