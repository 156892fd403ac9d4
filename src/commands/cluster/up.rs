//! `cluster up`: makes, starts or leaves the local cluster, and waits until something can be deployed to it.

use std::time::Duration;

use clap::Args;

use super::ready_cluster::ReadyCluster;
use super::{await_ingress, await_kind, await_kwok};
use crate::catalogue::Id;
use crate::cluster::client::connect::{self, Connection};
use crate::cluster::client::version;
use crate::error::{Error, Kind, Result};
use crate::event::Finished;
use crate::flags::{Global, duration};
use crate::provider::{
    self, ClusterSpec, Environment, LocalProvider, Ports, ProviderChoice, ResourceAmount, UpOptions, Workload,
};
use crate::report::Streams;
use crate::session::cluster_session::{self, Secrets};
use crate::session::confirm;
use crate::session::runner::{Context, Invocation};
use crate::settings::format::Quantity;
use crate::settings::{Settings, handsctl};

/// Make it, start it, or leave it as it is
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  handsctl cluster up\n  handsctl cluster up --recreate --yes")]
pub struct ClusterUpArgs {
    /// Delete the cluster and make it anew where it differs from config.toml in what cannot be changed
    #[arg(long)]
    pub recreate: bool,
    /// Time for the whole command [default: 30m]
    #[arg(long, value_parser = duration, value_name = "DURATION")]
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
        let loaded = cluster_session::load(global, Secrets::Needed)?;
        cluster_session::report_config(&loaded, &context.events).await;
        let name = loaded.settings.cluster.name.to_string();
        if arguments.recreate {
            let question =
                format!("Delete cluster {name} with everything in it where it differs, and make it anew?");
            confirm::question(global, streams, &question, "--recreate").await?;
        }
        let message = match bring_up(global, &loaded.settings, arguments.recreate, context).await? {
            Some(connection) => format!("cluster {name} is ready: context {}", connection.choice.context),
            None => "provider = \"existing\": nothing is made".to_owned(),
        };
        Ok(Finished { message, ..Finished::default() })
    };
    invocation.run(work).await
}

/// Makes, starts or leaves the local cluster, down to its ingress controller. None: the provider makes nothing.
pub(in crate::commands) async fn bring_up(
    global: &Global,
    settings: &Settings,
    recreate: bool,
    context: &Context,
) -> Result<Option<Connection>> {
    let events = &context.events;
    let environment = Environment::read()?;
    let cluster = &settings.cluster;
    let name = cluster.name.as_str();
    let (maker, reason) = match provider::choose(&environment, cluster.provider, name).await? {
        ProviderChoice::Existing => return needs_context(global, cluster).map(|()| None),
        ProviderChoice::Local { maker, reason } => (maker, reason),
    };
    refuse_other_context(global, cluster, &maker.context(name))?;
    let target = format!("{} · {name}", maker.word());
    events.target("cluster", target).await;
    if let Some(reason) = reason {
        events.warn(Id::SimulatedNodes, format!("{reason}: simulated cluster, no container will run")).await;
    }
    let options = UpOptions { recreate, kubeconfig: global.kubeconfig.clone() };
    let begun = jiff::Timestamp::now();
    let made = provider::up(&environment, maker, &cluster_spec(settings), &options, events).await?;
    let connection = connect::connect_to_local_cluster(&made.kubeconfig, &made.context).await?;
    let version = version::get_server_version(&connection.api)
        .await
        .map_err(|error| error.into_error(&format!("cannot reach cluster {name}")))?;
    let ready =
        ReadyCluster { settings, cluster: made, connection, version, deadline: context.deadline, events };
    match maker {
        LocalProvider::Kind => await_kind::await_ready(&ready, begun).await?,
        LocalProvider::Kwok => await_kwok::await_ready(&ready).await?,
    }
    await_ingress::ensure(&ready, maker).await?;
    Ok(Some(ready.connection))
}

/// The cluster that the configuration asks for.
fn cluster_spec(settings: &Settings) -> ClusterSpec {
    let cluster = &settings.cluster;
    let text = |text: &dyn ToString| Some(text.to_string());
    let port = |port: u16| Some(port).filter(|port| *port > 0);
    ClusterSpec {
        name: cluster.name.to_string(),
        workers: cluster.workers,
        kubernetes: cluster.kubernetes_version.as_ref().and_then(|version| text(version)),
        node_image: cluster.node_image.as_ref().and_then(|image| text(image)),
        ports: Ports {
            address: cluster.http_address.ip(),
            http: port(cluster.http_port),
            https: port(cluster.https_port),
        },
        load: load(settings),
    }
}

/// What will have to fit: the application as it is deployed to a local cluster, with what routes to it, and a sandbox.
fn load(settings: &Settings) -> Workload {
    let local = settings.clone().for_local_cluster(true);
    let requests = &local.deploy.resources.requests;
    let kubernetes = &local.openhands.kubernetes;
    let routing = await_ingress::amount(settings);
    Workload {
        application: ResourceAmount {
            cpu: requests.cpu.as_ref().map_or(0, Quantity::millis) + routing.cpu,
            memory: requests.memory.as_ref().map_or(0, Quantity::bytes) + routing.memory,
        },
        sandbox: ResourceAmount {
            cpu: kubernetes.resource_cpu_request.millis(),
            memory: kubernetes.resource_memory_request.bytes(),
        },
    }
}

/// With provider = "existing" nothing says which cluster is meant but a context.
fn needs_context(global: &Global, cluster: &handsctl::Cluster) -> Result<()> {
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
fn refuse_other_context(global: &Global, cluster: &handsctl::Cluster, made: &str) -> Result<()> {
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
