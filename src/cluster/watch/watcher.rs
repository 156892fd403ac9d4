//! Watches: what is there, then every change, over lost connections.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt as _;
use kube::Client;
use kube::api::{ListParams, WatchEvent, WatchParams};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use crate::cluster::client::api::{self, Api, ApiError};
use crate::cluster::client::request;
use crate::cluster::client::traffic::{self, Traffic};
use crate::error::Result;
use crate::object::kind::{Collection, EVENT, KindInfo};

/// A watch is ended by the server and begun anew after this many seconds.
const WATCH_SECONDS: u32 = 120;
/// A watch that is silent for longer than that is a connection without another side.
const SILENCE: Duration = Duration::from_secs(WATCH_SECONDS as u64 + 5);
/// The pause before a watch that has ended is begun anew; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How long the beginning of an answer may take, and how long a server that answers with faults is asked for the
/// first list.
const ANSWER: Duration = Duration::from_secs(10);
/// Stands at the bookmark after everything that is there
/// (<https://kubernetes.io/docs/reference/using-api/api-concepts/#streaming-lists>).
const LIST_ENDS: &str = "k8s.io/initial-events-end";

/// What is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchScope {
    /// The kind.
    pub kind: KindInfo,
    /// The namespace; None for kinds of the cluster.
    pub namespace: Option<String>,
    /// A label selector; empty for all objects.
    pub labels: String,
    /// Whether it may be missing: without the right to watch it the command goes on and knows less.
    pub optional: bool,
}

impl WatchScope {
    /// Where these objects are in the API.
    #[must_use]
    pub fn collection(&self) -> Collection {
        self.kind.collection(self.namespace.as_deref())
    }

    fn describe(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("cannot watch {} in namespace {namespace}", self.kind.plural),
            None => format!("cannot watch {}", self.kind.plural),
        }
    }
}

/// One thing that a watch has shown; the number is the scope's position.
#[derive(Debug)]
pub enum WatchedChange {
    /// Everything that is there: at the beginning and after a gap.
    Listed(usize, Vec<Value>),
    /// An object was added or changed.
    Changed(usize, Value),
    /// An object is gone.
    Gone(usize, Value),
    /// The watch cannot be had.
    Failed(usize, ApiError),
}

/// Running watches; they end when this is dropped.
pub struct Watches {
    scopes: Vec<WatchScope>,
    receiver: mpsc::UnboundedReceiver<WatchedChange>,
    tasks: JoinSet<()>,
    ends: Vec<AbortHandle>,
}

impl Watches {
    /// Begins to watch. Streaming lists (KEP-3157) where the server has them, else list and watch. Of Events only
    /// those are shown that happen from now on.
    #[must_use]
    pub fn open(api: &Api, scopes: Vec<WatchScope>, streaming: bool) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        let mut ends = Vec::new();
        for (index, scope) in scopes.iter().enumerate() {
            let beginning = match streaming {
                _ if scope.kind == EVENT => InitialEvents::FromNow,
                true => InitialEvents::Streamed,
                false => InitialEvents::Listed,
            };
            let follow = Watcher {
                index,
                client: api.client().clone(),
                kind: scope.kind,
                collection: scope.collection(),
                labels: scope.labels.clone(),
                beginning,
                wire: api.traffic().clone(),
                sender: sender.clone(),
                begun: Instant::now(),
                listed: false,
                version: None,
                pause: FIRST_PAUSE,
                refused: None,
            };
            ends.push(tasks.spawn(follow.run()));
        }
        Self { scopes, receiver, tasks, ends }
    }

    /// Ends the watches of whose scopes only what was there at the beginning is of interest: what nobody reads costs
    /// the server and us the same as what somebody does.
    pub fn stop_all_but(&mut self, wanted: impl Fn(&WatchScope) -> bool) {
        for (scope, end) in self.scopes.iter().zip(&self.ends) {
            if !wanted(scope) {
                end.abort();
            }
        }
        while self.tasks.try_join_next().is_some() {}
    }

    /// What is watched.
    #[must_use]
    pub fn scopes(&self) -> &[WatchScope] {
        &self.scopes
    }

    /// The next thing that happened; None is impossible while a watch runs.
    pub async fn next(&mut self) -> Option<WatchedChange> {
        self.receiver.recv().await
    }

    /// What has happened already, without waiting.
    pub fn try_next(&mut self) -> Option<WatchedChange> {
        self.receiver.try_recv().ok()
    }

    /// Waits until every watch has shown what is there; the lists stand in the order of the scopes. Scopes that
    /// are optional and refused are named in the second value.
    ///
    /// # Errors
    /// Where a watch that is needed cannot be had.
    pub async fn initial_lists(&mut self) -> Result<(Vec<Vec<Value>>, Vec<usize>)> {
        let mut lists: Vec<Option<Vec<Value>>> = self.scopes.iter().map(|_| None).collect();
        let mut refused = Vec::new();
        while lists.iter().any(Option::is_none) {
            match self.next().await {
                Some(WatchedChange::Listed(index, objects)) => lists[index] = Some(objects),
                Some(WatchedChange::Changed(index, object)) => {
                    lists[index].get_or_insert_default().push(object);
                }
                Some(WatchedChange::Gone(index, object)) => {
                    if let Some(list) = &mut lists[index] {
                        list.retain(|other| other["metadata"]["uid"] != object["metadata"]["uid"]);
                    }
                }
                Some(WatchedChange::Failed(index, fault))
                    if self.scopes[index].optional && fault.code() == Some(403) =>
                {
                    lists[index] = Some(Vec::new());
                    refused.push(index);
                }
                Some(WatchedChange::Failed(index, fault)) => {
                    return Err(fault.into_error(&self.scopes[index].describe()));
                }
                None => break,
            }
        }
        Ok((lists.into_iter().map(Option::unwrap_or_default).collect(), refused))
    }
}

/// The items of a list do not say of which kind they are.
pub(crate) fn with_type_meta(kind: KindInfo, mut item: Value) -> Value {
    item["apiVersion"] = json!(kind.api_version());
    item["kind"] = json!(kind.kind);
    item
}

/// How a watch begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum InitialEvents {
    /// With what is there, in the watch itself.
    Streamed,
    /// With what is there, by a list.
    Listed,
    /// With nothing: what is there already would be taken for new.
    FromNow,
}

/// One watch, over as many connections as it takes.
struct Watcher {
    index: usize,
    client: Client,
    kind: KindInfo,
    collection: Collection,
    labels: String,
    beginning: InitialEvents,
    wire: Arc<Traffic>,
    sender: mpsc::UnboundedSender<WatchedChange>,
    begun: Instant,
    /// Whether what is there has been shown.
    listed: bool,
    /// Where to go on; None where what is there has to be shown first.
    version: Option<String>,
    pause: Duration,
    /// Since when it is refused although it was allowed before.
    refused: Option<Instant>,
}

impl Watcher {
    async fn run(mut self) {
        loop {
            match self.follow().await {
                Ok(()) if self.is_out_of_patience() => {
                    self.show(WatchedChange::Failed(self.index, ApiError::Timeout(ANSWER)));
                    return;
                }
                Ok(()) => {}
                Err(fault) if self.beginning == InitialEvents::Streamed && is_unknown_option(&fault) => {
                    self.beginning = InitialEvents::Listed;
                    continue;
                }
                Err(fault) if self.is_final(&fault) => {
                    self.show(WatchedChange::Failed(self.index, fault));
                    return;
                }
                Err(fault) if fault.code() == Some(410) => self.version = None,
                Err(_may_pass) => {}
            }
            if self.sender.is_closed() {
                return;
            }
            tokio::time::sleep(self.pause).await;
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Goes on from where it is until the connection ends.
    async fn follow(&mut self) -> Result<(), ApiError> {
        let mut parameters = WatchParams::default().labels(&self.labels).timeout(WATCH_SECONDS);
        // What is there, while it is being shown in the watch.
        let mut listing = None;
        let from = match &self.version {
            Some(version) => version.clone(),
            None if self.beginning == InitialEvents::Streamed => {
                listing = Some(Vec::new());
                parameters = parameters.initial_events();
                "0".to_owned()
            }
            None => self.list().await?,
        };
        let request = request::watch(&self.collection, &parameters, &from).map_err(api::not_built)?;
        let stream = answered(ANSWER, self.client.request_events::<Value>(request)).await?;
        let mut stream = pin!(stream);
        self.refused = None;
        loop {
            let silence = if listing.is_some() { ANSWER } else { SILENCE };
            let Some(event) = answered(silence, stream.try_next()).await? else { return Ok(()) };
            self.pause = FIRST_PAUSE;
            self.take(event, &mut listing)?;
        }
    }

    fn take(&mut self, event: WatchEvent<Value>, listing: &mut Option<Vec<Value>>) -> Result<(), ApiError> {
        match (event, listing) {
            (WatchEvent::Error(status), _) => return Err(ApiError::Status(status)),
            (WatchEvent::Added(object) | WatchEvent::Modified(object), Some(listing)) => {
                listing.push(object);
            }
            // Not while what is there is shown.
            (WatchEvent::Deleted(_), Some(_)) => {}
            (WatchEvent::Bookmark(mark), listing) => {
                let is_end = mark.metadata.annotations.contains_key(LIST_ENDS);
                if listing.is_none() || is_end {
                    self.version = Some(mark.metadata.resource_version);
                }
                if let Some(objects) = listing.take_if(|_| is_end) {
                    self.shown(objects);
                }
            }
            (WatchEvent::Added(object) | WatchEvent::Modified(object), None) => {
                self.version = version_of(&object);
                self.show(WatchedChange::Changed(self.index, object));
            }
            (WatchEvent::Deleted(object), None) => {
                self.version = version_of(&object);
                self.show(WatchedChange::Gone(self.index, object));
            }
        }
        Ok(())
    }

    /// Shows what is there; the version to watch from.
    async fn list(&mut self) -> Result<String, ApiError> {
        let from_now = self.beginning == InitialEvents::FromNow;
        let parameters = ListParams::default().labels(&self.labels);
        let parameters = if from_now { parameters.limit(1) } else { parameters };
        let request = request::list(&self.collection, &parameters).map_err(api::not_built)?;
        let mut list = answered(ANSWER, self.client.request::<Value>(request)).await?;
        self.version = version_of(&list);
        if !from_now {
            let items = match list["items"].take() {
                Value::Array(items) => items,
                _ => Vec::new(),
            };
            self.shown(items.into_iter().map(|item| with_type_meta(self.kind, item)).collect());
        } else if !self.listed {
            self.shown(Vec::new());
        }
        Ok(self.version.clone().unwrap_or_default())
    }

    fn shown(&mut self, objects: Vec<Value>) {
        self.listed = true;
        self.wire.on_answered(Duration::ZERO, String::new);
        self.show(WatchedChange::Listed(self.index, objects));
    }

    fn show(&self, seen: WatchedChange) {
        let _nobody_listens = self.sender.send(seen);
    }

    /// Whether a server that has not shown what is there has had time enough.
    fn is_out_of_patience(&self) -> bool {
        !self.listed && self.begun.elapsed() > ANSWER
    }

    /// Whether waiting is of no use: a refusal, or no answer at all at the beginning.
    fn is_final(&mut self, fault: &ApiError) -> bool {
        let out_of_patience = self.is_out_of_patience();
        match fault {
            ApiError::Status(status) => match status.code {
                403 if self.listed => {
                    self.refused.get_or_insert_with(Instant::now).elapsed() > traffic::ROLES_LOAD
                }
                403 => !self.wire.rbac_may_be_loading(),
                401 | 404 | 405 | 422 => true,
                500.. => {
                    self.wire.on_lost();
                    out_of_patience
                }
                _ => out_of_patience,
            },
            ApiError::Transport(_) | ApiError::Timeout(_) => {
                self.wire.on_lost();
                out_of_patience || !self.listed && !self.wire.has_answered()
            }
        }
    }
}

/// Whether the server does not know streaming lists.
fn is_unknown_option(fault: &ApiError) -> bool {
    matches!(fault.code(), Some(400 | 422))
}

/// An answer, in time.
async fn answered<T>(
    limit: Duration,
    answer: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, ApiError> {
    match tokio::time::timeout(limit, answer).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(kube::Error::Api(status))) => Err(ApiError::Status(status)),
        Ok(Err(lost)) => Err(ApiError::Transport(lost)),
        Err(_elapsed) => Err(ApiError::Timeout(limit)),
    }
}

fn version_of(object: &Value) -> Option<String> {
    object["metadata"]["resourceVersion"].as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::scripted::{Exchange, ScriptedServer, scripted};
    use crate::object::kind::POD;

    const PODS: &str = "GET /api/v1/namespaces/n/pods";
    const EVENTS: &str = "GET /api/v1/namespaces/n/events";

    fn scope(kind: KindInfo, optional: bool) -> WatchScope {
        WatchScope { kind, namespace: Some("n".to_owned()), labels: "app=oh".to_owned(), optional }
    }

    fn pod(name: &str, version: &str) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": { "name": name, "uid": name, "resourceVersion": version },
        })
    }

    fn open(streaming: bool) -> (Watches, ScriptedServer) {
        let (api, server) = scripted();
        (Watches::open(&api, vec![scope(POD, false)], streaming), server)
    }

    fn names(change: &WatchedChange) -> Vec<&str> {
        let objects = match change {
            WatchedChange::Listed(_, objects) => objects.as_slice(),
            WatchedChange::Changed(_, object) | WatchedChange::Gone(_, object) => {
                std::slice::from_ref(object)
            }
            WatchedChange::Failed(_, error) => panic!("{error:?}"),
        };
        objects.iter().map(|object| object["metadata"]["name"].as_str().unwrap()).collect()
    }

    async fn expect_watch_from(server: &mut ScriptedServer, version: &str) -> Exchange {
        let exchange = server.expect(PODS).await;
        assert!(exchange.query.contains("watch=true"), "{}", exchange.query);
        assert!(exchange.query.contains(&format!("resourceVersion={version}")), "{}", exchange.query);
        exchange
    }

    #[tokio::test(start_paused = true)]
    async fn streamed_list_ends_at_its_bookmark() {
        let (mut watches, mut server) = open(true);
        let exchange = server.expect(PODS).await;
        for part in ["sendInitialEvents=true", "labelSelector=app%3Doh", "resourceVersionMatch=NotOlderThan"]
        {
            assert!(exchange.query.contains(part), "{part}: {}", exchange.query);
        }
        let stream = exchange.watch();
        stream.send("ADDED", &pod("a", "3"));
        stream.send("ADDED", &pod("b", "4"));
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(watches.try_next().is_none(), "the list is not complete yet");
        stream.initial_events_end("5");
        assert_eq!(names(&watches.next().await.unwrap()), ["a", "b"]);
        stream.send("DELETED", &pod("a", "6"));
        assert!(matches!(watches.next().await, Some(WatchedChange::Gone(0, _))));
        drop(stream);
        expect_watch_from(&mut server, "6").await;
    }

    #[tokio::test(start_paused = true)]
    async fn server_without_streaming_lists_is_listed() {
        let (mut watches, mut server) = open(true);
        server.expect(PODS).await.status(422, "Invalid", "sendInitialEvents: Forbidden");
        let list = server.expect(PODS).await;
        assert!(!list.query.contains("watch=true"), "{}", list.query);
        list.list("9", &[pod("a", "3")]);
        assert_eq!(names(&watches.next().await.unwrap()), ["a"]);
        expect_watch_from(&mut server, "9").await;
    }

    #[tokio::test(start_paused = true)]
    async fn expired_version_is_listed_anew() {
        let (mut watches, mut server) = open(false);
        server.expect(PODS).await.list("9", &[pod("a", "3")]);
        assert_eq!(names(&watches.next().await.unwrap()), ["a"]);
        let stream = expect_watch_from(&mut server, "9").await.watch();
        let gone = json!({ "kind": "Status", "status": "Failure", "code": 410, "reason": "Expired", "message": "too old" });
        stream.send("ERROR", &gone);
        server.expect(PODS).await.list("40", &[pod("b", "39")]);
        assert_eq!(names(&watches.next().await.unwrap()), ["b"]);
    }

    #[tokio::test(start_paused = true)]
    async fn silent_watch_is_reopened_where_it_was() {
        let (mut watches, mut server) = open(false);
        server.expect(PODS).await.list("9", &[]);
        watches.next().await;
        let stream = expect_watch_from(&mut server, "9").await.watch();
        stream.send("MODIFIED", &pod("a", "12"));
        assert_eq!(names(&watches.next().await.unwrap()), ["a"]);
        let begin = Instant::now();
        expect_watch_from(&mut server, "12").await;
        assert!(begin.elapsed() >= SILENCE, "{:?}", begin.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn retries_double_up_to_two_seconds() {
        let (mut watches, mut server) = open(false);
        server.expect(PODS).await.list("9", &[]);
        watches.next().await;
        let mut pauses = Vec::new();
        for _ in 0..7 {
            let begin = Instant::now();
            expect_watch_from(&mut server, "9").await.status(503, "ServiceUnavailable", "starting");
            pauses.push(begin.elapsed().as_millis());
        }
        assert_eq!(pauses[1..], [100, 200, 400, 800, 1600, 2000]);
    }

    #[tokio::test(start_paused = true)]
    async fn first_list_fails_after_ten_seconds_of_503() {
        let (mut watches, mut server) = open(false);
        let begin = Instant::now();
        let (lists, ()) = tokio::join!(watches.initial_lists(), server.refuse_all(503, "ServiceUnavailable"));
        let error = lists.err().unwrap();
        assert!((10..13).contains(&begin.elapsed().as_secs()), "{:?}", begin.elapsed());
        assert!(error.message().contains("cannot watch pods in namespace n"), "{}", error.message());
    }

    #[tokio::test(start_paused = true)]
    async fn forbidden_scope_fails_unless_optional() {
        let (mut watches, mut server) = open(true);
        let (lists, ()) = tokio::join!(watches.initial_lists(), async {
            server.expect(PODS).await.status(403, "Forbidden", "may not watch pods");
        });
        assert!(lists.is_err());
        let (api, mut server) = scripted();
        let mut watches = Watches::open(&api, vec![scope(POD, true)], true);
        let (lists, ()) = tokio::join!(watches.initial_lists(), async {
            server.expect(PODS).await.status(403, "Forbidden", "may not watch pods");
        });
        assert_eq!(lists.unwrap(), (vec![Vec::new()], vec![0]));
    }

    #[tokio::test(start_paused = true)]
    async fn events_are_watched_from_now_on() {
        let (api, mut server) = scripted();
        let mut watches = Watches::open(&api, vec![scope(EVENT, true)], true);
        let list = server.expect(EVENTS).await;
        assert!(list.query.contains("limit=1"), "{}", list.query);
        list.list("9", &[pod("old", "3")]);
        assert_eq!(names(&watches.next().await.unwrap()), Vec::<&str>::new());
        let watch = server.expect(EVENTS).await;
        assert!(watch.query.contains("resourceVersion=9"), "{}", watch.query);
    }

    #[tokio::test(start_paused = true)]
    async fn stopped_watch_is_not_reopened() {
        let (mut watches, mut server) = open(false);
        server.expect(PODS).await.list("9", &[]);
        watches.next().await;
        let stream = expect_watch_from(&mut server, "9").await.watch();
        watches.stop_all_but(|_| false);
        drop(stream);
        server.expect_none_for(Duration::from_secs(600)).await;
    }
}
