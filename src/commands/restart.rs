//! `restart`: replaces the application's pods without changing the configuration.

use std::time::Duration;

use clap::Args;
use jiff::Timestamp;

use crate::catalogue::Id;
use crate::cluster::access::{access_review, rules};
use crate::cluster::apply::applied::Applied;
use crate::cluster::apply::restart;
use crate::cluster::rollout::follow::RolloutWatch;
use crate::cluster::watch::observed_set::{self, ObservedSet};
use crate::deploy::summary::{self, UndoHint};
use crate::deploy::verify::{self, Endpoint};
use crate::deploy::{
    app_keys, claim_guard, conversation_guard, conversations, missing_application, refusals, rollout,
};
use crate::error::{Error, Kind, Result};
use crate::event::{Finished, Phase};
use crate::flags::{Global, RolloutArgs};
use crate::object::kind::DEPLOYMENT;
use crate::plan::manifests::stop_signal;
use crate::report::Streams;
use crate::session::cluster_session::Secrets;
use crate::session::runner::{Invocation, Run};
use crate::session::step::step;

/// Replace the application's pods without changing the configuration
///
/// Use it after a referenced Secret has changed, or when the application is stuck. In order: inspect the cluster, check
/// the account's rights, restart each Deployment of the installation, watch the rollout, probe the application.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  handsctl restart\n  handsctl restart --no-wait")]
pub struct RestartArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened into the flags of the command")]
    pub rollout: RolloutArgs,
}

const TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// Runs `restart`.
pub(crate) async fn run(global: &Global, arguments: &RestartArgs, streams: &Streams) -> anyhow::Result<u8> {
    let rollout = &arguments.rollout;
    let invocation = Invocation {
        global,
        command: "restart",
        output: rollout.output,
        timeout: rollout.timeout.unwrap_or(TIMEOUT),
        streams,
    };
    invocation.change_cluster(Secrets::Unneeded, async |run| restart(run, rollout).await).await
}

/// Replaces the pods of the set's Deployments and follows the rollout. With `--lock-wait`, waits for another run first.
///
/// # Errors
/// Exit 12 if nothing is deployed; exit 2 if a conversation would lose its volume; those of a rollout.
pub(super) async fn restart(run: &Run<'_>, arguments: &RolloutArgs) -> Result<Finished> {
    run.waiting_for_lock(arguments.lock.lock_wait, async || restart_now(run, arguments).await).await
}

async fn restart_now(run: &Run<'_>, arguments: &RolloutArgs) -> Result<Finished> {
    run.events().target("restart", run.session.target()).await;
    let set = run.session.set();
    let mut observed = step(run.events(), Phase::Preflight, "preflight", observe(run)).await?;
    access_review::check(run.api(), &rules::for_restart(&set)).await?;
    if observed.members.values().any(stop_signal::deletes_conversation_on_stop) {
        let hint =
            "set on_stop = \"keep\" and run handsctl deploy --delete-data: it stops this pod one last time";
        conversation_guard::ensure_no_conversations(run, hint).await?;
    }
    let keys = app_keys::ensure_of_restarted(run, &observed.members).await?;
    conversations::warn_of_stop(run, &observed, &keys, None).await?;
    run.under_lock(&set, async {
        refusals::check_restart(run, &observed).await?;
        claim_guard::ensure_restart_keeps(run, &observed).await?;
        let started = run.api().clock().floor();
        let restarted = step(run.events(), Phase::Apply, "apply", async {
            let restarted = restart::restart(run.api(), &observed.members, started, run.events()).await?;
            let count = restarted.len();
            Ok((restarted, format!("{count} restarted")))
        })
        .await?;
        if arguments.no_wait {
            let message = "restarted, without waiting for the rollout".to_owned();
            return Ok(summary::finished(message, UndoHint::Nothing, !run.session.is_simulation));
        }
        follow(run, arguments, &mut observed, &restarted, started).await
    })
    .await
}

async fn follow(
    run: &Run<'_>,
    arguments: &RolloutArgs,
    observed: &mut ObservedSet,
    restarted: &[Applied],
    started: Timestamp,
) -> Result<Finished> {
    let rollout = RolloutWatch {
        expected: observed_set::expected(restarted),
        grace: rollout::grace_periods(run.settings(), started),
        deadline: run.deadline().at,
        usual: None,
    };
    rollout::follow(run, observed, &rollout).await?;
    let edition = verify::edition_of(run.settings(), |id| observed.members.get(id));
    let endpoint = verify::probe_application(run, arguments.probe, observed, edition).await?.endpoint;
    let finished = summary::finished(
        endpoint.result_of("restarted"),
        UndoHint::Nothing,
        endpoint != Endpoint::Simulated,
    );
    Ok(Finished { url: endpoint.into_url(), ..finished })
}

/// Lists and watches the set.
///
/// # Errors
/// Exit 12 if it has no Deployment, exit 6 if the account may not list Deployments.
async fn observe(run: &Run<'_>) -> Result<(ObservedSet, String)> {
    let version = run.session.server_version().await?;
    let set = run.session.set();
    let (observed, forbidden) = observed_set::open_deployed(run.api(), &set, version.streams_lists()).await?;
    let count = observed.members.keys().filter(|id| id.kind == DEPLOYMENT.kind).count();
    if count > 0 {
        return Ok((observed, format!("api {}, {count} to restart", version.text)));
    }
    if forbidden.iter().any(|scope| scope.kind == DEPLOYMENT) {
        let message = format!("cannot restart: no right to read deployments in namespace {}", set.namespace);
        return Err(Error::new(Id::Forbidden, Kind::Forbidden, message));
    }
    Err(missing_application::error(run.session, "nothing to restart").await)
}
