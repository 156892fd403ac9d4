//! `cluster down`: deletes the local cluster, with everything in it.

use std::time::Duration;

use clap::Args;

use crate::catalogue::Id;
use crate::error::{Error, Kind};
use crate::event::Finished;
use crate::flags::{Global, duration};
use crate::provider::{self, Condition, DownResult, Environment};
use crate::report::Streams;
use crate::session::step::Deadline;
use crate::session::{cluster_session, confirm, runner};
use crate::settings::handsctl::Provider;

/// Delete it, with everything in it
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  handsctl cluster down --yes")]
pub struct ClusterDownArgs {
    /// Time for the whole command [default: 5m]
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    pub timeout: Option<Duration>,
}

const TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// Runs `cluster down`.
pub(crate) async fn run(
    global: &Global,
    arguments: &ClusterDownArgs,
    streams: &Streams,
) -> anyhow::Result<u8> {
    let deadline = Deadline::after(arguments.timeout.unwrap_or(TIMEOUT));
    runner::run(global, "cluster down", None, streams, deadline, |events, _| async move {
        let loaded = cluster_session::load_without_secrets(global)?;
        cluster_session::report_config(&loaded, &events).await;
        let cluster = &loaded.settings.cluster;
        let name = cluster.name.as_str();
        if cluster.provider == Provider::Existing {
            return Err(Error::new(
                Id::ClusterDownRefused,
                Kind::Config,
                "provider = \"existing\": handsctl did not make this cluster and does not delete it",
            )
            .hint("handsctl teardown deletes what was deployed to it")
            .into());
        }
        let environment = Environment::read()?;
        let found = provider::status(&environment, cluster.provider, name).await?;
        if found.condition == Condition::Absent {
            // A context that outlived its cluster goes, too.
            let explicit = global.kubeconfig.as_deref();
            provider::down(&environment, cluster.provider, name, explicit, &events).await?;
            return Ok(Finished { message: format!("there is no cluster {name}"), ..Finished::default() });
        }
        let question = format!("Delete cluster {name} with everything in it?");
        confirm::question(global, streams, &question, "cluster down").await?;
        let target = format!("{} · {name}", found.details.maker().word());
        events.target("cluster down", target).await;
        let explicit = global.kubeconfig.as_deref();
        let removed = provider::down(&environment, cluster.provider, name, explicit, &events).await?;
        let message = match removed {
            DownResult::Deleted => format!("cluster {name} is deleted"),
            DownResult::Absent => format!("there is no cluster {name}"),
        };
        Ok(Finished { message, ..Finished::default() })
    })
    .await
}
