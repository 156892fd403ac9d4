//! Reads the log of one container across lost connections: every line once, and a gap where lines may be missing.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use futures::AsyncReadExt as _;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::LogParams;
use serde_json::Value;
use tokio::sync::{Mutex, MutexGuard, mpsc};
use tokio::time::timeout;

use crate::cluster::client::api::{Api, ApiError};
use crate::cluster::client::pending_calls::{CallEntry, PendingCalls};
use crate::cluster::client::transport_error::message_of;
use crate::error::{Error, Kind};
use crate::logs::batch::{LogGap, LogLine, LogLines, LogPart, LogSource};
use crate::logs::containers::{ContainerState, finished_at, state_in};
use crate::logs::line_buffer::LineBuffer;
use crate::logs::line_filter::FilteredLog;
use crate::logs::next_request::{ConnectionEnd, GIVEN_UP, LogRequest, Step, is_known_complete, next_step};
use crate::logs::position::{Expectation, LineKind, LogPosition};
use crate::logs::query::{LogQuery, Since};
use crate::logs::stamp::{self, StampReader};

const BUFFER: usize = 64 * 1024;
/// The pause before a followed log is requested again; it doubles up to [`MAX_PAUSE`] until new lines arrive.
const RETRY_PAUSE: Duration = Duration::from_millis(300);
const MAX_PAUSE: Duration = Duration::from_secs(5);
/// A followed log without a line for this long is requested again: its connection may be lost without a sign.
pub(super) const IDLE_LIMIT: Duration = Duration::from_secs(60);
/// An error is reported when a followed log could not be read this many times in a row.
const REPORTED_FAILURE: u32 = 3;

/// What the logs of a container share, one after each restart.
#[derive(Default)]
pub(super) struct ContainerRecord {
    /// The log after a restart waits for the one before it, and continues from its last line: a request that is sent while
    /// the container restarts reads either.
    position: Mutex<LogPosition>,
    /// The pod with its latest status.
    pod: RwLock<Option<Value>>,
}

impl ContainerRecord {
    pub(super) fn on_status(&self, pod: &Value) {
        *self.pod.write().unwrap_or_else(PoisonError::into_inner) = Some(pod.clone());
    }

    fn finished_at(&self, container: &str, restarts: u64) -> Option<Timestamp> {
        let pod = self.pod.read().unwrap_or_else(PoisonError::into_inner);
        finished_at(pod.as_ref()?, container, restarts)
    }
}

/// The log of a container until its next restart.
pub(super) struct Stream {
    pub(super) pods: kube::Api<Pod>,
    pub(super) source: Arc<LogSource>,
    /// The pod's UID.
    pub(super) uid: String,
    /// How often the container had been restarted before.
    pub(super) restarts: u64,
    /// Whether its beginning and its end are sent.
    pub(super) marks_begin: bool,
    pub(super) marks_end: bool,
    /// Whether the logs between two restarts before it were not read.
    pub(super) misses_logs: bool,
    /// The first request.
    pub(super) request: LogRequest,
    pub(super) record: Arc<ContainerRecord>,
    /// When the log was first requested, on the server's clock.
    pub(super) began: Timestamp,
    pub(super) clock: Api,
    pub(super) query: LogQuery,
    pub(super) sender: mpsc::Sender<LogPart>,
    pub(super) calls: Arc<PendingCalls>,
}

/// What is known of a log between its connections.
struct Progress<'a> {
    position: MutexGuard<'a, LogPosition>,
    stamps: StampReader,
    /// Pending until the first part of a log that is not followed arrives; a followed one may have no first line.
    reading: Option<CallEntry>,
    /// Whether the server has sent the beginning of the log, also if it had no line.
    was_connected: bool,
    filter: FilteredLog,
}

impl Stream {
    pub(super) async fn run(self) {
        let record = self.record.clone();
        let mut progress = Progress {
            position: record.position.lock().await,
            stamps: StampReader::default(),
            reading: (!self.query.follow)
                .then(|| self.calls.begin(format!("read the log of {}", self.source.label))),
            was_connected: false,
            filter: FilteredLog::new(self.query.filter.clone()),
        };
        progress.position.begin_log();
        if self.misses_logs {
            self.send_gap(&progress.position, None).await;
        }
        if self.marks_begin {
            self.send(LogPart::Began { source: self.source.clone() }).await;
        }
        if self.query.follow {
            self.follow(&mut progress).await;
        } else if let Err(error) = self.once(&mut progress, self.request, Expectation::NewLog).await {
            let why = message_of(&error);
            self.report(why, self.failure(error)).await;
        }
    }

    async fn follow(&self, progress: &mut Progress<'_>) {
        let (mut request, mut expectation) = (self.request, Expectation::SameLog);
        let (mut pause, mut failures) = (RETRY_PAUSE, 0);
        // When the server itself ended the last connection, and the last line then.
        let mut complete: Option<(Timestamp, Option<i64>)> = None;
        loop {
            let last = progress.position.last();
            let received = self.once(progress, request, expectation).await;
            if self.sender.is_closed() {
                return;
            }
            let end = match &received {
                Ok(Received::All) => {
                    let is_connected = progress.position.is_connected();
                    if is_connected {
                        complete = Some((self.clock.clock().now(), progress.position.last()));
                    }
                    ConnectionEnd::Complete { is_connected }
                }
                Ok(Received::Unconnected) => ConnectionEnd::Unconnected,
                Err(error) => failure(error, failures),
            };
            failures = if received.is_ok() { 0 } else { failures + 1 };
            let (state, finished) = self.container_state().await;
            if let Err(error @ kube::Error::Api(_)) = &received
                && failures == REPORTED_FAILURE
            {
                // A lost connection is an outage of the API server, which the watch of the pods reports.
                self.report(message_of(error), None).await;
            }
            match next_step(request, end, state, self.restarts, failures) {
                Step::End => return self.report_end().await,
                Step::EndWithGap => {
                    let ended = complete.filter(|(_, last)| *last == progress.position.last());
                    if is_known_complete(ended.map(|(ended, _)| ended), finished) {
                        return self.report_end().await;
                    }
                    self.send_gap(&progress.position, finished).await;
                    return self.report_end().await;
                }
                Step::Request(next, expected) => {
                    let is_retry = next == request && expected == expectation;
                    (request, expectation) = (next, expected);
                    if progress.position.last() != last {
                        pause = RETRY_PAUSE;
                    }
                    if is_retry || failures > 1 {
                        tokio::time::sleep(pause).await;
                        pause = (pause * 2).min(MAX_PAUSE);
                    }
                }
            }
        }
    }

    async fn send(&self, part: LogPart) {
        let _receiver_dropped = self.sender.send(part).await;
    }

    async fn report_end(&self) {
        if self.marks_end {
            self.send(LogPart::Ended { source: self.source.clone() }).await;
        }
    }

    async fn report(&self, why: String, failure: Option<Box<Error>>) {
        self.send(LogPart::Unreadable { source: self.source.clone(), why, failure }).await;
    }

    /// Returns the error of a log that exists, as far as is known, and was not read to its end.
    fn failure(&self, error: kube::Error) -> Option<Box<Error>> {
        let LogSource { namespace, pod, container, .. } = &*self.source;
        let action =
            format!("cannot read the log of pod/{pod}, container {container}, in namespace {namespace}");
        let error = ApiError::from(error).into_error(&action);
        // A container that waits for its start, or that did not run before, has no log.
        let is_unread = matches!(error.kind(), Kind::Forbidden | Kind::Unauthenticated | Kind::Unreachable);
        is_unread.then(|| Box::new(error))
    }

    /// Says that lines may be missing after the last one that was read, until the container ended or now.
    async fn send_gap(&self, position: &LogPosition, finished: Option<Timestamp>) {
        let from = position.last().map_or(self.began, stamp::time);
        let until = finished.unwrap_or_else(|| self.clock.clock().now()).max(from);
        self.send(LogPart::Gap(LogGap { source: self.source.clone(), from, until })).await;
    }

    /// Reads what happened to the container, and when it ended.
    async fn container_state(&self) -> (ContainerState, Option<Timestamp>) {
        let container = &self.source.container;
        let (state, finished) = match self.pods.get(&self.source.pod).await {
            Ok(pod) => {
                let pod = serde_json::to_value(pod).unwrap_or_default();
                let state = state_in(&pod, &self.uid, container, self.restarts);
                let finished = finished_at(&pod, container, self.restarts);
                (state, finished.filter(|_| state != ContainerState::Gone))
            }
            Err(kube::Error::Api(status)) if status.code == 404 => (ContainerState::Gone, None),
            // The request may succeed next time.
            Err(_) => (ContainerState::MayRun, None),
        };
        (state, finished.or_else(|| self.record.finished_at(container, self.restarts)))
    }

    /// Reads the log until its connection ends.
    async fn once(
        &self,
        progress: &mut Progress<'_>,
        request: LogRequest,
        expectation: Expectation,
    ) -> kube::Result<Received> {
        let parameters = self.parameters(progress, request);
        let mut stream =
            Box::pin(self.unless_idle(self.pods.log_stream(&self.source.pod, &parameters)).await?);
        let followed_at = parameters.follow.then(|| stamp::nanos(self.clock.clock().now()));
        progress.position.connect(followed_at, expectation);
        let again = std::mem::replace(&mut progress.was_connected, true);
        self.send(LogPart::Connected { source: self.source.clone(), again }).await;
        let mut buffer = LineBuffer::default();
        let mut received = vec![0; BUFFER];
        loop {
            let read = async { stream.read(&mut received).await.map_err(kube::Error::ReadEvents) };
            let read = self.unless_idle(read).await?;
            progress.reading = None;
            let complete = match read {
                // A line without an end may be half of one, so that it is read again with the rest of the log.
                0 if parameters.follow => return Ok(Received::All),
                0 => buffer.finish(),
                read => buffer.push(&received[..read]),
            };
            let is_connected = self.deliver(progress, complete).await;
            if read == 0 || self.sender.is_closed() {
                return Ok(if is_connected { Received::All } else { Received::Unconnected });
            }
            if !is_connected {
                return Ok(Received::Unconnected);
            }
        }
    }

    /// Sends the new lines among these. Returns false at a line that does not follow the last one that was read.
    async fn deliver(&self, progress: &mut Progress<'_>, complete: Bytes) -> bool {
        let now = stamp::nanos(self.clock.clock().now());
        let mut lines = Vec::new();
        let (mut start, mut is_connected) = (0, true);
        for end in memchr::memchr_iter(b'\n', &complete).map(|at| at + 1) {
            let line = LogLine { time: None, start, message: start, end };
            start = end;
            let line = self.with_stamp(&mut progress.stamps, &complete, line);
            let kind = progress.position.classify(line.time, now);
            let is_shown = matches!(kind, LineKind::New | LineKind::AfterGap { .. })
                && progress.filter.shows(&complete[line.message..line.end]);
            match kind {
                LineKind::New => lines.extend(is_shown.then_some(line)),
                LineKind::Repeated => {}
                LineKind::AfterGap { from, until } => {
                    self.send_lines(&complete, std::mem::take(&mut lines)).await;
                    let (from, until) = (stamp::time(from), stamp::time(until));
                    self.send(LogPart::Gap(LogGap { source: self.source.clone(), from, until })).await;
                    lines.extend(is_shown.then_some(line));
                }
                LineKind::Unconnected => {
                    is_connected = false;
                    break;
                }
            }
        }
        self.send_lines(&complete, lines).await;
        is_connected
    }

    fn with_stamp(&self, stamps: &mut StampReader, data: &Bytes, line: LogLine) -> LogLine {
        if !self.has_stamps() {
            return line;
        }
        match stamps.split(&data[line.start..line.end]) {
            Some((time, length)) => LogLine { time: Some(time), message: line.start + length, ..line },
            None => line,
        }
    }

    async fn send_lines(&self, data: &Bytes, lines: Vec<LogLine>) {
        if !lines.is_empty() {
            self.send(LogPart::Lines(LogLines { source: self.source.clone(), data: data.clone(), lines }))
                .await;
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

    /// Whether the lines have timestamps: a followed log continues at the last one.
    fn has_stamps(&self) -> bool {
        self.query.timestamps || self.query.follow
    }

    fn parameters(&self, progress: &Progress<'_>, request: LogRequest) -> LogParams {
        let last = progress.position.last();
        // With `--tail 0` a stream that ends without a line has missed those of its time.
        let missed_all = last.is_none() && progress.was_connected && self.query.tail == Some(0);
        let is_first = last.is_none() && !missed_all;
        let since = self.query.since.filter(|_| is_first);
        let began = missed_all.then(|| stamp::second(stamp::nanos(self.began)));
        let since_time = match since {
            Some(Since::Time(time)) => Some(stamp::second(stamp::nanos(time))),
            Some(Since::Seconds(_)) => None,
            None => last.map(stamp::second).or(began),
        };
        let since_seconds = match since {
            Some(Since::Seconds(seconds)) => Some(seconds),
            Some(Since::Time(_)) | None => None,
        };
        LogParams {
            container: Some(self.source.container.clone()),
            follow: self.query.follow && request == LogRequest::Follow,
            previous: matches!(request, LogRequest::Previous | LogRequest::PreviousIfRestarted),
            timestamps: self.has_stamps(),
            tail_lines: self.query.tail.filter(|_| is_first),
            since_seconds,
            since_time,
            ..LogParams::default()
        }
    }
}

/// What a connection has delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Received {
    /// Everything that the server sent.
    All,
    /// Everything before a line that does not follow the last one that was read.
    Unconnected,
}

/// Returns how a connection ended that has failed. A kubelet responds 400 if it has no such log; one that was restarted
/// responds 404 until it has read its pods (`pkg/kubelet/server/server.go`, `getContainerLogs`).
fn failure(error: &kube::Error, failures: u32) -> ConnectionEnd {
    match error {
        kube::Error::Api(status) if status.code == 400 => ConnectionEnd::NoLog,
        kube::Error::Api(status) if status.code == 404 && failures >= GIVEN_UP => ConnectionEnd::NoLog,
        _ => ConnectionEnd::Lost,
    }
}
