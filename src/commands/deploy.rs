//! `deploy`: makes the set in the cluster what the configuration says, and waits until it works.

use std::time::Duration;

use clap::Args;

use crate::cluster::apply::namespaces;
use crate::deploy::dry_run::dry_run;
use crate::deploy::execute::Course;
use crate::deploy::prepare::{Look, Prepared, Wanted, preflight};
use crate::deploy::{auto_rollback, prepull, version_change};
use crate::error::Result;
use crate::event::{Event, Events, Finished, Phase};
use crate::flags::{ApplyArgs, DryRun, Global, OwnershipArgs, RolloutArgs};
use crate::plan::ownership::policy::Ownership;
use crate::report::Streams;
use crate::session::cluster_session::{self, Session};
use crate::session::set_lock::{LockSlot, under_lock};
use crate::session::step::{Deadline, step};
use crate::session::{confirm, runner};
use crate::settings::Settings;

/// Apply config.toml to the cluster and wait until it works
///
/// In order: read config.toml, look at the cluster, check the account's rights, make the namespace where it
/// is missing, apply what differs (server-side), watch the rollout, ask the application whether it answers.
/// Nobody else's object is changed; what is as it should be costs no request.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  handsctl deploy\n  handsctl deploy --dry-run=server\n  handsctl deploy --force-conflicts\n  handsctl deploy --context prod --timeout 10m --events deploy.ndjson\n  handsctl deploy --set 'deploy.image=\"docker.all-hands.dev/all-hands-ai/openhands:0.59\"'"
)]
pub struct DeployArgs {
    /// Change nothing: `client` shows what would be sent, `server` lets the API server check it
    #[arg(long, value_name = "WHO", num_args = 0..=1, require_equals = true, default_missing_value = "client")]
    pub dry_run: Option<DryRun>,
    /// Also delete a volume claim of the set that is no longer configured, and with it what is on it; and stop an
    /// application whose `on_stop = "clean"` deletes a conversation's volume
    #[arg(long)]
    pub delete_data: bool,
    /// Leave what was applied where its rollout fails, instead of bringing back the last good revision
    #[arg(long)]
    pub no_rollback: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened into the flags of the command")]
    pub apply: ApplyArgs,
}

const TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// Runs `deploy`.
pub(crate) async fn run(global: &Global, arguments: &DeployArgs, streams: &Streams) -> anyhow::Result<u8> {
    let deadline = Deadline::after(arguments.apply.rollout.timeout.unwrap_or(TIMEOUT));
    runner::run(
        global,
        "deploy",
        arguments.apply.rollout.output,
        streams,
        deadline,
        |events, held| async move {
            let loaded = cluster_session::load(global)?;
            cluster_session::report_config(&loaded, &events).await;
            let session = Session::to_change(global, loaded, streams).await?;
            if arguments.delete_data && arguments.dry_run.is_none() {
                let what = format!(
                    "volume claims of {} that are no longer configured",
                    session.settings.deploy.name
                );
                confirm::deletion(global, &what, &session.connection.choice.context, streams).await?;
            }
            let ownership = ownership(&session.settings, arguments.apply.ownership);
            let look = Look { wanted: Wanted::Configuration, delete_data: arguments.delete_data, ownership };
            let recovers = !arguments.no_rollback;
            let target = Target { command: "deploy", look, deadline, held: &held, recovers };
            let outcome =
                deploy(&session, &arguments.apply.rollout, arguments.dry_run, target, &events).await;
            session.report_traffic(&events).await;
            Ok(outcome.map_err(|error| session.with_credentials_hint(error))?)
        },
    )
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
    pub(super) held: &'a LockSlot,
    /// Whether a rollout that fails may be undone.
    pub(super) recovers: bool,
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
    events.target(command, session.target()).await;
    let mut prepared =
        step(events, Phase::Preflight, "preflight", preflight(session, target.look, events)).await?;
    version_change::report(&prepared, events).await;
    let begun = session.connection.api.traffic().last_date();
    let objects = prepared.member_ids().cloned().collect();
    events.send(Event::Planned { phase: Phase::Apply, objects }).await;
    if let Some(who) = dry {
        return dry_run(session, &prepared, who, events).await;
    }
    let writes = prepared.has_work(!arguments.no_wait);
    let Target { deadline, recovers, held, .. } = target;
    let course = Course { session, arguments, begun, deadline, events, writes, recovers };
    if !writes {
        return course.run(&mut prepared).await.map(|finished| noted(finished, &prepared));
    }
    let api = &session.connection.api;
    let set = prepared.set.clone();
    // The lock stands in the application's namespace.
    namespaces::create_missing(api, &prepared.plan, &prepared.survey.missing_namespaces(), events).await?;
    let work = async {
        prepared.again(session).await?;
        prepull::prepull(session, &prepared, deadline, events).await?;
        let error = match course.run(&mut prepared).await {
            Ok(finished) => return Ok(noted(finished, &prepared)),
            Err(error) => error,
        };
        match auto_rollback::target(&session.settings, &prepared, &course, &error) {
            Some(number) => Err(auto_rollback::bring_back(&course, &mut prepared, number, error).await),
            None => Err(error),
        }
    };
    under_lock(api, &set, held, events, work).await
}

/// Whoever brought something back is told that the configuration still says otherwise.
fn noted(mut finished: Finished, prepared: &Prepared) -> Finished {
    if !prepared.note.is_empty() {
        finished.message = format!(
            "{}; {}; config.toml is as it was, and the next deploy applies it again",
            prepared.note, finished.message
        );
    }
    finished
}
