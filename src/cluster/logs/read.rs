//! Reads container logs of all matching pods, including later ones.

use std::collections::HashMap;
use std::sync::Arc;

use kube::api::ListParams;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::merging;
use super::stream::{ContainerRecord, Stream};
use crate::cluster::client::api::Api;
use crate::cluster::watch::watcher::{WatchScope, WatchedChange, Watches};
use crate::error::Result;
use crate::logs::batch::{LogLines, LogPart, LogSource};
use crate::logs::containers::StartedContainer;
use crate::logs::event_line::{EventSubjects, event_line, time_of};
use crate::logs::followed_events::FollowedEvents;
use crate::logs::next_request::LogRequest;
use crate::logs::query::{LogQuery, PodSelection};
use crate::object::kind::{EVENT, POD};

/// Lists the matching pods.
///
/// # Errors
/// Fails if they cannot be listed.
pub async fn pods(api: &Api, query: &LogQuery) -> Result<Vec<Value>> {
    let mut pods: Vec<Value> = Vec::new();
    for selection in &query.pods {
        let params = ListParams::default().labels(&selection.labels);
        let list = api.list(&POD.in_namespace(&selection.namespace), &params).await;
        let action = format!("cannot list pods in namespace {}", selection.namespace);
        let items = list.map_err(|error| error.into_error(&action))?.items;
        for pod in items.into_iter().filter(|pod| selection.includes(pod)) {
            if !pods.iter().any(|listed| listed["metadata"]["uid"] == pod["metadata"]["uid"]) {
                pods.push(pod);
            }
        }
    }
    Ok(pods)
}

/// Reads the logs of these pods and sends their lines. With `follow` it continues with later pods, until the receiver
/// is dropped.
///
/// # Errors
/// Fails if the watch of pods fails for good.
pub async fn read(
    api: &Api,
    query: &LogQuery,
    pods: Vec<Value>,
    sender: mpsc::Sender<LogPart>,
) -> Result<()> {
    if query.follow && query.merge {
        let (unordered, logs) = mpsc::channel(UNORDERED);
        let ordering = tokio::spawn(merging::within_window(logs, sender));
        let read = Reader::new(api, query, unordered).follow().await;
        ordering.abort();
        return read;
    }
    let mut reader = Reader::new(api, query, sender);
    if query.follow {
        return reader.follow().await;
    }
    let events = reader.past_events(&pods).await?;
    if query.merge {
        reader.read_in_order(&pods, events).await;
        return Ok(());
    }
    for lines in events {
        let _receiver_dropped = reader.sender.send(LogPart::Lines(lines)).await;
    }
    for pod in &pods {
        reader.start_streams(Start::First, pod);
    }
    drop(reader.sender);
    while reader.streams.join_next().await.is_some() {}
    Ok(())
}

/// Parts that wait to be ordered, besides those in the order itself.
const UNORDERED: usize = 16;
/// Parts of one log that wait for those of others.
const WAITING: usize = 4;

/// When a container was seen for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    /// In the first list of pods.
    First,
    /// After it, so that the reader of the logs is told where its log begins.
    Later,
}

/// A container whose logs are read, across its restarts.
#[derive(Default)]
struct FollowedContainer {
    record: Arc<ContainerRecord>,
    /// The restarts before its latest log.
    restarts: Option<u64>,
}

/// Starts a stream for each log.
struct Reader<'a> {
    api: &'a Api,
    query: &'a LogQuery,
    later_query: LogQuery,
    /// By the pod's UID and the container.
    containers: HashMap<(String, String), FollowedContainer>,
    streams: JoinSet<()>,
    sender: mpsc::Sender<LogPart>,
    /// The channels of the logs, if each has its own.
    own_channels: Option<Vec<mpsc::Receiver<LogPart>>>,
    events: FollowedEvents,
}

impl<'a> Reader<'a> {
    fn new(api: &'a Api, query: &'a LogQuery, sender: mpsc::Sender<LogPart>) -> Self {
        Self {
            api,
            query,
            // All lines of a later pod are new, so `tail` does not apply.
            later_query: LogQuery { tail: None, ..query.clone() },
            containers: HashMap::new(),
            streams: JoinSet::new(),
            sender,
            own_channels: None,
            events: FollowedEvents::default(),
        }
    }

    /// Reads the logs of these pods, and sends their lines and these ones ordered by time.
    async fn read_in_order(mut self, pods: &[Value], events: Vec<LogLines>) {
        let (event_sender, event_lines) = mpsc::channel(events.len().max(1));
        for lines in events {
            let _has_room = event_sender.try_send(LogPart::Lines(lines));
        }
        drop(event_sender);
        self.own_channels = Some(vec![event_lines]);
        for pod in pods {
            self.start_streams(Start::First, pod);
        }
        let channels = self.own_channels.take().unwrap_or_default();
        merging::in_order(channels, self.sender).await;
        // Where nobody reads any more, the streams end as well.
        while self.streams.join_next().await.is_some() {}
    }

    /// Lists the Events about the pods and their owners, ordered by time.
    async fn past_events(&self, pods: &[Value]) -> Result<Vec<LogLines>> {
        if !self.query.events {
            return Ok(Vec::new());
        }
        let mut subjects = EventSubjects::default();
        for pod in pods {
            subjects.add(pod);
        }
        let mut events = Vec::new();
        for namespace in self.query.namespaces() {
            let list = self.api.list(&EVENT.in_namespace(namespace), &ListParams::default()).await;
            let action = format!("cannot list events in namespace {namespace}");
            let items = list.map_err(|error| error.into_error(&action))?.items;
            events.extend(items.into_iter().filter(|event| subjects.include(event)));
        }
        events.sort_by_key(time_of);
        Ok(events.iter().filter_map(|event| event_line(event, &self.query.filter)).collect())
    }

    async fn send_events(&self, events: impl IntoIterator<Item = Value>) {
        for lines in events.into_iter().filter_map(|event| event_line(&event, &self.query.filter)) {
            let _receiver_dropped = self.sender.send(LogPart::Lines(lines)).await;
        }
    }

    async fn follow(&mut self) -> Result<()> {
        let scope = |selection: &PodSelection| WatchScope {
            kind: POD,
            namespace: Some(selection.namespace.clone()),
            labels: selection.labels.clone(),
            optional: false,
        };
        let mut scopes: Vec<WatchScope> = self.query.pods.iter().map(scope).collect();
        let mut starts = vec![Start::First; scopes.len()];
        if self.query.events {
            let of_events = |namespace: &str| WatchScope {
                kind: EVENT,
                namespace: Some(namespace.to_owned()),
                labels: String::new(),
                optional: false,
            };
            scopes.extend(self.query.namespaces().into_iter().map(of_events));
        }
        let of_pods = starts.len();
        let mut watches = Watches::open(self.api, scopes, self.api.streams_lists());
        let sender = self.sender.clone();
        loop {
            let change = tokio::select! {
                () = sender.closed() => return Ok(()),
                change = watches.next() => change,
            };
            match change {
                Some(WatchedChange::Changed(scope, event)) if scope >= of_pods => {
                    let event = self.events.changed(scope, event);
                    self.send_events(event).await;
                }
                Some(WatchedChange::Listed(scope, events)) if scope >= of_pods => {
                    let missed = self.events.listed(scope, events);
                    self.send_events(missed).await;
                }
                Some(WatchedChange::Deleted(scope, event)) if scope >= of_pods => {
                    self.events.deleted(scope, &event);
                }
                Some(WatchedChange::Listed(scope, pods)) => {
                    let start = std::mem::replace(&mut starts[scope], Start::Later);
                    for pod in &pods {
                        self.on_pod(scope, start, pod).await;
                    }
                }
                Some(WatchedChange::Changed(scope, pod)) => self.on_pod(scope, starts[scope], &pod).await,
                Some(WatchedChange::Deleted(scope, pod)) if self.query.pods[scope].includes(&pod) => {
                    self.on_status(&pod);
                    self.forget(&pod);
                }
                Some(WatchedChange::Deleted(..)) => {}
                Some(WatchedChange::Failed(scope, error)) => {
                    let kind = if scope < of_pods { "pods" } else { "events" };
                    return Err(error.into_error(&format!("cannot continue watching {kind}")));
                }
                None => return Ok(()),
            }
            // Streams that have ended hold nothing any more.
            while self.streams.try_join_next().is_some() {}
        }
    }

    async fn on_pod(&mut self, scope: usize, start: Start, pod: &Value) {
        if self.query.pods[scope].includes(pod) {
            let waiting = self.events.add_pod(pod);
            self.send_events(waiting).await;
            self.start_streams(start, pod);
            self.on_status(pod);
        }
    }

    /// Keeps the latest status of the pod: the API server has none of a deleted one.
    fn on_status(&self, pod: &Value) {
        for container in self.query.containers(pod) {
            let key = (text(&pod["metadata"]["uid"]), container.container);
            if let Some(followed) = self.containers.get(&key) {
                followed.record.on_status(pod);
            }
        }
    }

    /// Drops the containers of a deleted pod. Streams that still read its logs keep what they need.
    fn forget(&mut self, pod: &Value) {
        let uid = text(&pod["metadata"]["uid"]);
        self.containers.retain(|(of_pod, _), _| *of_pod != uid);
    }

    fn start_streams(&mut self, start: Start, pod: &Value) {
        let uid = text(&pod["metadata"]["uid"]);
        for started in self.query.containers(pod) {
            let key = (uid.clone(), started.container.clone());
            let restarts = self.containers.entry(key.clone()).or_default().restarts.replace(started.restarts);
            if restarts.is_some_and(|restarts| restarts >= started.restarts) {
                continue;
            }
            // The first log that is not read yet.
            let next = match (restarts, start) {
                (Some(restarts), _) => restarts + 1,
                (None, Start::Later) if self.query.follow => 0,
                (None, _) => started.restarts,
            };
            if next < started.restarts {
                let previous = StartedContainer { restarts: started.restarts - 1, ..started.clone() };
                let misses_logs = next < previous.restarts;
                self.start_stream(start, pod, &key, &previous, LogRequest::Previous, misses_logs);
            }
            let request = if self.query.previous { LogRequest::Previous } else { LogRequest::Follow };
            self.start_stream(start, pod, &key, &started, request, false);
        }
    }

    fn start_stream(
        &mut self,
        start: Start,
        pod: &Value,
        key: &(String, String),
        started: &StartedContainer,
        request: LogRequest,
        misses_logs: bool,
    ) {
        let namespace = text(&pod["metadata"]["namespace"]);
        let name = text(&pod["metadata"]["name"]);
        let record = self.containers.entry(key.clone()).or_default().record.clone();
        let sender = match &mut self.own_channels {
            None => self.sender.clone(),
            Some(channels) => {
                let (sender, log) = mpsc::channel(WAITING);
                channels.push(log);
                sender
            }
        };
        let stream = Stream {
            pods: kube::Api::namespaced(self.api.client().clone(), &namespace),
            source: Arc::new(LogSource::new(&namespace, &name, &started.container)),
            uid: key.0.clone(),
            restarts: started.restarts,
            // The end of an init container is part of each start.
            marks_end: !started.is_init,
            marks_begin: !started.is_init && start == Start::Later,
            misses_logs,
            request,
            record,
            began: self.api.clock().now(),
            clock: self.api.clone(),
            query: if start == Start::First { self.query.clone() } else { self.later_query.clone() },
            sender,
            calls: self.api.traffic().calls().clone(),
        };
        self.streams.spawn(stream.run());
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::super::stream::IDLE_LIMIT;
    use super::*;
    use crate::cluster::scripted::{ScriptedServer, WatchStream, scripted};
    use crate::logs::line_filter::LineFilter;

    const LOG: &str = "GET /api/v1/namespaces/n/pods/oh-1/log";
    const POD_PATH: &str = "GET /api/v1/namespaces/n/pods/oh-1";

    /// The pod with its container in this state; `list` is `containerStatuses` or `initContainerStatuses`.
    fn pod_with(list: &str, restarts: u32, state: &str) -> Value {
        json!({
            "metadata": { "name": "oh-1", "namespace": "n", "uid": "u", "resourceVersion": "5" },
            "status": { list: [{
                "name": "app", "image": "", "imageID": "", "ready": false, "restartCount": restarts,
                "state": { state: { "exitCode": 1 } },
            }] },
        })
    }

    fn pod(restarts: u32, state: &str) -> Value {
        pod_with("containerStatuses", restarts, state)
    }

    /// Follows the logs of the pod while `script` answers, and returns the received lines and errors.
    async fn follow(
        tail: Option<i64>,
        first: Value,
        script: impl AsyncFnOnce(&mut ScriptedServer, &WatchStream),
    ) -> (String, Vec<String>) {
        let query = LogQuery {
            pods: vec![PodSelection { namespace: "n".to_owned(), labels: String::new(), name: None }],
            container: None,
            follow: true,
            tail,
            since: None,
            previous: false,
            timestamps: false,
            filter: LineFilter::default(),
            merge: false,
            events: false,
        };
        let (api, mut server) = scripted();
        let (sender, mut receiver) = mpsc::channel(64);
        let script = async {
            let mut watches = server.open_watches(1, |_| vec![first.clone()]).await;
            let watch = watches.remove("/api/v1/namespaces/n/pods").unwrap();
            script(&mut server, &watch).await;
            let (mut text, mut errors) = (String::new(), Vec::new());
            while let Ok(part) = receiver.try_recv() {
                match part {
                    LogPart::Lines(lines) => {
                        for line in &lines.lines {
                            text += &String::from_utf8_lossy(lines.message(line));
                        }
                    }
                    LogPart::Gap(gap) => text += &format!("--- gap from {}\n", gap.from),
                    LogPart::Connected { again: false, .. } => {}
                    LogPart::Connected { again: true, .. } => text += "--- again\n",
                    LogPart::Began { source } => text += &format!("--- {} begins\n", source.label),
                    LogPart::Ended { source } => text += &format!("--- {} ended\n", source.label),
                    LogPart::Unreadable { why, .. } => errors.push(why),
                }
            }
            drop(receiver);
            (text, errors)
        };
        let (result, received) = tokio::join!(read(&api, &query, Vec::new(), sender), script);
        result.unwrap();
        received
    }

    /// Time for the client to read what was sent.
    async fn read_time() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn followed_log_tells_its_end_and_continues_after_a_crash() {
        let (text, errors) = follow(Some(10), pod(0, "running"), async |server, watch| {
            let log = server.expect(LOG).await.watch();
            log.text("2026-01-01T00:00:01Z before\n");
            read_time().await;
            drop(log);
            server.expect(POD_PATH).await.ok(&pod(0, "terminated"));
            let rest = server.expect(LOG).await;
            assert!(!rest.query.contains("follow"), "the end is compared once more: {}", rest.query);
            rest.watch().text("2026-01-01T00:00:01Z before\n2026-01-01T00:00:01.5Z last words\n");
            server.expect(POD_PATH).await.ok(&pod(0, "terminated"));
            watch.send("MODIFIED", &pod(1, "running"));
            let exchange = server.expect(LOG).await;
            assert!(!exchange.query.contains("tailLines"), "all lines are new: {}", exchange.query);
            let log = exchange.watch();
            log.text("2026-01-01T00:00:02Z after\n");
            read_time().await;
        })
        .await;
        let expected = "before\n--- again\nlast words\n--- oh-1 app ended\n--- oh-1 app begins\nafter\n";
        assert_eq!((text.as_str(), errors.len()), (expected, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn followed_log_survives_passing_errors() {
        let (text, errors) = follow(None, pod(0, "running"), async |server, _| {
            let log = server.expect(LOG).await.watch();
            log.text("2026-01-01T00:00:01Z one\n");
            read_time().await;
            drop(log);
            // One failed GET of the pod, then errors of the log.
            server.expect(POD_PATH).await.status(503, "ServiceUnavailable", "starting");
            for code in [500, 503, 403] {
                server.expect(LOG).await.status(code, "Failed", "no log now");
                server.expect(POD_PATH).await.status(500, "InternalError", "etcd");
            }
            server.expect(LOG).await.lost();
            server.expect(POD_PATH).await.lost();
            let again = server.expect(LOG).await;
            assert!(again.query.contains("sinceTime=2026-01-01T00%3A00%3A01Z"), "{}", again.query);
            let log = again.watch();
            log.text("2026-01-01T00:00:01Z one\n2026-01-01T00:00:02Z two\n");
            read_time().await;
        })
        .await;
        assert_eq!(text, "one\n--- again\ntwo\n", "no line is lost or repeated");
        assert_eq!(errors, ["no log now"], "reported once");
    }

    #[tokio::test(start_paused = true)]
    async fn followed_log_of_an_init_container_continues() {
        let sidecar = || pod_with("initContainerStatuses", 0, "running");
        let (text, _) = follow(None, sidecar(), async |server, _| {
            server.expect(LOG).await.watch().text("2026-01-01T00:00:01Z one\n");
            // The kubelet was restarted.
            server.expect(POD_PATH).await.ok(&sidecar());
            let log = server.expect(LOG).await.watch();
            log.text("2026-01-01T00:00:01Z one\n2026-01-01T00:00:02Z two\n");
            read_time().await;
        })
        .await;
        assert_eq!(text, "one\n--- again\ntwo\n");
    }

    #[tokio::test(start_paused = true)]
    async fn idle_followed_log_is_requested_again() {
        for (tail, since) in [(Some(0), "sinceTime=2026-01-01T00%3A00%3A00Z"), (Some(5), "tailLines=5")] {
            let (text, _) = follow(tail, pod(0, "running"), async |server, _| {
                let silent = server.expect(LOG).await.watch();
                let begin = tokio::time::Instant::now();
                server.expect(POD_PATH).await.ok(&pod(0, "running"));
                assert!(begin.elapsed() >= IDLE_LIMIT, "{:?}", begin.elapsed());
                let again = server.expect(LOG).await;
                assert!(again.query.contains(since), "{}", again.query);
                let log = again.watch();
                log.text("2026-01-01T00:00:30Z written meanwhile\n");
                read_time().await;
                drop(silent);
            })
            .await;
            assert_eq!(text, "--- again\nwritten meanwhile\n");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn rest_of_a_restarted_containers_log_is_read() {
        let (text, errors) = follow(None, pod(0, "running"), async |server, watch| {
            let log = server.expect(LOG).await.watch();
            log.text("2026-01-01T00:00:01Z one\n");
            read_time().await;
            // The connection is lost without a sign when the container restarts.
            watch.send("MODIFIED", &pod(1, "running"));
            server.expect(POD_PATH).await.ok(&pod(1, "running"));
            let rest = server.expect(LOG).await;
            assert!(
                rest.query.contains("previous=true") && rest.query.contains("sinceTime="),
                "{}",
                rest.query
            );
            rest.watch().text("2026-01-01T00:00:01Z one\n2026-01-01T00:00:02Z last words\n");
            server.expect(POD_PATH).await.ok(&pod(1, "running"));
            let next = server.expect(LOG).await;
            assert!(!next.query.contains("previous=true"), "{}", next.query);
            let log = next.watch();
            log.text("2026-01-01T00:00:02Z last words\n2026-01-01T00:00:03Z new\n");
            read_time().await;
        })
        .await;
        let expected = "one\n--- again\nlast words\n--- oh-1 app ended\n--- oh-1 app begins\nnew\n";
        assert_eq!((text.as_str(), errors.len()), (expected, 0));
    }

    const ONE: &str = "2026-01-01T00:00:01.7Z one\n";

    /// Answers the first request with one line, and the next ones as they would be after a lost connection.
    async fn reconnected(pod_state: &Value, server: &mut ScriptedServer, again: &str) -> WatchStream {
        let log = server.expect(LOG).await.watch();
        log.text(ONE);
        read_time().await;
        drop(log);
        server.expect(POD_PATH).await.ok(pod_state);
        let exchange = server.expect(LOG).await;
        assert!(
            exchange.query.contains("sinceTime=2026-01-01T00%3A00%3A01Z"),
            "rounded down: {}",
            exchange.query
        );
        let log = exchange.watch();
        log.text(again);
        read_time().await;
        log
    }

    #[tokio::test(start_paused = true)]
    async fn half_line_is_read_again_as_a_whole() {
        let (text, _) = follow(None, pod(0, "running"), async |server, _| {
            let log = server.expect(LOG).await.watch();
            log.text(&format!("{ONE}2026-01-01T00:00:02Z tw"));
            read_time().await;
            drop(log);
            server.expect(POD_PATH).await.ok(&pod(0, "running"));
            let log = server.expect(LOG).await.watch();
            log.text(&format!("{ONE}2026-01-01T00:00:02Z two\n"));
            read_time().await;
        })
        .await;
        assert_eq!(text, "one\n--- again\ntwo\n");
    }

    #[tokio::test(start_paused = true)]
    async fn rotation_between_connections_is_a_gap() {
        let five = "2026-01-01T00:00:05Z five\n";
        let (text, errors) = follow(None, pod(0, "running"), async |server, _| {
            let _log = reconnected(&pod(0, "running"), server, five).await;
            server.expect(POD_PATH).await.ok(&pod(0, "running"));
            let previous = server.expect(LOG).await;
            assert!(previous.query.contains("previous=true"), "{}", previous.query);
            previous.status(400, "BadRequest", "previous terminated container not found");
            server.expect(POD_PATH).await.ok(&pod(0, "running"));
            let log = server.expect(LOG).await.watch();
            log.text(five);
            read_time().await;
        })
        .await;
        assert_eq!(text, "one\n--- again\n--- again\n--- gap from 2026-01-01T00:00:01.7Z\nfive\n");
        assert_eq!(errors, Vec::<String>::new());
    }

    #[tokio::test(start_paused = true)]
    async fn restart_that_no_status_reports_yet_loses_no_line() {
        let five = "2026-01-01T00:00:05Z five\n";
        let (text, _) = follow(None, pod(0, "running"), async |server, watch| {
            let _log = reconnected(&pod(0, "running"), server, five).await;
            server.expect(POD_PATH).await.ok(&pod(0, "running"));
            server.expect(LOG).await.watch().text(&format!("{ONE}2026-01-01T00:00:02Z last words\n"));
            server.expect(POD_PATH).await.ok(&pod(0, "running"));
            watch.send("MODIFIED", &pod(1, "running"));
            let log = server.expect(LOG).await.watch();
            log.text(five);
            read_time().await;
        })
        .await;
        let expected =
            "one\n--- again\n--- again\nlast words\n--- oh-1 app ended\n--- oh-1 app begins\nfive\n";
        assert_eq!(text, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn next_pod_of_the_same_name_is_another_log() {
        let (text, _) = follow(None, pod(0, "running"), async |server, _| {
            let _log = reconnected(&pod(0, "running"), server, "2026-01-01T00:00:05Z of the next\n").await;
            let mut next = pod(0, "running");
            next["metadata"]["uid"] = json!("v");
            server.expect(POD_PATH).await.ok(&next);
            read_time().await;
        })
        .await;
        assert_eq!(text, "one\n--- again\n--- gap from 2026-01-01T00:00:01.7Z\n--- oh-1 app ended\n");
    }

    #[tokio::test(start_paused = true)]
    async fn logs_between_two_looks_are_read_or_reported() {
        for (restarts, gap) in [(2, ""), (3, "--- gap from 2026-01-01T00:00:01.7Z\n")] {
            let (text, _) = follow(None, pod(0, "running"), async |server, watch| {
                let log = server.expect(LOG).await.watch();
                log.text(ONE);
                read_time().await;
                drop(log);
                server.expect(POD_PATH).await.ok(&pod(0, "terminated"));
                server.expect(LOG).await.watch().text(ONE);
                server.expect(POD_PATH).await.ok(&pod(0, "terminated"));
                watch.send("MODIFIED", &pod(restarts, "running"));
                let previous = server.expect(LOG).await;
                assert!(previous.query.contains("previous=true"), "{}", previous.query);
                previous.watch().text("2026-01-01T00:00:03Z two\n");
                server.expect(POD_PATH).await.ok(&pod(restarts, "running"));
                let log = server.expect(LOG).await.watch();
                log.text("2026-01-01T00:00:04Z three\n");
                read_time().await;
            })
            .await;
            let begins = "--- oh-1 app begins\n";
            let ended = "--- oh-1 app ended\n";
            assert_eq!(text, format!("one\n--- again\n{ended}{gap}{begins}two\n{ended}{begins}three\n"));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn deleted_pod_has_a_gap_unless_its_log_was_complete() {
        for (finished, gap) in
            [("2025-12-31T23:59:00Z", ""), ("2026-01-01T01:00:00Z", "--- gap from 2026-01-01T00:00:01.7Z\n")]
        {
            let (text, _) = follow(None, pod(0, "running"), async |server, watch| {
                let log = server.expect(LOG).await.watch();
                log.text(ONE);
                read_time().await;
                let mut last = pod(0, "terminated");
                last["status"]["containerStatuses"][0]["state"]["terminated"]["finishedAt"] = json!(finished);
                watch.send("DELETED", &last);
                read_time().await;
                drop(log);
                server.expect(POD_PATH).await.not_found();
                read_time().await;
            })
            .await;
            assert_eq!(text, format!("one\n{gap}--- oh-1 app ended\n"));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn log_that_was_never_read_is_a_gap() {
        let (text, errors) = follow(None, pod(0, "running"), async |server, _| {
            server.expect(LOG).await.not_found();
            server.expect(POD_PATH).await.not_found();
            // Only the watch of the pods is left.
            server.expect_none_for(Duration::from_secs(60)).await;
        })
        .await;
        assert!(text.starts_with("--- gap from 20") && text.ends_with("--- oh-1 app ended\n"), "{text}");
        assert_eq!(errors, Vec::<String>::new());
    }
}
