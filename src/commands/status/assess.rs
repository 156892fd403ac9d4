//! The deployed set, compared with its record → reasons, findings and notes.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;

use super::pods;
use crate::catalogue::Id;
use crate::cluster::watch::deployed::{DeployedMembers, SetRecord};
use crate::object::kind::{CONFIG_MAP, DEPLOYMENT, ENDPOINT_SLICE, NAMESPACE};
use crate::object::{ObjectId, deletion, labels};
use crate::phrase;
use crate::plan::Member;
use crate::plan::deletions::{self, GIVE_UP};
use crate::plan::inventory::apply_set::ApplySet;
use crate::plan::inventory::first_deploy::DeployProgress;
use crate::plan::inventory::presence;
use crate::plan::ownership::foreign_change::{self, ForeignChange};
use crate::plan::ownership::foreign_exposure::{ForeignExposure, foreign_exposures};
use crate::plan::ownership::live_exposure::{LiveExposure, Membership, live_exposures};
use crate::plan::ownership::lost_traffic::{Backends, lost_traffic};
use crate::plan::ownership::policy::Ownership;
use crate::status::{self, Expected, Finding, SandboxHealth, TrackedKind};

/// The hint about a pod that keeps the data of a deleted claim.
const SAVE_FIRST: &str =
    "save the data of the deleted volume claim first: a change of the pod would end it (HC2045)";

/// The maximum number of missing members with a finding of their own.
const MAX_MISSING: usize = 10;

/// The set as it was read.
pub(super) struct SetView<'a> {
    record: &'a SetRecord,
    deployed: &'a DeployedMembers,
    /// The named members that no list had, by name: those that exist, without content if they may not be read.
    unlabelled: &'a BTreeMap<ObjectId, Option<Value>>,
    ownership: &'a Ownership,
    /// The Services and Ingresses of the namespace, of whomever; None if it does not matter who reaches the application.
    routes: Option<&'a [(ObjectId, Value)]>,
    now: Timestamp,
    /// The members that must exist, with their manifests; None if no revision names them.
    named: Option<BTreeMap<ObjectId, &'a Value>>,
}

/// What the comparison adds to the health of the observed objects.
#[derive(Debug, Default)]
pub(super) struct Assessment {
    /// Reasons for which the set is degraded, each with a finding.
    pub(super) reasons: Vec<String>,
    /// Findings of the reasons.
    pub(super) findings: Vec<Finding>,
    /// Facts that do not change the verdict.
    pub(super) notes: Vec<Finding>,
}

impl Assessment {
    fn add(&mut self, reason: impl Into<String>, finding: Finding) {
        self.reasons.push(reason.into());
        self.findings.push(finding);
    }

    /// Adds the conversations whose sandboxes have ended.
    pub(super) fn add_stuck_conversations(&mut self, sandboxes: Option<&SandboxHealth>) {
        let Some(sandboxes) = sandboxes else { return };
        if let Some(finding) = &sandboxes.finding {
            self.add(status::stuck_reason(sandboxes.ended.len()), finding.clone());
        }
    }
}

impl<'a> SetView<'a> {
    pub(super) fn new(
        record: &'a SetRecord,
        deployed: &'a DeployedMembers,
        unlabelled: &'a BTreeMap<ObjectId, Option<Value>>,
        ownership: &'a Ownership,
        routes: Option<&'a [(ObjectId, Value)]>,
        now: Timestamp,
    ) -> Self {
        let named = named(record, now).map(|manifests| {
            manifests
                .into_iter()
                .filter_map(|manifest| Some((ObjectId::from_object(manifest)?, manifest)))
                .collect()
        });
        Self { record, deployed, unlabelled, ownership, routes, now, named }
    }

    fn set(&self) -> &'a ApplySet {
        &self.deployed.set
    }

    /// Returns whether a run holds the set's lock.
    pub(super) fn is_running(&self) -> bool {
        is_running(self.record, self.now)
    }

    /// Returns whether the set's record names an application, although none may exist.
    pub(super) fn names_application(&self) -> bool {
        let is_first_deploy = self.named.is_none() && self.is_running();
        let named: Option<Vec<&Value>> = self.named.as_ref().map(|named| named.values().copied().collect());
        !is_first_deploy
            && !self.is_namespace_terminating()
            && presence::names_application(self.set(), named.as_deref(), self.record.parent.as_ref())
    }

    /// Returns why there is no application although the record names one.
    pub(super) fn absence_reason(&self) -> String {
        let progress = self.deploy_progress().and_then(DeployProgress::unfinished_text);
        progress.unwrap_or_else(|| "its Deployment was deleted".to_owned())
    }

    /// Returns how far the deploys got; None if the account may not read the revisions.
    pub(super) fn deploy_progress(&self) -> Option<DeployProgress<'a>> {
        let revisions = self.record.revisions.as_ref()?;
        Some(DeployProgress::new(revisions, self.record.parent.as_ref()))
    }

    /// Compares the deployed set with its record. `expected` are the members with a health of their own.
    pub(super) fn assess(&self, expected: &[Expected]) -> Assessment {
        let mut assessment = Assessment::default();
        let state = &self.deployed.observed.state;
        let live = self.live_members();
        if self.is_namespace_terminating() {
            // Everything in it is being deleted.
            self.add_namespace(&mut assessment);
        } else {
            self.add_missing(&mut assessment);
            self.add_terminating(&mut assessment);
        }
        for finding in status::unfit_replicas(state, expected) {
            assessment.add(format!("{}: {}", finding.object, finding.message), finding);
        }
        let zero = self.scaled_to_zero(expected);
        let is_scaled_to_zero = zero.is_some();
        assessment.findings.extend(zero);
        assessment.notes.extend(status::paused_rollouts(state, expected));
        let members = self.deployed.observed.members.iter().filter(|(id, _)| self.is_named(id));
        let members = members.filter_map(|(id, object)| Some((id, object["metadata"]["uid"].as_str()?)));
        assessment.notes.extend(status::without_effect(state, members, self.now));
        if let Some(routes) = self.routes {
            assessment.notes.extend(self.exposures(&live));
            assessment.notes.extend(self.foreign_exposures(routes));
        }
        // A run may not have applied the newest revision's Service yet.
        if !self.is_namespace_terminating() && !self.is_running() {
            self.add_lost_traffic(&mut assessment, &live);
        }
        if let Some(manager) = &self.deployed.installer {
            assessment.notes.push(self.managed_by_others(manager));
        } else {
            assessment.notes.extend(self.foreign_changes(&live, is_scaled_to_zero));
            // A run may not have applied the newest revision's pod yet.
            let members = if self.is_running() { &[][..] } else { &live };
            let holds_data = !deletions::held_claims(&self.deployed.observed.members).is_empty();
            for (member, live) in members {
                let mut notes = pods::notes_of_workload(member, live, self.ownership, self.now);
                if holds_data {
                    // The command would replace the pod that keeps the data of a deleted claim.
                    for note in &mut notes {
                        note.hints = vec![SAVE_FIRST.to_owned()];
                    }
                }
                assessment.notes.extend(notes);
            }
            assessment.notes.extend(pods::ephemeral_containers(state, &self.set().name));
        }
        assessment
    }

    fn is_namespace_terminating(&self) -> bool {
        let namespace = self.record.namespace.as_ref();
        namespace.is_some_and(|namespace| namespace["status"]["phase"] == "Terminating")
    }

    fn add_namespace(&self, assessment: &mut Assessment) {
        let Some(namespace) = &self.record.namespace else { return };
        let name = self.set().namespace.as_str();
        let since = deletion::deleted_since(namespace).unwrap_or_default();
        let blockers = deletion::namespace_blockers(namespace).into_iter().map(str::to_owned);
        let message = format!("it has been terminating since {since}: everything in it is deleted");
        let finding = Finding::new(Id::NamespaceTerminating, NAMESPACE.id("", name), message)
            .evidence(blockers)
            .hint(format!(
                "kubectl wait --for=delete namespace/{name} --timeout=5m && handsctl deploy creates it anew"
            ));
        assessment.add(format!("namespace {name} is being deleted"), finding);
    }

    fn add_missing(&self, assessment: &mut Assessment) {
        let mut missing = Vec::new();
        for id in self::missing(self.set(), self.record, self.deployed, self.now) {
            match self.unlabelled.get(&id) {
                // It exists, but the account may not read it.
                Some(None) => {}
                Some(Some(_)) => {
                    let message = "it exists, but it has lost the label of the installation's members";
                    let finding = Finding::new(Id::ForeignObject, id.clone(), message)
                        .hint("handsctl deploy --adopt makes it a member again");
                    assessment.add(format!("{id} is not a member"), finding);
                }
                None => missing.push(id),
            }
        }
        let more = missing.len().saturating_sub(MAX_MISSING);
        missing.truncate(MAX_MISSING);
        for id in missing {
            let finding = Finding::new(Id::MemberMissing, id.clone(), self.missing_message());
            assessment.add(format!("{id} is missing"), finding);
        }
        if more > 0 {
            assessment.reasons.push(format!("{} missing as well", phrase::count(more, "object")));
        }
    }

    fn missing_message(&self) -> String {
        let newest = self.record.revisions.as_ref().and_then(|revisions| revisions.last());
        match newest {
            Some(revision) => format!("revision {} has it, and it does not exist", revision.number),
            None => "the installation's record lists its kind, and no object of it exists".to_owned(),
        }
    }

    /// Adds the members that are being deleted, except those with a health of their own.
    fn add_terminating(&self, assessment: &mut Assessment) {
        let mut members: Vec<(&ObjectId, &Value)> = self.deployed.observed.members.iter().collect();
        members.sort_by_key(|(id, _)| *id);
        for (id, object) in members {
            if TrackedKind::from_id(id).is_some_and(TrackedKind::has_rollout) || !self.is_named(id) {
                continue;
            }
            if let Some(finding) = status::terminating_finding(id, object) {
                assessment.add(format!("{id} is being deleted"), finding);
            }
        }
    }

    fn is_recorded(&self, id: &ObjectId) -> bool {
        self.named.as_ref().is_some_and(|named| named.contains_key(id))
    }

    fn is_named(&self, id: &ObjectId) -> bool {
        self.named.as_ref().is_none_or(|named| named.contains_key(id))
    }

    /// Replaces the finding of a deleted claim whose data a pod still keeps: no deploy saves it.
    pub(super) fn with_held_claims(&self, mut findings: Vec<Finding>) -> Vec<Finding> {
        let observed = &self.deployed.observed;
        let ready = observed.ready_pods(self.set());
        let pod = ready.first().and_then(|pod| pod.metadata.name.as_deref());
        for claim in deletions::held_claims(&observed.members) {
            let is_of_claim =
                |finding: &&mut Finding| finding.id == Id::Deleted && finding.object == claim.id;
            if let Some(finding) = findings.iter_mut().find(is_of_claim) {
                *finding = Finding::new(Id::ClaimDeleted, claim.id.clone(), claim.sentence())
                    .evidence(std::mem::take(&mut finding.evidence))
                    .hint(claim.save_command(pod))
                    .hint(GIVE_UP);
            }
        }
        findings
    }

    /// Returns the finding of an application that somebody scaled to zero: who, when, and back to how many pods.
    fn scaled_to_zero(&self, expected: &[Expected]) -> Option<Finding> {
        let members = &self.deployed.observed.members;
        let is_application = |object: &&Expected| {
            object.id.kind == DEPLOYMENT.kind
                && members.get(&object.id).is_some_and(|live| {
                    labels::is_instance(live, &self.set().name) && live["spec"]["replicas"] == 0
                })
        };
        let object = expected.iter().find(is_application)?;
        let live = members.get(&object.id)?;
        let manifest = self.named.as_ref().and_then(|named| named.get(&object.id));
        let deployed = manifest.and_then(|manifest| manifest["spec"]["replicas"].as_i64());
        if deployed == Some(0) {
            let finding = Finding::new(Id::ScaledToZero, object.id.clone(), "the revision has 0 replicas");
            return Some(finding.hint("[deploy].replicas = 1, then: handsctl deploy"));
        }
        let at = status::scaled_to_zero_at(&self.deployed.observed.state, &object.uid);
        let message = foreign_change::scale_text(live, at, self.now);
        let command = status::scale_command(&object.id, deployed.unwrap_or(1));
        Some(Finding::new(Id::ScaledToZero, object.id.clone(), message).hint(command))
    }

    fn managed_by_others(&self, manager: &str) -> Finding {
        let id = DEPLOYMENT.id(&self.set().namespace, &self.set().name);
        let message = format!("installed by {manager}");
        Finding::new(Id::ManagedByOthers, id, message)
    }

    /// Returns the named members that exist, with the live objects.
    fn live_members(&self) -> Vec<(Member, &Value)> {
        let live = |(id, manifest): (&ObjectId, &&Value)| {
            let live = self.deployed.observed.members.get(id)?;
            let kind = self.set().kind_of(id)?;
            Some((Member { id: id.clone(), kind, manifest: (*manifest).clone() }, live))
        };
        self.named.iter().flatten().filter_map(live).collect()
    }

    /// Returns a note for each member of which another manager changed fields since the deploy.
    fn foreign_changes(&self, live: &[(Member, &Value)], is_scaled_to_zero: bool) -> Vec<Finding> {
        let notes = live.iter().filter_map(|(member, live)| {
            let mut changes = foreign_change::foreign_changes(member, live, self.ownership);
            changes.retain(|change| !(is_scaled_to_zero && change.field == ".spec.replicas"));
            self.foreign_note(&member.id, &changes)
        });
        notes.collect()
    }

    /// Returns a note for each member that exposes the application more than the revision does.
    fn exposures(&self, live: &[(Member, &Value)]) -> Vec<Finding> {
        let live = live.iter().map(|(member, live)| (member, *live, Membership::Member));
        let set = self.set();
        let exposures = live_exposures(&set.name, &set.namespace, live);
        let note = |exposure: LiveExposure| {
            let message = format!("OpenHands has no login, and this object {}", exposure.sentence());
            let note = Finding::new(Id::ExposedByOthers, exposure.id.clone(), message);
            note.evidence(exposure.lines(self.now)).hint(exposure.command())
        };
        exposures.into_iter().map(note).collect()
    }

    /// Returns a note for each object of others that exposes the application.
    fn foreign_exposures(&self, routes: &[(ObjectId, Value)]) -> Vec<Finding> {
        let set = self.set();
        let members = &self.deployed.observed.members;
        let is_member = |id: &ObjectId| members.contains_key(id) || self.is_recorded(id);
        let pods = pods::ready_app_pods(&self.deployed.observed.state, &set.name);
        let exposures = foreign_exposures(&set.name, &set.namespace, routes, is_member, &pods, self.now);
        let note = |exposure: ForeignExposure| {
            let message = format!(
                "OpenHands has no login, and this object, which is no part of the installation, exposes it {}",
                exposure.by.join(" and ")
            );
            Finding::new(Id::ExposedByForeignObject, exposure.id.clone(), message)
                .hint(exposure.command())
                .evidence(exposure.evidence)
        };
        exposures.into_iter().map(note).collect()
    }

    /// Adds the Services and routes that do not lead to the pods.
    fn add_lost_traffic(&self, assessment: &mut Assessment, live: &[(Member, &Value)]) {
        let state = &self.deployed.observed.state;
        let pods = pods::all_ready_pods(state);
        let knows_endpoints = !self.deployed.unknown.contains(ENDPOINT_SLICE.plural)
            && pods::are_settled(state, &self.set().name, self.now);
        let ready_endpoints = knows_endpoints.then(|| state.ready_endpoints());
        let backends = Backends { pods: &pods, ready_endpoints: ready_endpoints.as_ref() };
        for lost in lost_traffic(live, backends, self.ownership, self.now) {
            let id = if lost.is_service { Id::ServiceLeadsNowhere } else { Id::RouteLeadsElsewhere };
            let message = lost.faults.join("; ");
            let finding = Finding::new(id, lost.id.clone(), message.clone());
            let finding = finding.evidence(lost.evidence).hint(lost.command);
            assessment.add(format!("{}: {message}", lost.id), finding);
        }
    }

    fn foreign_note(&self, id: &ObjectId, changes: &[ForeignChange]) -> Option<Finding> {
        let (first, others) = changes.split_first()?;
        let note = Finding::new(Id::ChangedByOthers, id.clone(), first.text(self.now));
        Some(note.evidence(others.iter().map(|change| change.text(self.now))))
    }

    /// Returns the members of which nothing tells whether they work.
    pub(super) fn unwatched(&self) -> Vec<ObjectId> {
        let mut ids: Vec<ObjectId> = self
            .deployed
            .observed
            .members
            .iter()
            .filter(|(id, object)| {
                let uid = object["metadata"]["uid"].as_str();
                self.is_named(id) && status::is_unwatched(&self.deployed.observed.state, id, uid)
            })
            .map(|(id, _)| id.clone())
            .collect();
        ids.sort();
        ids
    }

    /// Returns the expected members that do not belong to the application: the user's own.
    pub(super) fn extras(&self, expected: &[Expected]) -> BTreeSet<ObjectId> {
        let members = &self.deployed.observed.members;
        let is_extra = |object: &&Expected| {
            members.get(&object.id).is_none_or(|live| !labels::is_instance(live, &self.set().name))
        };
        expected.iter().filter(is_extra).map(|object| object.id.clone()).collect()
    }

    /// Leaves out members that are no longer in the set and are being deleted.
    pub(super) fn without_pruned(&self, expected: Vec<Expected>) -> Vec<Expected> {
        let members = &self.deployed.observed.members;
        let is_pruned = |object: &Expected| {
            let is_terminating =
                members.get(&object.id).is_some_and(|live| deletion::deleted_since(live).is_some());
            is_terminating && !self.is_named(&object.id)
        };
        expected.into_iter().filter(|object| !is_pruned(object)).collect()
    }
}

/// Returns whether a run holds the set's lock.
fn is_running(record: &SetRecord, now: Timestamp) -> bool {
    record.lease.as_ref().is_some_and(|lease| !lease.is_expired(now))
}

fn named(record: &SetRecord, now: Timestamp) -> Option<Vec<&Value>> {
    presence::named_members(record.revisions.as_deref()?, is_running(record, now))
}

/// Returns the members that the record names and that no list has. Kinds that may not be read are left out.
pub(super) fn missing(
    set: &ApplySet,
    record: &SetRecord,
    deployed: &DeployedMembers,
    now: Timestamp,
) -> Vec<ObjectId> {
    let is_readable =
        |id: &ObjectId| set.kind_of(id).is_some_and(|kind| !deployed.unknown.contains(kind.plural));
    let mut missing = match named(record, now) {
        Some(named) => presence::missing_members(&named, &deployed.existing),
        None if record.revisions.is_some() => Vec::new(),
        None => {
            let kinds = presence::missing_kinds(record.parent.as_ref(), &deployed.existing);
            kinds.into_iter().map(|kind| kind.id(&set.namespace, &set.name)).collect()
        }
    };
    let is_recorded = record.revisions.as_ref().is_some_and(|revisions| !revisions.is_empty());
    if is_recorded && record.parent.is_none() && !deployed.unknown.contains(CONFIG_MAP.plural) {
        missing.push(set.parent());
    }
    missing.retain(is_readable);
    missing
}
