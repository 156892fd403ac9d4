//! Containers' logs: of all pods that match, of pods that come later, over lost connections.

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
use crate::cluster::watch::watcher::{WatchScope, WatchedChange, Watches};
use crate::error::Result;
use crate::object::kind::POD;

const BUFFER: usize = 64 * 1024;
const PAUSE: Duration = Duration::from_millis(300);

/// Which logs.
#[derive(Debug, Clone)]
pub struct LogQuery {
    /// Namespace of the pods.
    pub namespace: String,
    /// Label selector of the pods.
    pub labels: String,
    /// One container; None for all.
    pub container: Option<String>,
    /// Go on for ever, new pods included.
    pub follow: bool,
    /// Lines from the end.
    pub tail: Option<i64>,
    /// Seconds back.
    pub since_seconds: Option<i64>,
    /// Of the run before this one.
    pub previous: bool,
    /// Keep the server's time stamps.
    pub timestamps: bool,
}

/// Whole lines of one container.
#[derive(Debug, Clone)]
pub enum LogPart {
    /// Lines, each with its line break.
    Lines {
        /// `pod container`.
        source: Arc<str>,
        /// One or more whole lines.
        lines: Bytes,
    },
    /// The log of a container cannot be read.
    Unreadable {
        /// `pod container`.
        source: Arc<str>,
        /// The server's words.
        why: String,
    },
}

/// The pods that match now.
///
/// # Errors
/// Where they may not be listed.
pub async fn pods(api: &Api, query: &LogQuery) -> Result<Vec<Value>> {
    let params = ListParams::default().labels(&query.labels);
    let list = api.list(&POD.in_namespace(&query.namespace), &params).await;
    let list = list
        .map_err(|error| error.into_error(&format!("cannot list pods in namespace {}", query.namespace)))?;
    Ok(list.items)
}

/// Reads the logs of these pods and sends them on; with `follow`, also of pods that come later, until the
/// receiver is gone.
///
/// # Errors
/// Where pods cannot be watched any longer.
pub async fn read(api: &Api, query: &LogQuery, now: Vec<Value>, sender: mpsc::Sender<LogPart>) -> Result<()> {
    let mut streams = JoinSet::new();
    let mut begun: HashSet<String> = HashSet::new();
    if !query.follow {
        for pod in &now {
            begin(api, query, pod, &sender, &mut begun, &mut streams);
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
    // Lines of a pod that comes later are all new.
    let later = LogQuery { tail: None, ..query.clone() };
    let mut which = query;
    loop {
        tokio::select! {
            () = sender.closed() => return Ok(()),
            seen = watches.next() => match seen {
                Some(WatchedChange::Listed(_, pods)) => {
                    for pod in &pods {
                        begin(api, which, pod, &sender, &mut begun, &mut streams);
                    }
                    which = &later;
                }
                Some(WatchedChange::Changed(_, pod)) => begin(api, which, &pod, &sender, &mut begun, &mut streams),
                Some(WatchedChange::Gone(..)) => {}
                Some(WatchedChange::Failed(_, fault)) => return Err(fault.into_error("cannot go on watching pods")),
                None => return Ok(()),
            },
        }
    }
}

fn begin(
    api: &Api,
    query: &LogQuery,
    pod: &Value,
    sender: &mpsc::Sender<LogPart>,
    begun: &mut HashSet<String>,
    streams: &mut JoinSet<()>,
) {
    let (Some(name), Some(uid)) = (pod["metadata"]["name"].as_str(), pod["metadata"]["uid"].as_str()) else {
        return;
    };
    for container in started_containers(pod) {
        if query.container.as_ref().is_some_and(|wanted| *wanted != container) {
            continue;
        }
        if !begun.insert(format!("{uid}/{container}")) {
            continue;
        }
        let stream = Stream {
            pods: kube::Api::namespaced(api.client().clone(), &query.namespace),
            pod: name.to_owned(),
            source: Arc::from(format!("{name} {container}")),
            container,
            query: query.clone(),
            sender: sender.clone(),
        };
        streams.spawn(stream.run());
    }
}

/// Whether a container of this pod has run, so that there may be a log.
#[must_use]
pub fn has_log(pod: &Value) -> bool {
    !started_containers(pod).is_empty()
}

/// Containers that have something to say: waiting ones have no log yet.
fn started_containers(pod: &Value) -> Vec<String> {
    ["initContainerStatuses", "containerStatuses"]
        .into_iter()
        .flat_map(|list| pod["status"][list].as_array().into_iter().flatten())
        .filter(|status| status["state"]["waiting"].is_null() || status["restartCount"].as_u64() > Some(0))
        .filter_map(|status| Some(status["name"].as_str()?.to_owned()))
        .collect()
}

struct Stream {
    pods: kube::Api<Pod>,
    pod: String,
    container: String,
    source: Arc<str>,
    query: LogQuery,
    sender: mpsc::Sender<LogPart>,
}

impl Stream {
    async fn run(self) {
        let mut resume = Resume::default();
        loop {
            match self.once(&mut resume).await {
                Ok(()) if !self.query.follow || !self.still_runs().await => return,
                Ok(()) => {}
                Err(kube::Error::Api(status)) => {
                    let (source, why) = (self.source.clone(), status.message.clone());
                    let _nobody_listens = self.sender.send(LogPart::Unreadable { source, why }).await;
                    return;
                }
                Err(error) if !self.query.follow => {
                    let (source, why) = (self.source.clone(), error.to_string());
                    let _nobody_listens = self.sender.send(LogPart::Unreadable { source, why }).await;
                    return;
                }
                Err(_lost) => {}
            }
            if self.sender.is_closed() {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// A stream also ends when the kubelet rotates the file, or the connection breaks.
    async fn still_runs(&self) -> bool {
        let Ok(pod) = self.pods.get(&self.pod).await else { return false };
        let statuses = pod.status.and_then(|status| status.container_statuses).unwrap_or_default();
        let mine = statuses.iter().find(|status| status.name == self.container);
        mine.is_some_and(|status| {
            status.state.as_ref().is_some_and(|state| state.running.is_some() || state.waiting.is_some())
        })
    }

    async fn once(&self, resume: &mut Resume) -> kube::Result<()> {
        resume.before = resume.last;
        let mut stream = Box::pin(self.pods.log_stream(&self.pod, &self.parameters(resume)).await?);
        let mut buffer = BytesMut::new();
        loop {
            let filled = buffer.len();
            buffer.resize(filled + BUFFER, 0);
            let read = stream.read(&mut buffer[filled..]).await.map_err(kube::Error::ReadEvents)?;
            buffer.truncate(filled + read);
            let whole = match buffer.iter().rposition(|byte| *byte == b'\n') {
                Some(end) => buffer.split_to(end + 1).freeze(),
                None if read == 0 && !buffer.is_empty() => {
                    buffer.extend_from_slice(b"\n");
                    buffer.split().freeze()
                }
                None => Bytes::new(),
            };
            let lines = if self.query.follow { resume.take(&whole, self.query.timestamps) } else { whole };
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
        let first = resume.last.is_none();
        LogParams {
            container: Some(self.container.clone()),
            follow: self.query.follow,
            previous: self.query.previous,
            // A stream that breaks is taken up where it broke: the time stamps say where.
            timestamps: self.query.timestamps || self.query.follow,
            tail_lines: self.query.tail.filter(|_| first),
            since_seconds: self.query.since_seconds.filter(|_| first),
            since_time: resume.last,
            ..LogParams::default()
        }
    }
}

/// Where a followed log was when its stream broke.
#[derive(Debug, Default)]
struct Resume {
    /// The newest line that was taken.
    last: Option<Timestamp>,
    /// The newest line of the streams before this one; lines of the same stream may share a time stamp.
    before: Option<Timestamp>,
}

impl Resume {
    /// Takes lines that begin with time stamps, leaves out those that were taken before, and strips the stamps
    /// where nobody asked for them.
    fn take(&mut self, whole: &Bytes, keep: bool) -> Bytes {
        let mut taken = BytesMut::with_capacity(whole.len());
        for line in whole.split_inclusive(|byte| *byte == b'\n') {
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
                    taken.extend_from_slice(if keep { line } else { &line[space + 1..] });
                }
                _ => taken.extend_from_slice(line),
            }
        }
        taken.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resumed_log_repeats_nothing() {
        let mut resume = Resume::default();
        let first = Bytes::from_static(b"2026-01-01T00:00:01Z one\n2026-01-01T00:00:02Z two\n");
        assert_eq!(resume.take(&first, false), "one\ntwo\n");
        let same_time = Bytes::from_static(b"2026-01-01T00:00:02Z twin\n");
        assert_eq!(resume.take(&same_time, false), "twin\n");
        resume.before = resume.last;
        let again = Bytes::from_static(b"2026-01-01T00:00:02Z two\n2026-01-01T00:00:03.5Z three\n");
        assert_eq!(resume.take(&again, true), "2026-01-01T00:00:03.5Z three\n");
        assert_eq!(resume.take(&Bytes::from_static(b"no stamp\n"), false), "no stamp\n");
    }

    #[test]
    fn a_container_that_waits_for_the_first_time_has_no_log() {
        let pod = serde_json::json!({"status": {"containerStatuses": [
            {"name": "a", "state": {"waiting": {}}, "restartCount": 0},
            {"name": "b", "state": {"waiting": {}}, "restartCount": 1},
            {"name": "c", "state": {"running": {}}, "restartCount": 0},
        ]}});
        assert_eq!(started_containers(&pod), ["b", "c"]);
    }
}
