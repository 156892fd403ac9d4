//! Checks before the first write: Pod Security, the account's rights, conversations that a stop would delete.
//! A new preflight check goes here.

use super::conversation_guard;
use super::prepare::Preparation;
use super::recipe::DeployRequest;
use crate::catalogue::Id;
use crate::cluster::access::{access_review, rules};
use crate::cluster::apply::namespaces::NamespaceState;
use crate::cluster::inspect::ClusterState;
use crate::error::{Error, Kind, Result};
use crate::object::kind::DEPLOYMENT;
use crate::plan::changes::{Change, Changes};
use crate::plan::checks::pod_security;
use crate::plan::inventory::revision::RevisionResult;
use crate::plan::manifests::stop_signal;
use crate::plan::{self, SecretKey, SecretNaming};
use crate::session::runner::Run;
use crate::settings::Settings;
use crate::settings::handsctl::Profile;

/// Checks the namespaces before anything is planned.
///
/// # Errors
/// Exit 14 where Pod Security refuses the pods that the application starts: it would start, and no conversation ever
/// would.
pub(super) fn namespaces(settings: &Settings, state: &ClusterState) -> Result<()> {
    if settings.deploy.profile == Profile::Dev {
        return agent_may_run(settings, state);
    }
    let runtime = settings.runtime_namespace();
    let Some(NamespaceState::Present(namespace)) = state.namespaces.get(runtime) else { return Ok(()) };
    let Some(level) = pod_security::refusing_level(namespace, settings.openhands.kubernetes.privileged)
    else {
        return Ok(());
    };
    let sandboxes =
        if level == "restricted" { "sandbox pods, which run as root" } else { "privileged sandbox pods" };
    Err(Error::new(
        Id::PodSecurityTooStrict,
        Kind::Prerequisite,
        format!("namespace {runtime} enforces Pod Security `{level}`, which refuses {sandboxes}; nothing was changed"),
    )
    .at_config(settings.locate("kubernetes.namespace"))
    .hint("[kubernetes] namespace = \"NAME\" runs the sandboxes elsewhere")
    .hint(format!("an administrator can relax it: kubectl label namespace {runtime} --overwrite pod-security.kubernetes.io/enforce=baseline")))
}

/// mirrord's agent is a pod that shares the processes of its node, which only `privileged` allows.
fn agent_may_run(settings: &Settings, state: &ClusterState) -> Result<()> {
    let namespace = settings.deploy.namespace.as_str();
    let Some(NamespaceState::Present(found)) = state.namespaces.get(namespace) else { return Ok(()) };
    let Some(level) = pod_security::refusing_level(found, true) else { return Ok(()) };
    Err(Error::new(
        Id::PodSecurityTooStrict,
        Kind::Prerequisite,
        format!("namespace {namespace} enforces Pod Security `{level}`, which refuses mirrord's agent; nothing was changed"),
    )
    .at_config(settings.locate("deploy.namespace"))
    .hint("-n NAME, of a namespace that is not there yet, is made as the agent needs it")
    .hint(format!("an administrator can relax it: kubectl label namespace {namespace} --overwrite pod-security.kubernetes.io/enforce=privileged")))
}

/// Names every right that the account lacks where the server refused a read: the server names one at a time.
///
/// # Errors
/// The error that was given, or the one that names all rights.
pub(super) async fn explaining_forbidden(run: &Run<'_>, outcome: Result<Preparation>) -> Result<Preparation> {
    let Err(error) = outcome else { return outcome };
    if error.kind() == Kind::Forbidden {
        let (key, versions) = (SecretKey::default(), std::collections::BTreeMap::new());
        let plan = plan::build(run.settings(), SecretNaming::Keyed { key: &key, versions: &versions }, &[])?;
        let mut all = rules::for_apply(&plan, plan.members.iter().map(|member| (member, true)));
        all.extend(rules::for_watch(&plan));
        access_review::check(run.api(), &all).await?;
    }
    Err(error)
}

/// Checks what has to be done.
///
/// # Errors
/// Exit 6 with every right that the account lacks; exit 2 where a conversation would lose its volume.
pub(super) async fn changes(run: &Run<'_>, request: &DeployRequest, prepared: &Preparation) -> Result<()> {
    let changes = &prepared.changes;
    if !request.policy.delete_data && deletes_conversation_on_stop(prepared) {
        conversation_guard::ensure_no_conversations(
            run,
            "--delete-data continues, and lets the application delete it",
        )
        .await?;
    }
    for rule in request.policy.ownership.rules_without_field(&changes.plan) {
        let message = format!("[deploy.ownership] `{rule}` is no field of the set");
        run.events().warn(Id::RuleWithoutField, message).await;
    }
    if changes.is_empty() { Ok(()) } else { rights(run, prepared, changes).await }
}

async fn rights(run: &Run<'_>, prepared: &Preparation, changes: &Changes) -> Result<()> {
    let creates = |change: &Change| matches!(change, Change::Create(_));
    let to_send = changes.to_send().map(|(member, change)| (member, creates(change)));
    let mut needed = rules::for_apply(&changes.plan, to_send);
    let cleanup = changes.cleanup(RevisionResult::Good);
    needed.extend(rules::for_prune(&prepared.state.set, cleanup.to_delete().map(|one| &one.id)));
    let granted = rules::granted_by_roles(changes.to_send().map(|(member, _)| member));
    access_review::check_with_grants(run.api(), &needed, &granted).await
}

/// Whether a pod is stopped that deletes a conversation's volume then, or one is created that will.
fn deletes_conversation_on_stop(prepared: &Preparation) -> bool {
    let deployments = prepared.changes.to_send().filter(|(member, _)| member.kind == DEPLOYMENT);
    deployments.into_iter().any(|(member, _)| {
        let live = prepared.observed.members.get(&member.id);
        stop_signal::is_clean(&member.manifest) || live.is_some_and(stop_signal::is_clean)
    })
}
