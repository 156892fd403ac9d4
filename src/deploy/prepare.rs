//! The steps before the first write: reads the cluster, builds the plan, compares them, checks the changes.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::claim_guard;
use super::pod_security;
use super::request::DeployRequest;
use crate::catalogue::Id;
use crate::cluster::inspect::{self, ClusterState};
use crate::cluster::watch::observed_set::{self, ObservedSet};
use crate::error::{Error, Kind, Result};
use crate::object::ObjectId;
use crate::object::kind::Wave;
use crate::plan::changes::{self, ChangePolicy, Changes, Live};
use crate::plan::checks::secret_refs;
use crate::plan::goal::{Desired, Goal};
use crate::plan::inventory::apply_set::ApplySet;
use crate::plan::inventory::history::History;
use crate::plan::inventory::revision::Revision;
use crate::plan::inventory::snapshot::Snapshot;
use crate::plan::manifests::extra_manifests;
use crate::plan::ownership::policy::Ownership;
use crate::plan::{self, Member, SecretNaming};
use crate::session::runner::Run;
use crate::settings::Settings;
use crate::status::{self, Expected, GracePeriods, Verdict, evaluate};

/// The facts and the planned changes before the first write.
pub(crate) struct Preparation {
    /// Namespaces, inventory, revisions, referenced Secrets.
    pub(crate) state: ClusterState,
    /// The watched members with their pods and `ReplicaSets`.
    pub(crate) observed: ObservedSet,
    /// The planned changes.
    pub(crate) changes: Changes,
    /// The version that the API server reports: `v1.34.4`.
    pub(crate) server_version: String,
    /// True if the server streams lists (watch lists).
    pub(crate) streaming: bool,
}

/// Reads the cluster and compares it with the plan.
///
/// # Errors
/// Every foreseeable error, so that the command does not stop half-way.
pub(crate) async fn prepare(run: &Run<'_>, request: &DeployRequest) -> Result<Preparation> {
    let (version, state) = tokio::join!(run.session.server_version(), inspect(run));
    // The error of the version request comes first, because it explains a failed connection.
    let version = version?;
    let mut state = state?;
    pod_security::ensure_sandboxes_allowed(run.settings(), &state)?;
    let desired = desired(run.settings(), request.goal, &state)?;
    state.set.extra_kinds.extend(desired.extra_kinds());
    let streaming = version.streams_lists();
    let observed =
        observed_set::open(run.api(), &state.set, &desired.objects(), streaming, run.events()).await?;
    decide_latest(&mut state, &observed, &request.policy, run.api().clock().now());
    let changes = compare(desired, &state, &observed, &request.policy)?;
    claim_guard::ensure_kept(run, request, &changes, &observed)?;
    Ok(Preparation { state, observed, changes, server_version: version.text, streaming })
}

impl Preparation {
    /// Reads and compares again if another run has changed the set before this one acquired the lock: it has then
    /// recorded a revision or a result, or changed the parent. One that only repaired members has applied the recorded
    /// revision, and the server compares the fields of each apply anyway.
    ///
    /// # Errors
    /// As [`Self::refresh`].
    pub(crate) async fn refresh_under_lock(&mut self, run: &Run<'_>, request: &DeployRequest) -> Result<()> {
        if self.state.refresh(run.api()).await? {
            return self.compare_again(run, request).await;
        }
        Ok(())
    }

    /// Reads and compares again: after a wait, in which the set changes, and before a rollback, which has another goal.
    ///
    /// # Errors
    /// The server returns an error, or a revision cannot be restored. Exit 2 if the changes would stop a pod and lose
    /// the data of a claim that is being deleted.
    pub(crate) async fn refresh(&mut self, run: &Run<'_>, request: &DeployRequest) -> Result<()> {
        self.state.refresh(run.api()).await?;
        self.compare_again(run, request).await
    }

    async fn compare_again(&mut self, run: &Run<'_>, request: &DeployRequest) -> Result<()> {
        let desired = desired(run.settings(), request.goal, &self.state)?;
        self.state.set.extra_kinds.extend(desired.extra_kinds());
        self.observed.relist(run.api(), &self.state.set).await?;
        decide_latest(&mut self.state, &self.observed, &request.policy, run.api().clock().now());
        self.changes = compare(desired, &self.state, &self.observed, &request.policy)?;
        claim_guard::ensure_kept(run, request, &self.changes, &self.observed)
    }

    /// Recomputes the deletions after the rollout, which has replaced pods.
    pub(crate) fn update_cleanup(&mut self, policy: &ChangePolicy) {
        let referenced = status::referenced_names(&self.observed.state, policy.revision_history);
        self.changes.update_cleanup(live(&self.state, &self.observed, &referenced), policy);
    }
}

async fn inspect(run: &Run<'_>) -> Result<ClusterState> {
    let settings = run.settings();
    let secrets = secret_refs::secret_refs(settings);
    let kinds = extra_manifests::unknown_kinds(settings);
    inspect::inspect(run.api(), &run.session.set(), &secrets, &kinds, run.events()).await
}

fn desired(settings: &Settings, goal: Goal, state: &ClusterState) -> Result<Desired> {
    match goal {
        Goal::Configuration => {
            let naming = SecretNaming::Keyed { key: &state.key.key, versions: &state.secret_versions };
            plan::build(settings, naming, &state.kinds).map(Desired::Configuration)
        }
        Goal::Revision(number) => {
            let revision = chosen_revision(&state.history, number, settings)?;
            let number = revision.number;
            let snapshot = revision.snapshot.clone().ok_or_else(|| incomplete(number))?;
            Ok(Desired::Revision { number, snapshot })
        }
    }
}

/// Decides about a latest revision whose run has recorded no result: the live set shows whether it works.
fn decide_latest(state: &mut ClusterState, observed: &ObservedSet, policy: &ChangePolicy, now: Timestamp) {
    let Some(snapshot) = state.history.undecided().map(|latest| latest.snapshot.as_ref()) else { return };
    let is_ready =
        snapshot.is_some_and(|snapshot| is_ready(snapshot, &state.set, observed, &policy.ownership, now));
    state.history.decide(is_ready);
}

/// Returns whether the workloads of a snapshot run unchanged and are ready.
fn is_ready(
    snapshot: &Snapshot,
    set: &ApplySet,
    observed: &ObservedSet,
    ownership: &Ownership,
    now: Timestamp,
) -> bool {
    let Ok(plan) = snapshot.plan(0, set, &observed.members) else { return false };
    let is_workload = |member: &&Member| member.kind.wave == Wave::Workload;
    let workloads = plan.members.iter().filter(is_workload);
    if !changes::are_unchanged(workloads.clone(), set, &observed.members, ownership) {
        return false;
    }
    let names: BTreeSet<&ObjectId> = workloads.map(|member| &member.id).collect();
    let expected = observed_set::expected_unchanged(&observed.members);
    let expected: Vec<Expected> = expected.into_iter().filter(|object| names.contains(&object.id)).collect();
    let grace = GracePeriods::starting_at(now);
    !expected.is_empty() && evaluate(&observed.state, &expected, &grace, now).verdict == Verdict::Ready
}

fn compare(
    desired: Desired,
    state: &ClusterState,
    observed: &ObservedSet,
    policy: &ChangePolicy,
) -> Result<Changes> {
    let number = if let Desired::Revision { number, .. } = desired { number } else { 0 };
    let plan = desired.into_plan(&state.set, &observed.members).map_err(|missing| {
        let names: Vec<String> = missing.0.iter().map(ToString::to_string).collect();
        incomplete(number).fact("missing", names.join(", "))
    })?;
    let referenced = status::referenced_names(&observed.state, policy.revision_history);
    Ok(Changes::between(plan, live(state, observed, &referenced), policy))
}

fn live<'a>(
    state: &'a ClusterState,
    observed: &'a ObservedSet,
    referenced: &'a BTreeSet<String>,
) -> Live<'a> {
    Live {
        members: &observed.members,
        parent: state.parent.as_ref(),
        history: &state.history,
        key_is_stored: state.key.stored,
        referenced,
    }
}

/// Returns the revision that a rollback restores.
fn chosen_revision<'a>(
    history: &'a History,
    number: Option<u64>,
    settings: &Settings,
) -> Result<&'a Revision> {
    let Some(latest) = history.latest() else {
        let message = format!(
            "there is no set `{}` with a history in namespace {}",
            settings.deploy.name, settings.deploy.namespace
        );
        return Err(Error::new(Id::NoSuchRevision, Kind::Usage, message).hint("handsctl deploy creates it"));
    };
    let revision = number.map_or_else(|| history.rollback_target(), |number| history.get(number));
    revision.ok_or_else(|| {
        let message = match number.or_else(|| latest.unfinished_rollback()) {
            Some(number) => format!("revision {number} is not kept"),
            None => format!("no good revision is kept whose content differs from revision {}", latest.number),
        };
        let kept: Vec<String> = history.all().iter().map(|revision| revision.number.to_string()).collect();
        Error::new(Id::NoSuchRevision, Kind::Usage, message)
            .fact("kept", kept.join(", "))
            .hint("handsctl history lists them; handsctl rollback --to N chooses one")
    })
}

fn incomplete(number: u64) -> Error {
    Error::new(
        Id::RevisionIncomplete,
        Kind::Prerequisite,
        format!("revision {number} cannot be restored; nothing was changed"),
    )
    .hint("handsctl history lists the others")
    .hint("handsctl deploy applies config.toml")
}
