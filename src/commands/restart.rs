//! `restart`: replaces the application's pods without changing the configuration.

use std::time::Duration;

use clap::Args;
use jiff::Timestamp;

use crate::catalogue::Id;
use crate::cluster::access::{access_review, rules};
use crate::cluster::app::client::AppClient;
use crate::cluster::app::keyed_request::{self, KeyedRequestError};
use crate::cluster::apply::applied::Applied;
use crate::cluster::apply::{app_keys as secrets, restart};
use crate::cluster::rollout::follow::RolloutWatch;
use crate::cluster::watch::observed_set::{self, ObservedSet};
use crate::deploy::summary::{self, UndoHint};
use crate::deploy::verify::{self, Endpoint, ProbedApp};
use crate::deploy::{
    app_keys, claim_guard, conversation_guard, conversations, missing_application, refusals, rollout,
};
use crate::error::{Error, Kind, Result};
use crate::event::{Finished, Phase};
use crate::flags::{Global, RolloutArgs};
use crate::object::kind::DEPLOYMENT;
use crate::plan::inventory::app_keys::{AppKeys, StoredAppKeys};
use crate::plan::manifests::stop_signal;
use crate::report::Streams;
use crate::session::cluster_session::Secrets;
use crate::session::hidden_keys;
use crate::session::runner::{Invocation, Run};
use crate::session::step::step;

/// Replace the application's pods without changing the configuration
///
/// Use it after a referenced Secret has changed, or when the application is stuck. In order: inspect the cluster, check
/// the account's rights, restart each Deployment of the installation, watch the rollout, probe the application. With
/// --rotate-key, Agent Canvas or its server gets a new key first, and accepts the present one until the next restart.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  handsctl restart\n  handsctl restart --no-wait\n  handsctl restart --rotate-key"
)]
pub struct RestartArgs {
    /// Replace the key that the page and the API of Agent Canvas require; the present one works until the next restart
    #[arg(long)]
    pub rotate_key: bool,
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
    let change = if arguments.rotate_key { KeyChange::Rotate } else { KeyChange::DropPrevious };
    invocation.change_cluster(Secrets::Unneeded, async |run| restart(run, rollout, change).await).await
}

/// What a restart does to the key of the application's API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyChange {
    /// Nothing.
    Keep,
    /// It makes a new one, and keeps the present one as its predecessor.
    Rotate,
    /// It removes the predecessor, if there is one.
    DropPrevious,
}

/// Replaces the pods of the set's Deployments and follows the rollout. With `--lock-wait`, waits for another run first.
///
/// # Errors
/// Exit 12 if nothing is deployed; exit 2 if a conversation would lose its volume, or if the application has no key to
/// change; those of a rollout.
pub(super) async fn restart(run: &Run<'_>, arguments: &RolloutArgs, change: KeyChange) -> Result<Finished> {
    run.waiting_for_lock(arguments.lock.lock_wait, async || restart_now(run, arguments, change).await).await
}

async fn restart_now(run: &Run<'_>, arguments: &RolloutArgs, change: KeyChange) -> Result<Finished> {
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
    let changes_keys = is_applicable(run, &observed, &keys, change)?;
    if changes_keys {
        access_review::check(run.api(), &rules::for_restart_with_keys(&set)).await?;
    }
    conversations::warn_of_stop(run, &observed, &keys, None).await?;
    run.under_lock(&set, async {
        refusals::check_restart(run, &observed).await?;
        claim_guard::ensure_restart_keeps(run, &observed).await?;
        let changed = if changes_keys { change_keys(run, change).await? } else { None };
        let started = run.api().clock().floor();
        let restarted = step(run.events(), Phase::Apply, "apply", async {
            let restarted = restart::restart(run.api(), &observed.members, started, run.events()).await?;
            let count = restarted.len();
            Ok((restarted, format!("{count} restarted")))
        })
        .await?;
        let finished = if arguments.no_wait {
            let message = "restarted, without waiting for the rollout".to_owned();
            summary::finished(message, UndoHint::Nothing, !run.session.is_simulation)
        } else {
            follow(run, arguments, &mut observed, &restarted, started, changed.as_ref()).await?
        };
        let notes = changed.and_then(|_| note(change)).map(str::to_owned);
        Ok(Finished { notes: notes.into_iter().collect(), ..finished })
    })
    .await
}

/// Returns whether the restart changes keys.
///
/// # Errors
/// Exit 2 if a new key is asked for, and the application has none.
fn is_applicable(
    run: &Run<'_>,
    observed: &ObservedSet,
    stored: &StoredAppKeys,
    change: KeyChange,
) -> Result<bool> {
    match (change, stored) {
        (KeyChange::Rotate, StoredAppKeys::Keys(_)) => Ok(true),
        (KeyChange::DropPrevious, StoredAppKeys::Keys(keys)) => Ok(keys.has_previous()),
        (KeyChange::Keep | KeyChange::DropPrevious, _) => Ok(false),
        (KeyChange::Rotate, _) => {
            let edition = verify::edition_of(run.settings(), |id| observed.members.get(id));
            let message = format!("cannot replace the key: {} has none", edition.product);
            Err(Error::new(Id::Usage, Kind::Usage, message)
                .hint("handsctl restart, without --rotate-key, replaces the pods"))
        }
    }
}

/// Changes the keys as they are under the lock, and hides them. None if there is nothing to change.
async fn change_keys(run: &Run<'_>, change: KeyChange) -> Result<Option<AppKeys>> {
    let set = run.session.set();
    let StoredAppKeys::Keys(keys) = secrets::read(run.api(), &set).await? else { return Ok(None) };
    let changed = match change {
        KeyChange::Keep => None,
        KeyChange::Rotate => Some(secrets::rotate(run.api(), &set, keys, run.events()).await?),
        KeyChange::DropPrevious => match keys.without_previous() {
            None => None,
            Some(keys) => {
                secrets::store_api_keys(run.api(), &set, &keys, run.events()).await?;
                Some(keys)
            }
        },
    };
    if let Some(keys) = &changed {
        hidden_keys::hide(run.session, keys);
    }
    Ok(changed)
}

/// Returns what a changed key means for those who use it.
fn note(change: KeyChange) -> Option<&'static str> {
    match change {
        KeyChange::Keep => None,
        KeyChange::Rotate => Some(
            "handsctl open --key prints the new key; the earlier one is accepted until the next handsctl restart",
        ),
        KeyChange::DropPrevious => Some("the key before the last rotation is not accepted any more"),
    }
}

async fn follow(
    run: &Run<'_>,
    arguments: &RolloutArgs,
    observed: &mut ObservedSet,
    restarted: &[Applied],
    started: Timestamp,
    changed: Option<&AppKeys>,
) -> Result<Finished> {
    let rollout = RolloutWatch {
        expected: observed_set::expected(restarted),
        grace: rollout::grace_periods(run.settings(), started),
        deadline: run.deadline().at,
        usual: None,
    };
    rollout::follow(run, observed, &rollout).await?;
    let edition = verify::edition_of(run.settings(), |id| observed.members.get(id));
    let ProbedApp { endpoint, client } =
        verify::probe_application(run, arguments.probe, observed, edition).await?;
    if let (Some(client), Some(keys)) = (&client, changed) {
        ensure_accepted(run, client, keys).await?;
    }
    let finished = summary::finished(
        endpoint.result_of("restarted"),
        UndoHint::Nothing,
        endpoint != Endpoint::Simulated,
    );
    Ok(Finished { url: endpoint.into_url(), ..finished })
}

/// Checks that the API accepts the key of the Secret.
///
/// # Errors
/// Exit 9 if it answers 401.
async fn ensure_accepted(run: &Run<'_>, client: &AppClient, keys: &AppKeys) -> Result<()> {
    let why = match keyed_request::get_json(run.api(), client, keys.api(), client.edition.settings).await {
        Ok(_settings) => return Ok(()),
        Err(KeyedRequestError::KeyRejected) => return Err(app_keys::rejected(run)),
        Err(error) => error.reason(),
    };
    run.events()
        .warn(Id::ProbeFailed, format!("whether the new key is accepted was not checked: {why}"))
        .await;
    Ok(())
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
