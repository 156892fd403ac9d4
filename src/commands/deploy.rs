//! `deploy`: makes the set in the cluster what the configuration says, and waits until it works.

use std::time::Duration;

use super::dry_run::dry_run;
use super::preflight::{Prepared, preflight};
use super::probe::{self, Where};
use super::rollout;
use super::run::{self, Deadline, step};
use super::session::{self, Session};
use crate::cli::{DeployArgs, DryRun, Global, RolloutArgs};
use crate::cluster::apply::{self, Applied, Mode};
use crate::cluster::track::Rollout;
use crate::cluster::{ground, live};
use crate::error::Result;
use crate::event::{Action, Event, Events, Finished, Phase};
use crate::plan::ownership::Ownership;
use crate::report::Streams;

const TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// Runs `deploy`.
pub(super) async fn run(global: &Global, arguments: &DeployArgs, streams: &Streams) -> anyhow::Result<u8> {
    let deadline = Deadline::after(arguments.rollout.timeout.unwrap_or(TIMEOUT));
    run::run(global, "deploy", arguments.rollout.output, streams, deadline, |events| async move {
        let loaded = session::load(global)?;
        session::tell(&loaded, &events).await;
        let session = Session::to_change(global, loaded, streams).await?;
        let outcome = deploy(&session, &arguments.rollout, arguments.dry_run, deadline, &events).await;
        session.tell_wire(&events).await;
        Ok(outcome.map_err(|error| session.explain(error))?)
    })
    .await
}

/// The recipe, once the cluster is chosen.
pub(super) async fn deploy(
    session: &Session,
    arguments: &RolloutArgs,
    dry: Option<DryRun>,
    deadline: Deadline,
    events: &Events,
) -> Result<Finished> {
    let command = if dry.is_some() { "deploy (dry run)" } else { "deploy" };
    events.send(Event::Started { command: command.to_owned(), target: session.target() }).await;
    let flags = arguments.ownership;
    let ownership = Ownership::new(&session.settings.deploy.ownership, flags.force_conflicts, flags.adopt);
    let mut prepared =
        step(events, Phase::Preflight, "preflight", preflight(session, ownership, events)).await?;
    let begun = session.connection.api.wire().last_date();
    events
        .send(Event::Planned {
            objects: prepared.plan.members.iter().map(|member| member.id.clone()).collect(),
        })
        .await;
    if let Some(who) = dry {
        return dry_run(session, &prepared, who, events).await;
    }
    let applied = step(events, Phase::Apply, "apply", send(session, &prepared, events)).await?;
    if arguments.no_wait {
        return Ok(finished(&applied, "applied; the rollout was not waited for".to_owned(), None));
    }
    let mut rollout = Rollout {
        world: std::mem::take(&mut prepared.live.world),
        expected: live::expected(&applied),
        tolerance: rollout::tolerance(&session.settings, begun),
        deadline: deadline.at,
    };
    if rollout::is_standing_still(session, &rollout) {
        live::recall(&session.connection.api, &prepared.plan.set, &mut rollout.world).await?;
    }
    rollout::follow(session, &mut prepared.live, &mut rollout, events).await?;
    let place = probe::ask(session, &rollout, arguments.probe, events).await?;
    let message = match &place {
        Where::Simulated => "deployed to simulated nodes: every object is real, no container runs".to_owned(),
        Where::At(url) => format!("OpenHands is ready at {url}"),
        Where::Inside => "OpenHands is ready inside the cluster".to_owned(),
    };
    Ok(finished(&applied, message, place.into_url()))
}

/// Lays the ground and sends the members.
async fn send(session: &Session, prepared: &Prepared, events: &Events) -> Result<(Vec<Applied>, String)> {
    let api = &session.connection.api;
    let Prepared { plan, survey, live, ownership, needs } = prepared;
    // Nothing of this is sent where it is there already: a parent that somebody deleted comes back.
    ground::make_namespaces(api, plan, &survey.missing_namespaces(), events).await?;
    if let Some((key, false)) = &survey.key {
        ground::store_key(api, &plan.set, key, events).await?;
    }
    ground::widen_parent(api, plan, survey.parent.as_ref(), events).await?;
    let applied = apply::apply(api, plan, needs, &live.members, ownership, Mode::Apply, events).await?;
    let summary = counts(&applied);
    Ok((applied, summary))
}

/// `1 created, 1 configured, 9 unchanged`.
pub(super) fn counts(applied: &[Applied]) -> String {
    let words = [Action::Created, Action::Configured, Action::Unchanged].map(|action| {
        let count = applied.iter().filter(|applied| applied.action == action).count();
        (count > 0).then(|| format!("{count} {}", action.word()))
    });
    words.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// The last word, with what to type next.
pub(super) fn finished(applied: &[Applied], message: String, url: Option<String>) -> Finished {
    let changed = applied.iter().any(|applied| applied.action != Action::Unchanged);
    let mut next = vec![("logs".to_owned(), "handsctl logs -f".to_owned())];
    if changed {
        next.push(("undo".to_owned(), "handsctl teardown            (keeps the volume)".to_owned()));
    }
    Finished { url, message, next, ..Finished::default() }
}
