//! `logs`: what the application's containers say.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use clap::Args;
use k8s_openapi::api::core::v1::Pod;
use serde::Deserialize as _;
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::catalogue::Id;
use crate::cluster::app::logs::{self, LogPart, LogQuery};
use crate::cluster::app::probe;
use crate::error::{Error, Kind};
use crate::flags::{Global, duration};
use crate::object::labels;
use crate::report::{Streams, Written};
use crate::session::cluster_session::{self, Secrets, Session};

/// Print the logs of the application's pods
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  handsctl logs -f\n  handsctl logs --since 10m --tail 100\n  handsctl logs --previous"
)]
pub struct LogsArgs {
    /// Go on for ever, pods that come later included
    #[arg(short, long, conflicts_with = "previous")]
    pub follow: bool,
    /// Lines from the end of each log
    #[arg(long, value_name = "LINES", value_parser = clap::value_parser!(i64).range(0..))]
    pub tail: Option<i64>,
    /// Only lines that are newer than this
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    pub since: Option<Duration>,
    /// One container
    #[arg(short, long)]
    pub container: Option<String>,
    /// Of the run before the last restart
    #[arg(short, long)]
    pub previous: bool,
    /// Begin each line with its time
    #[arg(long)]
    pub timestamps: bool,
}

/// Chunks of lines that may wait for a slow reader.
const CHUNKS: usize = 64;

/// Runs `logs`.
pub(crate) async fn run(global: &Global, arguments: &LogsArgs, streams: &Streams) -> anyhow::Result<u8> {
    let loaded = cluster_session::load(global, Secrets::Unneeded)?;
    let session = Session::to_read(global, loaded).await?;
    session.server_version().await?;
    let api = session.connection.api.clone();
    let query = query(&session, arguments);
    let pods = logs::pods(&api, &query).await?;
    if pods.is_empty() {
        let waits = if arguments.follow { "; waiting for one" } else { "" };
        streams.err(&format!(
            "no pods of `{}` in namespace {}{waits}\n",
            session.settings.deploy.name, query.namespace
        ));
    }
    if pods.is_empty() && !arguments.follow {
        return Ok(0);
    }
    if let Some(container) = &query.container {
        known_container(container, &pods)?;
    }
    for pod in pods.iter().filter(|pod| !logs::has_log(pod)) {
        let name = pod["metadata"]["name"].as_str().unwrap_or_default();
        streams.err(&format!("{name}: no container has started yet; handsctl status says why\n"));
    }
    let simulated = is_simulated(&session, &pods).await;
    let prefixed = query.follow || sources(&pods) > 1;
    // Until here, and so before the first line, a signal ends the process by itself.
    let mut interrupt =
        signal(SignalKind::interrupt()).map_err(|error| Error::io("cannot listen to signals", error))?;
    let (sender, receiver) = mpsc::channel(CHUNKS);
    let reading = tokio::spawn(async move { logs::read(&api, &query, pods, sender).await });
    let out = streams.clone();
    // On a thread of its own: a reader that takes nothing must not keep the signal from being heard.
    let writing = tokio::task::spawn_blocking(move || write(receiver, prefixed, simulated, &out));
    let lines = tokio::select! {
        lines = writing => lines??,
        () = streams.out_closed() => return Ok(0),
        _ = interrupt.recv() => return Ok(Kind::Interrupted.exit_code()),
    };
    if simulated && lines == 0 {
        streams.err("simulated nodes: no container runs, so there is no log\n");
    }
    reading.await??;
    Ok(0)
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

/// None of the pods has it: a typing error, or another version of the set.
fn known_container(wanted: &str, pods: &[Value]) -> crate::error::Result<()> {
    let names: BTreeSet<&str> = ["initContainers", "containers"]
        .into_iter()
        .flat_map(|list| pods.iter().flat_map(move |pod| pod["spec"][list].as_array().into_iter().flatten()))
        .filter_map(|container| container["name"].as_str())
        .collect();
    if pods.is_empty() || names.contains(wanted) {
        return Ok(());
    }
    let names = names.into_iter().collect::<Vec<_>>().join(", ");
    Err(Error::new(Id::Usage, Kind::Usage, format!("no pod has a container `{wanted}`"))
        .hint(format!("containers there: {names}")))
}

fn sources(pods: &[Value]) -> usize {
    pods.iter().map(|pod| pod["spec"]["containers"].as_array().map_or(0, Vec::len)).sum()
}

async fn is_simulated(session: &Session, pods: &[Value]) -> bool {
    match pods.first().and_then(|pod| Pod::deserialize(pod).ok()) {
        Some(pod) => probe::is_simulated(&session.connection.api, &pod).await,
        None => false,
    }
}

/// Writes whole lines as they come; how many. A closed stdout ends it.
fn write(
    mut receiver: mpsc::Receiver<LogPart>,
    prefixed: bool,
    simulated: bool,
    streams: &Streams,
) -> crate::error::Result<usize> {
    let mut count = 0;
    while let Some(part) = receiver.blocking_recv() {
        match part {
            LogPart::Lines { source, lines } => {
                let text = String::from_utf8_lossy(&lines);
                count += text.lines().count();
                let text = if prefixed { with_prefix(&source, &text) } else { text.into_owned() };
                if streams.out(&streams.sanitized(&text))? == Written::Closed {
                    return Ok(count);
                }
            }
            LogPart::Unreadable { .. } if simulated => {}
            LogPart::Unreadable { source, why } => streams.err(&format!("{source}: {why}\n")),
        }
    }
    Ok(count)
}

fn with_prefix(source: &str, text: &str) -> String {
    let mut prefixed = String::with_capacity(text.len() * 2);
    for line in text.lines() {
        let _a_string_takes_everything = writeln!(prefixed, "{source} {line}");
    }
    prefixed
}
