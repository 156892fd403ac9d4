//! Reads container logs of all matching pods, including later ones, across lost connections.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::AsyncReadExt as _;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, LogParams};
use serde_json::Value;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::line_buffer::LineBuffer;
use super::resume::Resume;
use crate::cluster::client::api::Api;
use crate::cluster::client::pending_calls::{CallEntry, PendingCalls};
use crate::cluster::client::transport_error::message_of;
use crate::cluster::watch::watcher::{WatchScope, WatchedChange, Watches};
use crate::error::Result;
use crate::object::kind::POD;

const BUFFER: usize = 64 * 1024;
/// The pause before a followed log is requested again; it doubles up to [`MAX_PAUSE`] until new lines arrive.
const RETRY_PAUSE: Duration = Duration::from_millis(300);
const MAX_PAUSE: Duration = Duration::from_secs(10);
/// A followed log without a line for this long is requested again: its connection may be lost without a sign.
const IDLE_LIMIT: Duration = Duration::from_secs(60);
/// An error is reported when a followed log could not be read this many times in a row.
const REPORTED_FAILURE: u32 = 3;

/// The logs to read.
#[derive(Debug, Clone)]
pub struct LogQuery {
    /// Namespace of the pods.
    pub namespace: String,
    /// Label selector of the pods.
    pub labels: String,
    /// One container; None for all.
    pub container: Option<String>,
    /// Whether to follow the logs without end, including those of new pods.
    pub follow: bool,
    /// The number of lines from the end.
    pub tail: Option<i64>,
    /// Only lines of the last seconds.
    pub since_seconds: Option<i64>,
    /// Whether to read the logs of the previous containers.
    pub previous: bool,
    /// Whether to keep the server's timestamps.
    pub timestamps: bool,
}

impl LogQuery {
    fn includes(&self, container: &str) -> bool {
        self.container.as_deref().is_none_or(|requested| requested == container)
    }
}

/// A part of one container's log.
#[derive(Debug, Clone)]
pub enum LogPart {
    /// Complete lines, each with its line break.
    Lines {
        /// `pod container`.
        source: Arc<str>,
        /// One or more complete lines.
        lines: Bytes,
    },
    /// The server sends the log.
    Connected {
        /// `pod container`.
        source: Arc<str>,
        /// Whether it was requested again, after its connection was lost or was silent for long.
        again: bool,
    },
    /// The log of a container begins that started after the first list of pods.
    Began {
        /// `pod container`.
        source: Arc<str>,
    },
    /// A followed log is complete: its container ended.
    Ended {
        /// `pod container`.
        source: Arc<str>,
    },
    /// The log of a container cannot be read.
    Unreadable {
        /// `pod container`.
        source: Arc<str>,
        /// The error message.
        why: String,
    },
}

/// Lists the matching pods.
///
/// # Errors
/// Fails if they cannot be listed.
pub async fn pods(api: &Api, query: &LogQuery) -> Result<Vec<Value>> {
    let params = ListParams::default().labels(&query.labels);
    let list = api.list(&POD.in_namespace(&query.namespace), &params).await;
    let list = list
        .map_err(|error| error.into_error(&format!("cannot list pods in namespace {}", query.namespace)))?;
    Ok(list.items)
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
    let mut streams = JoinSet::new();
    let mut started = Started::default();
    if !query.follow {
        for pod in &pods {
            start_streams(api, query, Start::First, pod, &sender, &mut started, &mut streams);
        }
        while streams.join_next().await.is_some() {}
        return Ok(());
    }
    let scope = WatchScope {
        kind: POD,
        namespace: Some(query.namespace.clone()),
        labels: query.labels.clone(),
        optional: false,
    };
    let mut watches = Watches::open(api, vec![scope], api.streams_lists());
    // All lines of a later pod are new, so `tail` does not apply.
    let later_query = LogQuery { tail: None, ..query.clone() };
    let (mut current_query, mut start) = (query, Start::First);
    loop {
        tokio::select! {
            () = sender.closed() => return Ok(()),
            change = watches.next() => match change {
                Some(WatchedChange::Listed(_, pods)) => {
                    for pod in &pods {
                        start_streams(api, current_query, start, pod, &sender, &mut started, &mut streams);
                    }
                    (current_query, start) = (&later_query, Start::Later);
                }
                Some(WatchedChange::Changed(_, pod)) => {
                    start_streams(api, current_query, start, &pod, &sender, &mut started, &mut streams);
                }
                Some(WatchedChange::Deleted(..)) => {}
                Some(WatchedChange::Failed(_, error)) => return Err(error.into_error("cannot continue watching pods")),
                None => return Ok(()),
            },
        }
    }
}

/// When a container was seen for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    /// In the first list of pods.
    First,
    /// After it, so that the reader of the logs is told where its log begins.
    Later,
}

/// The logs that are read.
#[derive(Default)]
struct Started {
    /// `UID/container/restarts`.
    logs: HashSet<String>,
    /// The positions by `UID/container`. The log after a restart waits for the one before it, and continues from its last
    /// line: a request that is sent while the container restarts reads either.
    positions: HashMap<String, Arc<Mutex<Resume>>>,
}

fn start_streams(
    api: &Api,
    query: &LogQuery,
    start: Start,
    pod: &Value,
    sender: &mpsc::Sender<LogPart>,
    started: &mut Started,
    streams: &mut JoinSet<()>,
) {
    let (Some(name), Some(uid)) = (pod["metadata"]["name"].as_str(), pod["metadata"]["uid"].as_str()) else {
        return;
    };
    for StartedContainer { container, restarts, is_init } in started_containers(pod) {
        if !query.includes(&container) {
            continue;
        }
        if !started.logs.insert(format!("{uid}/{container}/{restarts}")) {
            continue;
        }
        let position = started.positions.entry(format!("{uid}/{container}")).or_default().clone();
        let stream = Stream {
            pods: kube::Api::namespaced(api.client().clone(), &query.namespace),
            pod: name.to_owned(),
            source: Arc::from(format!("{name} {container}")),
            container,
            restarts,
            // The end of an init container is part of each start.
            marks: if is_init { None } else { Some(start) },
            position,
            began: api.clock().now(),
            query: query.clone(),
            sender: sender.clone(),
            calls: api.traffic().calls().clone(),
        };
        streams.spawn(stream.run());
    }
}

/// Whether a container of this pod has started, so that it may have a log.
#[must_use]
pub fn has_log(pod: &Value) -> bool {
    !started_containers(pod).is_empty()
}

/// Returns how many logs of these pods are read.
#[must_use]
pub fn log_count(pods: &[Value], query: &LogQuery) -> usize {
    pods.iter().flat_map(started_containers).filter(|started| query.includes(&started.container)).count()
}

/// A container that may have a log. Each restart begins a new log.
#[derive(Debug, Clone, PartialEq, Eq)]
struct StartedContainer {
    container: String,
    restarts: u64,
    is_init: bool,
}

/// Returns the containers that may have a log: those that have started at least once.
fn started_containers(pod: &Value) -> Vec<StartedContainer> {
    let restarts = |status: &Value| status["restartCount"].as_u64().unwrap_or_default();
    [("initContainerStatuses", true), ("containerStatuses", false), ("ephemeralContainerStatuses", false)]
        .into_iter()
        .flat_map(|(list, is_init)| {
            pod["status"][list].as_array().into_iter().flatten().map(move |status| (status, is_init))
        })
        .filter(|(status, _)| status["state"]["waiting"].is_null() || restarts(status) > 0)
        .filter_map(|(status, is_init)| {
            let container = status["name"].as_str()?.to_owned();
            Some(StartedContainer { container, restarts: restarts(status), is_init })
        })
        .collect()
}

struct Stream {
    pods: kube::Api<Pod>,
    pod: String,
    container: String,
    restarts: u64,
    /// Whether the beginning and the end of the log are sent; None for neither.
    marks: Option<Start>,
    position: Arc<Mutex<Resume>>,
    /// When the log was first requested, on the server's clock.
    began: Timestamp,
    source: Arc<str>,
    query: LogQuery,
    sender: mpsc::Sender<LogPart>,
    calls: Arc<PendingCalls>,
}

/// What happened to a container whose log was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ContainerState {
    /// It runs, or it is not known whether it does.
    MayRun,
    /// It ended and was not restarted.
    Ended,
    /// It was restarted, and has been this often.
    Restarted(u64),
    /// Its pod does not exist any more.
    Gone,
}

impl Stream {
    async fn run(self) {
        let position = self.position.clone();
        let mut resume = position.lock().await;
        // A log that is followed may have no first line.
        let mut reading =
            (!self.query.follow).then(|| self.calls.begin(format!("read the log of {}", self.source)));
        if self.marks == Some(Start::Later) {
            let _receiver_dropped = self.sender.send(LogPart::Began { source: self.source.clone() }).await;
        }
        let (mut previous, mut was_connected) = (self.query.previous, false);
        let (mut pause, mut failures) = (RETRY_PAUSE, 0);
        loop {
            let last = resume.last;
            match self.once(&mut resume, previous, &mut reading, &mut was_connected).await {
                Ok(()) if !self.query.follow || self.query.previous => return,
                Ok(()) if previous || self.container_state().await != ContainerState::MayRun => {
                    return self.report_end().await;
                }
                Ok(()) => failures = 0,
                Err(error) if !self.query.follow => return self.report(&error).await,
                // The rest of the log is not read yet, so a container that ended is no reason to stop.
                Err(error) => {
                    failures += 1;
                    match self.container_state().await {
                        ContainerState::Gone => return self.report_end().await,
                        ContainerState::Restarted(_) if previous => return self.report(&error).await,
                        ContainerState::Restarted(restarts) if restarts == self.restarts + 1 => {
                            previous = true;
                        }
                        ContainerState::Restarted(_) => return self.report(&error).await,
                        ContainerState::MayRun | ContainerState::Ended => {}
                    }
                    // A lost connection is an outage of the API server, which the watch of the pods reports.
                    if failures == REPORTED_FAILURE && matches!(error, kube::Error::Api(_)) {
                        self.report(&error).await;
                    }
                }
            }
            if self.sender.is_closed() {
                return;
            }
            if resume.last != last {
                pause = RETRY_PAUSE;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(MAX_PAUSE);
        }
    }

    async fn report_end(&self) {
        if self.marks.is_some() {
            let _receiver_dropped = self.sender.send(LogPart::Ended { source: self.source.clone() }).await;
        }
    }

    async fn report(&self, error: &kube::Error) {
        let (source, why) = (self.source.clone(), message_of(error));
        let _receiver_dropped = self.sender.send(LogPart::Unreadable { source, why }).await;
    }

    /// Reads what happened to the container: a stream also ends when the kubelet rotates the file or the connection
    /// breaks. A restarted container has another log, and another stream.
    async fn container_state(&self) -> ContainerState {
        let pod = match self.pods.get(&self.pod).await {
            Ok(pod) => pod,
            Err(kube::Error::Api(status)) if status.code == 404 => return ContainerState::Gone,
            // The request may succeed next time.
            Err(_) => return ContainerState::MayRun,
        };
        let status = pod.status.unwrap_or_default();
        let lists =
            [status.container_statuses, status.init_container_statuses, status.ephemeral_container_statuses];
        let mut statuses = lists.into_iter().flatten().flatten();
        let Some(status) = statuses.find(|status| status.name == self.container) else {
            return ContainerState::MayRun;
        };
        match u64::try_from(status.restart_count) {
            Ok(restarts) if restarts != self.restarts => ContainerState::Restarted(restarts),
            _ if status.state.is_some_and(|state| state.running.is_some()) => ContainerState::MayRun,
            _ => ContainerState::Ended,
        }
    }

    /// Reads the log until its connection ends; `reading` is pending until the first part arrives.
    async fn once(
        &self,
        resume: &mut Resume,
        previous: bool,
        reading: &mut Option<CallEntry>,
        was_connected: &mut bool,
    ) -> kube::Result<()> {
        resume.before = resume.last;
        let parameters = self.parameters(resume, previous);
        let mut stream = Box::pin(self.unless_idle(self.pods.log_stream(&self.pod, &parameters)).await?);
        resume.is_connected = true;
        let again = std::mem::replace(was_connected, true);
        let connected = LogPart::Connected { source: self.source.clone(), again };
        if self.sender.send(connected).await.is_err() {
            return Ok(());
        }
        let mut buffer = LineBuffer::default();
        let mut received = vec![0; BUFFER];
        loop {
            let read = async { stream.read(&mut received).await.map_err(kube::Error::ReadEvents) };
            let read = self.unless_idle(read).await?;
            *reading = None;
            let complete = if read == 0 { buffer.finish() } else { buffer.push(&received[..read]) };
            let lines =
                if self.query.follow { resume.new_lines(&complete, self.query.timestamps) } else { complete };
            let part = LogPart::Lines { source: self.source.clone(), lines };
            let empty = matches!(&part, LogPart::Lines { lines, .. } if lines.is_empty());
            if !empty && self.sender.send(part).await.is_err() {
                return Ok(());
            }
            if read == 0 {
                return Ok(());
            }
        }
    }

    /// Waits for the next part of the log; an error if a followed log has none for [`IDLE_LIMIT`].
    async fn unless_idle<T>(&self, part: impl Future<Output = kube::Result<T>>) -> kube::Result<T> {
        if !self.query.follow {
            return part.await;
        }
        let idle = |_| kube::Error::ReadEvents(std::io::Error::from(std::io::ErrorKind::TimedOut));
        timeout(IDLE_LIMIT, part).await.map_err(idle)?
    }

    fn parameters(&self, resume: &Resume, previous: bool) -> LogParams {
        let is_first = resume.last.is_none();
        // With `--tail 0` a stream that ends without a line has missed those of its time.
        let missed_all = is_first && resume.is_connected && self.query.tail == Some(0);
        LogParams {
            container: Some(self.container.clone()),
            follow: self.query.follow && !previous,
            previous,
            // After a lost connection the stream resumes at the last timestamp.
            timestamps: self.query.timestamps || self.query.follow,
            tail_lines: self.query.tail.filter(|_| is_first && !missed_all),
            since_seconds: self.query.since_seconds.filter(|_| is_first && !missed_all),
            since_time: resume.last.or(missed_all.then_some(self.began)),
            ..LogParams::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::scripted::{ScriptedServer, WatchStream, scripted};

    #[test]
    fn container_without_a_start_has_no_log() {
        let pod = serde_json::json!({"status": {"containerStatuses": [
            {"name": "a", "state": {"waiting": {}}, "restartCount": 0},
            {"name": "b", "state": {"waiting": {}}, "restartCount": 1},
            {"name": "c", "state": {"running": {}}, "restartCount": 0},
        ], "ephemeralContainerStatuses": [
            {"name": "debugger", "state": {"running": {}}, "restartCount": 0},
        ]}});
        let names: Vec<(String, u64)> =
            started_containers(&pod).into_iter().map(|it| (it.container, it.restarts)).collect();
        assert_eq!(names, [("b".to_owned(), 1), ("c".to_owned(), 0), ("debugger".to_owned(), 0)]);
    }

    fn query(container: Option<&str>) -> LogQuery {
        LogQuery {
            namespace: "n".to_owned(),
            labels: String::new(),
            container: container.map(str::to_owned),
            follow: false,
            tail: None,
            since_seconds: None,
            previous: false,
            timestamps: false,
        }
    }

    #[test]
    fn injected_sidecar_is_a_log_of_its_own() {
        let running = |name: &str| json!([{"name": name, "state": {"running": {}}, "restartCount": 0}]);
        let alone = json!({"status": {"containerStatuses": running("app")}});
        let injected = json!({"status": {
            "containerStatuses": running("app"), "initContainerStatuses": running("istio-proxy"),
        }});
        assert_eq!(log_count(&[alone], &query(None)), 1);
        assert_eq!(log_count(std::slice::from_ref(&injected), &query(None)), 2);
        assert_eq!(log_count(&[injected], &query(Some("app"))), 1, "only one is read");
    }

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
        let query = LogQuery { follow: true, tail, ..query(None) };
        let (api, mut server) = scripted();
        let (sender, mut receiver) = mpsc::channel(64);
        let script = async {
            let mut watches = server.open_watches(1, |_| vec![first.clone()]).await;
            let watch = watches.remove("/api/v1/namespaces/n/pods").unwrap();
            script(&mut server, &watch).await;
            let (mut text, mut errors) = (String::new(), Vec::new());
            while let Ok(part) = receiver.try_recv() {
                match part {
                    LogPart::Lines { lines, .. } => text += &String::from_utf8_lossy(&lines),
                    LogPart::Connected { again: false, .. } => {}
                    LogPart::Connected { again: true, .. } => text += "--- again\n",
                    LogPart::Began { source } => text += &format!("--- {source} begins\n"),
                    LogPart::Ended { source } => text += &format!("--- {source} ended\n"),
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
            watch.send("MODIFIED", &pod(1, "running"));
            let exchange = server.expect(LOG).await;
            assert!(!exchange.query.contains("tailLines"), "all lines are new: {}", exchange.query);
            let log = exchange.watch();
            log.text("2026-01-01T00:00:02Z after\n");
            read_time().await;
        })
        .await;
        let expected = "before\n--- oh-1 app ended\n--- oh-1 app begins\nafter\n";
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
            // The kubelet rotated the file.
            server.expect(POD_PATH).await.ok(&sidecar());
            let log = server.expect(LOG).await.watch();
            log.text("2026-01-01T00:00:02Z two\n");
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
            rest.watch().text("2026-01-01T00:00:02Z last words\n");
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

    #[tokio::test(start_paused = true)]
    async fn followed_log_ends_with_its_pod() {
        let (_, errors) = follow(None, pod(0, "running"), async |server, _| {
            server.expect(LOG).await.not_found();
            server.expect(POD_PATH).await.not_found();
            // Only the watch of the pods is left.
            server.expect_none_for(Duration::from_secs(60)).await;
        })
        .await;
        assert_eq!(errors, Vec::<String>::new());
    }
}
