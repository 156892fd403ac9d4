//! A Kubernetes API server in the process of a test: the test reads each request and writes its response, so rare
//! answers (a lost response, a conflict between two requests, an hour without a response) take milliseconds.
//!
//! With `#[tokio::test(start_paused = true)]` waits take no time either.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::channel::mpsc;
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use jiff::{SignedDuration, Timestamp};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::time::timeout;
use tower_test::mock::{self, Handle, SendResponse};

use super::client::api::Api;
use super::client::boot_instant::BootInstant;
use super::client::traffic::Traffic;

type ResponseBody = UnsyncBoxBody<Bytes, Infallible>;

/// Longer than every wait of the code under test.
const NEVER: Duration = Duration::from_secs(24 * 3600);

/// The server's side.
pub(crate) struct ScriptedServer {
    requests: Handle<Request<Body>, Response<ResponseBody>>,
    start: (Timestamp, BootInstant),
}

/// A request that waits for its response.
pub(crate) struct Exchange {
    /// `PATCH /api/v1/namespaces/n/configmaps/c`.
    pub(crate) call: String,
    /// `fieldManager=handsctl&force=true`; empty without one.
    pub(crate) query: String,
    /// The body; null without one.
    pub(crate) body: Value,
    date: Timestamp,
    response: SendResponse<Response<ResponseBody>>,
}

/// An open watch response. Dropping it ends the connection.
pub(crate) struct WatchStream(mpsc::UnboundedSender<Bytes>);

/// Returns a connection and its server, which has already responded once.
pub(crate) fn scripted() -> (Api, ScriptedServer) {
    let (service, requests) = mock::pair();
    let traffic = Arc::new(Traffic::default());
    traffic.on_completed(Duration::ZERO, String::new);
    let api = Api::new(Client::new(service, "default"), traffic);
    let start = ("2026-01-01T00:00:00Z".parse().unwrap(), BootInstant::now());
    api.clock().on_date(start.0);
    api.on_version(true);
    (api, ScriptedServer { requests, start })
}

impl ScriptedServer {
    /// Returns the server's time, which each response has as its `Date`.
    pub(crate) fn now(&self) -> Timestamp {
        self.start.0 + SignedDuration::try_from(self.start.1.elapsed()).unwrap()
    }

    /// Returns the next request. Panics if no request arrives.
    pub(crate) async fn next(&mut self) -> Exchange {
        let request = timeout(NEVER, self.requests.next_request()).await.expect("no request within a day");
        let (request, response) = request.expect("the client is dropped");
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Exchange {
            call: format!("{} {}", head.method, head.uri.path()),
            query: head.uri.query().unwrap_or_default().to_owned(),
            body: if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() },
            date: self.now(),
            response,
        }
    }

    /// Returns the next request, which must be this one: `GET /api/v1/namespaces/n/pods`.
    pub(crate) async fn expect(&mut self, call: &str) -> Exchange {
        let exchange = self.next().await;
        assert_eq!(exchange.call, call, "body {}", exchange.body);
        exchange
    }

    /// Answers the next `count` requests as watches with initial lists: each shows the objects of its path. Returns the
    /// streams by path: `/api/v1/namespaces/n/pods`.
    pub(crate) async fn open_watches(
        &mut self,
        count: usize,
        objects: impl Fn(&str) -> Vec<Value>,
    ) -> BTreeMap<String, WatchStream> {
        let mut streams = BTreeMap::new();
        for _ in 0..count {
            let exchange = self.next().await;
            assert!(
                exchange.query.contains("sendInitialEvents=true"),
                "{} {}",
                exchange.call,
                exchange.query
            );
            let path = exchange.call.trim_start_matches("GET ").to_owned();
            let stream = exchange.watch();
            for object in objects(&path) {
                stream.send("ADDED", &object);
            }
            stream.initial_events_end("100");
            streams.insert(path, stream);
        }
        streams
    }

    /// Answers every request with this `Status` until the client is dropped.
    pub(crate) async fn reject_all(&mut self, code: u16, reason: &str) {
        while let Some((_, response)) = self.requests.next_request().await {
            respond(
                response,
                self.now(),
                StatusCode::from_u16(code).unwrap(),
                &status(code, reason, "", &json!({})),
            );
        }
    }

    /// Panics if a request arrives within this time.
    pub(crate) async fn expect_none_for(&mut self, time: Duration) {
        if let Ok(Some((request, _))) = timeout(time, self.requests.next_request()).await {
            panic!("unexpected {} {}", request.method(), request.uri());
        }
    }
}

impl Exchange {
    /// Changes the `Date` of the response, which another computer's clock may have set.
    pub(crate) fn at(self, date: Timestamp) -> Self {
        Self { date, ..self }
    }

    /// Responds 200 with this object.
    pub(crate) fn ok(self, object: &Value) {
        self.respond(StatusCode::OK, object);
    }

    /// Responds 201 with this object.
    pub(crate) fn created(self, object: &Value) {
        self.respond(StatusCode::CREATED, object);
    }

    /// Responds with a `Status`, as the API server sends it.
    pub(crate) fn status(self, code: u16, reason: &str, message: &str) {
        self.status_with(code, reason, message, &json!({}));
    }

    /// Responds with a `Status` and its details: the causes of a conflict, the seconds to wait.
    pub(crate) fn status_with(self, code: u16, reason: &str, message: &str, details: &Value) {
        let status = status(code, reason, message, details);
        self.respond(StatusCode::from_u16(code).unwrap(), &status);
    }

    /// Responds 404: the object does not exist.
    pub(crate) fn not_found(self) {
        self.status(404, "NotFound", "not found");
    }

    /// Drops the connection; the client cannot tell whether the request was executed.
    pub(crate) fn lost(self) {
        self.response.send_error(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
    }

    /// Responds 200 with a list of these objects.
    pub(crate) fn list(self, resource_version: &str, items: &[Value]) {
        self.ok(&json!({ "metadata": { "resourceVersion": resource_version }, "items": items }));
    }

    /// Responds 200 with an open body.
    pub(crate) fn watch(self) -> WatchStream {
        let (sender, receiver) = mpsc::unbounded();
        let frames = receiver.map(|bytes| Ok::<_, Infallible>(Frame::data(bytes)));
        let body = StreamBody::new(frames).boxed_unsync();
        self.response.send_response(Response::new(body));
        WatchStream(sender)
    }

    /// Responds with this status and body, which is not a `Status` of the API server.
    pub(crate) fn respond(self, status: StatusCode, body: &Value) {
        respond(self.response, self.date, status, body);
    }
}

fn status(code: u16, reason: &str, message: &str, details: &Value) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "code": code, "reason": reason, "message": message, "details": details,
    })
}

fn respond(
    response: SendResponse<Response<ResponseBody>>,
    date: Timestamp,
    status: StatusCode,
    body: &Value,
) {
    let date = jiff::fmt::rfc2822::to_string(&date.to_zoned(jiff::tz::TimeZone::UTC)).unwrap();
    let body = Full::from(body.to_string()).boxed_unsync();
    response.send_response(Response::builder().status(status).header("date", date).body(body).unwrap());
}

impl WatchStream {
    /// Sends `ADDED`, `MODIFIED` or `DELETED` with an object, or `ERROR` with a Status.
    pub(crate) fn send(&self, event: &str, object: &Value) {
        let line = format!("{}\n", json!({ "type": event, "object": object }));
        self.0.unbounded_send(Bytes::from(line)).expect("the client reads no more");
    }

    /// Sends the text of a log.
    pub(crate) fn text(&self, text: &str) {
        self.0.unbounded_send(Bytes::from(text.to_owned())).expect("the client reads no more");
    }

    /// Sends the bookmark after the initial events of a streaming list.
    pub(crate) fn initial_events_end(&self, resource_version: &str) {
        let metadata = json!({
            "resourceVersion": resource_version, "annotations": { "k8s.io/initial-events-end": "true" },
        });
        self.send("BOOKMARK", &json!({ "kind": "Pod", "apiVersion": "v1", "metadata": metadata }));
    }
}
