//! Keeps the policy of a former sandbox namespace while sandboxes still run there.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::cluster::app::sandbox_pods;
use crate::error::Result;
use crate::event::{Action, Phase};
use crate::object::kind::NETWORK_POLICY;
use crate::object::{ObjectId, labels};
use crate::phrase;
use crate::plan::Plan;
use crate::plan::inventory::prune::PruneCandidate;
use crate::session::runner::Run;

/// Takes the policies out of the candidates that still limit sandboxes, and reports them as kept. Without them these
/// sandboxes would reach everything. A plan without a policy wants none.
///
/// # Errors
/// The server returns an error other than a missing right. Without the right to list pods the policy is kept.
pub(super) async fn keep_needed(
    run: &Run<'_>,
    plan: &Plan,
    candidates: &[PruneCandidate],
) -> Result<(Vec<PruneCandidate>, Vec<ObjectId>)> {
    let (mut deleted, mut kept) = (Vec::new(), Vec::new());
    let mut reasons: BTreeMap<String, Option<String>> = BTreeMap::new();
    for candidate in candidates {
        let Some(namespace) = former_sandbox_namespace(plan, candidate) else {
            deleted.push(candidate.clone());
            continue;
        };
        if !reasons.contains_key(namespace) {
            reasons.insert(namespace.to_owned(), reason_to_keep(run, namespace).await?);
        }
        match &reasons[namespace] {
            None => deleted.push(candidate.clone()),
            Some(reason) => {
                let id = candidate.id.clone();
                run.events().object(Phase::Prune, id.clone(), Action::Kept, Some(reason.clone())).await;
                kept.push(id);
            }
        }
    }
    Ok((deleted, kept))
}

/// Returns the namespace of a policy if the plan has the policy of that name in another namespace only. The plan may be
/// that of a revision. Other policies, such as the application's, limit no sandboxes.
fn former_sandbox_namespace<'a>(plan: &Plan, candidate: &'a PruneCandidate) -> Option<&'a str> {
    let is_policy = |id: &ObjectId| id.kind == NETWORK_POLICY.kind && id.group == NETWORK_POLICY.group;
    let namespace = candidate.id.namespace.as_deref()?;
    let planned = plan.members.iter().map(|member| &member.id);
    let moved = planned.filter(|id| is_policy(id) && id.name == candidate.id.name);
    let mut moved = moved.filter_map(|id| id.namespace.as_deref()).peekable();
    let is_left = is_policy(&candidate.id) && candidate.decision().deletes() && moved.peek().is_some();
    (is_left && moved.all(|other| other != namespace)).then_some(namespace)
}

/// Returns how many of these pods have not ended.
pub(super) fn running(pods: &[Value]) -> usize {
    let has_ended = |phase: &Value| phase == "Succeeded" || phase == "Failed";
    pods.iter().filter(|pod| !has_ended(&pod["status"]["phase"])).count()
}

/// Returns why the policies of the namespace are kept; None if no sandbox runs there.
async fn reason_to_keep(run: &Run<'_>, namespace: &str) -> Result<Option<String>> {
    let Some(pods) = sandbox_pods::list(run.api(), namespace).await? else {
        return Ok(Some(
            "no right to list the pods of its namespace, and sandboxes may run there".to_owned(),
        ));
    };
    let running = running(&pods);
    Ok((running > 0).then(|| {
        format!(
            "it limits {} in namespace {namespace}; kubectl delete pod -n {namespace} -l {} && handsctl deploy deletes it",
            phrase::count(running, "pod"),
            labels::SANDBOX_SELECTOR
        )
    }))
}
