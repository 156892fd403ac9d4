//! Watches: the existing objects, then every change, across lost connections.

use std::pin::pin;
use std::time::Duration;

use futures::TryStreamExt as _;
use http::Method;
use kube::api::{ListParams, WatchEvent, WatchParams};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use crate::cluster::client::api::{self, Api, ApiError};
use crate::cluster::client::pending_calls::CallEntry;
use crate::cluster::client::request;
use crate::cluster::client::retry::{self, FailedAttempt};
use crate::cluster::client::traffic;
use crate::error::Result;
use crate::object::kind::{Collection, EVENT, KindInfo};

/// The server ends a watch after this many seconds, and it is restarted.
const WATCH_SECONDS: u32 = 120;
/// A watch without any event for this long may have lost its connection, and is resumed: the server sends a bookmark
/// about once a minute (`staging/src/k8s.io/apiserver/pkg/storage/cacher/cacher.go`, `defaultBookmarkFrequency`).
const IDLE_LIMIT: Duration = Duration::from_secs(75);
/// A silent watch is resumed this long before the command's deadline as well, so that no verdict is based on old objects.
const LAST_RESUME: Duration = Duration::from_secs(5);
/// A watch that has been silent for less than this is not resumed before the deadline.
const SHORT_SILENCE: Duration = Duration::from_secs(15);
/// The first pause before an ended watch is restarted; it doubles up to [`MAX_BACKOFF`].
const MIN_BACKOFF: Duration = Duration::from_millis(100);
const MAX_BACKOFF: Duration = Duration::from_secs(2);
/// The time limit for the start of a response to a watch that continues.
const RESUME_LIMIT: Duration = Duration::from_secs(10);
/// The annotation of the bookmark that follows the initial events
/// (<https://kubernetes.io/docs/reference/using-api/api-concepts/#streaming-lists>).
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

/// The objects that one watch covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchScope {
    /// The kind.
    pub kind: KindInfo,
    /// The namespace; None for cluster-scoped kinds.
    pub namespace: Option<String>,
    /// A label selector; empty for all objects.
    pub labels: String,
    /// Whether the command continues with less information if this watch is forbidden.
    pub optional: bool,
}

impl WatchScope {
    /// Returns the API collection of these objects.
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

/// One message of a watch; the number is the index of its scope.
#[derive(Debug)]
pub enum WatchedChange {
    /// The complete list of objects: at the start, and after changes may have been missed.
    Listed(usize, Vec<Value>),
    /// An object was added or changed.
    Changed(usize, Value),
    /// An object was deleted.
    Deleted(usize, Value),
    /// The watch failed permanently.
    Failed(usize, ApiError),
}

/// Running watches; dropping this stops them.
pub struct Watches {
    scopes: Vec<WatchScope>,
    receiver: mpsc::UnboundedReceiver<WatchedChange>,
    tasks: JoinSet<()>,
    abort_handles: Vec<AbortHandle>,
}

impl Watches {
    /// Starts the watches: with streaming lists (KEP-3157) if the server has them, else with list and watch. Only
    /// Events that occur from now on are reported.
    #[must_use]
    pub fn open(api: &Api, scopes: Vec<WatchScope>, streaming: bool) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        let mut abort_handles = Vec::new();
        for (index, scope) in scopes.iter().enumerate() {
            let initial_events = match streaming {
                _ if scope.kind == EVENT => InitialEvents::FromNow,
                true => InitialEvents::Streamed,
                false => InitialEvents::Listed,
            };
            let watcher = Watcher {
                index,
                api: api.clone(),
                scope: scope.clone(),
                initial_events,
                sender: sender.clone(),
                first_list: Some(FirstList::begin(api, scope)),
                version: None,
                backoff: MIN_BACKOFF,
                forbidden_since: None,
            };
            abort_handles.push(tasks.spawn(watcher.run()));
        }
        Self { scopes, receiver, tasks, abort_handles }
    }

    /// Stops the watches that were only needed for their initial list, to spare the server.
    pub fn stop_all_but(&mut self, is_needed: impl Fn(&WatchScope) -> bool) {
        for (scope, abort_handle) in self.scopes.iter().zip(&self.abort_handles) {
            if !is_needed(scope) {
                abort_handle.abort();
            }
        }
        while self.tasks.try_join_next().is_some() {}
    }

    /// The watched scopes.
    #[must_use]
    pub fn scopes(&self) -> &[WatchScope] {
        &self.scopes
    }

    /// Waits for the next change; None only after every watch has ended.
    pub async fn next(&mut self) -> Option<WatchedChange> {
        self.receiver.recv().await
    }

    /// Returns the next change that has already arrived, without waiting.
    pub fn try_next(&mut self) -> Option<WatchedChange> {
        self.receiver.try_recv().ok()
    }

    /// Waits until every watch has reported its initial list. Returns the lists in the order of the scopes, and the
    /// indexes of the optional scopes that are forbidden.
    ///
    /// # Errors
    /// Fails if a watch that is not optional fails.
    pub async fn initial_lists(&mut self) -> Result<(Vec<Vec<Value>>, Vec<usize>)> {
        let mut lists: Vec<Option<Vec<Value>>> = self.scopes.iter().map(|_| None).collect();
        let mut forbidden = Vec::new();
        while lists.iter().any(Option::is_none) {
            match self.next().await {
                Some(WatchedChange::Listed(index, objects)) => lists[index] = Some(objects),
                Some(WatchedChange::Changed(index, object)) => {
                    lists[index].get_or_insert_default().push(object);
                }
                Some(WatchedChange::Deleted(index, object)) => {
                    if let Some(list) = &mut lists[index] {
                        list.retain(|listed| !is_same_object(listed, &object));
                    }
                }
                Some(WatchedChange::Failed(index, error))
                    if self.scopes[index].optional && error.code() == Some(403) =>
                {
                    lists[index] = Some(Vec::new());
                    forbidden.push(index);
                }
                Some(WatchedChange::Failed(index, error)) => {
                    return Err(error.into_error(&self.scopes[index].describe()));
                }
                None => break,
            }
        }
        Ok((lists.into_iter().map(Option::unwrap_or_default).collect(), forbidden))
    }
}

/// Adds `apiVersion` and `kind`, which the items of a list do not carry.
pub(crate) fn with_type_meta(kind: KindInfo, mut item: Value) -> Value {
    item["apiVersion"] = json!(kind.api_version());
    item["kind"] = json!(kind.kind);
    item
}

/// How a watch gets the existing objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum InitialEvents {
    /// In the watch itself, as initial events.
    Streamed,
    /// From a list request before the watch.
    Listed,
    /// Not at all: existing objects would be mistaken for new ones.
    FromNow,
}

/// One watch, across as many connections as necessary.
struct Watcher {
    index: usize,
    api: Api,
    scope: WatchScope,
    initial_events: InitialEvents,
    sender: mpsc::UnboundedSender<WatchedChange>,
    /// The initial list; None after it has been reported.
    first_list: Option<FirstList>,
    /// The resourceVersion to continue from; None if the objects must be listed first.
    version: Option<String>,
    backoff: Duration,
    /// When the server began to forbid the watch after it had allowed it.
    forbidden_since: Option<Instant>,
}

/// The request for the initial list, with its retries.
struct FirstList {
    entry: CallEntry,
    attempt: u32,
    started: Instant,
    /// When the list must have arrived.
    end: Instant,
}

impl FirstList {
    fn begin(api: &Api, scope: &WatchScope) -> Self {
        let request = match &scope.namespace {
            Some(namespace) => format!("watch {} in namespace {namespace}", scope.kind.plural),
            None => format!("watch {}", scope.kind.plural),
        };
        let entry = api.traffic().calls().begin(request);
        Self { entry, attempt: 1, started: Instant::now(), end: api.end_of_call() }
    }

    fn response_limit(&self) -> Duration {
        let remaining = self.end.saturating_duration_since(Instant::now());
        retry::attempt_limit(&Method::GET, self.attempt).min(remaining)
    }
}

impl Watcher {
    async fn run(mut self) {
        loop {
            let error = match self.follow().await {
                Ok(()) => None,
                Err(error) if self.initial_events == InitialEvents::Streamed && is_unknown_option(&error) => {
                    self.initial_events = InitialEvents::Listed;
                    continue;
                }
                Err(error) if self.ignores_streaming(&error) => {
                    self.initial_events = InitialEvents::Listed;
                    Some(error)
                }
                Err(error) if self.is_final(&error) => {
                    self.report(WatchedChange::Failed(self.index, error));
                    return;
                }
                Err(error) => Some(error),
            };
            if error.as_ref().and_then(ApiError::code) == Some(410) {
                self.version = None;
            }
            if let Some(overdue) = self.overdue(error) {
                self.report(WatchedChange::Failed(self.index, overdue));
                return;
            }
            if self.sender.is_closed() {
                return;
            }
            let next = Instant::now() + self.backoff;
            tokio::time::sleep_until(self.first_list.as_ref().map_or(next, |list| next.min(list.end))).await;
            self.backoff = (self.backoff * 2).min(MAX_BACKOFF);
        }
    }

    /// Returns the error if the initial list has not arrived in time; `error` ended the last attempt.
    fn overdue(&mut self, error: Option<ApiError>) -> Option<ApiError> {
        let first_list = self.first_list.as_mut()?;
        first_list.attempt += 1;
        let error = error.unwrap_or_else(|| ApiError::Timeout(first_list.started.elapsed()));
        first_list.entry.on_failure(error.reason());
        (Instant::now() >= first_list.end).then(|| self.api.overdue(&first_list.entry, error))
    }

    /// Whether the server has not ended a streaming list in time: an aggregated API server may be older than the version
    /// that the API server reports, and sends existing objects without the bookmark after them.
    fn ignores_streaming(&self, error: &ApiError) -> bool {
        self.initial_events == InitialEvents::Streamed
            && self.first_list.is_some()
            && matches!(error, ApiError::Timeout(_))
    }

    /// Returns how long the watch may be silent from now on.
    fn idle_limit(&self) -> Duration {
        let now = Instant::now();
        let last_resume = self.api.deadline().and_then(|deadline| deadline.checked_sub(LAST_RESUME));
        let left = last_resume.filter(|last_resume| *last_resume > now).map(|last_resume| last_resume - now);
        left.map_or(IDLE_LIMIT, |left| left.max(SHORT_SILENCE).min(IDLE_LIMIT))
    }

    fn response_limit(&self) -> Duration {
        self.first_list.as_ref().map_or(RESUME_LIMIT, FirstList::response_limit)
    }

    /// Continues from the last version until the connection ends.
    async fn follow(&mut self) -> Result<(), ApiError> {
        let mut parameters = WatchParams::default().labels(&self.scope.labels).timeout(WATCH_SECONDS);
        // Collects the initial events until their end.
        let mut listing = None;
        let from = match &self.version {
            Some(version) => version.clone(),
            None if self.initial_events == InitialEvents::Streamed => {
                listing = Some(Vec::new());
                parameters = parameters.initial_events();
                "0".to_owned()
            }
            None => self.list().await?,
        };
        let request = request::watch(&self.scope.collection(), &parameters, &from).map_err(api::not_built)?;
        let stream =
            within(self.response_limit(), self.api.client().request_events::<Value>(request)).await?;
        let mut stream = pin!(stream);
        self.forbidden_since = None;
        loop {
            let event = if listing.is_some() {
                within(self.response_limit(), stream.try_next()).await?
            } else {
                // Silence is no fault of the server yet: the request that resumes the watch shows whether it responds.
                within(self.idle_limit(), stream.try_next()).await.or_else(unless_silent)?
            };
            let Some(event) = event else { return Ok(()) };
            self.backoff = MIN_BACKOFF;
            self.on_event(event, &mut listing)?;
        }
    }

    fn on_event(
        &mut self,
        event: WatchEvent<Value>,
        listing: &mut Option<Vec<Value>>,
    ) -> Result<(), ApiError> {
        match (event, listing) {
            (WatchEvent::Error(status), _) => return Err(ApiError::Status(status)),
            (WatchEvent::Added(object), Some(listing)) => listing.push(object),
            // Changes may arrive between the initial events: the server sends them in the order in which they happen.
            (WatchEvent::Modified(object), Some(listing)) => {
                listing.retain(|listed| !is_same_object(listed, &object));
                listing.push(object);
            }
            (WatchEvent::Deleted(object), Some(listing)) => {
                listing.retain(|listed| !is_same_object(listed, &object));
            }
            (WatchEvent::Bookmark(bookmark), listing) => {
                let is_end = bookmark.metadata.annotations.contains_key(INITIAL_EVENTS_END);
                if listing.is_none() || is_end {
                    self.version = Some(bookmark.metadata.resource_version);
                }
                if let Some(objects) = listing.take_if(|_| is_end) {
                    self.report_list(objects);
                }
            }
            (WatchEvent::Added(object) | WatchEvent::Modified(object), None) => {
                self.version = version_of(&object);
                self.report(WatchedChange::Changed(self.index, object));
            }
            (WatchEvent::Deleted(object), None) => {
                self.version = version_of(&object);
                self.report(WatchedChange::Deleted(self.index, object));
            }
        }
        Ok(())
    }

    /// Reports the existing objects, and returns the version to watch from.
    async fn list(&mut self) -> Result<String, ApiError> {
        let from_now = self.initial_events == InitialEvents::FromNow;
        let parameters = ListParams::default().labels(&self.scope.labels);
        let parameters = if from_now { parameters.limit(1) } else { parameters };
        let request = request::list(&self.scope.collection(), &parameters).map_err(api::not_built)?;
        let mut list = within(self.response_limit(), self.api.client().request::<Value>(request)).await?;
        self.version = version_of(&list);
        if !from_now {
            let items = api::take_items(&mut list);
            self.report_list(items.into_iter().map(|item| with_type_meta(self.scope.kind, item)).collect());
        } else if self.first_list.is_some() {
            self.report_list(Vec::new());
        }
        Ok(self.version.clone().unwrap_or_default())
    }

    fn report_list(&mut self, objects: Vec<Value>) {
        self.first_list = None;
        self.api.traffic().on_completed(Duration::ZERO, String::new);
        self.report(WatchedChange::Listed(self.index, objects));
    }

    fn report(&self, change: WatchedChange) {
        let _receiver_dropped = self.sender.send(change);
    }

    /// Whether retrying is useless: the request is rejected, or the server is unreachable at the start.
    fn is_final(&mut self, error: &ApiError) -> bool {
        let traffic = self.api.traffic();
        match error {
            ApiError::Status(status) => match status.code {
                403 if self.first_list.is_none() => {
                    self.forbidden_since.get_or_insert_with(Instant::now).elapsed() > traffic::ROLES_LOAD
                }
                403 => !traffic.rbac_may_be_loading(),
                401 | 404 | 405 | 422 => true,
                500.. => {
                    traffic.on_lost();
                    false
                }
                _ => false,
            },
            ApiError::Transport(error) => {
                traffic.on_lost();
                let first_attempt = self.first_list.as_ref().map(|list| FailedAttempt {
                    attempt: list.attempt,
                    elapsed: list.started.elapsed(),
                    has_responded: traffic.has_responded(),
                    rbac_may_be_loading: false,
                });
                first_attempt.is_some_and(|attempt| attempt.after_transport_error(error).is_none())
            }
            ApiError::Timeout(_) => {
                traffic.on_lost();
                false
            }
            ApiError::Deadline(_) | ApiError::NotKubernetes(_) | ApiError::TooLarge(_) => true,
        }
    }
}

/// Whether the server does not support streaming lists.
fn is_unknown_option(error: &ApiError) -> bool {
    matches!(error.code(), Some(400 | 422))
}

/// Ends a watch that was silent for too long like one that the server has ended.
fn unless_silent<T>(error: ApiError) -> Result<Option<T>, ApiError> {
    if matches!(error, ApiError::Timeout(_)) { Ok(None) } else { Err(error) }
}

/// Waits for a response, at most for `limit`.
async fn within<T>(
    limit: Duration,
    response: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, ApiError> {
    match tokio::time::timeout(limit, response).await {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(error)) => Err(error.into()),
        Err(_elapsed) => Err(ApiError::Timeout(limit)),
    }
}

fn is_same_object(one: &Value, other: &Value) -> bool {
    one["metadata"]["uid"] == other["metadata"]["uid"]
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
            WatchedChange::Changed(_, object) | WatchedChange::Deleted(_, object) => {
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
        assert!(matches!(watches.next().await, Some(WatchedChange::Deleted(0, _))));
        drop(stream);
        expect_watch_from(&mut server, "6").await;
    }

    #[tokio::test(start_paused = true)]
    async fn changes_between_initial_events_are_in_the_list() {
        let (mut watches, mut server) = open(true);
        let stream = server.expect(PODS).await.watch();
        stream.send("ADDED", &pod("a", "3"));
        stream.send("ADDED", &pod("b", "4"));
        stream.send("DELETED", &pod("a", "5"));
        stream.send("MODIFIED", &pod("b", "6"));
        stream.initial_events_end("6");
        let Some(WatchedChange::Listed(0, objects)) = watches.next().await else { panic!("no list") };
        assert_eq!(objects, [pod("b", "6")]);
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
    async fn server_that_ignores_streaming_lists_is_listed() {
        let (mut watches, mut server) = open(true);
        let stream = server.expect(PODS).await.watch();
        stream.send("ADDED", &pod("a", "3"));
        let begin = Instant::now();
        let list = server.expect(PODS).await;
        assert!(!list.query.contains("watch=true"), "{}", list.query);
        assert!(begin.elapsed() < Duration::from_secs(15), "{:?}", begin.elapsed());
        list.list("9", &[pod("a", "3")]);
        assert_eq!(names(&watches.next().await.unwrap()), ["a"]);
    }

    #[tokio::test(start_paused = true)]
    async fn expired_version_is_relisted() {
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
    async fn idle_watch_resumes_at_last_version() {
        let (mut watches, mut server) = open(false);
        server.expect(PODS).await.list("9", &[]);
        watches.next().await;
        let stream = expect_watch_from(&mut server, "9").await.watch();
        stream.send("MODIFIED", &pod("a", "12"));
        assert_eq!(names(&watches.next().await.unwrap()), ["a"]);
        let begin = Instant::now();
        expect_watch_from(&mut server, "12").await;
        assert!(begin.elapsed() >= IDLE_LIMIT, "{:?}", begin.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn silent_watch_is_resumed_before_the_deadline() {
        for (timeout, resumed_after) in [(60, Some(55)), (12, None), (600, Some(75))] {
            let (api, mut server) = scripted();
            let api = api.until(Instant::now() + Duration::from_secs(timeout));
            let mut watches = Watches::open(&api, vec![scope(POD, false)], false);
            server.expect(PODS).await.list("9", &[]);
            watches.next().await;
            let begin = Instant::now();
            let _silent = expect_watch_from(&mut server, "9").await.watch();
            match resumed_after {
                None => server.expect_none_for(Duration::from_secs(timeout)).await,
                Some(seconds) => {
                    let _resumed = expect_watch_from(&mut server, "9").await;
                    assert!((seconds..seconds + 2).contains(&begin.elapsed().as_secs()), "{timeout}");
                    assert!(api.traffic().outage().borrow().is_none(), "silence alone is no outage");
                }
            }
        }
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
    async fn first_list_fails_after_a_minute_of_503() {
        let (mut watches, mut server) = open(false);
        let begin = Instant::now();
        let (lists, ()) = tokio::join!(watches.initial_lists(), server.reject_all(503, "ServiceUnavailable"));
        let error = lists.err().unwrap();
        assert!((60..63).contains(&begin.elapsed().as_secs()), "{:?}", begin.elapsed());
        assert!(error.message().contains("cannot watch pods in namespace n"), "{}", error.message());
    }

    #[tokio::test(start_paused = true)]
    async fn first_list_without_response_ends_at_the_deadline() {
        let (api, mut server) = scripted();
        let begin = Instant::now();
        let api = api.until(begin + Duration::from_secs(45));
        let mut watches = Watches::open(&api, vec![scope(POD, false)], false);
        let (lists, ()) = tokio::join!(watches.initial_lists(), async {
            // The requests get no response within 10 s, 20 s and the rest.
            let mut silent = Vec::new();
            for _ in 0..3 {
                silent.push(server.expect(PODS).await);
            }
            tokio::time::sleep(Duration::from_secs(20)).await;
        });
        let error = lists.err().unwrap();
        assert_eq!(error.kind(), crate::error::Kind::Deadline);
        assert!((45..51).contains(&begin.elapsed().as_secs()), "{:?}", begin.elapsed());
        let text = format!("{error:?}");
        assert!(text.contains("watch pods in namespace n, 45.0 s, 3 failed attempts"), "{text}");
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
