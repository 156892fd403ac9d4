//! Checks before the first write: Pod Security, the account's rights, conversations that a stop would delete.
//! Add new preflight checks here.

use super::prepare::Preparation;
use super::request::DeployRequest;
use super::{
    app_keys, claim_guard, conversation_guard, dev_namespace, edition_change, existing_claim, live_exposure,
    new_volume, secret_keys, service_account, shared_host, terminating,
};
use crate::catalogue::Id;
use crate::cluster::access::{access_review, rules};
use crate::error::{Kind, Result};
use crate::object::kind::DEPLOYMENT;
use crate::plan::changes::{Change, Changes};
use crate::plan::inventory::revision::RevisionResult;
use crate::plan::manifests::stop_signal;
use crate::plan::{self, SecretKey, SecretNaming};
use crate::session::runner::Run;

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
/// Exit 6 with every right that the account lacks; exit 2 if a conversation would lose its volume; exit 7 if others expose
/// the application, or profile dev would join the sandboxes of others; exit 14 if the named ServiceAccount, the named
/// claim or a Secret that the pod reads does not exist, or its keys are not those of its volume.
pub(super) async fn changes(run: &Run<'_>, request: &DeployRequest, prepared: &Preparation) -> Result<()> {
    let changes = &prepared.changes;
    edition_change::ensure_requested(run, request, prepared)?;
    app_keys::ensure_unused_name(run, prepared).await?;
    app_keys::ensure_of_volume(run, prepared)?;
    live_exposure::ensure_unchanged_contained(run, prepared)?;
    service_account::ensure_usable(run, prepared).await?;
    existing_claim::ensure_exists(run, prepared).await?;
    dev_namespace::ensure_no_sandboxes(run, prepared).await?;
    secret_keys::ensure_complete(run, prepared).await?;
    if !request.policy.delete_data && deletes_conversation_on_stop(prepared) {
        conversation_guard::ensure_no_conversations(
            run,
            "handsctl deploy --delete-data continues, and lets the application delete it",
        )
        .await?;
    }
    claim_guard::warn_of_deletion(&changes.held_claims, run.events()).await;
    new_volume::report(run, prepared).await?;
    shared_host::report(run, prepared).await;
    for rule in request.policy.ownership.rules_without_field(&changes.plan) {
        let message = format!("[deploy.ownership] `{rule}` matches no field of the installation");
        run.events().warn(Id::RuleWithoutField, message).await;
    }
    if changes.is_empty() { Ok(()) } else { check_rights(run, prepared, changes).await }
}

async fn check_rights(run: &Run<'_>, prepared: &Preparation, changes: &Changes) -> Result<()> {
    let creates = |change: &Change| matches!(change, Change::Create | Change::Recreate);
    let to_send = changes.to_send().map(|(member, change)| (member, creates(change)));
    let mut required = rules::for_apply(&changes.plan, to_send);
    let cleanup = changes.cleanup(RevisionResult::Good);
    let deleted = cleanup.to_delete().map(|candidate| &candidate.id);
    required.extend(rules::for_prune(&prepared.state.set, deleted.chain(terminating::stopped(changes))));
    // A server that streams lists lets the watches do without `list`, but another run makes this one list again.
    required.extend(rules::for_watch(&changes.plan));
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
