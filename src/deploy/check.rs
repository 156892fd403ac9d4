//! Checks before the first write: Pod Security, the account's rights, conversations that a stop would delete.
//! Add new preflight checks here.

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

/// Checks the namespaces' Pod Security levels before the plan is built.
///
/// # Errors
/// Exit 14 if Pod Security rejects the sandbox pods: the application would start, but no conversation could.
pub(super) fn namespaces(settings: &Settings, state: &ClusterState) -> Result<()> {
    if settings.deploy.profile == Profile::Dev {
        return ensure_agent_allowed(settings, state);
    }
    let runtime = settings.runtime_namespace();
    let Some(NamespaceState::Present(namespace)) = state.namespaces.get(runtime) else { return Ok(()) };
    let Some(level) = pod_security::rejecting_level(namespace, settings.openhands.kubernetes.privileged)
    else {
        return Ok(());
    };
    let sandboxes =
        if level == "restricted" { "sandbox pods, which run as root" } else { "privileged sandbox pods" };
    Err(Error::new(
        Id::PodSecurityTooStrict,
        Kind::Prerequisite,
        format!("namespace {runtime} enforces Pod Security `{level}`, which rejects {sandboxes}; nothing was changed"),
    )
    .at_config(settings.locate("kubernetes.namespace"))
    .hint("[kubernetes] namespace = \"NAME\" runs the sandboxes in another namespace")
    .hint(format!("an administrator can relax it: kubectl label namespace {runtime} --overwrite pod-security.kubernetes.io/enforce=baseline")))
}

/// Checks that Pod Security allows mirrord's agent: the agent pod shares the PID namespace of its node, which only the
/// level `privileged` allows.
fn ensure_agent_allowed(settings: &Settings, state: &ClusterState) -> Result<()> {
    let namespace = settings.deploy.namespace.as_str();
    let Some(NamespaceState::Present(object)) = state.namespaces.get(namespace) else { return Ok(()) };
    let Some(level) = pod_security::rejecting_level(object, true) else { return Ok(()) };
    Err(Error::new(
        Id::PodSecurityTooStrict,
        Kind::Prerequisite,
        format!("namespace {namespace} enforces Pod Security `{level}`, which rejects mirrord's agent; nothing was changed"),
    )
    .at_config(settings.locate("deploy.namespace"))
    .hint("-n NAME with a new name: handsctl creates that namespace with the level that the agent needs")
    .hint(format!("an administrator can relax it: kubectl label namespace {namespace} --overwrite pod-security.kubernetes.io/enforce=privileged")))
}

/// Turns a forbidden read into an error that lists every right that the account lacks, because the server's error names
/// only one.
///
/// # Errors
/// The given error, or the one with all missing rights.
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

/// Checks the planned changes.
///
/// # Errors
/// Exit 6 with every right that the account lacks; exit 2 if a conversation would lose its volume.
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
        let message = format!("[deploy.ownership] `{rule}` matches no field of the set");
        run.events().warn(Id::RuleWithoutField, message).await;
    }
    if changes.is_empty() { Ok(()) } else { check_rights(run, prepared, changes).await }
}

async fn check_rights(run: &Run<'_>, prepared: &Preparation, changes: &Changes) -> Result<()> {
    let creates = |change: &Change| matches!(change, Change::Create(_));
    let to_send = changes.to_send().map(|(member, change)| (member, creates(change)));
    let mut required = rules::for_apply(&changes.plan, to_send);
    let cleanup = changes.cleanup(RevisionResult::Good);
    required
        .extend(rules::for_prune(&prepared.state.set, cleanup.to_delete().map(|candidate| &candidate.id)));
    let granted = rules::granted_by_roles(changes.to_send().map(|(member, _)| member));
    access_review::check_with_grants(run.api(), &required, &granted).await
}

/// Returns true if the changes stop or start a pod that deletes a conversation's volume when it stops.
fn deletes_conversation_on_stop(prepared: &Preparation) -> bool {
    let deployments = prepared.changes.to_send().filter(|(member, _)| member.kind == DEPLOYMENT);
    deployments.into_iter().any(|(member, _)| {
        let live = prepared.observed.members.get(&member.id);
        stop_signal::deletes_conversation_on_stop(&member.manifest)
            || live.is_some_and(stop_signal::deletes_conversation_on_stop)
    })
}
