//! The steps before the first write: reads the cluster, builds the plan, compares them, checks the changes.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::claim_guard;
use super::pod_security;
use super::request::DeployRequest;
use super::restored_rights;
use crate::catalogue::Id;
use crate::cluster::apply::inventory::foreign_key_error;
use crate::cluster::inspect::{self, ClusterState, SetKey};
use crate::cluster::watch::observed_set::{self, ObservedSet};
use crate::error::{Error, Kind, Result};
use crate::object::ObjectId;
use crate::object::kind::Wave;
use crate::plan::changes::{self, ChangePolicy, Changes, Live};
use crate::plan::checks::secret_refs;
use crate::plan::goal::{Desired, Goal};
use crate::plan::inventory::apply_set::ApplySet;
use crate::plan::inventory::first_deploy::DeployProgress;
use crate::plan::inventory::history::History;
use crate::plan::inventory::members::Members;
use crate::plan::inventory::restorable::RestoreTarget;
use crate::plan::inventory::revision::{self, ForeignRevision, Revision};
use crate::plan::inventory::set_key;
use crate::plan::inventory::snapshot::{RestoreError, Snapshot};
use crate::plan::manifests::extra_manifests;
use crate::plan::ownership::policy::Ownership;
use crate::plan::{self, Member, SecretNaming};
use crate::session::runner::Run;
use crate::settings::Settings;
use crate::status::{self, Expected, GracePeriods, Verdict, evaluate};
use crate::timeline::RunRecord;

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
    /// The members before this run, which an automatic rollback restores; empty before it.
    pub(crate) replaced: Members,
}

/// Reads the cluster and compares it with the plan.
///
/// # Errors
/// Every foreseeable error, so that the command does not stop half-way.
pub(crate) async fn prepare(run: &Run<'_>, request: &DeployRequest) -> Result<Preparation> {
    if matches!(request.goal, Goal::Configuration) {
        extra_manifests::check(run.settings())?;
    }
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
    let replaced = Members::new();
    let changes = plan_changes(run, request, desired, &mut state, &observed, &replaced)?;
    Ok(Preparation { state, observed, changes, server_version: version.text, streaming, replaced })
}

impl Preparation {
    /// Reads and compares again if another run has changed the set before this one acquired the lock: it has then
    /// recorded a revision or a result, or changed the parent. One that only repaired members has applied the recorded
    /// revision, and the server compares the fields of each apply anyway.
    ///
    /// # Errors
    /// As [`Self::refresh`].
    pub(crate) async fn refresh_under_lock(&mut self, run: &Run<'_>, request: &DeployRequest) -> Result<()> {
        if self.state.refresh(run.api(), run.events()).await? {
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
        self.state.refresh(run.api(), run.events()).await?;
        self.compare_again(run, request).await
    }

    async fn compare_again(&mut self, run: &Run<'_>, request: &DeployRequest) -> Result<()> {
        let desired = desired(run.settings(), request.goal, &self.state)?;
        self.state.set.extra_kinds.extend(desired.extra_kinds());
        self.observed.relist(run.api(), &self.state.set).await?;
        let Self { state, observed, replaced, .. } = self;
        self.changes = plan_changes(run, request, desired, state, observed, replaced)?;
        Ok(())
    }

    /// Returns the timeline of the newest good revision that has one.
    pub(crate) fn usual_run(&self) -> Option<RunRecord> {
        self.state.history.usual_run(None).map(|(_, record)| record.clone())
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

/// Returns the state that a goal stands for.
///
/// # Errors
/// Exit 2 or 7 if the revision of the goal is not kept or is not one; exit 3 if a manifest of the configuration is wrong.
pub(crate) fn desired(settings: &Settings, goal: Goal, state: &ClusterState) -> Result<Desired> {
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

/// Compares what was read with the goal, and checks the changes.
///
/// # Errors
/// As [`Preparation::refresh`]. Exit 7 if somebody else stored the set's key, or a rollback would grant more
/// rights, run other images or expose the application more.
fn plan_changes(
    run: &Run<'_>,
    request: &DeployRequest,
    desired: Desired,
    state: &mut ClusterState,
    observed: &ObservedSet,
    replaced: &Members,
) -> Result<Changes> {
    ensure_own_key(state, observed)?;
    let (configured, now) = (run.session.set(), run.api().clock().now());
    decide_latest(state, &configured, observed, &request.policy, now);
    let changes = compare(desired, state, &configured, observed, &request.policy)?;
    claim_guard::ensure_kept(run, request, &changes, observed)?;
    restored_rights::ensure_accepted(run, request, &changes.plan, state, observed, replaced)?;
    Ok(changes)
}

/// Checks that handsctl stored the set's key, which authenticates the revisions.
///
/// # Errors
/// Exit 7 if somebody else stored it.
fn ensure_own_key(state: &ClusterState, observed: &ObservedSet) -> Result<()> {
    let SetKey { key, stored } = &state.key;
    if *stored && !set_key::is_trusted(key, state.parent.as_ref(), &observed.members) {
        return Err(foreign_key_error(&state.set));
    }
    Ok(())
}

/// Decides about a latest revision whose run has recorded no result: the live set shows whether it works.
fn decide_latest(
    state: &mut ClusterState,
    configured: &ApplySet,
    observed: &ObservedSet,
    policy: &ChangePolicy,
    now: Timestamp,
) {
    let Some(snapshot) = state.history.undecided().map(|latest| latest.snapshot.as_ref()) else { return };
    let target = RestoreTarget { set: &state.set, configured, live: &observed.members };
    let is_ready =
        snapshot.is_some_and(|snapshot| is_ready(snapshot, target, observed, &policy.ownership, now));
    state.history.decide(is_ready);
}

/// Returns whether the workloads of a snapshot run unchanged and are ready.
fn is_ready(
    snapshot: &Snapshot,
    target: RestoreTarget<'_>,
    observed: &ObservedSet,
    ownership: &Ownership,
    now: Timestamp,
) -> bool {
    let Ok(plan) = snapshot.plan(0, target) else { return false };
    let is_workload = |member: &&Member| member.kind.wave == Wave::Workload;
    let workloads = plan.members.iter().filter(is_workload);
    if !changes::are_unchanged(workloads.clone(), target.set, &observed.members, ownership) {
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
    configured: &ApplySet,
    observed: &ObservedSet,
    policy: &ChangePolicy,
) -> Result<Changes> {
    let number = if let Desired::Revision { number, .. } = desired { number } else { 0 };
    let target = RestoreTarget { set: &state.set, configured, live: &observed.members };
    let plan = desired.into_plan(target).map_err(|error| restore_error(number, error, &state.set))?;
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
        if let Some(foreign) = number.and_then(|number| history.foreign_with(number)) {
            return Err(foreign_revision(foreign, settings));
        }
        let message = format!(
            "there is no installation `{}` with a history in namespace {}",
            settings.deploy.name, settings.deploy.namespace
        );
        return Err(Error::new(Id::NoSuchRevision, Kind::Down, message).hint("handsctl deploy creates it"));
    };
    let revision = number.map_or_else(|| history.rollback_target(), |number| history.get(number));
    revision.ok_or_else(|| {
        if let Some(foreign) = number.and_then(|number| history.foreign_with(number)) {
            return foreign_revision(foreign, settings);
        }
        let progress = DeployProgress::new(history.all(), None);
        let (kind, message) =
            match (number.or_else(|| latest.unfinished_rollback()), progress.unfinished_text()) {
                (Some(number), _) => (Kind::Usage, format!("revision {number} is not kept")),
                (None, Some(text)) => {
                    let message = format!("no good revision of `{}` is kept: {text}", settings.deploy.name);
                    let error = Error::new(Id::NoSuchRevision, Kind::Prerequisite, message);
                    return progress.next_commands().into_iter().fold(error, Error::hint);
                }
                (None, None) => {
                    let number = latest.number;
                    let message =
                        format!("no good revision is kept whose content differs from revision {number}");
                    (Kind::Prerequisite, message)
                }
            };
        let kept: Vec<String> = history.all().iter().map(|revision| revision.number.to_string()).collect();
        let error = Error::new(Id::NoSuchRevision, kind, message).fact("kept", kept.join(", "));
        match number.and_then(|number| history.restored_as(number)) {
            Some(equal) => error.hint(format!(
                "revision {} has its content, by a rollback: handsctl rollback --to {}",
                equal.number, equal.number
            )),
            None => error.hint("handsctl history lists them; handsctl rollback --to N chooses one"),
        }
    })
}

fn foreign_revision(foreign: &ForeignRevision, settings: &Settings) -> Error {
    let ForeignRevision { name, reason, .. } = foreign;
    let deploy = &settings.deploy;
    let message = format!(
        "secret/{name} is not a revision of installation `{}`: {reason}; nothing was changed",
        deploy.name
    );
    Error::new(Id::ForeignRevision, Kind::Ownership, message)
        .hint("handsctl history lists the installation's revisions")
        .hint(foreign.remedy(&plan::apply_set_for(settings)))
}

/// Returns the error for a revision that cannot be restored.
pub(crate) fn restore_error(number: u64, error: RestoreError, set: &ApplySet) -> Error {
    match error {
        RestoreError::Missing(ids) => {
            let names: Vec<String> = ids.iter().map(ToString::to_string).collect();
            incomplete(number).fact("missing", names.join(", "))
        }
        RestoreError::Rejected(objects) => {
            let secret = revision::name(set, number);
            let message = format!(
                "revision {number} (secret/{secret}) has objects that cannot be members of installation `{}`; nothing was changed",
                set.name
            );
            let error = Error::new(Id::RevisionRejected, Kind::Ownership, message);
            let error = objects
                .iter()
                .fold(error, |error, (id, reason)| error.fact("object", format!("{id}: {reason}")));
            error
                .hint(format!("handsctl history {number} -o yaml shows them"))
                .hint(format!("to delete the revision: kubectl delete secret {secret} -n {}", set.namespace))
        }
    }
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
