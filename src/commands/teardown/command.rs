//! The arguments and the steps of `teardown`.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::kept_snapshots;
use super::sandboxes::{self, Sandboxes};
use crate::catalogue::Id;
use crate::cluster::access::{access_review, rules};
use crate::cluster::apply::inventory;
use crate::cluster::apply::namespaces::{self, NamespaceState};
use crate::cluster::client::api::Api;
use crate::cluster::client::discovery;
use crate::cluster::namespace_objects;
use crate::cluster::sandbox_teardown::{self, SandboxTeardownResult};
use crate::cluster::teardown::{self, DeployedSet, TeardownOptions, TeardownResult};
use crate::deploy::claim_guard::{self, CheckTime};
use crate::deploy::conversation_guard;
use crate::error::{Error, Kind, Result};
use crate::event::{Action, Events, Finished, Phase};
use crate::flags::{Format, Global, LockArgs, parse_duration};
use crate::object::kind::CLAIM;
use crate::object::{ObjectId, deletion, labels};
use crate::phrase;
use crate::plan::deletions::HeldClaim;
use crate::plan::inventory::apply_set::ApplySet;
use crate::plan::inventory::{namespace_objects as ownership, prune};
use crate::report::Streams;
use crate::session::cluster_session::Secrets;
use crate::session::confirm;
use crate::session::runner::{Invocation, Run};
use crate::session::step::step;
use crate::status::sandbox;

/// Delete the application; keep its volume unless --delete-data
///
/// In order: delete the Ingress, delete the Deployment and wait until its pods are gone, delete the other objects,
/// delete the installation's record. It keeps and lists the volume, the namespace, and sandboxes with their volumes.
/// With --sandboxes it deletes the sandboxes of conversations as soon as the application has stopped.
/// It succeeds if the installation is already deleted.
#[derive(Debug, Clone, Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags of the command line")]
#[command(
    after_help = "Examples:\n  handsctl teardown\n  handsctl teardown --sandboxes --yes\n  handsctl teardown --sandboxes --delete-data --yes"
)]
pub struct TeardownArgs {
    /// Also delete the volume, with all settings and conversations; with --sandboxes also the volumes of conversations
    #[arg(long)]
    pub delete_data: bool,
    /// Also delete the sandboxes of conversations: their pods, Services and Ingresses
    #[arg(long)]
    pub sandboxes: bool,
    /// Also delete the installation's namespaces that handsctl created, with every volume in them; needs --delete-data
    #[arg(long, requires = "delete_data")]
    pub delete_namespace: bool,
    /// With --delete-namespace, also delete the objects of others in these namespaces
    #[arg(long, requires = "delete_namespace")]
    pub delete_foreign: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened into the flags of the command")]
    pub lock: LockArgs,
    /// Time limit of the whole command [default: 5m]
    #[arg(long, value_parser = parse_duration, value_name = "DURATION")]
    pub timeout: Option<Duration>,
    /// Output format of the summary on stdout
    #[arg(short, long, value_name = "FORMAT")]
    pub output: Option<Format>,
}

/// How many objects a question and an error name.
const MAX_NAMED: usize = 10;

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
        let asks = arguments.delete_data || arguments.delete_namespace || arguments.sandboxes;
        if asks {
            let data = if arguments.delete_data { "data" } else { "sandboxes" };
            let action = format!("deleting the {data} of {}", run.settings().deploy.name);
            confirm::ensure_answerable(global, streams, &action)?;
        }
        if asks && !global.yes {
            // Ask before the first progress output, which would overwrite the question.
            let target = read_target(run, arguments).await?;
            confirm(global, arguments, run, &target, streams).await?;
        }
        run.waiting_for_lock(arguments.lock.lock_wait, async || {
            // The answer may have taken minutes, and so may the wait for the lock.
            let target = read_target(run, arguments).await?;
            run.events().target("teardown", run.session.target()).await;
            teardown(run, arguments, target).await
        })
        .await
    };
    // The application is asked about its conversations with its key.
    let secrets = if arguments.sandboxes { Secrets::IfAvailable } else { Secrets::Unneeded };
    invocation.change_cluster(secrets, work).await
}

/// What a teardown finds before it asks and deletes.
struct Target {
    /// The set, with the namespaces and kinds of its parent.
    set: ApplySet,
    /// The set's existing namespaces.
    namespaces: Vec<(String, NamespaceState)>,
    /// The set's objects; `None` if its namespace is being deleted with them.
    deployed: Option<DeployedSet>,
    /// The objects of others in the namespaces to delete.
    foreign: Vec<ObjectId>,
    /// The sandboxes to delete; `None` without `--sandboxes`.
    sandboxes: Option<Sandboxes>,
}

/// Reads the set, and what else is in the namespaces to delete.
///
/// # Errors
/// Exit 7 if a namespace to delete has objects of others, without `--delete-foreign`.
async fn read_target(run: &Run<'_>, arguments: &TeardownArgs) -> Result<Target> {
    let api = run.api();
    let version = run.session.server_version().await?;
    let parent = inventory::get_parent(api, &run.session.set()).await?;
    let set = discovery::including_inventory_of(api, &run.session.set(), parent.as_ref()).await?;
    let namespaces = get_namespaces(api, &set).await?;
    if arguments.delete_namespace {
        ensure_own_namespace(&set, &namespaces)?;
    }
    let sandboxes =
        if arguments.sandboxes { Some(sandboxes::read(run, arguments.delete_data).await?) } else { None };
    if terminating(&set, &namespaces).is_some() {
        let foreign = foreign_objects(run, arguments, &namespaces).await?;
        ensure_no_foreign(arguments, &foreign, "nothing was deleted")?;
        return Ok(Target { set, namespaces, deployed: None, foreign, sandboxes });
    }
    let deployed = match teardown::list(api, &set, parent, version.streams_lists()).await {
        // The server's error names one missing right; the review names all of them.
        Err(error) if error.kind() == Kind::Forbidden => {
            access_review::check(api, &rules::for_teardown(&set)).await?;
            return Err(error);
        }
        deployed => deployed?,
    };
    let foreign = foreign_objects(run, arguments, &namespaces).await?;
    ensure_no_foreign(arguments, &foreign, "nothing was deleted")?;
    Ok(Target { set, namespaces, deployed: Some(deployed), foreign, sandboxes })
}

/// Lists the objects in the namespaces to delete that somebody else created, or that an annotation of theirs keeps.
async fn foreign_objects(
    run: &Run<'_>,
    arguments: &TeardownArgs,
    namespaces: &[(String, NamespaceState)],
) -> Result<Vec<ObjectId>> {
    let set = run.session.set();
    let mut foreign = Vec::new();
    for (name, state) in namespaces {
        let is_terminating = matches!(state, NamespaceState::Present(namespace) if deletion::deleted_since(namespace).is_some());
        if is_terminating || !is_to_be_deleted(run, arguments, name, state) {
            continue;
        }
        let objects = namespace_objects::list(run.api(), name).await?;
        let listed = ownership::uids(&objects);
        let is_foreign = |id: &ObjectId, object: &Value| {
            // Conversations belong to the application; --delete-data deletes them.
            let is_sandbox = sandbox::is_of_conversation(&id.kind, object);
            ownership::is_foreign(id, object, &set, &listed) && !is_sandbox || prune::is_exempt(object)
        };
        foreign.extend(objects.into_iter().filter(|(id, object)| is_foreign(id, object)).map(|(id, _)| id));
    }
    foreign.sort();
    Ok(foreign)
}

/// Returns whether the namespace will be deleted: handsctl created it, and the question names it.
fn is_to_be_deleted(run: &Run<'_>, arguments: &TeardownArgs, name: &str, state: &NamespaceState) -> bool {
    // Only the namespaces of the configuration are named in the question.
    arguments.delete_namespace && run.session.set().namespaces().contains(&name) && is_ours(state)
}

fn ensure_no_foreign(arguments: &TeardownArgs, foreign: &[ObjectId], state: &str) -> Result<()> {
    if foreign.is_empty() || arguments.delete_foreign {
        return Ok(());
    }
    let namespaces: BTreeSet<&str> = foreign.iter().filter_map(|id| id.namespace.as_deref()).collect();
    let namespaces = namespaces.into_iter().collect::<Vec<_>>().join(" and ");
    let message = format!("namespace {namespaces} has objects that are not of this installation; {state}");
    Err(Error::new(Id::ForeignObject, Kind::Ownership, message)
        .fact("objects", named(foreign))
        .hint("without --delete-namespace the installation is deleted and the namespace is kept")
        .hint("--delete-foreign deletes these objects too"))
}

/// Names the first objects and counts the others.
fn named(objects: &[ObjectId]) -> String {
    phrase::first_few(objects.iter(), MAX_NAMED)
}

/// Asks for a confirmation if data or a namespace will be deleted.
async fn confirm(
    global: &Global,
    arguments: &TeardownArgs,
    run: &Run<'_>,
    target: &Target,
    streams: &Streams,
) -> Result<()> {
    let deploy = &run.settings().deploy;
    let sandboxes = target.sandboxes.as_ref().filter(|sandboxes| !sandboxes.is_empty());
    let sandboxes = sandboxes.map(|sandboxes| sandboxes.describe(MAX_NAMED));
    let context = &run.session.connection.choice.context;
    if !arguments.delete_data {
        // --delete-namespace requires --delete-data.
        return match sandboxes {
            Some(sandboxes) => confirm::deletion(global, &sandboxes, context, streams).await,
            None => Ok(()),
        };
    }
    let mut holders = target.deployed.as_ref().map(DeployedSet::data_holders).unwrap_or_default();
    let object = if arguments.delete_namespace {
        holders.extend(target.foreign.iter().cloned());
        let also = if holders.is_empty() { String::new() } else { format!(", also {}", named(&holders)) };
        let to_delete =
            target.namespaces.iter().filter(|(name, state)| is_to_be_deleted(run, arguments, name, state));
        let names = to_delete.map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(" and ");
        format!("namespace {names} with everything in it{also}")
    } else {
        holders.retain(|id| id.kind != CLAIM.kind);
        let also = if holders.is_empty() { String::new() } else { format!(", and {}", named(&holders)) };
        format!(
            "the volume of {} in namespace {} with its settings and conversations{also}",
            deploy.name, deploy.namespace
        )
    };
    let sandboxes = sandboxes.map(|sandboxes| format!(", and {sandboxes}")).unwrap_or_default();
    confirm::deletion(global, &format!("{object}{sandboxes}"), context, streams).await
}

async fn teardown(run: &Run<'_>, arguments: &TeardownArgs, target: Target) -> Result<Finished> {
    let (api, events) = (run.api(), run.events());
    let options = TeardownOptions { delete_data: arguments.delete_data, deadline: run.deadline().at };
    let Target { set, namespaces, deployed, sandboxes, .. } = target;
    let removed = RefCell::new(SandboxTeardownResult::default());
    let remove_sandboxes = async || {
        if let Some(sandboxes) = &sandboxes {
            removed.replace(sandboxes.delete(run, options).await?);
        }
        Ok(())
    };
    let Some(deployed) = deployed else {
        // The server deletes those in the same namespace.
        if sandboxes.as_ref().is_some_and(|sandboxes| sandboxes.namespace != set.namespace) {
            remove_sandboxes().await?;
        }
        return in_terminating_namespace(run, arguments, &set, &namespaces, options).await;
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
    let deletes_namespace =
        namespaces.iter().any(|(name, state)| is_to_be_deleted(run, arguments, name, state));
    // Without the namespace of the lock, no other run can hold the lock or deploy.
    let lockable = namespaces.iter().any(|(name, _)| *name == set.namespace);
    let deletes_sandboxes = sandboxes.as_ref().is_some_and(|sandboxes| !sandboxes.is_empty());
    let result = if deployed.is_empty() && !deletes_namespace && !deletes_sandboxes {
        TeardownResult::default()
    } else if deployed.is_empty() {
        // The first deploy of another run may have begun.
        let work = async {
            let foreign = foreign_objects(run, arguments, &namespaces).await?;
            ensure_no_foreign(arguments, &foreign, "nothing was deleted")?;
            remove_sandboxes().await?;
            Ok(TeardownResult::default())
        };
        if lockable { run.under_lock(&set, work).await? } else { work.await? }
    } else {
        access_review::check(api, &rules::for_teardown(&set)).await?;
        let work = step(events, Phase::Prune, "objects", async {
            // Somebody may have created an object since the question.
            let foreign = foreign_objects(run, arguments, &namespaces).await?;
            ensure_no_foreign(arguments, &foreign, "nothing was deleted")?;
            let ensure_kept =
                |held: &[HeldClaim]| claim_guard::ensure_teardown_keeps(held, CheckTime::BeforeStop);
            let after_stop = &remove_sandboxes;
            let result =
                teardown::teardown(api, &set, deployed, options, events, ensure_kept, after_stop).await?;
            let message = format!("{} deleted", result.deleted.len());
            Ok((result, message))
        });
        if lockable { run.under_lock(&set, work).await? } else { work.await? }
    };
    let foreign = foreign_objects(run, arguments, &namespaces).await?;
    ensure_no_foreign(arguments, &foreign, "the installation was deleted, and the namespace was kept")?;
    let removed = removed.into_inner();
    let deleted_namespaces = finish_namespaces(run, arguments, &namespaces, &removed, options).await?;
    let message = match result.deleted.len() + removed.deleted.len() {
        0 if !deleted_namespaces.is_empty() => {
            format!("namespace {} deleted with everything in it", deleted_namespaces.join(" and "))
        }
        0 if namespaces.is_empty() => format!("nothing to delete: there is no namespace {}", set.namespace),
        0 => format!("nothing to delete: no installation `{}` in namespace {}", set.name, set.namespace),
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
    set: &ApplySet,
    namespaces: &[(String, NamespaceState)],
    options: TeardownOptions,
) -> Result<Finished> {
    let name = run.session.set().namespace;
    if let Some(namespace) = terminating(set, namespaces).filter(|_| !arguments.delete_namespace) {
        return Err(namespaces::terminating(&name, namespace).fact(
            "note",
            "everything in it is deleted with it, also its volumes; there is nothing left to delete",
        ));
    }
    finish_namespaces(run, arguments, namespaces, &SandboxTeardownResult::default(), options).await?;
    Ok(Finished { message: format!("namespace {name} is gone with everything in it"), ..Finished::default() })
}

/// Deletes the requested namespaces and returns their names. Reports the others with the sandboxes in them.
async fn finish_namespaces<'a>(
    run: &Run<'_>,
    arguments: &TeardownArgs,
    namespaces: &'a [(String, NamespaceState)],
    removed: &SandboxTeardownResult,
    options: TeardownOptions,
) -> Result<Vec<&'a str>> {
    let mut deleted = Vec::new();
    for (name, state) in namespaces {
        if is_to_be_deleted(run, arguments, name, state) {
            teardown::delete_namespace(run.api(), name, options, run.events()).await?;
            deleted.push(name.as_str());
            continue;
        }
        report_kept(run.events(), ObjectId::cluster("", "Namespace", name), why_kept(state)).await;
        report_sandboxes(run, name, removed).await?;
        for (snapshot, reason) in kept_snapshots::list(run, name).await? {
            report_kept(run.events(), snapshot, &reason).await;
        }
    }
    Ok(deleted)
}

/// Reports the sandboxes that stay. A missing right is only a warning, because the set is already deleted.
async fn report_sandboxes(run: &Run<'_>, namespace: &str, removed: &SandboxTeardownResult) -> Result<()> {
    match sandbox_teardown::list_kept(run.api(), namespace).await {
        Ok(sandboxes) => {
            warn_of_unlimited(run, namespace, &sandboxes).await;
            for (id, volume) in sandboxes {
                let reason = removed.kept.get(&id).copied().unwrap_or("a conversation of the application");
                report_kept(run.events(), id, &format!("{reason}{volume}")).await;
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

/// Warns of running sandboxes: the policy that limited them is deleted with the set.
async fn warn_of_unlimited(run: &Run<'_>, namespace: &str, sandboxes: &[(ObjectId, String)]) {
    let pods = sandboxes.iter().filter(|(id, _)| id.kind == "Pod").count();
    if pods == 0 || !run.settings().deploy.network_policy {
        return;
    }
    let sandboxes = if pods == 1 { "1 sandbox".to_owned() } else { format!("{pods} sandboxes") };
    let message = format!(
        "no policy limits {sandboxes} in namespace {namespace} any more; handsctl sandbox list shows their conversations: kubectl delete pod -n {namespace} -l {}",
        labels::SANDBOX_SELECTOR
    );
    run.events().warn(Id::SandboxesUnlimited, message).await;
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
    .hint("without --delete-namespace the installation is deleted and the namespace is kept")
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
