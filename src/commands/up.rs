//! `up`: creates the local cluster, deploys the set to it and prints its URL.

use std::time::Duration;

use clap::Args;

use super::deploy::change_policy;
use super::{cluster, image};
use crate::catalogue::Id;
use crate::deploy::recipe::deploy;
use crate::deploy::request::DeployRequest;
use crate::error::{Error, Kind, Result};
use crate::event::Finished;
use crate::flags::{ApplyArgs, Global};
use crate::plan::goal::Goal;
use crate::provider::StartOutcome;
use crate::report::Streams;
use crate::session::cluster_session::{self, Secrets, Session};
use crate::session::runner::{Invocation, Run};
use crate::settings::handsctl;

/// Create the local cluster, deploy, print the URL
///
/// In order: `cluster up`; load images of this computer's container engine that the nodes of a kind cluster lack or have
/// an older build of; `deploy`; restart pods whose image was rebuilt under the same name; print the URL. A second run changes only differences. With provider = "existing" it creates no cluster and
/// needs --context or cluster.context.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  handsctl up\n  handsctl up --config team.toml --set cluster.name=trial\n  handsctl up --timeout 5m -o json"
)]
pub struct UpArgs {
    /// Keep the applied objects if the rollout fails, instead of rolling back to the last good revision
    #[arg(long)]
    pub no_rollback: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened into the flags of the command")]
    pub apply: ApplyArgs,
}

const TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// Runs `up`.
pub(crate) async fn run(global: &Global, arguments: &UpArgs, streams: &Streams) -> anyhow::Result<u8> {
    let rollout = &arguments.apply.rollout;
    let invocation = Invocation {
        global,
        command: "up",
        output: rollout.output,
        timeout: rollout.timeout.unwrap_or(TIMEOUT),
        streams,
    };
    invocation
        .run(async |context| {
            let loaded =
                cluster_session::load_until(context.deadline, global, Secrets::Needed, streams).await?;
            cluster_session::report_config(&loaded, Secrets::Needed, &context.events).await;
            let mut is_new = false;
            let local = cluster::up::bring_up(global, &loaded.settings, false, context).await?;
            let mut session = if let Some((connection, outcome)) = local {
                is_new = outcome == StartOutcome::Created;
                cluster_session::name_context(global, &connection);
                let session = Session::new(context.environment.clone(), loaded.settings, connection)?;
                image::load::load_missing(&session, &context.events).await;
                session
            } else {
                ensure_context(global, &loaded.settings.cluster)?;
                Session::to_change(global, loaded, context.environment.clone(), streams, context.deadline)
                    .await?
            };
            context.limit(&mut session.connection);
            let work = async |run: &Run<'_>| {
                let request = DeployRequest {
                    command: "deploy",
                    goal: Goal::Configuration,
                    policy: change_policy(run.settings(), &arguments.apply),
                    dry_run: None,
                    note: arguments.apply.note.clone(),
                    probe: rollout.probe,
                    restarts_replaced: !rollout.no_wait,
                    accepts_additions: false,
                    auto_rollback: !arguments.no_rollback,
                };
                let limit = rollout.lock.lock_wait;
                let deployed = run.waiting_for_lock(limit, async || deploy(run, &request).await).await?;
                let finished = image::replaced::restart_outdated(run, rollout, deployed).await?;
                Ok(if is_new { with_undo_of_cluster(finished) } else { finished })
            };
            Box::pin(Run::new(&session, context).conclude(work)).await
        })
        .await
}

/// Adds the command that deletes the cluster, which this run created, below the one that deletes only the installation.
fn with_undo_of_cluster(mut finished: Finished) -> Finished {
    if finished.next.iter().any(|(_, command)| command.starts_with("handsctl teardown")) {
        let command = "handsctl cluster down        (deletes everything)";
        finished.next.push(("undo".to_owned(), command.to_owned()));
    }
    finished
}

/// Checks that a context names the cluster, which provider = "existing" requires.
///
/// # Errors
/// Exit 3 if neither a flag nor `cluster.context` chooses it.
fn ensure_context(global: &Global, cluster: &handsctl::Cluster) -> Result<()> {
    if global.context.is_some() || cluster.context.is_some() || global.in_cluster {
        return Ok(());
    }
    Err(Error::new(
        Id::ContextNotChosen,
        Kind::Config,
        "provider = \"existing\" creates no cluster, and no context is given",
    )
    .hint("--context NAME, or [cluster] context = \"NAME\""))
}
