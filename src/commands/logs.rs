//! `logs`: prints the logs of the application's containers.

use std::time::Duration;

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use regex::bytes::Regex;
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::catalogue::Id;
use crate::cluster::app::probe;
use crate::cluster::apply::app_keys;
use crate::cluster::logs::read;
use crate::cluster::logs::targets::{self, LogPlaces};
use crate::cluster::names;
use crate::command_line::RepeatedFlags;
use crate::error::{Error, Kind, Result};
use crate::event::{Event, Events, Finished, Phase, Progress};
use crate::flags::{Format, Global, number, parse_duration};
use crate::logs::batch::LogPart;
use crate::logs::level::LogLevel;
use crate::logs::line_filter::LineFilter;
use crate::logs::query::{LogQuery, Since, has_log};
use crate::logs::target::LogTarget;
use crate::object::container_names::container_names;
use crate::object::labels;
use crate::plan::inventory::app_keys::is_read_by;
use crate::provider::LocalProvider;
use crate::report::{LogForm, LogWriter, Output, ReadingProgress, Streams, Written};
use crate::session::cluster_session::{self, Secrets, Session};
use crate::session::desired_cluster;
use crate::session::hidden_keys;
use crate::session::long_calls::read_until;
use crate::session::reading::{Interrupts, ReadInvocation};
use crate::session::step::Deadline;

/// Print the logs of the application, its sandboxes or others
///
/// In order: list the pods, read the log of each container, print its lines; with several containers each line begins
/// with the names of its pod and container. With -f: follow these logs and those of pods and containers that start later, each
/// line once, whatever connection is lost. Where lines may be missing, because the node has deleted them, a line
/// `-- gap: … --` says so. Simulated nodes run no container: without a log the command ends with exit code 14, also with --follow.
#[derive(Debug, Clone, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
#[command(
    after_help = "Examples:\n  handsctl logs -f\n  handsctl logs -f app sandbox --level warning\n  handsctl logs deployment/postgres --since 10m --tail 100\n  handsctl logs --since-deploy --merge --with-events\n  handsctl logs --grep 'conversation [0-9a-f]+' -o json\n  handsctl logs --previous"
)]
pub struct LogsArgs {
    /// Whose logs: app, ingress, sandbox, a pod, or KIND/NAME of a workload; repeatable [default: app]
    #[arg(value_name = "TARGET", value_parser = LogTarget::parse)]
    pub targets: Vec<LogTarget>,
    /// Follow the logs until Ctrl-C, including pods that start later
    #[arg(short, long, conflicts_with = "previous")]
    pub follow: bool,
    /// Print only the last LINES lines of each log
    #[arg(long, value_name = "LINES", value_parser = number(0..=i64::MAX, "a number of lines is expected, such as 100"))]
    pub tail: Option<i64>,
    /// Print only lines that are newer than this
    #[arg(long, value_parser = parse_duration, value_name = "DURATION")]
    pub since: Option<Duration>,
    /// Print only lines since the last deploy
    #[arg(long, conflicts_with = "since")]
    pub since_deploy: bool,
    /// Print only the logs of this container
    #[arg(short, long, value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub container: Option<String>,
    /// Print the logs of the container before its last restart
    #[arg(short, long)]
    pub previous: bool,
    /// Print only lines that match this regular expression
    #[arg(long, value_name = "REGEX", value_parser = parse_pattern)]
    pub grep: Option<Regex>,
    /// Print only lines of this level and above; a line without a level belongs to the one before it
    #[arg(long, value_name = "LEVEL")]
    pub level: Option<LevelName>,
    /// Order the lines of all containers by time
    #[arg(long)]
    pub merge: bool,
    /// Print the Kubernetes Events about the pods and their owners as well
    #[arg(long, conflicts_with = "previous")]
    pub with_events: bool,
    /// Start each line with its timestamp
    #[arg(long)]
    pub timestamps: bool,
    /// Start each line with its pod and its container, or with --prefix=false none [default: with several containers]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub prefix: Option<bool>,
    /// Output format: json prints an object per line
    #[arg(short, long, value_name = "FORMAT")]
    pub output: Option<LogFormat>,
    /// Time limit of the whole command; with -f until the first log is followed [default: 5m]
    #[arg(long, value_parser = parse_duration, value_name = "DURATION")]
    pub timeout: Option<Duration>,
}

/// A level of `--level`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LevelName {
    /// All levels.
    Debug,
    /// No traces.
    Info,
    /// Warnings and errors.
    #[value(alias = "warn")]
    Warning,
    /// Errors.
    Error,
}

impl LevelName {
    fn level(self) -> LogLevel {
        match self {
            Self::Debug => LogLevel::Debug,
            Self::Info => LogLevel::Info,
            Self::Warning => LogLevel::Warning,
            Self::Error => LogLevel::Error,
        }
    }
}

/// The form of the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// As the containers wrote them.
    Text,
    /// An object per line.
    Json,
}

impl LogsArgs {
    /// Returns the format of the errors; None for people.
    pub(crate) fn format(&self) -> Option<Format> {
        (self.output == Some(LogFormat::Json)).then_some(Format::Json)
    }
}

fn parse_pattern(text: &str) -> Result<Regex, String> {
    Regex::new(text).map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "the regular expression is too large".to_owned(),
        error => error.to_string(),
    })
}

/// Chunks of lines that are buffered for a slow reader of stdout.
const CHUNKS: usize = 64;

/// A whole log may be long.
const TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// Runs `logs`.
pub(crate) async fn run(global: &Global, arguments: &LogsArgs, streams: &Streams) -> anyhow::Result<u8> {
    let deadline = Deadline::of(arguments.timeout, TIMEOUT);
    let is_json = arguments.output == Some(LogFormat::Json);
    let output = if is_json { Output::Json } else { Output::Human };
    let progress = ReadingProgress::EventsOnly;
    let reading = ReadInvocation { global, command: "logs", progress, deadline, output, streams };
    let why = RepeatedFlags::new(global).insert_into("handsctl status shows why");
    let prepare = async |events: &Events| {
        let loaded = cluster_session::load_until(deadline, global, Secrets::Unneeded, streams).await?;
        let session = Session::to_read(global, loaded, streams, deadline).await?;
        events.target("logs", session.target()).await;
        let query = read_until(deadline, &session, streams, query(&session, arguments)).await?;
        let found = read_until(deadline, &session, streams, find_logs(&session, &query)).await?;
        read_until(deadline, &session, streams, hide_keys(&session, &found.pods)).await?;
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
            let form = LogForm { timestamps: arguments.timestamps, json: is_json };
            let has_several = query.count(&found.pods) > 1;
            let is_prefixed = arguments.prefix.or(has_several.then_some(true));
            let writer = LogWriter::new(streams, form, is_prefixed);
            print(&session, query, found, writer, deadline, events, streams).await?;
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
    let pods = read::pods(&session.connection.api, query).await?;
    let are_simulated = is_simulated(session, &pods).await;
    let is_empty = are_simulated && !has_lines(session, query, &pods).await?;
    Ok(FoundLogs { pods, are_simulated, is_empty })
}

/// Hides the keys of the application, if a pod has some or none has started yet.
async fn hide_keys(session: &Session, pods: &[Value]) -> Result<()> {
    let secret = app_keys::secret_id(&session.set()).name;
    if pods.is_empty() || pods.iter().any(|pod| is_read_by(pod, &secret)) {
        hidden_keys::read_and_hide(session).await?;
    }
    Ok(())
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
        let message = format!("{}{waiting}", no_pods(session, query));
        streams.err(&format!("{message}; {why}\n"));
        events.send(Event::Waiting { object: None, message, left: None }).await;
    }
    for pod in pods.iter().filter(|pod| !has_log(pod)) {
        let name = pod["metadata"]["name"].as_str().unwrap_or_default();
        let message = "no container has started yet";
        streams.err(&format!("{name}: {message}; {why}\n"));
        events.step(Phase::Track, name, Progress::Skipped, message).await;
    }
}

/// Names what has no pods.
fn no_pods(session: &Session, query: &LogQuery) -> String {
    let namespaces = query.namespaces().into_iter().collect::<Vec<_>>().join(", ");
    let name = session.settings.deploy.name.as_str();
    let labels = labels::instance_selector(name);
    if query.pods.iter().all(|selection| selection.labels == labels) {
        return format!("no pods of `{name}` in namespace {namespaces}");
    }
    format!("no such pods in namespace {namespaces}")
}

/// Prints the logs until they end; with `--follow` until Ctrl-C, or until nobody reads stdout.
async fn print(
    session: &Session,
    query: LogQuery,
    found: FoundLogs,
    writer: LogWriter,
    deadline: Deadline,
    events: &Events,
    streams: &Streams,
) -> Result<()> {
    let FoundLogs { pods, are_simulated, .. } = found;
    let (sender, receiver) = mpsc::channel(CHUNKS);
    let api = session.connection.api.without_deadline();
    let follow = query.follow;
    let (starts_without_pods, first_query) = (pods.is_empty(), query.clone());
    let writer =
        PartWriter { writer, are_simulated, failure: None, events: events.clone(), streams: streams.clone() };
    let reading = tokio::spawn(async move { read::read(&api, &query, pods, sender).await });
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

/// Returns which logs the command line names.
///
/// # Errors
/// Exit 2 if there is no such pod or workload, or no deploy.
async fn query(session: &Session, arguments: &LogsArgs) -> Result<LogQuery> {
    session.server_version().await?;
    let api = &session.connection.api;
    let settings = &session.settings;
    let provider = if session.is_simulation { LocalProvider::Kwok } else { LocalProvider::Kind };
    let places = LogPlaces {
        set: settings.deploy.name.as_str(),
        namespace: settings.deploy.namespace.as_str(),
        sandboxes: settings.runtime_namespace(),
        controller: desired_cluster::configured_controller(settings, provider),
    };
    let mut pods = Vec::new();
    let default = [LogTarget::App];
    let targets = if arguments.targets.is_empty() { &default[..] } else { &arguments.targets };
    for target in targets {
        let selection = targets::selection(api, &places, target).await?;
        if !pods.contains(&selection) {
            pods.push(selection);
        }
    }
    let since = match arguments.since {
        Some(since) => Some(Since::Seconds(seconds_before_now(since))),
        None if arguments.since_deploy => Some(Since::Time(last_deploy(session).await?)),
        None => None,
    };
    Ok(LogQuery {
        pods,
        container: arguments.container.clone(),
        follow: arguments.follow,
        tail: arguments.tail,
        since,
        previous: arguments.previous,
        timestamps: arguments.timestamps || arguments.merge || arguments.output == Some(LogFormat::Json),
        filter: LineFilter { grep: arguments.grep.clone(), level: arguments.level.map(LevelName::level) },
        merge: arguments.merge,
        events: arguments.with_events,
    })
}

/// Returns whole seconds. The kubelet subtracts them in nanoseconds of 64 bits, and prints nothing after an overflow.
pub(in crate::commands) fn seconds_before_now(since: Duration) -> i64 {
    const CENTURY: u64 = 100 * 365 * 24 * 60 * 60;
    since.as_secs().min(CENTURY).cast_signed()
}

/// Returns when the current revision was recorded.
async fn last_deploy(session: &Session) -> Result<Timestamp> {
    let set = session.set();
    let revisions = names::revisions(&session.connection.api, &set).await;
    let action = format!("cannot list the revisions in namespace {}", set.namespace);
    let revisions = revisions.map_err(|error| error.into_error(&action))?;
    revisions.first().and_then(|newest| newest.created).ok_or_else(|| {
        Error::new(Id::Usage, Kind::Usage, format!("`{}` has no recorded deploy", set.name))
            .hint("--since DURATION names a time instead")
    })
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
    match pods.first() {
        Some(pod) => session.is_simulated(pod).await,
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
        let Ok(pods) = read::pods(&api, query).await else { continue };
        if !pods.iter().any(has_log) {
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
    let query = LogQuery {
        follow: false,
        tail: Some(1),
        since: None,
        filter: LineFilter::default(),
        merge: false,
        events: false,
        ..query.clone()
    };
    let pods = pods.to_vec();
    let (sender, mut receiver) = mpsc::channel(CHUNKS);
    let reading = tokio::spawn(async move { read::read(&api, &query, pods, sender).await });
    let mut has_lines = false;
    while let Some(part) = receiver.recv().await {
        match part {
            LogPart::Lines(_) => has_lines = true,
            LogPart::Unreadable { failure: Some(failure), .. } if failure.kind() == Kind::Forbidden => {
                return Err(*failure);
            }
            _ => {}
        }
    }
    joined(reading).await?;
    Ok(has_lines)
}

/// Writes the logs to stdout, and reports which of them are read.
struct PartWriter {
    writer: LogWriter,
    are_simulated: bool,
    /// Why the first log that was not read to its end could not be read.
    failure: Option<Box<Error>>,
    events: Events,
    streams: Streams,
}

impl PartWriter {
    /// Writes until all logs have ended or stdout is closed. Blocks.
    ///
    /// # Errors
    /// Fails if stdout does, and if a log could not be read to its end.
    fn write(mut self, mut receiver: mpsc::Receiver<LogPart>, runtime: &Handle) -> Result<()> {
        while let Some(part) = receiver.blocking_recv() {
            let mut next = Some(part);
            while let Some(part) = next {
                runtime.block_on(self.report(&part));
                if self.print(part)? == Written::Closed {
                    return Ok(());
                }
                next = receiver.try_recv().ok();
            }
            if self.writer.flush()? == Written::Closed {
                return Ok(());
            }
        }
        self.failure.map_or(Ok(()), |failure| Err(*failure))
    }

    fn print(&mut self, part: LogPart) -> Result<Written> {
        match part {
            LogPart::Lines(lines) => return self.writer.lines(&lines),
            LogPart::Gap(gap) => self.writer.gap(&gap),
            LogPart::Connected { .. } => {}
            LogPart::Unreadable { .. } if self.are_simulated => {}
            LogPart::Began { source } => return self.mark(&format!("--- {} begins\n", source.label)),
            LogPart::Ended { source } => return self.mark(&format!("--- {} ended\n", source.label)),
            LogPart::Unreadable { source, why, failure } => {
                self.failure = self.failure.take().or(failure);
                return self.mark(&format!("{}: {why}\n", source.label));
            }
        }
        Ok(Written::Yes)
    }

    /// Writes a line to stderr, after the lines before it.
    fn mark(&mut self, line: &str) -> Result<Written> {
        let written = self.writer.flush()?;
        self.streams.err(line);
        Ok(written)
    }

    async fn report(&self, part: &LogPart) {
        let (source, progress, message) = match part {
            LogPart::Connected { source, again: false } => {
                (source, Progress::Started, "reads the log".to_owned())
            }
            LogPart::Connected { source, again: true } => (
                source,
                Progress::Started,
                "reads the log again, after the last line that was read".to_owned(),
            ),
            LogPart::Gap(gap) => {
                let message = format!("lines between {} and {} may be missing", gap.from, gap.until);
                (&gap.source, Progress::Started, message)
            }
            LogPart::Ended { source } => (source, Progress::Done, "the container ended".to_owned()),
            LogPart::Unreadable { source, why, .. } if !self.are_simulated => {
                (source, Progress::Failed, why.clone())
            }
            LogPart::Lines(_) | LogPart::Began { .. } | LogPart::Unreadable { .. } => return,
        };
        self.events.step(Phase::Track, &source.label, progress, message).await;
    }
}
