//! `cluster up`: creates, starts or reuses the local cluster, and waits until a set can be deployed to it.

use std::time::Duration;

use clap::Args;

use super::ready_cluster::ReadyCluster;
use super::{await_ingress, await_kind, await_kwok};
use crate::catalogue::Id;
use crate::cluster::client::connect::{self, Connection};
use crate::cluster::client::version;
use crate::cluster::nodes::ended_sandboxes;
use crate::error::{Error, Kind, Result};
use crate::event::{Finished, Phase};
use crate::flags::{Global, parse_duration};
use crate::provider::{self, ClusterSpec, LocalProvider, ProviderChoice, StartOutcome, UpOptions};
use crate::report::Streams;
use crate::session::cluster_session::{self, Secrets};
use crate::session::confirm;
use crate::session::desired_cluster::{desired_cluster, expected_load};
use crate::session::runner::{Context, Invocation};
use crate::settings::{Settings, handsctl};

/// Create the local cluster, start it, or reuse the running one
///
/// In order: choose the provider, check this computer, create or start the cluster, wait until its nodes and services
/// are ready, delete sandboxes that ended with their node (never their volumes), install the ingress controller. A
/// running cluster that matches config.toml is not changed.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  handsctl cluster up\n  handsctl cluster up trial\n  handsctl cluster up --recreate --yes"
)]
pub struct ClusterUpArgs {
    /// Name of the cluster [default: cluster.name, else local-hands]
    #[arg(value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub cluster: Option<String>,
    /// Delete and recreate the cluster if it differs from config.toml in settings that cannot be changed
    #[arg(long)]
    pub recreate: bool,
    /// Time limit of the whole command [default: 30m]
    #[arg(long, value_parser = parse_duration, value_name = "DURATION")]
    pub timeout: Option<Duration>,
}

const TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// Runs `cluster up`.
pub(crate) async fn run(global: &Global, arguments: &ClusterUpArgs, streams: &Streams) -> anyhow::Result<u8> {
    let invocation = Invocation {
        global,
        command: "cluster up",
        output: None,
        timeout: arguments.timeout.unwrap_or(TIMEOUT),
        streams,
    };
    let work = async |context: &Context| {
        let loaded = cluster_session::load_until(context.deadline, global, Secrets::Needed, streams).await?;
        cluster_session::report_config(&loaded, Secrets::Needed, &context.events).await;
        let name = loaded.settings.cluster.name.to_string();
        if arguments.recreate {
            let question =
                format!("Delete cluster {name} with everything in it if it differs, and recreate it?");
            confirm::question(global, streams, &question, &format!("recreating cluster {name}")).await?;
        }
        let (message, next) = match bring_up(global, &loaded.settings, arguments.recreate, context).await? {
            Some((connection, _)) => {
                let message = format!("cluster {name} is ready: context {}", connection.choice.context);
                (message, "handsctl up, which deploys OpenHands to it")
            }
            None => (
                "provider = \"existing\": handsctl creates no cluster".to_owned(),
                "handsctl deploy --context NAME",
            ),
        };
        Ok(Finished { message, next: vec![("next".to_owned(), next.to_owned())], ..Finished::default() })
    };
    invocation.run(work).await
}

/// Creates, starts or reuses the local cluster with its ingress controller. None for provider `existing`, which creates
/// no cluster.
pub(in crate::commands) async fn bring_up(
    global: &Global,
    settings: &Settings,
    recreate: bool,
    context: &Context,
) -> Result<Option<(Connection, StartOutcome)>> {
    let events = &context.events;
    let environment = &context.environment;
    let cluster = &settings.cluster;
    let name = cluster.name.as_str();
    let choice = provider::choose(environment, cluster.provider, name, recreate, events).await?;
    let (provider, reason) = match choice {
        ProviderChoice::Existing => return Ok(None),
        ProviderChoice::Local { provider: maker, reason } => (maker, reason),
    };
    refuse_other_context(global, cluster, &provider.context(name))?;
    let target = format!("{} · {name}", provider.name());
    events.target("cluster", target).await;
    if let Some(reason) = reason {
        events.warn(Id::SimulatedNodes, reason).await;
    }
    let options = UpOptions { recreate, kubeconfig: global.kubeconfig.clone() };
    let desired = ClusterSpec { load: expected_load(settings), ..desired_cluster(settings) };
    let local_cluster = provider::up(environment, provider, &desired, &options, events).await?;
    let mut connection =
        connect::connect_to_local_cluster(&local_cluster.kubeconfig, &local_cluster.context).await?;
    context.limit(&mut connection);
    let version = version::get_server_version(&connection.api)
        .await
        .map_err(|error| error.into_error(&format!("cannot reach cluster {name}")))?;
    let ready = ReadyCluster {
        settings,
        cluster: local_cluster,
        connection,
        version,
        deadline: context.deadline,
        events,
    };
    match provider {
        LocalProvider::Kind => await_kind::await_ready(&ready).await?,
        LocalProvider::Kwok => await_kwok::await_ready(&ready).await?,
    }
    delete_ended_sandboxes(&ready).await?;
    await_ingress::ensure(&ready, provider).await?;
    Ok(Some((ready.connection, ready.cluster.outcome)))
}

/// Deletes the sandboxes that ended when a node stopped, also if someone else started the node again.
async fn delete_ended_sandboxes(ready: &ReadyCluster<'_>) -> Result<()> {
    let ReadyCluster { settings, connection, events, .. } = ready;
    let deleted =
        ended_sandboxes::delete_ended(&connection.api, settings.runtime_namespace(), events).await?;
    if deleted > 0 {
        let kept = "conversations start again when they are opened; their volumes are kept";
        let message = match deleted {
            1 => format!("1 ended sandbox deleted: {kept}"),
            _ => format!("{deleted} ended sandboxes deleted: {kept}"),
        };
        events.done(Phase::Cluster, "sandboxes", message).await;
    }
    Ok(())
}

/// Refuses another context than the local cluster's: `up` and `cluster …` never change a cluster that handsctl did not
/// create.
///
/// # Errors
/// Exit 3 if a flag or `cluster.context` names another context.
fn refuse_other_context(global: &Global, cluster: &handsctl::Cluster, local_context: &str) -> Result<()> {
    let other_context =
        global.context.as_deref().or(cluster.context.as_deref()).filter(|context| *context != local_context);
    match other_context {
        None => Ok(()),
        Some(other) => Err(Error::new(
            Id::ContextPinned,
            Kind::Config,
            format!("the context of the local cluster is `{local_context}`, but `{other}` was requested"),
        )
        .hint(format!("handsctl deploy --context {other} deploys to that cluster"))
        .hint("[cluster] provider = \"existing\" makes `handsctl up` deploy to it, too")),
    }
}
