//! Requests → responses and watches, and the faults that a test injects.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use futures::StreamExt as _;
use futures::channel::mpsc;
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::call::{Call, Verb};
use super::merge;
use super::store::{Store, has_labels, is_in};
use super::workloads::{self, WorkingPods, Works};
use crate::cluster::client::api::Api;
use crate::cluster::client::traffic::Traffic;
use crate::object::kind::{CLAIM, DEPLOYMENT, KindInfo, LEASE};

type ResponseBody = UnsyncBoxBody<Bytes, Infallible>;

/// A disturbance of the requests that change a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disturbance {
    /// None.
    None,
    /// A webhook denies every member, also in a dry run.
    DeniesDryRuns,
    /// A webhook denies every member, but admits dry runs.
    DeniesApplies,
    /// A webhook denies every deletion, except that of the lock.
    DeniesDeletions,
    /// As soon as a member is applied, requests other than those that apply members or read their claim get no response,
    /// and no rollout makes progress.
    Stalls,
}

/// The server.
#[derive(Clone)]
pub(crate) struct InMemoryServer(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// Whether a member was applied since the server stalls.
    stalled: watch::Sender<bool>,
}

struct State {
    store: Store,
    namespace: String,
    pods: WorkingPods,
    disturbance: Disturbance,
    watches: Vec<OpenWatch>,
}

struct OpenWatch {
    collection: String,
    selector: String,
    /// The version of the last change that the watch has sent.
    sent: u64,
    sender: mpsc::UnboundedSender<Bytes>,
}

/// The answer to a request, other than that to a watch.
type Answer = (u16, Value);

impl InMemoryServer {
    /// Creates a server with one namespace. `works` decides whether a pod that mounts a ConfigMap works.
    pub(crate) fn new(namespace: &str, works: Works) -> Self {
        let mut store = Store::new();
        let object = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace } });
        store.put("/api/v1/namespaces", &object);
        let state = State {
            store,
            namespace: namespace.to_owned(),
            pods: WorkingPods { works, outage: false },
            disturbance: Disturbance::None,
            watches: Vec::new(),
        };
        Self::with_state(state)
    }

    fn with_state(state: State) -> Self {
        Self(Arc::new(Shared { state: Mutex::new(state), stalled: watch::Sender::new(false) }))
    }

    /// Returns another server with the same objects.
    pub(crate) fn fork(&self) -> Self {
        let state = self.state();
        Self::with_state(State {
            store: state.store.fork(),
            namespace: state.namespace.clone(),
            pods: state.pods,
            disturbance: state.disturbance,
            watches: Vec::new(),
        })
    }

    /// Returns a new connection.
    pub(crate) fn connect(&self) -> Api {
        let server = self.clone();
        let service = tower::service_fn(move |request| {
            let server = server.clone();
            async move { Ok::<_, Infallible>(server.respond(request).await) }
        });
        Api::new(Client::new(service, "default"), Arc::new(Traffic::default()))
    }

    /// Disturbs the following requests.
    pub(crate) fn disturb(&self, disturbance: Disturbance) {
        self.state().disturbance = disturbance;
        self.0.stalled.send_replace(false);
        self.reconcile();
    }

    /// Waits until the server has stalled.
    pub(crate) async fn stalled(&self) {
        self.wait_until_stalled(true).await;
    }

    async fn wait_until_stalled(&self, expected: bool) {
        let mut stalled = self.0.stalled.subscribe();
        stalled.wait_for(|is_stalled| *is_stalled == expected).await.expect("the server exists");
    }

    /// Returns the objects of a kind.
    pub(crate) fn list(&self, kind: KindInfo) -> Vec<Value> {
        let state = self.state();
        state.store.list(kind.in_namespace(&state.namespace).path(), "")
    }

    /// Deletes an object, as another client does.
    pub(crate) fn delete(&self, kind: KindInfo, name: &str) {
        let mut state = self.state();
        let collection = kind.in_namespace(&state.namespace);
        state.store.delete(collection.path(), name);
        state.send_changes();
    }

    /// Lets every pod crash, or lets those work again that can.
    pub(crate) fn set_outage(&self, outage: bool) {
        self.state().pods.outage = outage;
        self.reconcile();
    }

    fn reconcile(&self) {
        let mut state = self.state();
        state.reconcile();
        state.send_changes();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap()
    }

    async fn respond(&self, request: Request<Body>) -> Response<ResponseBody> {
        let (head, body) = request.into_parts();
        let call = Call::new(&head, &body.collect().await.unwrap().to_bytes());
        if !(call.applies_member() || call.reads_claim()) {
            self.wait_until_stalled(false).await;
        }
        let mut state = self.state();
        if call.parameter("watch") == "true" {
            return state.watch(&call);
        }
        let is_applied = call.applies_member() && !call.is_dry_run();
        if is_applied && state.disturbance == Disturbance::Stalls {
            self.0.stalled.send_replace(true);
        }
        let (status, body) = state.answer(&call);
        if call.verb != Verb::Get && !call.is_dry_run() {
            if [CLAIM, DEPLOYMENT].iter().any(|kind| call.collection.ends_with(kind.plural)) {
                state.reconcile();
            }
            state.send_changes();
        }
        let date = jiff::fmt::rfc2822::to_string(&state.store.now().to_zoned(jiff::tz::TimeZone::UTC));
        let body = Full::from(body.to_string()).boxed_unsync();
        let status = StatusCode::from_u16(status).unwrap();
        Response::builder().status(status).header("date", date.unwrap()).body(body).unwrap()
    }
}

impl State {
    fn reconcile(&mut self) {
        if self.disturbance != Disturbance::Stalls {
            workloads::reconcile(&mut self.store, &self.namespace, self.pods);
        }
    }

    fn answer(&mut self, call: &Call) -> Answer {
        let is_denied = match self.disturbance {
            Disturbance::DeniesDryRuns => call.applies_member(),
            Disturbance::DeniesApplies => call.applies_member() && !call.is_dry_run(),
            Disturbance::DeniesDeletions => {
                call.verb == Verb::Delete && !call.collection.ends_with(LEASE.plural)
            }
            Disturbance::None | Disturbance::Stalls => false,
        };
        if is_denied {
            let message = "admission webhook \"policy.example.com\" denied the request: not now";
            return status(403, "Forbidden", message);
        }
        match call.verb {
            Verb::Get if call.collection == "/version" => {
                (200, json!({ "gitVersion": "v1.34.0", "major": "1", "minor": "34" }))
            }
            Verb::Get if !call.subresource.is_empty() => (200, json!("")),
            Verb::Get if call.name.is_empty() => self.list(call),
            Verb::Get => match self.store.get(&call.collection, &call.name) {
                Some(object) => (200, object.clone()),
                None => not_found(),
            },
            Verb::Create => self.create(call),
            Verb::Apply => self.apply(call),
            Verb::MergePatch => self.merge_patch(call),
            Verb::Replace => self.replace(call),
            Verb::Delete => self.delete(call),
        }
    }

    fn list(&self, call: &Call) -> Answer {
        let items = self.store.list(&call.collection, call.parameter("labelSelector"));
        let version = self.store.version().to_string();
        (200, json!({ "metadata": { "resourceVersion": version }, "items": items }))
    }

    fn create(&mut self, call: &Call) -> Answer {
        if call.collection.starts_with("/apis/authorization.k8s.io/") {
            let rule = json!({ "apiGroups": ["*"], "resources": ["*"], "verbs": ["*"] });
            return (201, json!({ "status": { "allowed": true, "resourceRules": [rule] } }));
        }
        let name = call.body["metadata"]["name"].as_str().unwrap_or_default();
        if self.store.get(&call.collection, name).is_some() {
            return status(409, "AlreadyExists", "the object exists");
        }
        (201, self.store(call, &call.body))
    }

    fn apply(&mut self, call: &Call) -> Answer {
        let live = self.store.get(&call.collection, &call.name);
        if let Some(conflict) = conflict(live, &call.body) {
            return conflict;
        }
        let created = live.is_none();
        let object = merge::applied(live, &call.body, call.parameter("fieldManager"));
        (if created { 201 } else { 200 }, self.store(call, &object))
    }

    fn merge_patch(&mut self, call: &Call) -> Answer {
        let Some(live) = self.store.get(&call.collection, &call.name) else { return not_found() };
        if let Some(conflict) = conflict(Some(live), &call.body) {
            return conflict;
        }
        let mut object = live.clone();
        merge::patch(&mut object, &call.body);
        (200, self.store(call, &object))
    }

    fn replace(&mut self, call: &Call) -> Answer {
        let Some(live) = self.store.get(&call.collection, &call.name) else { return not_found() };
        if let Some(conflict) = conflict(Some(live), &call.body) {
            return conflict;
        }
        (200, self.store(call, &call.body))
    }

    fn delete(&mut self, call: &Call) -> Answer {
        let Some(live) = self.store.get(&call.collection, &call.name) else { return not_found() };
        let object = live.clone();
        if let Some(conflict) = conflict(Some(live), &json!({ "metadata": call.body["preconditions"] })) {
            return conflict;
        }
        if !call.is_dry_run() {
            self.store.delete(&call.collection, &call.name);
        }
        (200, object)
    }

    fn store(&mut self, call: &Call, object: &Value) -> Value {
        if call.is_dry_run() {
            return self.store.prepared(&call.collection, object);
        }
        self.store.put(&call.collection, object)
    }

    /// Opens a watch: with initial events, or with the changes after a version.
    fn watch(&mut self, call: &Call) -> Response<ResponseBody> {
        let (sender, receiver) = mpsc::unbounded();
        let selector = call.parameter("labelSelector").to_owned();
        let mut sent = call.parameter("resourceVersion").parse().unwrap_or_default();
        if call.parameter("sendInitialEvents") == "true" {
            sent = self.store.version();
            for object in self.store.list(&call.collection, &selector) {
                send(&sender, "ADDED", &object);
            }
            let metadata = json!({
                "resourceVersion": sent.to_string(), "annotations": { "k8s.io/initial-events-end": "true" },
            });
            send(&sender, "BOOKMARK", &json!({ "kind": "Pod", "apiVersion": "v1", "metadata": metadata }));
        }
        self.watches.push(OpenWatch { collection: call.collection.clone(), selector, sent, sender });
        self.send_changes();
        let frames = receiver.map(|bytes| Ok::<_, Infallible>(Frame::data(bytes)));
        Response::new(StreamBody::new(frames).boxed_unsync())
    }

    /// Sends the changes that the watches have not sent yet.
    fn send_changes(&mut self) {
        self.watches.retain(|watch| !watch.sender.is_closed());
        let version = self.store.version();
        for watch in &mut self.watches {
            let changes = self.store.changes_since(watch.sent);
            let selected = changes.iter().filter(|change| {
                is_in(&change.collection, &watch.collection) && has_labels(&change.object, &watch.selector)
            });
            for change in selected {
                send(&watch.sender, change.event, &change.object);
            }
            watch.sent = version;
        }
    }
}

fn send(sender: &mpsc::UnboundedSender<Bytes>, event: &str, object: &Value) {
    let line = format!("{}\n", json!({ "type": event, "object": object }));
    let _the_client_may_have_gone = sender.unbounded_send(Bytes::from(line));
}

/// Returns the conflict of a request whose UID or version is not that of the object. A UID asks for an existing object.
fn conflict(live: Option<&Value>, sent: &Value) -> Option<Answer> {
    let sent = &sent["metadata"];
    let differs = |field: &str| match live {
        Some(live) => !sent[field].is_null() && sent[field] != live["metadata"][field],
        None => field == "uid" && !sent[field].is_null(),
    };
    let message =
        "the object has been modified; please apply your changes to the latest version and try again";
    (differs("uid") || differs("resourceVersion")).then(|| status(409, "Conflict", message))
}

fn not_found() -> Answer {
    status(404, "NotFound", "not found")
}

fn status(code: u16, reason: &str, message: &str) -> Answer {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "code": code, "reason": reason, "message": message,
    });
    (code, status)
}
