//! Reads container logs of all matching pods, including later ones, across lost connections.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::AsyncReadExt as _;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, LogParams};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::cluster::client::api::Api;
use crate::cluster::client::pending_calls::{CallEntry, PendingCalls};
use crate::cluster::watch::watcher::{WatchScope, WatchedChange, Watches};
use crate::error::Result;
use crate::object::kind::POD;

const BUFFER: usize = 64 * 1024;
const RETRY_PAUSE: Duration = Duration::from_millis(300);

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
    let mut started: HashSet<String> = HashSet::new();
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
    let mut watches = Watches::open(api, vec![scope], true);
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

fn start_streams(
    api: &Api,
    query: &LogQuery,
    start: Start,
    pod: &Value,
    sender: &mpsc::Sender<LogPart>,
    started: &mut HashSet<String>,
    streams: &mut JoinSet<()>,
) {
    let (Some(name), Some(uid)) = (pod["metadata"]["name"].as_str(), pod["metadata"]["uid"].as_str()) else {
        return;
    };
    for StartedContainer { container, restarts, is_init } in started_containers(pod) {
        if query.container.as_ref().is_some_and(|requested| *requested != container) {
            continue;
        }
        if !started.insert(format!("{uid}/{container}/{restarts}")) {
            continue;
        }
        let stream = Stream {
            pods: kube::Api::namespaced(api.client().clone(), &query.namespace),
            pod: name.to_owned(),
            source: Arc::from(format!("{name} {container}")),
            container,
            restarts,
            // The end of an init container is part of each start.
            marks: if is_init { None } else { Some(start) },
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
    [("initContainerStatuses", true), ("containerStatuses", false)]
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
    source: Arc<str>,
    query: LogQuery,
    sender: mpsc::Sender<LogPart>,
    calls: Arc<PendingCalls>,
}

impl Stream {
    async fn run(self) {
        let mut resume = Resume::default();
        // A log that is followed may have no first line.
        let mut reading =
            (!self.query.follow).then(|| self.calls.begin(format!("read the log of {}", self.source)));
        if self.marks == Some(Start::Later) {
            let _receiver_dropped = self.sender.send(LogPart::Began { source: self.source.clone() }).await;
        }
        loop {
            match self.once(&mut resume, &mut reading).await {
                Ok(()) if !self.query.follow => return,
                Ok(()) if !self.still_runs().await => return self.send_end().await,
                Ok(()) => {}
                Err(kube::Error::Api(status)) => {
                    let (source, why) = (self.source.clone(), status.message.clone());
                    let _receiver_dropped = self.sender.send(LogPart::Unreadable { source, why }).await;
                    return;
                }
                Err(error) if !self.query.follow => {
                    let (source, why) = (self.source.clone(), error.to_string());
                    let _receiver_dropped = self.sender.send(LogPart::Unreadable { source, why }).await;
                    return;
                }
                Err(_connection_lost) => {}
            }
            if self.sender.is_closed() {
                return;
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    async fn send_end(&self) {
        if self.marks.is_some() {
            let _receiver_dropped = self.sender.send(LogPart::Ended { source: self.source.clone() }).await;
        }
    }

    /// Whether the container still runs: a stream also ends when the kubelet rotates the file or the connection breaks.
    /// A restarted container has another log, and another stream.
    async fn still_runs(&self) -> bool {
        let Ok(pod) = self.pods.get(&self.pod).await else { return false };
        let statuses = pod.status.and_then(|status| status.container_statuses).unwrap_or_default();
        let status_of_container = statuses.iter().find(|status| status.name == self.container);
        status_of_container.is_some_and(|status| {
            u64::try_from(status.restart_count) == Ok(self.restarts)
                && status.state.as_ref().is_some_and(|state| state.running.is_some())
        })
    }

    /// Reads the log until its connection ends; `reading` is pending until the first part arrives.
    async fn once(&self, resume: &mut Resume, reading: &mut Option<CallEntry>) -> kube::Result<()> {
        resume.before = resume.last;
        let mut stream = Box::pin(self.pods.log_stream(&self.pod, &self.parameters(resume)).await?);
        let mut buffer = BytesMut::new();
        loop {
            let length = buffer.len();
            buffer.resize(length + BUFFER, 0);
            let read = stream.read(&mut buffer[length..]).await.map_err(kube::Error::ReadEvents)?;
            *reading = None;
            buffer.truncate(length + read);
            let complete = match buffer.iter().rposition(|byte| *byte == b'\n') {
                Some(end) => buffer.split_to(end + 1).freeze(),
                None if read == 0 && !buffer.is_empty() => {
                    buffer.extend_from_slice(b"\n");
                    buffer.split().freeze()
                }
                None => Bytes::new(),
            };
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

    fn parameters(&self, resume: &Resume) -> LogParams {
        let is_first = resume.last.is_none();
        LogParams {
            container: Some(self.container.clone()),
            follow: self.query.follow,
            previous: self.query.previous,
            // After a lost connection the stream resumes at the last timestamp.
            timestamps: self.query.timestamps || self.query.follow,
            tail_lines: self.query.tail.filter(|_| is_first),
            since_seconds: self.query.since_seconds.filter(|_| is_first),
            since_time: resume.last,
            ..LogParams::default()
        }
    }
}

/// The position at which a followed log resumes after its stream broke.
#[derive(Debug, Default)]
struct Resume {
    /// The timestamp of the newest line that was read.
    last: Option<Timestamp>,
    /// The timestamp of the newest line of earlier streams; lines of the same stream may share a timestamp.
    before: Option<Timestamp>,
}

impl Resume {
    /// Removes lines that were read before from timestamped lines, and strips the timestamps unless they are requested.
    fn new_lines(&mut self, complete: &Bytes, keep_stamps: bool) -> Bytes {
        let mut kept = BytesMut::with_capacity(complete.len());
        for line in complete.split_inclusive(|byte| *byte == b'\n') {
            let space = line.iter().position(|byte| *byte == b' ');
            let stamp = space
                .and_then(|space| std::str::from_utf8(&line[..space]).ok())
                .and_then(|text| text.parse::<Timestamp>().ok());
            match (stamp, space) {
                (Some(stamp), Some(space)) => {
                    if self.before.is_some_and(|before| stamp <= before) {
                        continue;
                    }
                    self.last = Some(stamp);
                    kept.extend_from_slice(if keep_stamps { line } else { &line[space + 1..] });
                }
                _ => kept.extend_from_slice(line),
            }
        }
        kept.freeze()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::scripted::scripted;

    #[test]
    fn resumed_log_repeats_no_line() {
        let mut resume = Resume::default();
        let first_lines = Bytes::from_static(b"2026-01-01T00:00:01Z one\n2026-01-01T00:00:02Z two\n");
        assert_eq!(resume.new_lines(&first_lines, false), "one\ntwo\n");
        let same_time = Bytes::from_static(b"2026-01-01T00:00:02Z twin\n");
        assert_eq!(resume.new_lines(&same_time, false), "twin\n");
        resume.before = resume.last;
        let again = Bytes::from_static(b"2026-01-01T00:00:02Z two\n2026-01-01T00:00:03.5Z three\n");
        assert_eq!(resume.new_lines(&again, true), "2026-01-01T00:00:03.5Z three\n");
        assert_eq!(resume.new_lines(&Bytes::from_static(b"no stamp\n"), false), "no stamp\n");
    }

    #[test]
    fn container_without_a_start_has_no_log() {
        let pod = serde_json::json!({"status": {"containerStatuses": [
            {"name": "a", "state": {"waiting": {}}, "restartCount": 0},
            {"name": "b", "state": {"waiting": {}}, "restartCount": 1},
            {"name": "c", "state": {"running": {}}, "restartCount": 0},
        ]}});
        let names: Vec<(String, u64)> =
            started_containers(&pod).into_iter().map(|it| (it.container, it.restarts)).collect();
        assert_eq!(names, [("b".to_owned(), 1), ("c".to_owned(), 0)]);
    }

    #[tokio::test(start_paused = true)]
    async fn followed_log_tells_its_end_and_continues_after_a_crash() {
        const LOG: &str = "GET /api/v1/namespaces/n/pods/oh-1/log";
        let pod = |restarts: u32, state: &str| {
            json!({
                "metadata": { "name": "oh-1", "namespace": "n", "uid": "u", "resourceVersion": "5" },
                "status": { "containerStatuses": [{
                    "name": "app", "image": "", "imageID": "", "ready": false, "restartCount": restarts,
                    "state": { state: { "exitCode": 1 } },
                }] },
            })
        };
        let query = LogQuery {
            namespace: "n".to_owned(),
            labels: String::new(),
            container: None,
            follow: true,
            tail: Some(10),
            since_seconds: None,
            previous: false,
            timestamps: false,
        };
        let (api, mut server) = scripted();
        let (sender, mut receiver) = mpsc::channel(8);
        let script = async move {
            let mut watches = server.open_watches(1, |_| vec![pod(0, "running")]).await;
            let watch = watches.remove("/api/v1/namespaces/n/pods").unwrap();
            let log = server.expect(LOG).await.watch();
            log.send("before", &Value::Null);
            assert!(matches!(receiver.recv().await, Some(LogPart::Lines { .. })));
            drop(log);
            server.expect("GET /api/v1/namespaces/n/pods/oh-1").await.ok(&pod(0, "terminated"));
            assert!(
                matches!(receiver.recv().await, Some(LogPart::Ended { source }) if &*source == "oh-1 app")
            );
            watch.send("MODIFIED", &pod(1, "running"));
            let exchange = server.expect(LOG).await;
            assert!(!exchange.query.contains("tailLines"), "all lines are new: {}", exchange.query);
            assert!(
                matches!(receiver.recv().await, Some(LogPart::Began { source }) if &*source == "oh-1 app")
            );
            let log = exchange.watch();
            log.send("after", &Value::Null);
            let Some(LogPart::Lines { lines, .. }) = receiver.recv().await else { panic!("no line") };
            assert!(String::from_utf8_lossy(&lines).contains("after"));
            drop(receiver);
        };
        let (result, ()) = tokio::join!(read(&api, &query, Vec::new(), sender), script);
        result.unwrap();
    }
}
