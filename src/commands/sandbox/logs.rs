//! `sandbox logs`: prints the log of a conversation's sandbox, or the events of a conversation without one.

use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use kube::api::LogParams;
use serde_json::Value;
use tokio::sync::mpsc;

use super::read;
use super::shared_pod::application;
use super::shared_pod::logs::{self as shared_pod, ConversationLog, EventSelection};
use crate::cluster::app::pod_log;
use crate::cluster::app::probe;
use crate::commands::logs::seconds_before_now;
use crate::error::{Error, Kind, Result};
use crate::event::{Events, Finished};
use crate::flags::{Global, number, parse_duration};
use crate::object::exec_target;
use crate::report::{Output, ReadingProgress, Streams, Written};
use crate::session::cluster_session::{self, Secrets, Session};
use crate::session::long_calls::read_until;
use crate::session::reading::{Interrupts, ReadInvocation};
use crate::session::step::Deadline;

/// Print the log of a conversation's sandbox, or the events of a conversation
///
/// Classic edition: the log is that of the server in the sandbox, which runs the commands of the conversation. With -f: follow
/// it until the sandbox ends, or Ctrl-C.
///
/// Agent Canvas: its conversations share the application's pod. Printed are the events of the conversation, a line for each:
/// time, source, kind, and the beginning of its text. They are not followed.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  handsctl sandbox logs 0f1c2d3e\n  handsctl sandbox logs 0f1c2d3e -f --tail 100"
)]
pub struct SandboxLogsArgs {
    /// The conversation: its id, or the beginning of it
    #[arg(value_name = "CONVERSATION", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub conversation: String,
    /// Follow the log until the sandbox ends, or Ctrl-C
    #[arg(short, long)]
    pub follow: bool,
    /// Print only the last LINES lines
    #[arg(long, value_name = "LINES", value_parser = number(0..=i64::MAX, "a number of lines is expected, such as 100"))]
    pub tail: Option<i64>,
    /// Print only lines that are newer than this
    #[arg(long, value_parser = parse_duration, value_name = "DURATION")]
    pub since: Option<Duration>,
    /// Start each line with its timestamp
    #[arg(long)]
    pub timestamps: bool,
    /// Time limit of the whole command; with -f until the log begins [default: 5m]
    #[arg(long, value_parser = parse_duration, value_name = "DURATION")]
    pub timeout: Option<Duration>,
}

/// A whole log may be long.
const TIMEOUT: Duration = Duration::from_secs(5 * 60);
/// Chunks of lines that are buffered for a slow reader of stdout.
const CHUNKS: usize = 64;

/// Runs `sandbox logs`.
pub(crate) async fn run(
    global: &Global,
    arguments: &SandboxLogsArgs,
    streams: &Streams,
) -> anyhow::Result<u8> {
    let deadline = Deadline::of(arguments.timeout, TIMEOUT);
    let (progress, output) = (ReadingProgress::EventsOnly, Output::Human);
    let command = "sandbox logs";
    let reading = ReadInvocation { global, command, progress, deadline, output, streams };
    let prepare = async |events: &Events| {
        let loaded = cluster_session::load_until(deadline, global, Secrets::Unneeded, streams).await?;
        let session = Session::to_read(global, loaded, streams, deadline).await?;
        events.target(command, session.target()).await;
        let log = read_until(deadline, &session, streams, find_log(&session, arguments)).await;
        let log = log.map_err(|error| session.with_credentials_hint(error))?;
        Ok((session, log))
    };
    let follow = async |(session, log): (Session, FoundLog), _events: &Events| {
        match log {
            FoundLog::OfPod(pod) => print(&session, &pod, arguments, deadline, streams).await?,
            FoundLog::OfConversation(log) => {
                print_events(&session, &log, arguments, deadline, streams).await?;
            }
        }
        Ok(Finished::default())
    };
    reading.follow(Interrupts::EndCommand, prepare, follow).await
}

/// The log of a conversation, by where it runs.
enum FoundLog {
    /// That of its own pod.
    OfPod(Value),
    /// Its events, if it shares the application's pod.
    OfConversation(Box<ConversationLog>),
}

async fn find_log(session: &Session, arguments: &SandboxLogsArgs) -> Result<FoundLog> {
    let typed = &arguments.conversation;
    match application::find(session).await? {
        Some(shared) if arguments.follow => Err(shared_pod::cannot_follow(&shared)),
        Some(shared) => {
            let log = shared_pod::open(session, shared, typed).await?;
            Ok(FoundLog::OfConversation(Box::new(log)))
        }
        None => find_pod(session, typed).await.map(FoundLog::OfPod),
    }
}

async fn print_events(
    session: &Session,
    log: &ConversationLog,
    arguments: &SandboxLogsArgs,
    deadline: Deadline,
    streams: &Streams,
) -> Result<()> {
    let now = session.connection.api.clock().now();
    let selection = EventSelection {
        tail: arguments.tail.map(|tail| usize::try_from(tail).unwrap_or(usize::MAX)),
        since: arguments.since.and_then(|since| now.checked_sub(since).ok()),
    };
    let printing = log.print(selection, streams);
    tokio::select! {
        printed = read_until(deadline, session, streams, printing) => {
            printed.map_err(|error| session.with_credentials_hint(error))
        }
        () = streams.out_closed() => Ok(()),
    }
}

async fn find_pod(session: &Session, typed: &str) -> Result<Value> {
    session.server_version().await?;
    read::find_pod(session, typed, "a log ends with its pod").await
}

async fn print(
    session: &Session,
    pod: &Value,
    arguments: &SandboxLogsArgs,
    deadline: Deadline,
    streams: &Streams,
) -> Result<()> {
    let (api, namespace) = (&session.connection.api, session.settings.runtime_namespace());
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    let params = LogParams {
        container: exec_target::default_container(pod).map(str::to_owned),
        follow: arguments.follow,
        tail_lines: arguments.tail,
        since_seconds: arguments.since.map(seconds_before_now),
        timestamps: arguments.timestamps,
        ..LogParams::default()
    };
    let opening = pod_log::open(api, namespace, name, &params);
    let log = match read_until(deadline, session, streams, opening).await {
        Ok(log) => log,
        Err(error) if error.kind() != Kind::Forbidden && session.is_simulated(pod).await => {
            return Err(probe::simulated_error("there is no log"));
        }
        Err(error) => return Err(session.with_credentials_hint(error)),
    };
    let (sender, receiver) = mpsc::channel(CHUNKS);
    let own = streams.clone();
    // A separate thread: a write that blocks on stdout must not delay the handling of SIGINT.
    let writing = tokio::task::spawn_blocking(move || write(receiver, &own));
    let reading = async {
        let read = log.read(sender).await;
        writing
            .await
            .map_err(|error| Error::internal("the writer of the log was aborted").caused_by(error))??;
        read
    };
    tokio::select! {
        ended = reading => ended,
        ended = timed_out(deadline, session, streams), if !arguments.follow => ended,
        () = streams.out_closed() => Ok(()),
    }
}

async fn timed_out(deadline: Deadline, session: &Session, streams: &Streams) -> Result<()> {
    read_until(deadline, session, streams, std::future::pending::<Result<()>>()).await
}

/// Writes until the log ends or stdout is closed. Blocks.
fn write(mut receiver: mpsc::Receiver<Bytes>, streams: &Streams) -> Result<()> {
    while let Some(lines) = receiver.blocking_recv() {
        let text = String::from_utf8_lossy(&lines);
        if streams.log_lines(streams.sanitized(&text).as_bytes())? == Written::Closed {
            break;
        }
    }
    Ok(())
}
