//! `cluster up`, `cluster down`, `cluster status`: the local cluster.

use std::time::Duration;

use super::run::{self, Deadline, step};
use super::session;
use crate::catalogue::Id;
use crate::cli::{ClusterCommand, ClusterDownArgs, ClusterUpArgs, Global, StatusArgs};
use crate::cluster::connect::{self, Connection};
use crate::cluster::{simulated, version};
use crate::error::{Error, Kind, Result};
use crate::event::{Event, Events, Finished, Phase};
use crate::provider::{self, Choice, Condition, Environment, Options, Removed, Wanted};
use crate::report::{Answer, Output, Streams};
use crate::settings::{Settings, ours};

const UP_TIMEOUT: Duration = Duration::from_secs(30 * 60);
const DOWN_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// Runs one of the commands.
pub(super) async fn run(global: &Global, command: &ClusterCommand, streams: &Streams) -> anyhow::Result<u8> {
    match command {
        ClusterCommand::Up(arguments) => up(global, arguments, streams).await,
        ClusterCommand::Down(arguments) => down(global, arguments, streams).await,
        ClusterCommand::Status(arguments) => status(global, arguments, streams),
    }
}

async fn up(global: &Global, arguments: &ClusterUpArgs, streams: &Streams) -> anyhow::Result<u8> {
    let deadline = Deadline::after(arguments.timeout.unwrap_or(UP_TIMEOUT));
    run::run(global, "cluster up", None, streams, deadline, |events, _| async move {
        let loaded = session::load(global)?;
        session::tell(&loaded, &events).await;
        let name = loaded.settings.cluster.name.to_string();
        if arguments.recreate {
            let question =
                format!("Delete cluster {name} with everything in it where it differs, and make it anew?");
            confirm(global, streams, &question, "--recreate").await?;
        }
        let connection = bring_up(global, &loaded.settings, arguments.recreate, &events).await?;
        let message = match connection {
            Some(connection) => format!("cluster {name} is ready: context {}", connection.choice.context),
            None => "provider = \"existing\": nothing is made".to_owned(),
        };
        Ok(Finished { message, ..Finished::default() })
    })
    .await
}

/// Makes, starts or leaves the local cluster, down to its nodes being ready. None: the provider makes nothing.
pub(super) async fn bring_up(
    global: &Global,
    settings: &Settings,
    recreate: bool,
    events: &Events,
) -> Result<Option<Connection>> {
    let environment = Environment::read()?;
    let cluster = &settings.cluster;
    let name = cluster.name.as_str();
    let reason = match provider::choose(&environment, cluster.provider, name).await? {
        Choice::Existing => return needs_context(global, cluster).map(|()| None),
        Choice::Kwok { reason } => reason,
    };
    refuse_other_context(global, cluster, &format!("kwok-{name}"))?;
    let target = format!("kwok · {name}");
    events.send(Event::Started { command: "cluster".to_owned(), target }).await;
    if let Some(reason) = reason {
        events.warn(Id::SimulatedNodes, format!("{reason}: simulated cluster, no container will run")).await;
    }
    let wanted = Wanted {
        name: name.to_owned(),
        workers: cluster.workers,
        kubernetes: cluster.kubernetes_version.as_ref().map(ToString::to_string),
    };
    let options = Options { recreate, kubeconfig: global.kubeconfig.clone() };
    let made = provider::up(&environment, &wanted, &options, events).await?;
    let connection = connect::connect_to_made(&made.kubeconfig, &made.context).await?;
    step(events, Phase::Cluster, "nodes", async {
        let version = version::of_server(&connection.api)
            .await
            .map_err(|fault| fault.explain(&format!("cannot reach cluster {name}")))?;
        let objects = provider::objects(name, cluster.workers);
        let nodes = simulated::prepare(&connection.api, &objects, events).await?;
        Ok(((), format!("{nodes}/{nodes} ready (simulated), {}", version.text)))
    })
    .await?;
    Ok(Some(connection))
}

/// With provider = "existing" nothing says which cluster is meant but a context.
fn needs_context(global: &Global, cluster: &ours::Cluster) -> Result<()> {
    if global.context.is_some() || cluster.context.is_some() || global.in_cluster {
        return Ok(());
    }
    Err(Error::new(
        Id::ContextNotChosen,
        Kind::Config,
        "provider = \"existing\" makes no cluster, and nothing says which one is meant",
    )
    .hint("--context NAME, or [cluster] context = \"NAME\""))
}

/// `up` and `cluster …` never touch a cluster that handsctl did not make.
fn refuse_other_context(global: &Global, cluster: &ours::Cluster, made: &str) -> Result<()> {
    let named = global.context.as_deref().or(cluster.context.as_deref()).filter(|context| *context != made);
    match named {
        None => Ok(()),
        Some(other) => Err(Error::new(
            Id::ContextPinned,
            Kind::Config,
            format!("the local cluster's context would be `{made}`, but `{other}` is asked for"),
        )
        .hint(format!("handsctl deploy --context {other} deploys to that cluster"))
        .hint("[cluster] provider = \"existing\" makes `up` do the same")),
    }
}

async fn down(global: &Global, arguments: &ClusterDownArgs, streams: &Streams) -> anyhow::Result<u8> {
    let deadline = Deadline::after(arguments.timeout.unwrap_or(DOWN_TIMEOUT));
    run::run(global, "cluster down", None, streams, deadline, |events, _| async move {
        let loaded = session::load(global)?;
        session::tell(&loaded, &events).await;
        let cluster = &loaded.settings.cluster;
        let name = cluster.name.as_str();
        if cluster.provider == ours::Provider::Existing {
            return Err(Error::new(
                Id::ClusterDownRefused,
                Kind::Config,
                "provider = \"existing\": handsctl did not make this cluster and does not delete it",
            )
            .hint("handsctl teardown deletes what was deployed to it")
            .into());
        }
        let environment = Environment::read()?;
        if provider::status(&environment, name)?.condition == Condition::Absent {
            return Ok(Finished { message: format!("there is no cluster {name}"), ..Finished::default() });
        }
        confirm(global, streams, &format!("Delete cluster {name} with everything in it?"), "cluster down")
            .await?;
        events
            .send(Event::Started { command: "cluster down".to_owned(), target: format!("kwok · {name}") })
            .await;
        let message = match provider::down(&environment, name, global.kubeconfig.as_deref(), &events).await? {
            Removed::Deleted => format!("cluster {name} is deleted"),
            Removed::Absent => format!("there is no cluster {name}"),
        };
        Ok(Finished { message, ..Finished::default() })
    })
    .await
}

async fn confirm(global: &Global, streams: &Streams, question: &str, what: &str) -> Result<()> {
    if global.yes {
        return Ok(());
    }
    match streams.ask(question).await? {
        Answer::Yes => Ok(()),
        Answer::No => Err(Error::new(Id::Usage, Kind::Usage, "not confirmed; nothing was deleted")),
        Answer::Nobody => Err(Error::new(
            Id::Usage,
            Kind::Usage,
            format!("{what} deletes data and needs a confirmation, and nobody can be asked"),
        )
        .hint("--yes confirms it")),
    }
}

fn status(global: &Global, arguments: &StatusArgs, streams: &Streams) -> anyhow::Result<u8> {
    let loaded = session::load(global)?;
    let status = provider::status(&Environment::read()?, loaded.settings.cluster.name.as_str())?;
    let _nobody_reads = match super::output(Some(arguments.output)) {
        Output::Human => streams.out(&text(&status))?,
        output => streams.value(&status, output)?,
    };
    Ok(if status.condition == Condition::Running { 0 } else { Kind::Down.exit_code() })
}

fn text(status: &provider::ClusterStatus) -> String {
    let word = match status.condition {
        Condition::Absent => "not there; handsctl cluster up makes it",
        Condition::HalfMade => "half made; handsctl cluster up makes it anew",
        Condition::Stopped => "stopped; handsctl cluster up starts it",
        Condition::Running => "running",
    };
    let mut text = format!("{}  {word}\n", status.name);
    if let Some(spec) = &status.spec {
        text +=
            &format!("  kwok     kubernetes {}, simulated nodes: {}\n", spec.kubernetes, spec.workers + 1);
        text += &format!("  context  {}\n  kubeconfig  {}\n", status.context, status.kubeconfig.display());
    }
    let rows: Vec<Vec<String>> = status
        .processes
        .iter()
        .map(|process| {
            let pid = process.pid.map_or_else(|| "not running".to_owned(), |pid| pid.to_string());
            vec![process.component.name().to_owned(), pid, format!("127.0.0.1:{}", process.port)]
        })
        .collect();
    if !rows.is_empty() {
        text += &crate::report::table(&["PROCESS", "PID", "ADDRESS"], &rows);
    }
    text
}
