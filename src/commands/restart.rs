//! `restart`: replaces the application's pods without a change.

use std::time::Duration;

use clap::Args;

use crate::catalogue::Id;
use crate::cluster::access::{access_review, rules};
use crate::cluster::apply::restart;
use crate::cluster::rollout::follow::RolloutWatch;
use crate::cluster::watch::observed_set::{self, ObservedSet};
use crate::deploy::verify::{self, Endpoint};
use crate::deploy::{conversation_guard, rollout, summary};
use crate::error::{Error, Kind, Result};
use crate::event::{Events, Finished, Phase};
use crate::flags::{Global, RolloutArgs};
use crate::object::kind::DEPLOYMENT;
use crate::plan::manifests::stop_signal;
use crate::report::Streams;
use crate::session::cluster_session::{self, Session};
use crate::session::runner;
use crate::session::set_lock::{LockSlot, under_lock};
use crate::session::step::{Deadline, step};

/// Replace the application's pods without a change: after a secret of somebody else's changed, or when it is stuck
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
    let deadline = Deadline::after(arguments.rollout.timeout.unwrap_or(TIMEOUT));
    runner::run(global, "restart", arguments.rollout.output, streams, deadline, |events, held| async move {
        let loaded = cluster_session::load_without_secrets(global)?;
        cluster_session::report_config(&loaded, &events).await;
        let session = Session::to_change(global, loaded, streams).await?;
        let outcome = restart(&session, &arguments.rollout, deadline, &held, &events).await;
        session.report_traffic(&events).await;
        Ok(outcome.map_err(|error| session.with_credentials_hint(error))?)
    })
    .await
}

async fn restart(
    session: &Session,
    arguments: &RolloutArgs,
    deadline: Deadline,
    held: &LockSlot,
    events: &Events,
) -> Result<Finished> {
    events.target("restart", session.target()).await;
    let api = &session.connection.api;
    let set = session.set();
    let mut live = step(events, Phase::Preflight, "preflight", look(session)).await?;
    let begun = api.traffic().last_date();
    access_review::check(api, &rules::for_restart(&set)).await?;
    if live.members.values().any(stop_signal::is_clean) {
        conversation_guard::ensure_no_conversations(
            session,
            "handsctl deploy --delete-data with it stops this pod once more",
        )
        .await?;
    }
    let work = async {
        let restarted = step(events, Phase::Apply, "apply", async {
            let restarted = restart::restart(api, &live.members, begun, events).await?;
            let count = restarted.len();
            Ok((restarted, format!("{count} restarted")))
        })
        .await?;
        if arguments.no_wait {
            let message = "restarted; the rollout was not waited for".to_owned();
            return Ok(summary::finished(&[], message, summary::Undo::nothing()));
        }
        let mut rollout = RolloutWatch {
            state: std::mem::take(&mut live.state),
            expected: observed_set::expected(&restarted),
            grace: rollout::grace_periods(&session.settings, begun),
            deadline: deadline.at,
        };
        rollout::follow(session, &mut live, &mut rollout, events).await?;
        let place = verify::probe_application(session, &rollout, arguments.probe, events).await?.place;
        let message = match &place {
            Endpoint::Simulated => "restarted on simulated nodes: no container runs".to_owned(),
            place => format!("restarted; {}", place.words()),
        };
        let finished = summary::finished(&[], message, summary::Undo::nothing());
        Ok(Finished { url: place.into_url(), ..finished })
    };
    under_lock(api, &set, held, events, work).await
}

/// What there is to restart.
async fn look(session: &Session) -> Result<(ObservedSet, String)> {
    let api = &session.connection.api;
    let version = session.server_version().await?;
    let set = session.set();
    let (live, refused) = observed_set::open_deployed(api, &set, version.streams_lists()).await?;
    let count = live.members.keys().filter(|id| id.kind == DEPLOYMENT.kind).count();
    if count > 0 {
        return Ok((live, format!("api {}, {count} to restart", version.text)));
    }
    if refused.iter().any(|scope| scope.kind == DEPLOYMENT) {
        let message = format!("cannot restart: deployments in namespace {} may not be read", set.namespace);
        return Err(Error::new(Id::Forbidden, Kind::Forbidden, message));
    }
    let message =
        format!("nothing to restart: there is no set `{}` in namespace {}", set.name, set.namespace);
    Err(Error::new(Id::NothingDeployed, Kind::Down, message).hint("handsctl deploy makes it"))
}
