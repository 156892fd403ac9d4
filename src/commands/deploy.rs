//! `deploy`: makes the set in the cluster what the configuration says, and waits until it works.

use std::time::Duration;

use super::confirm;
use super::course::Course;
use super::dry_run::dry_run;
use super::lock::{Held, under_lock};
use super::preflight::{Look, Wanted, preflight};
use super::run::{self, Deadline, step};
use super::session::{self, Session};
use crate::cli::{DeployArgs, DryRun, Global, OwnershipArgs, RolloutArgs};
use crate::cluster::ground;
use crate::error::Result;
use crate::event::{Event, Events, Finished, Phase};
use crate::plan::ownership::Ownership;
use crate::report::Streams;
use crate::settings::Settings;

const TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// Runs `deploy`.
pub(super) async fn run(global: &Global, arguments: &DeployArgs, streams: &Streams) -> anyhow::Result<u8> {
    let deadline = Deadline::after(arguments.apply.rollout.timeout.unwrap_or(TIMEOUT));
    run::run(global, "deploy", arguments.apply.rollout.output, streams, deadline, |events, held| async move {
        let loaded = session::load(global)?;
        session::tell(&loaded, &events).await;
        let session = Session::to_change(global, loaded, streams).await?;
        if arguments.delete_data && arguments.dry_run.is_none() {
            let what =
                format!("volume claims of {} that are no longer configured", session.settings.deploy.name);
            confirm::deletion(global, &what, &session.connection.choice.context, streams).await?;
        }
        let ownership = ownership(&session.settings, arguments.apply.ownership);
        let look = Look { wanted: Wanted::Configuration, delete_data: arguments.delete_data, ownership };
        let target = Target { command: "deploy", look, deadline, held: &held };
        let outcome = deploy(&session, &arguments.apply.rollout, arguments.dry_run, target, &events).await;
        session.tell_wire(&events).await;
        Ok(outcome.map_err(|error| session.explain(error))?)
    })
    .await
}

/// What is done about fields and objects of others: what the configuration says, and what was typed.
pub(super) fn ownership(settings: &Settings, flags: OwnershipArgs) -> Ownership {
    Ownership::new(&settings.deploy.ownership, flags.force_conflicts, flags.adopt)
}

/// What a command makes of the set, and until when.
pub(super) struct Target<'a> {
    /// `deploy`, `rollback`.
    pub(super) command: &'static str,
    pub(super) look: Look,
    pub(super) deadline: Deadline,
    pub(super) held: &'a Held,
}

/// The recipe, once the cluster is chosen.
pub(super) async fn deploy(
    session: &Session,
    arguments: &RolloutArgs,
    dry: Option<DryRun>,
    target: Target<'_>,
    events: &Events,
) -> Result<Finished> {
    let command =
        if dry.is_some() { format!("{} (dry run)", target.command) } else { target.command.to_owned() };
    events.send(Event::Started { command, target: session.target() }).await;
    let mut prepared =
        step(events, Phase::Preflight, "preflight", preflight(session, target.look, events)).await?;
    let begun = session.connection.api.wire().last_date();
    let objects = prepared.member_ids().cloned().collect();
    events.send(Event::Planned { phase: Phase::Apply, objects }).await;
    if let Some(who) = dry {
        return dry_run(session, &prepared, who, events).await;
    }
    let writes = prepared.has_work(!arguments.no_wait);
    let course = Course { session, arguments, begun, deadline: target.deadline, events, writes };
    if !writes {
        return course.run(&mut prepared).await;
    }
    let api = &session.connection.api;
    let set = prepared.set.clone();
    // The lock stands in the application's namespace.
    ground::make_namespaces(api, &prepared.plan, &prepared.survey.missing_namespaces(), events).await?;
    let work = async {
        prepared.again(session).await?;
        course.run(&mut prepared).await
    };
    under_lock(api, &set, target.held, events, work).await
}
