//! `cluster down`: deletes the local cluster with everything in it.

use std::time::Duration;

use clap::Args;

use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};
use crate::event::Finished;
use crate::flags::{Global, parse_duration};
use crate::provider::{self, Condition, DownResult};
use crate::report::Streams;
use crate::session::cluster_session::{self, Secrets};
use crate::session::confirm;
use crate::session::runner::{Context, Invocation};
use crate::settings::handsctl::Provider;

/// Delete the local cluster with everything in it
///
/// In order: find the cluster on this computer, ask for a confirmation unless --yes is given, delete its containers or
/// processes with all data, remove its context from the kubeconfig. A cluster that handsctl did not create is not deleted.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  handsctl cluster down --yes\n  handsctl cluster down trial")]
pub struct ClusterDownArgs {
    /// Name of the cluster [default: cluster.name, else local-hands]
    #[arg(value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub cluster: Option<String>,
    /// Time limit of the whole command [default: 5m]
    #[arg(long, value_parser = parse_duration, value_name = "DURATION")]
    pub timeout: Option<Duration>,
}

const TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// Runs `cluster down`.
pub(crate) async fn run(
    global: &Global,
    arguments: &ClusterDownArgs,
    streams: &Streams,
) -> anyhow::Result<u8> {
    let invocation = Invocation {
        global,
        command: "cluster down",
        output: None,
        timeout: arguments.timeout.unwrap_or(TIMEOUT),
        streams,
    };
    invocation.run(async |context| down(global, streams, context).await).await
}

async fn down(global: &Global, streams: &Streams, context: &Context) -> Result<Finished> {
    let Context { environment, events, .. } = context;
    let loaded = cluster_session::load_until(context.deadline, global, Secrets::Unneeded, streams).await?;
    cluster_session::report_config(&loaded, Secrets::Unneeded, events).await;
    let cluster = &loaded.settings.cluster;
    let name = cluster.name.as_str();
    if cluster.provider == Provider::Existing && global.cluster.is_none() {
        let message = "provider = \"existing\": handsctl did not create this cluster and does not delete it";
        return Err(Error::new(Id::ClusterDownRejected, Kind::Config, message)
            .hint("handsctl teardown deletes the installation that was deployed to it")
            .hint("handsctl cluster down NAME deletes a local cluster that handsctl created"));
    }
    let kubeconfig = global.kubeconfig.as_deref();
    let status = match provider::status(environment, cluster.provider, name).await {
        Ok(status) => Some(status),
        // The record cannot be read. The deletion is the way out of that.
        Err(error) if error.id() == Id::Io => None,
        Err(error) => return Err(error),
    };
    if status.as_ref().is_some_and(|status| status.condition == Condition::Absent) {
        // Removes a kubeconfig context that the cluster left behind.
        provider::down(environment, cluster.provider, name, kubeconfig, events).await?;
        let next = vec![("list".to_owned(), "handsctl cluster list".to_owned())];
        return Ok(Finished { message: format!("there is no cluster {name}"), next, ..Finished::default() });
    }
    let question = format!("Delete cluster {name} with everything in it?");
    confirm::question(global, streams, &question, &format!("deleting cluster {name}")).await?;
    let target = match status {
        Some(status) => format!("{} · {name}", status.details.provider().name()),
        None => name.to_owned(),
    };
    events.target("cluster down", target).await;
    let message = match provider::down(environment, cluster.provider, name, kubeconfig, events).await? {
        DownResult::Deleted => format!("cluster {name} is deleted"),
        DownResult::Absent => format!("there is no cluster {name}"),
    };
    Ok(Finished { message, ..Finished::default() })
}
