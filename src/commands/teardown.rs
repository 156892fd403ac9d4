//! `teardown`: deletes what deploy made, and says what stays.

use std::time::Duration;

use clap::Args;

use crate::catalogue::Id;
use crate::cluster::access::{access_review, rules};
use crate::cluster::apply::inventory;
use crate::cluster::apply::namespaces::{self, NamespaceState};
use crate::cluster::client::api::Api;
use crate::cluster::client::discovery;
use crate::cluster::teardown::{self, TeardownOptions, TeardownResult};
use crate::deploy::conversation_guard;
use crate::error::{Error, Kind, Result};
use crate::event::{Action, Events, Finished, Phase};
use crate::flags::{Format, Global, duration};
use crate::object::{ObjectId, labels};
use crate::plan::inventory::apply_set::ApplySet;
use crate::report::Streams;
use crate::session::cluster_session::Secrets;
use crate::session::confirm;
use crate::session::runner::{Invocation, Run};
use crate::session::step::step;

/// Delete what deploy made; the volume stays unless --delete-data
///
/// In order: Ingress, Deployment with its pods (waited for), the rest, the set's parent. Kept and named:
/// the volume claim, the namespace, sandboxes and their claims. Running it again is no error.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  handsctl teardown\n  handsctl teardown --delete-data --yes")]
pub struct TeardownArgs {
    /// Also delete the volume claim, and with it settings and conversations
    #[arg(long)]
    pub delete_data: bool,
    /// Also delete the namespaces of the set that handsctl made; their volumes go with them, so this needs --delete-data
    #[arg(long, requires = "delete_data")]
    pub delete_namespace: bool,
    /// Time for the whole command [default: 5m]
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    pub timeout: Option<Duration>,
    /// Form of the summary on stdout
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
        // Before anything is drawn: a block would be drawn over the question.
        confirm(global, arguments, run, streams).await?;
        run.events().target("teardown", run.session.target()).await;
        teardown(run, arguments).await
    };
    invocation.change_cluster(Secrets::Unneeded, work).await
}

/// Asks where data or a namespace is deleted.
async fn confirm(global: &Global, arguments: &TeardownArgs, run: &Run<'_>, streams: &Streams) -> Result<()> {
    if !(arguments.delete_data || arguments.delete_namespace) {
        return Ok(());
    }
    let deploy = &run.settings().deploy;
    let what = if arguments.delete_namespace {
        format!("namespace {} with everything in it", run.session.set().namespaces().join(" and "))
    } else {
        format!(
            "the volume of {} in namespace {} with its settings and conversations",
            deploy.name, deploy.namespace
        )
    };
    confirm::deletion(global, &what, &run.session.connection.choice.context, streams).await
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
    let deployed = match teardown::list(api, &set, parent, version.streams_lists()).await {
        // The server names one missing right at a time.
        Err(error) if error.kind() == Kind::Forbidden => {
            access_review::check(api, &rules::for_teardown(&set)).await?;
            return Err(error);
        }
        deployed => deployed?,
    };
    if deployed.stops_cleanly() && !arguments.delete_data {
        conversation_guard::ensure_no_conversations(run, "--delete-data goes on, and lets it").await?;
    }
    let removed = if deployed.is_empty() {
        TeardownResult::default()
    } else {
        access_review::check(api, &rules::for_teardown(&set)).await?;
        let work = step(events, Phase::Prune, "objects", async {
            let removed = teardown::teardown(api, &set, deployed, options, events).await?;
            let message = format!("{} deleted", removed.deleted.len());
            Ok((removed, message))
        });
        // Where the lock's namespace is gone nobody can hold it, and nobody can deploy either.
        let lockable = namespaces.iter().any(|(name, _)| *name == set.namespace);
        if lockable { run.under_lock(&set, work).await? } else { work.await? }
    };
    settle_namespaces(run, arguments, &namespaces, options).await?;
    let message = match removed.deleted.len() {
        0 if namespaces.is_empty() => format!("nothing to delete: there is no namespace {}", set.namespace),
        0 => format!("nothing to delete: no set `{}` in namespace {}", set.name, set.namespace),
        1 => "1 object deleted".to_owned(),
        count => format!("{count} objects deleted"),
    };
    Ok(Finished { message, ..Finished::default() })
}

/// Deletes the namespaces that are to go, and names the others with the sandboxes in them.
async fn settle_namespaces(
    run: &Run<'_>,
    arguments: &TeardownArgs,
    namespaces: &[(String, NamespaceState)],
    options: TeardownOptions,
) -> Result<()> {
    // Only namespaces that the configuration names: those stood in the question.
    let configured = run.session.set();
    for (name, state) in namespaces {
        let goes = arguments.delete_namespace && configured.namespaces().contains(&name.as_str());
        if goes && is_ours(state) {
            teardown::namespace(run.api(), name, options, run.events()).await?;
            continue;
        }
        keep(run.events(), ObjectId::cluster("", "Namespace", name), why_kept(state)).await;
        name_sandboxes(run, name).await?;
    }
    Ok(())
}

/// The work is done by now: an account that may not see sandboxes is told so, and that is all.
async fn name_sandboxes(run: &Run<'_>, namespace: &str) -> Result<()> {
    match teardown::sandboxes(run.api(), namespace).await {
        Ok(sandboxes) => {
            for sandbox in sandboxes {
                keep(run.events(), sandbox, "a conversation of the application").await;
            }
            Ok(())
        }
        Err(error) if error.kind() == Kind::Forbidden => {
            let why =
                format!("sandboxes in namespace {namespace} are not named: {}", error.causes().join(": "));
            run.events().warn(error.id(), why).await;
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// The namespaces of the set that are there, or may be.
async fn get_namespaces(api: &Api, set: &ApplySet) -> Result<Vec<(String, NamespaceState)>> {
    let reads = set.namespaces().into_iter().map(|name| async move {
        namespaces::get_even_terminating(api, name).await.map(|state| (name.to_owned(), state))
    });
    let mut found = futures::future::try_join_all(reads).await?;
    found.retain(|(_, state)| *state != NamespaceState::Absent);
    Ok(found)
}

/// The application's namespace is somebody else's: said before anything is deleted.
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
        format!("namespace {} was not made by handsctl; nothing was deleted", set.namespace),
    )
    .hint("without --delete-namespace the set is deleted and the namespace stays")
    .hint(format!("kubectl delete namespace {} deletes it with everything in it", set.namespace)))
}

fn is_ours(namespace: &NamespaceState) -> bool {
    let NamespaceState::Present(found) = namespace else { return false };
    found["metadata"]["annotations"][labels::CREATED_BY].is_string()
}

fn why_kept(namespace: &NamespaceState) -> &'static str {
    match namespace {
        NamespaceState::Present(_) if is_ours(namespace) => "--delete-data --delete-namespace removes it",
        NamespaceState::Present(_) => "it was not made by handsctl",
        NamespaceState::Absent | NamespaceState::Unknown => "who made it is not known",
    }
}

async fn keep(events: &Events, object: ObjectId, why: &str) {
    events.object(Phase::Prune, object, Action::Kept, Some(why.to_owned())).await;
}
