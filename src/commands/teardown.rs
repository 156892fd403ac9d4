//! `teardown`: deletes the set and lists the objects that it keeps.

use std::time::Duration;

use clap::Args;
use serde_json::Value;

use crate::catalogue::Id;
use crate::cluster::access::{access_review, rules};
use crate::cluster::apply::inventory;
use crate::cluster::apply::namespaces::{self, NamespaceState};
use crate::cluster::client::api::Api;
use crate::cluster::client::discovery;
use crate::cluster::teardown::{self, TeardownOptions, TeardownResult};
use crate::deploy::claim_guard::{self, CheckTime};
use crate::deploy::conversation_guard;
use crate::error::{Error, Kind, Result};
use crate::event::{Action, Events, Finished, Phase};
use crate::flags::{Format, Global, parse_duration};
use crate::object::{ObjectId, deletion, labels};
use crate::plan::deletions::HeldClaim;
use crate::plan::inventory::apply_set::ApplySet;
use crate::report::Streams;
use crate::session::cluster_session::Secrets;
use crate::session::confirm;
use crate::session::runner::{Invocation, Run};
use crate::session::step::step;

/// Delete the set that deploy created; keep its volume unless --delete-data
///
/// In order: delete the Ingress, delete the Deployment and wait until its pods are gone, delete the other objects,
/// delete the set's inventory. It keeps and lists the volume claim, the namespace, and sandboxes with their claims.
/// It succeeds if the set is already deleted.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  handsctl teardown\n  handsctl teardown --delete-data --yes")]
pub struct TeardownArgs {
    /// Also delete the volume claim, with all settings and conversations
    #[arg(long)]
    pub delete_data: bool,
    /// Also delete the set's namespaces that handsctl created, with every volume in them; needs --delete-data
    #[arg(long, requires = "delete_data")]
    pub delete_namespace: bool,
    /// Time limit of the whole command [default: 5m]
    #[arg(long, value_parser = parse_duration, value_name = "DURATION")]
    pub timeout: Option<Duration>,
    /// Output format of the summary on stdout
    #[arg(short, long, value_name = "FORMAT")]
    pub output: Option<Format>,
}

const TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// Runs `teardown`.
pub(crate) async fn run(global: &Global, arguments: &TeardownArgs, streams: &Streams) -> anyhow::Result<u8> {
    let invocation = Invocation {
        global,
        command: "teardown",
        output: arguments.output,
        timeout: arguments.timeout.unwrap_or(TIMEOUT),
        streams,
    };
    let work = async |run: &Run<'_>| {
        // Ask before the first progress output, which would overwrite the question.
        confirm(global, arguments, run, streams).await?;
        run.events().target("teardown", run.session.target()).await;
        teardown(run, arguments).await
    };
    invocation.change_cluster(Secrets::Unneeded, work).await
}

/// Asks for a confirmation if data or a namespace will be deleted.
async fn confirm(global: &Global, arguments: &TeardownArgs, run: &Run<'_>, streams: &Streams) -> Result<()> {
    if !(arguments.delete_data || arguments.delete_namespace) {
        return Ok(());
    }
    let deploy = &run.settings().deploy;
    let object = if arguments.delete_namespace {
        format!("namespace {} with everything in it", run.session.set().namespaces().join(" and "))
    } else {
        format!(
            "the volume of {} in namespace {} with its settings and conversations",
            deploy.name, deploy.namespace
        )
    };
    confirm::deletion(global, &object, &run.session.connection.choice.context, streams).await
}

async fn teardown(run: &Run<'_>, arguments: &TeardownArgs) -> Result<Finished> {
    let (api, events) = (run.api(), run.events());
    let version = run.session.server_version().await?;
    let options = TeardownOptions { delete_data: arguments.delete_data, deadline: run.deadline().at };
    let parent = inventory::get_parent(api, &run.session.set()).await?;
    let set = discovery::including_inventory_of(api, &run.session.set(), parent.as_ref()).await?;
    let namespaces = get_namespaces(api, &set).await?;
    if arguments.delete_namespace {
        ensure_own_namespace(&set, &namespaces)?;
    }
    if let Some(namespace) = terminating(&set, &namespaces) {
        return in_terminating_namespace(run, arguments, &namespaces, namespace, options).await;
    }
    let deployed = match teardown::list(api, &set, parent, version.streams_lists()).await {
        // The server's error names one missing right; the review names all of them.
        Err(error) if error.kind() == Kind::Forbidden => {
            access_review::check(api, &rules::for_teardown(&set)).await?;
            return Err(error);
        }
        deployed => deployed?,
    };
    if !arguments.delete_data {
        claim_guard::ensure_teardown_keeps(&deployed.held_claims(), CheckTime::BeforeFirstWrite)?;
    }
    if deployed.deletes_conversation_on_stop() && !arguments.delete_data {
        conversation_guard::ensure_no_conversations(
            run,
            "--delete-data continues, and lets the application delete it",
        )
        .await?;
    }
    let result = if deployed.is_empty() {
        TeardownResult::default()
    } else {
        access_review::check(api, &rules::for_teardown(&set)).await?;
        let work = step(events, Phase::Prune, "objects", async {
            let ensure_kept =
                |held: &[HeldClaim]| claim_guard::ensure_teardown_keeps(held, CheckTime::BeforeStop);
            let result = teardown::teardown(api, &set, deployed, options, events, ensure_kept).await?;
            let message = format!("{} deleted", result.deleted.len());
            Ok((result, message))
        });
        // Without the namespace of the lock, no other run can hold the lock or deploy.
        let lockable = namespaces.iter().any(|(name, _)| *name == set.namespace);
        if lockable { run.under_lock(&set, work).await? } else { work.await? }
    };
    finish_namespaces(run, arguments, &namespaces, options).await?;
    let message = match result.deleted.len() {
        0 if namespaces.is_empty() => format!("nothing to delete: there is no namespace {}", set.namespace),
        0 => format!("nothing to delete: no set `{}` in namespace {}", set.name, set.namespace),
        1 => "1 object deleted".to_owned(),
        count => format!("{count} objects deleted"),
    };
    Ok(Finished { message, ..Finished::default() })
}

/// Returns the namespace of the set's lock if it is being deleted.
fn terminating<'a>(set: &ApplySet, namespaces: &'a [(String, NamespaceState)]) -> Option<&'a Value> {
    namespaces.iter().find_map(|(name, state)| match state {
        NamespaceState::Present(object) if *name == set.namespace => {
            deletion::deleted_since(object).map(|_| object)
        }
        _ => None,
    })
}

/// Ends a teardown whose namespace is being deleted: the server deletes every object in it, and accepts no lock. With
/// `--delete-namespace` it waits until the namespace is gone.
async fn in_terminating_namespace(
    run: &Run<'_>,
    arguments: &TeardownArgs,
    namespaces: &[(String, NamespaceState)],
    namespace: &Value,
    options: TeardownOptions,
) -> Result<Finished> {
    let name = run.session.set().namespace;
    if !arguments.delete_namespace {
        return Err(namespaces::terminating(&name, namespace).fact(
            "note",
            "everything in it is deleted with it, also its volumes; there is nothing left to delete",
        ));
    }
    finish_namespaces(run, arguments, namespaces, options).await?;
    Ok(Finished { message: format!("namespace {name} is gone with everything in it"), ..Finished::default() })
}

/// Deletes the requested namespaces, and reports the others with the sandboxes in them.
async fn finish_namespaces(
    run: &Run<'_>,
    arguments: &TeardownArgs,
    namespaces: &[(String, NamespaceState)],
    options: TeardownOptions,
) -> Result<()> {
    // Only the namespaces of the configuration were named in the question.
    let configured = run.session.set();
    for (name, state) in namespaces {
        let confirmed = arguments.delete_namespace && configured.namespaces().contains(&name.as_str());
        if confirmed && is_ours(state) {
            teardown::delete_namespace(run.api(), name, options, run.events()).await?;
            continue;
        }
        report_kept(run.events(), ObjectId::cluster("", "Namespace", name), why_kept(state)).await;
        report_sandboxes(run, name).await?;
    }
    Ok(())
}

/// Reports the sandboxes that stay. A missing right is only a warning, because the set is already deleted.
async fn report_sandboxes(run: &Run<'_>, namespace: &str) -> Result<()> {
    match teardown::list_sandboxes(run.api(), namespace).await {
        Ok(sandboxes) => {
            for sandbox in sandboxes {
                report_kept(run.events(), sandbox, "a conversation of the application").await;
            }
            Ok(())
        }
        Err(error) if error.kind() == Kind::Forbidden => {
            let message =
                format!("cannot list sandboxes in namespace {namespace}: {}", error.causes().join(": "));
            run.events().warn(error.id(), message).await;
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// Returns the set's namespaces, without those that are known to be absent.
async fn get_namespaces(api: &Api, set: &ApplySet) -> Result<Vec<(String, NamespaceState)>> {
    let reads = set.namespaces().into_iter().map(|name| async move {
        namespaces::get_even_terminating(api, name).await.map(|state| (name.to_owned(), state))
    });
    let mut namespaces = futures::future::try_join_all(reads).await?;
    namespaces.retain(|(_, state)| *state != NamespaceState::Absent);
    Ok(namespaces)
}

/// Checks before the first delete that handsctl created the application's namespace.
///
/// # Errors
/// Exit 7 if someone else created it.
fn ensure_own_namespace(set: &ApplySet, namespaces: &[(String, NamespaceState)]) -> Result<()> {
    let foreign = namespaces.iter().any(|(name, state)| {
        *name == set.namespace && matches!(state, NamespaceState::Present(_)) && !is_ours(state)
    });
    if !foreign {
        return Ok(());
    }
    Err(Error::new(
        Id::ForeignObject,
        Kind::Ownership,
        format!("namespace {} was not created by handsctl; nothing was deleted", set.namespace),
    )
    .hint("without --delete-namespace the set is deleted and the namespace is kept")
    .hint(format!("kubectl delete namespace {} deletes it with everything in it", set.namespace)))
}

fn is_ours(state: &NamespaceState) -> bool {
    let NamespaceState::Present(namespace) = state else { return false };
    namespace["metadata"]["annotations"][labels::CREATED_BY].is_string()
}

fn why_kept(namespace: &NamespaceState) -> &'static str {
    match namespace {
        NamespaceState::Present(_) if is_ours(namespace) => "--delete-data --delete-namespace deletes it",
        NamespaceState::Present(_) => "it was not created by handsctl",
        NamespaceState::Absent | NamespaceState::Unknown => "its creator is unknown",
    }
}

async fn report_kept(events: &Events, object: ObjectId, reason: &str) {
    events.object(Phase::Prune, object, Action::Kept, Some(reason.to_owned())).await;
}
