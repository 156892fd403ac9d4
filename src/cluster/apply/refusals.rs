//! Lets the API server check the planned changes, and the pod that follows from them, before the first write. Stores
//! nothing.

use std::collections::BTreeSet;

use kube::api::ListParams;
use serde_json::Value;

use super::applied::Applied;
use super::pod_admission::{self, PodAdmission};
use super::waves;
use crate::catalogue::Id;
use crate::cluster::client::api::Api;
use crate::cluster::watch::observed_set::ObservedSet;
use crate::error::{Error, Kind, Result};
use crate::event::Events;
use crate::object::kind::{DEPLOYMENT, POD, SERVICE_ACCOUNT};
use crate::object::{ObjectId, deletion};
use crate::plan::changes::{Change, Changes};
use crate::plan::checks::{dry_run_sample, quota};
use crate::plan::ownership::policy::Ownership;

/// The state after a check that found the reason without a rejection by the server.
const FOUND: &str = "the installation was not changed: this was found before the first write";

/// Returns the state that a failed check leaves: what the check before the first write found.
#[must_use]
pub fn unchanged_after(error: &Error) -> &'static str {
    match (error.kind(), error.id()) {
        (Kind::Ownership, _) | (_, Id::MemberDeleted) => FOUND,
        // The quotas have room for each object, and not for all of them.
        (_, Id::QuotaRejected) if error.rejected().is_none() => FOUND,
        (Kind::Rejected, _) => {
            "the installation was not changed: the server rejected a dry run, before the first write"
        }
        (Kind::Forbidden, _) => {
            "the installation was not changed: the server forbade a dry run, before the first write"
        }
        _ => "the installation was not changed: the check before the first write failed",
    }
}

/// Which changes the server checks.
#[derive(Debug, Clone, Copy)]
pub enum CheckScope<'a> {
    /// Of many new objects of one kind only some, and no object is reported: the apply reports it.
    Sample,
    /// All changes. Each object is reported, also the unchanged ones.
    All(&'a Events),
}

/// What the server says about the planned changes.
#[derive(Debug, Default)]
pub struct DryRunResult {
    /// The objects as the dry run returned them.
    pub results: Vec<Applied>,
    /// All rejections: exit 7 for fields and objects of others, exit 8 for quotas, webhooks, Pod Security and invalid
    /// objects, exit 6 for a missing right.
    pub rejections: Vec<Error>,
}

/// Sends the planned changes as a dry run, then a pod of each changed Deployment that the server accepts.
///
/// # Errors
/// The server cannot be asked.
pub async fn check(
    api: &Api,
    changes: &Changes,
    ownership: &Ownership,
    observed: &ObservedSet,
    scope: CheckScope<'_>,
) -> Result<DryRunResult> {
    let (silent, _) = Events::channel();
    let (events, unasked) = match scope {
        CheckScope::Sample if !changes.sends() => return Ok(DryRunResult::default()),
        CheckScope::Sample => (&silent, unasked(api, changes).await?),
        CheckScope::All(events) => (events, BTreeSet::new()),
    };
    let (results, mut rejections) =
        waves::dry_run(api, changes, &observed.members, ownership, events, &unasked).await;
    for deployment in results.iter().filter(|applied| replaces_pods(applied, changes, observed)) {
        let Some(object) = &deployment.object else { continue };
        rejections.extend(check_pod(api, &deployment.id, object, observed).await?);
    }
    Ok(DryRunResult { results, rejections })
}

/// Returns the new members that no dry run checks: of many of one kind those whose names no other object has. One list
/// tells what a thousand dry runs would.
async fn unasked<'a>(api: &Api, changes: &'a Changes) -> Result<BTreeSet<&'a ObjectId>> {
    let mut unasked = BTreeSet::new();
    for group in dry_run_sample::beyond_sample(changes.to_send()) {
        let foreign = ListParams::default().labels(&changes.plan.set.foreign_selector());
        let taken = match api.list(&group.kind.collection(group.namespace), &foreign).await {
            Err(error) if error.code() == Some(403) => continue,
            list => {
                list.map_err(|error| error.into_error(&format!("cannot list {}", group.kind.plural)))?.items
            }
        };
        let is_taken =
            |id: &ObjectId| taken.iter().any(|object| object["metadata"]["name"] == id.name.as_str());
        unasked.extend(group.members.into_iter().filter(|id| !is_taken(id)));
    }
    Ok(unasked)
}

/// Checks that the server would create the pods of these Deployments anew, before they are stopped.
///
/// # Errors
/// Exit 8 if it rejects them.
pub async fn check_restart(api: &Api, observed: &ObservedSet) -> Result<()> {
    let has_pods =
        |(id, object): &(&ObjectId, &Value)| id.kind == DEPLOYMENT.kind && object["spec"]["replicas"] != 0;
    for (id, object) in observed.members.iter().filter(has_pods) {
        if let Some(rejection) = check_pod(api, id, object, observed).await? {
            return Err(with_pods_kept(rejection, observed));
        }
    }
    Ok(())
}

/// Returns whether the dry run changed the pods of a Deployment, and whether the server can check such a pod already.
fn replaces_pods(applied: &Applied, changes: &Changes, observed: &ObservedSet) -> bool {
    let Some(object) =
        applied.object.as_ref().filter(|_| applied.is_changed() && applied.id.kind == DEPLOYMENT.kind)
    else {
        return false;
    };
    let template = &object["spec"]["template"];
    let live = observed.members.get(&applied.id);
    let is_same = live.is_some_and(|live| live["spec"]["template"] == *template);
    !is_same && object["spec"]["replicas"] != 0 && !creates_account(&applied.id, template, changes)
}

/// Returns whether this run creates the ServiceAccount of the pods. The server rejects a pod without it.
fn creates_account(deployment: &ObjectId, template: &Value, changes: &Changes) -> bool {
    let account = template["spec"]["serviceAccountName"].as_str().unwrap_or("default");
    changes.to_send().any(|(member, change)| {
        member.kind == SERVICE_ACCOUNT
            && matches!(change, Change::Create | Change::Recreate)
            && member.id.namespace == deployment.namespace
            && member.id.name == account
    })
}

/// The pods that stop before the new pods of a Deployment are created.
enum OldPods {
    Listed(Vec<Value>),
    /// The Deployment has pods, and the account may not list them.
    Unlisted,
}

impl OldPods {
    fn of(deployment: &ObjectId, observed: &ObservedSet) -> Result<Self> {
        let Some(live) = observed.members.get(deployment) else { return Ok(Self::Listed(Vec::new())) };
        let owner = live["metadata"]["uid"].as_str().unwrap_or_default();
        let sets = observed.state.replica_sets_of(owner).into_iter();
        let pods =
            sets.flat_map(|set| observed.state.pods_of(set.metadata.uid.as_deref().unwrap_or_default()));
        let pods: Vec<Value> = pods
            .map(serde_json::to_value)
            .collect::<Result<_, _>>()
            .map_err(|error| Error::internal(error.to_string()))?;
        let has_unlisted = pods.is_empty()
            && (deletion::deleted_since(live).is_some()
                || live["status"]["replicas"].as_u64().unwrap_or(0) > 0);
        Ok(if has_unlisted { Self::Unlisted } else { Self::Listed(pods) })
    }

    /// Returns whether a quota that rejects a new pod beside the old ones still rejects it after they have stopped.
    fn leave_no_room(&self, rejection: &Error) -> bool {
        match self {
            Self::Unlisted => false,
            Self::Listed(pods) => pods.is_empty() || quota::rejects_without(pods, &rejection.evidence_text()),
        }
    }
}

/// Sends a pod of the Deployment as a dry run, and returns its rejection. The old pods free their part of a quota before
/// the new one is created.
async fn check_pod(
    api: &Api,
    id: &ObjectId,
    deployment: &Value,
    observed: &ObservedSet,
) -> Result<Option<Error>> {
    let PodAdmission::Rejected(error) = admission(api, id, deployment, observed).await else {
        return Ok(None);
    };
    let is_freed = error.id() == Id::QuotaRejected && !OldPods::of(id, observed)?.leave_no_room(&error);
    Ok(Some(error).filter(|_| !is_freed))
}

/// Adds the state to a failed check.
#[must_use]
pub fn with_pods_kept(error: Error, observed: &ObservedSet) -> Error {
    let is_of_pods = error.rejected().is_some_and(|rejected| rejected.kind == POD.kind);
    if is_of_pods && observed.state.pods().next().is_some() {
        return error.state("nothing was changed; the previous pod was not stopped");
    }
    let state = unchanged_after(&error);
    error.state(state)
}

/// Asks the API server whether it admits a pod of the Deployment.
pub(crate) async fn admission(
    api: &Api,
    id: &ObjectId,
    deployment: &Value,
    observed: &ObservedSet,
) -> PodAdmission {
    let owner = observed.state.replica_sets.values().find(|replica_set| {
        let owners = replica_set.metadata.owner_references.as_deref().unwrap_or_default();
        owners.iter().any(|owner| deployment["metadata"]["uid"] == owner.uid.as_str())
    });
    let owner = owner.and_then(|it| Some((it.metadata.name.as_deref()?, it.metadata.uid.as_deref()?)));
    pod_admission::check(api, id, deployment, owner).await
}
