//! `restart`: replaces the application's pods without a change.

use std::time::Duration;

use super::lock::{Held, under_lock};
use super::probe::{self, Where};
use super::run::{self, Deadline, step};
use super::session::{self, Session};
use super::{outcome, risk, rollout};
use crate::catalogue::Id;
use crate::cli::{Global, RolloutArgs};
use crate::cluster::access::{access_review, rules};
use crate::cluster::apply::restart;
use crate::cluster::rollout::follow::Rollout;
use crate::cluster::watch::observed_set::{self, LiveSet};
use crate::error::{Error, Kind, Result};
use crate::event::{Event, Events, Finished, Phase};
use crate::object::kind::DEPLOYMENT;
use crate::plan::manifests::stop_signal;
use crate::report::Streams;

const TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// Runs `restart`.
pub(super) async fn run(global: &Global, arguments: &RolloutArgs, streams: &Streams) -> anyhow::Result<u8> {
    let deadline = Deadline::after(arguments.timeout.unwrap_or(TIMEOUT));
    run::run(global, "restart", arguments.output, streams, deadline, |events, held| async move {
        let loaded = session::load_without_secrets(global)?;
        session::tell(&loaded, &events).await;
        let session = Session::to_change(global, loaded, streams).await?;
        let outcome = restart(&session, arguments, deadline, &held, &events).await;
        session.tell_wire(&events).await;
        Ok(outcome.map_err(|error| session.explain(error))?)
    })
    .await
}

async fn restart(
    session: &Session,
    arguments: &RolloutArgs,
    deadline: Deadline,
    held: &Held,
    events: &Events,
) -> Result<Finished> {
    events.send(Event::Started { command: "restart".to_owned(), target: session.target() }).await;
    let api = &session.connection.api;
    let set = session.set();
    let mut live = step(events, Phase::Preflight, "preflight", look(session)).await?;
    let begun = api.wire().last_date();
    access_review::check(api, &rules::restarted(&set)).await?;
    if live.members.values().any(stop_signal::is_clean) {
        risk::refuse(session, "handsctl deploy --delete-data with it stops this pod once more").await?;
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
            return Ok(outcome::finished(&[], message, outcome::Undo::nothing()));
        }
        let mut rollout = Rollout {
            world: std::mem::take(&mut live.world),
            expected: observed_set::expected(&restarted),
            tolerance: rollout::tolerance(&session.settings, begun),
            deadline: deadline.at,
        };
        rollout::follow(session, &mut live, &mut rollout, events).await?;
        let place = probe::ask(session, &rollout, arguments.probe, events).await?.place;
        let message = match &place {
            Where::Simulated => "restarted on simulated nodes: no container runs".to_owned(),
            place => format!("restarted; {}", place.words()),
        };
        let finished = outcome::finished(&[], message, outcome::Undo::nothing());
        Ok(Finished { url: place.into_url(), ..finished })
    };
    under_lock(api, &set, held, events, work).await
}

/// What there is to restart.
async fn look(session: &Session) -> Result<(LiveSet, String)> {
    let api = &session.connection.api;
    let version = session.server_version().await?;
    let set = session.set();
    let (live, refused) = observed_set::look(api, &set, version.streams_lists()).await?;
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
