//! The part of `deploy` before anything is changed: look, plan, watch, make sure of the rights.

use std::collections::BTreeSet;

use super::conversation_guard;
use crate::catalogue::Id;
use crate::cluster::access::{access_review, rules};
use crate::cluster::apply::inventory::{self, InventoryScope};
use crate::cluster::apply::namespaces::NamespaceState;
use crate::cluster::apply::waves::{self, Change};
use crate::cluster::client::discovery;
use crate::cluster::inspect::{ClusterState, inspect};
use crate::cluster::watch::observed_set::{self, ObservedSet};
use crate::error::{Error, Kind, Result};
use crate::event::Events;
use crate::object::ObjectId;
use crate::object::kind::{DEPLOYMENT, SECRET};
use crate::plan::checks::{pod_security, secret_refs};
use crate::plan::inventory::apply_set::ApplySet;
use crate::plan::inventory::prune::{self, PruneCandidate};
use crate::plan::inventory::revision::{self, Current, Revision, RevisionResult};
use crate::plan::manifests::{extra_manifests, stop_signal};
use crate::plan::ownership::policy::Ownership;
use crate::plan::{self, Plan, SecretNaming};
use crate::session::cluster_session::Session;
use crate::settings::Settings;
use crate::settings::handsctl::Profile;
use crate::status;

/// What the set is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// What the configuration says.
    Configuration,
    /// What it was: the revision of this number, or where a rollback that was stopped went, or the last good one before
    /// the present one.
    Revision(Option<u64>),
}

/// What is known before the first change.
pub(crate) struct Prepared {
    wanted: Wanted,
    /// The set, with the namespaces that its parent names beside those of the plan.
    pub(crate) set: ApplySet,
    pub(crate) plan: Plan,
    pub(crate) survey: ClusterState,
    pub(crate) live: ObservedSet,
    /// What is done about fields and objects of others.
    pub(crate) ownership: Ownership,
    /// What has to be done for each member of the plan.
    pub(crate) needs: Vec<Change>,
    /// `rollback to 3`; empty for a deploy.
    pub(crate) note: String,
    history: usize,
    delete_data: bool,
    /// Whether the server streams lists.
    pub(crate) streaming: bool,
}

/// What is looked at, and with which intent.
#[derive(Debug, Clone)]
pub(crate) struct Look {
    pub(crate) wanted: Wanted,
    pub(crate) delete_data: bool,
    /// What is done about fields and objects of others.
    pub(crate) ownership: Ownership,
}

/// Looks, plans, watches, and makes sure of the rights.
///
/// # Errors
/// Whatever would stop the command half-way and can be known now.
pub(crate) async fn preflight(session: &Session, look: Look, events: &Events) -> Result<(Prepared, String)> {
    let api = &session.connection.api;
    let wanted = secret_refs::secret_refs(&session.settings);
    let kinds = extra_manifests::unknown_kinds(&session.settings);
    let set = session.set();
    // At the same time; what the first one says of a server that does not answer is said first.
    let (version, survey) =
        tokio::join!(session.server_version(), inspect(api, &set, &wanted, &kinds, events));
    let version = version?;
    let prepared = match prepare(session, look, survey, version.streams_lists(), events).await {
        // The server names one missing right at a time.
        Err(error) if error.kind() == Kind::Forbidden => {
            let plan = planned(&session.settings, None)?;
            let mut all = rules::for_apply(&plan, plan.members.iter().map(|member| (member, true)));
            all.extend(rules::for_watch(&plan));
            access_review::check(api, &all).await?;
            return Err(error);
        }
        prepared => prepared?,
    };
    if prepared.has_work(true) {
        let mut needed = rules::for_apply(&prepared.plan, prepared.to_send());
        needed.extend(rules::for_prune(
            &prepared.set,
            prepared
                .leftovers(RevisionResult::Good)
                .iter()
                .filter(|it| it.decision.deletes())
                .map(|it| &it.id),
        ));
        let granted = rules::granted_by_roles(prepared.to_send().map(|(member, _)| member));
        access_review::check_with_grants(api, &needed, &granted).await?;
    }
    let message = format!(
        "api {}, {} objects, {} to send",
        version.text,
        prepared.plan.members.len(),
        prepared.to_send().count()
    );
    Ok((prepared, message))
}

async fn prepare(
    session: &Session,
    look: Look,
    survey: Result<ClusterState>,
    streaming: bool,
    events: &Events,
) -> Result<Prepared> {
    let api = &session.connection.api;
    let settings = &session.settings;
    let survey = survey?;
    sandboxes_may_run(settings, &survey)?;
    let plan = planned(settings, Some(&survey))?;
    let mut set = discovery::including_inventory_of(api, &plan.set, survey.parent.as_ref()).await?;
    set.extra_kinds.extend(&survey.kinds);
    let live = observed_set::open(api, &set, &plan, streaming, events).await?;
    let mut prepared = Prepared {
        wanted: look.wanted,
        set,
        plan,
        survey,
        live,
        ownership: look.ownership,
        needs: Vec::new(),
        note: String::new(),
        history: settings.deploy.revision_history as usize,
        delete_data: look.delete_data,
        streaming,
    };
    prepared.weigh(settings)?;
    if !look.delete_data && prepared.stops_cleanly() {
        conversation_guard::ensure_no_conversations(session, "--delete-data goes on, and lets it").await?;
    }
    for rule in prepared.ownership.rules_without_field(&prepared.plan) {
        let message = format!("[deploy.ownership] `{rule}` is no field of the set");
        events.warn(Id::RuleWithoutField, message).await;
    }
    Ok(prepared)
}

impl Prepared {
    /// Looks again under the lock: another run may have changed the set since.
    ///
    /// # Errors
    /// Where the server refuses.
    pub(crate) async fn again(&mut self, session: &Session) -> Result<()> {
        let api = &session.connection.api;
        let set = self.set.clone();
        let (survey, live) = tokio::join!(self.survey.refresh(api, &set), self.live.relist(api, &set));
        survey?;
        live?;
        self.plan = planned(&session.settings, Some(&self.survey))?;
        self.weigh(&session.settings)
    }

    /// Looks again, for another goal.
    ///
    /// # Errors
    /// Where the server refuses, or the revision cannot be brought back.
    pub(crate) async fn turn_to(&mut self, wanted: Wanted, session: &Session) -> Result<()> {
        self.wanted = wanted;
        self.again(session).await
    }

    /// Whether a pod is stopped that deletes a conversation's volume then, or one is made that will.
    fn stops_cleanly(&self) -> bool {
        self.to_send().filter(|(member, _)| member.kind == DEPLOYMENT).any(|(member, _)| {
            let live = self.live.members.get(&member.id);
            stop_signal::is_clean(&member.manifest) || live.is_some_and(stop_signal::is_clean)
        })
    }

    /// What follows from what was seen.
    fn weigh(&mut self, settings: &Settings) -> Result<()> {
        if let Wanted::Revision(number) = self.wanted {
            let revision = chosen(&self.survey, number, settings)?;
            let content = revision.snapshot.as_ref().ok_or_else(|| incomplete(revision.number))?;
            self.plan = content.plan(&self.set, &self.live.members).map_err(|missing| {
                let names: Vec<String> = missing.0.iter().map(ToString::to_string).collect();
                incomplete(revision.number).fact("missing", names.join(", "))
            })?;
            self.note = revision::rollback_to(revision.number);
        }
        self.needs = waves::member_changes(&self.plan, &self.live.members, &self.ownership);
        Ok(())
    }

    /// Whether the set is what the configuration says now, rather than what it was.
    pub(crate) fn is_of_configuration(&self) -> bool {
        self.wanted == Wanted::Configuration
    }

    fn to_send(&self) -> impl Iterator<Item = (&plan::Member, bool)> + Clone {
        let pairs = self.plan.members.iter().zip(&self.needs);
        pairs
            .filter(|(_, need)| **need != Change::Unchanged)
            .map(|(member, need)| (member, matches!(need, Change::Create(_))))
    }

    /// Whether any member has to be sent.
    pub(crate) fn sends(&self) -> bool {
        self.to_send().next().is_some()
    }

    /// The revision that the plan already is.
    pub(crate) fn present(&self) -> Option<&Revision> {
        self.survey.history.deployed_revision(&self.plan, !self.sends())
    }

    /// What is known of the plan's revision before this run.
    pub(crate) fn known(&self) -> RevisionResult {
        self.present().map_or(RevisionResult::Applying, |revision| revision.result)
    }

    fn current(&self, outcome: RevisionResult) -> Current {
        let next = || self.survey.history.next_number();
        Current { number: self.present().map_or_else(next, |revision| revision.number), outcome }
    }

    /// Names of configuration that somebody refers to once this came of the plan: kept revisions, pods, and what their
    /// Deployment keeps.
    pub(crate) fn in_use(&self, outcome: RevisionResult) -> BTreeSet<String> {
        let mut names = self.survey.history.referenced_names(self.current(outcome), self.history);
        names.extend(status::referenced_names(&self.live.state, self.history));
        names
    }

    /// Members that are not planned, and what becomes of them once this came of the plan.
    pub(crate) fn leftovers(&self, outcome: RevisionResult) -> Vec<PruneCandidate> {
        prune::prune_candidates(&self.plan, &self.live.members, &self.in_use(outcome), self.delete_data)
    }

    /// Revisions that are no longer kept once this came of the plan.
    pub(crate) fn surplus(&self, outcome: RevisionResult) -> Vec<&Revision> {
        self.survey.history.to_prune(self.current(outcome), self.history)
    }

    /// Whether the set's key has to be stored: a Secret is named after it.
    pub(crate) fn lacks_key(&self) -> bool {
        !self.survey.key.1 && self.plan.members.iter().any(|member| member.kind == SECRET)
    }

    /// Whether anything has to be written, so that the lock is needed. A run that does not wait does not say how the
    /// rollout ended.
    pub(crate) fn has_work(&self, waits: bool) -> bool {
        let unsettled = |revision: &Revision| revision.result != RevisionResult::Good;
        let leftovers = self.leftovers(self.known());
        self.sends()
            || self.lacks_key()
            || self.present().is_none_or(|revision| waits && unsettled(revision))
            || leftovers.iter().any(|leftover| leftover.decision.deletes())
            || !self.surplus(self.known()).is_empty()
            || !self.parent_is_exact(&leftovers)
    }

    fn parent_is_exact(&self, leftovers: &[PruneCandidate]) -> bool {
        let Some(parent) = &self.survey.parent else { return false };
        let members: Vec<&ObjectId> =
            self.member_ids().chain(leftovers.iter().map(|leftover| &leftover.id)).collect();
        let wanted =
            inventory::parent_manifest(&self.plan.set, InventoryScope::Exact(&members), Some(parent));
        inventory::matches(parent, &wanted)
    }

    /// The planned members.
    pub(crate) fn member_ids(&self) -> impl Iterator<Item = &ObjectId> {
        self.plan.members.iter().map(|member| &member.id)
    }
}

/// The revision that a rollback brings back. One that was stopped half-way goes on to where it went.
fn chosen<'a>(survey: &'a ClusterState, number: Option<u64>, settings: &Settings) -> Result<&'a Revision> {
    let history = &survey.history;
    let Some(latest) = history.latest() else {
        let message = format!(
            "there is no set `{}` with a history in namespace {}",
            settings.deploy.name, settings.deploy.namespace
        );
        return Err(Error::new(Id::NoSuchRevision, Kind::Usage, message).hint("handsctl deploy makes it"));
    };
    let (found, message) = match number.or_else(|| latest.unfinished_rollback()) {
        Some(number) => (history.get(number), format!("revision {number} is not kept")),
        None => (
            history.last_good_before(latest.number),
            format!("no good revision is kept before revision {}", latest.number),
        ),
    };
    found.ok_or_else(|| {
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
        format!("revision {number} cannot be brought back; nothing was changed"),
    )
    .hint("handsctl history lists the others")
    .hint("handsctl deploy makes the set what config.toml says")
}

/// mirrord's agent is a pod that shares the processes of its node, which only `privileged` allows.
fn agent_may_run(settings: &Settings, survey: &ClusterState) -> Result<()> {
    let namespace = settings.deploy.namespace.as_str();
    let Some(NamespaceState::Present(found)) = survey.namespaces.get(namespace) else { return Ok(()) };
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

/// The application would start in any case; no conversation ever would.
fn sandboxes_may_run(settings: &Settings, survey: &ClusterState) -> Result<()> {
    if settings.deploy.profile == Profile::Dev {
        return agent_may_run(settings, survey);
    }
    let runtime = settings.runtime_namespace();
    let Some(NamespaceState::Present(namespace)) = survey.namespaces.get(runtime) else { return Ok(()) };
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

/// What the configuration asks for. Without a survey only its kinds and names mean something.
fn planned(settings: &Settings, survey: Option<&ClusterState>) -> Result<Plan> {
    let (no_key, no_versions) = Default::default();
    let (key, versions) =
        survey.map_or((&no_key, &no_versions), |survey| (&survey.key.0, &survey.secret_versions));
    let kinds = survey.map_or(&[][..], |survey| &survey.kinds);
    plan::build(settings, SecretNaming::Keyed { key, versions }, kinds)
}
