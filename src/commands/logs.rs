//! `logs`: prints the logs of the application's containers.

use std::fmt::Write as _;
use std::time::Duration;

use clap::Args;
use k8s_openapi::api::core::v1::Pod;
use serde::Deserialize as _;
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::catalogue::Id;
use crate::cluster::app::logs::{self, LogPart, LogQuery};
use crate::cluster::app::probe;
use crate::command_line::RepeatedFlags;
use crate::error::{Error, Kind, Result};
use crate::event::{Event, Events, Finished, Phase, Progress};
use crate::flags::{Global, number, parse_duration};
use crate::object::container_names::container_names;
use crate::object::labels;
use crate::report::{Output, ReadingProgress, Streams, Written};
use crate::session::cluster_session::{self, Secrets, Session};
use crate::session::long_calls::read_until;
use crate::session::reading::{Interrupts, ReadInvocation};
use crate::session::step::Deadline;

/// Print the logs of the application's pods
///
/// In order: list the pods, read the log of each container, print its lines; with several containers each line begins
/// with the names of its pod and container. With -f: follow these logs and those of pods that start later. Simulated nodes run no container: without a log the command ends with exit code 14, also with --follow.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  handsctl logs -f\n  handsctl logs --since 10m --tail 100\n  handsctl logs --previous"
)]
pub struct LogsArgs {
    /// Follow the logs until Ctrl-C, including pods that start later
    #[arg(short, long, conflicts_with = "previous")]
    pub follow: bool,
    /// Print only the last LINES lines of each log
    #[arg(long, value_name = "LINES", value_parser = number(0..=i64::MAX, "a number of lines is expected, such as 100"))]
    pub tail: Option<i64>,
    /// Print only lines that are newer than this
    #[arg(long, value_parser = parse_duration, value_name = "DURATION")]
    pub since: Option<Duration>,
    /// Print only the logs of this container
    #[arg(short, long, value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub container: Option<String>,
    /// Print the logs of the container before its last restart
    #[arg(short, long)]
    pub previous: bool,
    /// Start each line with its timestamp
    #[arg(long)]
    pub timestamps: bool,
    /// Time limit of the whole command; with -f until the first log is followed [default: 5m]
    #[arg(long, value_parser = parse_duration, value_name = "DURATION")]
    pub timeout: Option<Duration>,
}

/// Chunks of lines that are buffered for a slow reader of stdout.
const CHUNKS: usize = 64;

/// A whole log may be long.
const TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// Runs `logs`.
pub(crate) async fn run(global: &Global, arguments: &LogsArgs, streams: &Streams) -> anyhow::Result<u8> {
    let deadline = Deadline::of(arguments.timeout, TIMEOUT);
    let (progress, output) = (ReadingProgress::EventsOnly, Output::Human);
    let reading = ReadInvocation { global, command: "logs", progress, deadline, output, streams };
    let why = RepeatedFlags::new(global).insert_into("handsctl status shows why");
    let prepare = async |events: &Events| {
        let loaded = cluster_session::load_until(deadline, global, Secrets::Unneeded, streams).await?;
        let session = Session::to_read(global, loaded, streams, deadline).await?;
        events.target("logs", session.target()).await;
        let query = query(&session, arguments);
        let found = read_until(deadline, &session, streams, find_logs(&session, &query)).await?;
        report_pods_without_logs(&session, &query, &found.pods, &why, events, streams).await;
        if let Some(container) = &query.container {
            ensure_container(container, &found.pods)?;
        }
        if found.is_empty {
            return Err(probe::simulated_error("there is no log"));
        }
        Ok((session, query, found))
    };
    let follow = async |(session, query, found): (Session, LogQuery, FoundLogs), events: &Events| {
        if !found.pods.is_empty() || query.follow {
            print(&session, query, found, deadline, events, streams).await?;
        }
        Ok(Finished::default())
    };
    reading.follow(Interrupts::EndCommand, prepare, follow).await
}

/// The pods whose logs are requested.
struct FoundLogs {
    pods: Vec<Value>,
    /// Whether their nodes are simulated, so that they run no container.
    are_simulated: bool,
    /// Whether they are simulated and have no line.
    is_empty: bool,
}

async fn find_logs(session: &Session, query: &LogQuery) -> Result<FoundLogs> {
    session.server_version().await?;
    let pods = logs::pods(&session.connection.api, query).await?;
    let are_simulated = is_simulated(session, &pods).await;
    let is_empty = are_simulated && !has_lines(session, query, &pods).await?;
    Ok(FoundLogs { pods, are_simulated, is_empty })
}

/// Says that there are no pods, and which of them have no log yet.
async fn report_pods_without_logs(
    session: &Session,
    query: &LogQuery,
    pods: &[Value],
    why: &str,
    events: &Events,
    streams: &Streams,
) {
    if pods.is_empty() {
        let waiting = if query.follow { "; waiting for one" } else { "" };
        let message = format!(
            "no pods of `{}` in namespace {}{waiting}",
            session.settings.deploy.name, query.namespace
        );
        streams.err(&format!("{message}; {why}\n"));
        events.send(Event::Waiting { object: None, message, left: None }).await;
    }
    for pod in pods.iter().filter(|pod| !logs::has_log(pod)) {
        let name = pod["metadata"]["name"].as_str().unwrap_or_default();
        let message = "no container has started yet";
        streams.err(&format!("{name}: {message}; {why}\n"));
        events.step(Phase::Track, name, Progress::Skipped, message).await;
    }
}

/// Prints the logs until they end; with `--follow` until Ctrl-C, or until nobody reads stdout.
async fn print(
    session: &Session,
    query: LogQuery,
    found: FoundLogs,
    deadline: Deadline,
    events: &Events,
    streams: &Streams,
) -> Result<()> {
    let FoundLogs { pods, are_simulated, .. } = found;
    let (sender, receiver) = mpsc::channel(CHUNKS);
    let api = session.connection.api.without_deadline();
    let follow = query.follow;
    let (starts_without_pods, first_query) = (pods.is_empty(), query.clone());
    let writer = LogWriter {
        is_prefixed: logs::log_count(&pods, &query) > 1,
        are_simulated,
        events: events.clone(),
        streams: streams.clone(),
    };
    let reading = tokio::spawn(async move { logs::read(&api, &query, pods, sender).await });
    let runtime = tokio::runtime::Handle::current();
    // A separate thread: a write that blocks on stdout must not delay the handling of SIGINT.
    let writing = tokio::task::spawn_blocking(move || writer.write(receiver, &runtime));
    let timeout = async {
        if follow {
            std::future::pending::<()>().await;
        }
        let no_work = std::future::pending::<Result<()>>();
        read_until(deadline, session, streams, no_work).await
    };
    let only_simulated = async {
        if starts_without_pods {
            first_pods_are_simulated(session, &first_query).await
        } else {
            std::future::pending().await
        }
    };
    tokio::select! {
        written = writing => {
            written.map_err(|error| Error::internal("the writer of the logs was aborted").caused_by(error))??;
        }
        ended = timeout => return ended,
        error = only_simulated => return Err(error),
        () = streams.out_closed() => return Ok(()),
    }
    joined(reading).await
}

/// Waits for the reader of the logs.
async fn joined(reading: JoinHandle<Result<()>>) -> Result<()> {
    let ended = reading.await;
    ended.map_err(|error| Error::internal("the reader of the logs was aborted").caused_by(error))?
}

fn query(session: &Session, arguments: &LogsArgs) -> LogQuery {
    let deploy = &session.settings.deploy;
    LogQuery {
        namespace: deploy.namespace.to_string(),
        labels: labels::instance_selector(deploy.name.as_str()),
        container: arguments.container.clone(),
        follow: arguments.follow,
        tail: arguments.tail,
        since_seconds: arguments.since.map(|since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX)),
        previous: arguments.previous,
        timestamps: arguments.timestamps,
    }
}

/// Checks that a pod has a container of this name.
///
/// # Errors
/// Exit 2 if there are pods and none of them has it: a typing error, or another revision of the set.
fn ensure_container(name: &str, pods: &[Value]) -> Result<()> {
    let names = container_names(pods);
    if pods.is_empty() || names.contains(name) {
        return Ok(());
    }
    let names = names.into_iter().collect::<Vec<_>>().join(", ");
    Err(Error::new(Id::Usage, Kind::Usage, format!("no pod has a container `{name}`"))
        .hint(format!("containers of the pods: {names}")))
}

/// Whether the pods run no container. One that is still pending has no node that tells, but its cluster does.
async fn is_simulated(session: &Session, pods: &[Value]) -> bool {
    if session.is_simulation && !pods.is_empty() {
        return true;
    }
    match pods.first().and_then(|pod| Pod::deserialize(pod).ok()) {
        Some(pod) => probe::is_simulated(&session.connection.api, &pod).await,
        None => false,
    }
}

/// The pause between two looks for the first pods.
const FIRST_PODS: Duration = Duration::from_secs(1);

/// Waits for the first pods of a followed set; returns the error if they are simulated and have no log, which no later
/// pod of this cluster has. Pending forever if they have one, or if they cannot be read: the reader reports that.
async fn first_pods_are_simulated(session: &Session, query: &LogQuery) -> Error {
    let api = session.connection.api.without_deadline();
    loop {
        tokio::time::sleep(FIRST_PODS).await;
        let Ok(pods) = logs::pods(&api, query).await else { continue };
        if !pods.iter().any(logs::has_log) {
            continue;
        }
        if is_simulated(session, &pods).await && matches!(has_lines(session, query, &pods).await, Ok(false)) {
            return probe::simulated_error("there is no log");
        }
        return std::future::pending().await;
    }
}

/// Whether a pod has a line in its log. The pods of simulated nodes have none, unless somebody appended lines to their
/// common log file.
async fn has_lines(session: &Session, query: &LogQuery, pods: &[Value]) -> Result<bool> {
    let api = session.connection.api.clone();
    let query = LogQuery { follow: false, tail: Some(1), since_seconds: None, ..query.clone() };
    let pods = pods.to_vec();
    let (sender, mut receiver) = mpsc::channel(CHUNKS);
    let reading = tokio::spawn(async move { logs::read(&api, &query, pods, sender).await });
    let mut has_lines = false;
    while let Some(part) = receiver.recv().await {
        has_lines |= matches!(part, LogPart::Lines { .. });
    }
    joined(reading).await?;
    Ok(has_lines)
}

/// Writes the logs to stdout, and reports which of them are read.
struct LogWriter {
    /// Whether there are several logs at the start.
    is_prefixed: bool,
    are_simulated: bool,
    events: Events,
    streams: Streams,
}

impl LogWriter {
    /// Writes until all logs have ended or stdout is closed. Blocks.
    fn write(&self, mut receiver: mpsc::Receiver<LogPart>, runtime: &Handle) -> Result<()> {
        let (mut is_prefixed, mut only) = (self.is_prefixed, None);
        while let Some(part) = receiver.blocking_recv() {
            runtime.block_on(self.report(&part));
            if let LogPart::Lines { source, .. } = &part {
                // A pod that starts later has a log of its own.
                is_prefixed |= only.get_or_insert_with(|| source.clone()) != source;
            }
            if self.print(part, is_prefixed)? == Written::Closed {
                break;
            }
        }
        Ok(())
    }

    fn print(&self, part: LogPart, is_prefixed: bool) -> Result<Written> {
        let streams = &self.streams;
        match part {
            LogPart::Lines { source, lines } => {
                let text = String::from_utf8_lossy(&lines);
                let text = if is_prefixed { with_prefix(&source, &text) } else { text.into_owned() };
                return streams.text(&streams.sanitized(&text));
            }
            LogPart::Unreadable { .. } if self.are_simulated => {}
            LogPart::Connected { .. } => {}
            LogPart::Began { source } => streams.err(&format!("--- {source} begins\n")),
            LogPart::Ended { source } => streams.err(&format!("--- {source} ended\n")),
            LogPart::Unreadable { source, why } => streams.err(&format!("{source}: {why}\n")),
        }
        Ok(Written::Yes)
    }

    async fn report(&self, part: &LogPart) {
        let (source, progress, message) = match part {
            LogPart::Connected { source, again: false } => (source, Progress::Started, "reads the log"),
            LogPart::Connected { source, again: true } => {
                (source, Progress::Started, "reads the log again, after the last line that was read")
            }
            LogPart::Ended { source } => (source, Progress::Done, "the container ended"),
            LogPart::Unreadable { source, why } if !self.are_simulated => {
                (source, Progress::Failed, why.as_str())
            }
            LogPart::Lines { .. } | LogPart::Began { .. } | LogPart::Unreadable { .. } => return,
        };
        self.events.step(Phase::Track, source, progress, message).await;
    }
}

fn with_prefix(source: &str, text: &str) -> String {
    let mut prefixed = String::with_capacity(text.len() * 2);
    for line in text.lines() {
        let _infallible = writeln!(prefixed, "{source} {line}");
    }
    prefixed
}
