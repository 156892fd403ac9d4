//! Computes the changes of a deploy without making them: one list request per kind, and a dry run for each member that
//! differs.

use std::collections::{BTreeMap, BTreeSet};

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use kube::api::ListParams;
use kube::core::Status;
use serde_json::{Value, json};

use super::apply::apply_object::not_adopted_error;
use super::apply::field_conflict;
use super::client::api::{Api, ApiError};
use super::client::in_flight::IN_FLIGHT;
use super::client::request::ApplyOptions;
use super::client::status_error;
use super::watch::observe::{self, UNWATCHED};
use super::watch::watcher::with_type_meta;
use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};
use crate::event::Events;
use crate::object::kind::{Collection, KindInfo, POD, REPLICA_SET, ROLE, ROLE_BINDING, SECRET};
use crate::object::{Mask, ObjectId, deletion, labels};
use crate::plan::changes::{Change, Changes, manifest_for, new_manifest};
use crate::plan::diff::{Compared, DiffOutcome, Difference, Effect, additions, compare};
use crate::plan::inventory::apply_set::ApplySet;
use crate::plan::inventory::members::{self, Members};
use crate::plan::inventory::revision::RevisionResult;
use crate::plan::ownership::adoption;
use crate::plan::ownership::conflict::{self, Conflict, ConflictCause};
use crate::plan::ownership::other_set;
use crate::plan::ownership::policy::Ownership;
use crate::plan::{Member, Plan};
use crate::settings::handsctl::OwnershipRule;
use crate::status::{self, ObservedState};

/// The set as listed.
#[derive(Debug)]
pub struct ListedSet {
    /// The existing members.
    pub live: Members,
    /// Pods and `ReplicaSets` of the set; None if listing them is forbidden.
    followers: Option<ObservedState>,
    /// The forbidden lists of members.
    forbidden_lists: Vec<ForbiddenList>,
}

/// A list that is forbidden.
#[derive(Debug)]
struct ForbiddenList {
    kind: KindInfo,
    namespace: String,
}

/// The scope of a list request.
struct ListScope<'a> {
    kind: KindInfo,
    namespace: &'a str,
    labels: &'a str,
}

/// Lists the members of the set, of every possible kind, and the pods and `ReplicaSets` that reference them.
///
/// # Errors
/// Fails if the server is unreachable. Records forbidden lists instead of failing.
pub async fn list_set(api: &Api, set: &ApplySet) -> Result<ListedSet> {
    let member = set.member_selector();
    let instance = labels::instance_selector(&set.name);
    let mut scopes: Vec<ListScope<'_>> = Vec::new();
    for namespace in set.namespaces() {
        scopes.extend(set.used_kinds().map(|kind| ListScope { kind, namespace, labels: &member }));
    }
    let followers = [POD, REPLICA_SET];
    scopes.extend(followers.map(|kind| ListScope { kind, namespace: &set.namespace, labels: &instance }));
    let lists: Vec<Option<Vec<Value>>> =
        stream::iter(&scopes).map(|scope| list(api, scope)).buffered(IN_FLIGHT).try_collect().await?;
    let mut listed_set = ListedSet {
        live: Members::new(),
        followers: Some(ObservedState::default()),
        forbidden_lists: Vec::new(),
    };
    let now = api.clock().now();
    for (scope, list) in scopes.iter().zip(lists) {
        listed_set.add_list(scope, list, set, now)?;
    }
    Ok(listed_set)
}

/// Lists a scope; `None` means that listing is forbidden.
async fn list(api: &Api, scope: &ListScope<'_>) -> Result<Option<Vec<Value>>> {
    let params = ListParams::default().labels(scope.labels);
    match api.list(&scope.kind.in_namespace(scope.namespace), &params).await {
        Ok(list) => Ok(Some(list.items)),
        Err(ApiError::Status(status))
            if status.code == 403 && !status.message.contains("system:anonymous") =>
        {
            Ok(None)
        }
        Err(error) => {
            Err(error
                .into_error(&format!("cannot list {} in namespace {}", scope.kind.plural, scope.namespace)))
        }
    }
}

impl ListedSet {
    fn add_list(
        &mut self,
        scope: &ListScope<'_>,
        list: Option<Vec<Value>>,
        set: &ApplySet,
        now: Timestamp,
    ) -> Result<()> {
        let is_follower = scope.kind == POD || scope.kind == REPLICA_SET;
        match list {
            Some(objects) if is_follower => {
                if let Some(state) = &mut self.followers {
                    observe::show_list(state, UNWATCHED, scope.kind, &objects, now)?;
                }
            }
            Some(objects) => self.live.extend(objects.into_iter().filter_map(|object| {
                let object = with_type_meta(scope.kind, object);
                let id = scope.kind.id(scope.namespace, object["metadata"]["name"].as_str()?);
                members::is_member(&object, set).then_some((id, object))
            })),
            None if is_follower => self.followers = None,
            None => {
                let namespace = scope.namespace.to_owned();
                self.forbidden_lists.push(ForbiddenList { kind: scope.kind, namespace });
            }
        }
        Ok(())
    }

    /// Returns the state of the pods and `ReplicaSets`; None if listing them is forbidden.
    #[must_use]
    pub fn followers(&self) -> Option<&ObservedState> {
        self.followers.as_ref()
    }

    /// Whether the references of pods and `ReplicaSets` are known.
    #[must_use]
    pub fn followers_listed(&self) -> bool {
        self.followers.is_some()
    }

    /// Returns the names of ConfigMaps and Secrets that pods, or the `history` newest `ReplicaSets`, reference. Returns
    /// the names of all members if the references are unknown.
    #[must_use]
    pub fn referenced_names(&self, history: usize) -> BTreeSet<String> {
        match &self.followers {
            Some(state) => status::referenced_names(state, history),
            None => self.member_names(),
        }
    }

    /// Returns the names of all members.
    #[must_use]
    pub fn member_names(&self) -> BTreeSet<String> {
        self.live.keys().map(|id| id.name.clone()).collect()
    }

    /// Returns the forbidden kinds without planned members: their objects of an earlier configuration are not found.
    #[must_use]
    pub fn unlisted_kinds(&self, plan: &Plan) -> Vec<&'static str> {
        let planned = |list: &&ForbiddenList| plan.members.iter().any(|member| list.holds(&member.id));
        self.forbidden_lists.iter().filter(|list| !planned(list)).map(|list| list.kind.plural).collect()
    }

    /// Collects the values of all planned and live Secrets, to hide them in the output.
    fn mask(&self, plan: &Plan) -> Mask {
        Mask::from_objects(plan.members.iter().map(|member| &member.manifest).chain(self.live.values()))
    }
}

impl ForbiddenList {
    fn holds(&self, id: &ObjectId) -> bool {
        self.kind.kind == id.kind
            && self.kind.group == id.group
            && Some(self.namespace.as_str()) == id.namespace.as_deref()
    }
}

/// The input of the comparison.
#[derive(Debug, Clone, Copy)]
pub struct DiffInput<'a> {
    /// The planned changes.
    pub changes: &'a Changes,
    /// The set as listed.
    pub listed: &'a ListedSet,
    /// Namespaces that a deploy would create.
    pub missing_namespaces: &'a [String],
    /// The members that are not compared, with the reasons.
    pub not_compared: &'a BTreeMap<ObjectId, String>,
    /// The rules for fields of other managers.
    pub ownership: &'a Ownership,
}

/// Compares every member with the live object, in the order of an apply, then the members that are no longer planned.
///
/// # Errors
/// Fails if the server is unreachable. A rejected object does not fail the comparison: its error is in the result.
pub async fn compare(api: &Api, input: DiffInput<'_>, events: &Events) -> Result<Vec<Compared>> {
    let DiffInput { changes, listed, .. } = input;
    let created = input.missing_namespaces.iter().map(|name| ObjectId::cluster("", "Namespace", name));
    let created_unverified =
        |id| Difference::new(id, DiffOutcome::Created).unverified("it is created first, without a dry run");
    let mut all: Vec<Compared> = created.map(created_unverified).map(Compared::from).collect();
    let run = DiffRun { api, input, mask: listed.mask(&changes.plan), events };
    let members: Vec<Compared> = stream::iter(changes.plan.members.iter().zip(&changes.members))
        .map(|(member, change)| run.member(member, change))
        .buffered(IN_FLIGHT)
        .try_collect()
        .await?;
    all.extend(members);
    let candidates = &changes.cleanup(RevisionResult::Good).candidates;
    all.extend(candidates.iter().filter_map(compare::unplanned).map(Compared::from));
    Ok(all)
}

struct DiffRun<'a> {
    api: &'a Api,
    input: DiffInput<'a>,
    mask: Mask,
    events: &'a Events,
}

impl DiffRun<'_> {
    async fn member(&self, member: &Member, change: &Change) -> Result<Compared> {
        if let Some(reason) = self.reason_not_to_compare(member) {
            let outcome = DiffOutcome::NotCompared(reason);
            return Ok(Difference::new(member.id.clone(), outcome).into());
        }
        if let Some(difference) = self.deleted(member, change) {
            return Ok(difference.into());
        }
        let Some(live) = self.input.listed.live.get(&member.id) else {
            return self.create(member, &new_manifest(member, &self.input.changes.plan.set)).await;
        };
        let mut compared = self.existing(member, change, live).await?;
        compared.difference.additions = additions(&member.id, &member.manifest, live, &self.mask);
        Ok(compared)
    }

    fn reason_not_to_compare(&self, member: &Member) -> Option<String> {
        if let Some(reason) = self.input.not_compared.get(&member.id) {
            return Some(reason.clone());
        }
        let is_forbidden = self.input.listed.forbidden_lists.iter().any(|list| list.holds(&member.id));
        is_forbidden.then(|| format!("no right to list {}", member.kind.plural))
    }

    /// Compares a live member. The pod may get its content instead of the content of another object.
    async fn existing(&self, member: &Member, change: &Change, live: &Value) -> Result<Compared> {
        let (id, manifest) = (&member.id, &member.manifest);
        let predecessor = compare::predecessor(id, &self.input.listed.live);
        match (change, predecessor) {
            (Change::Unchanged, Some(predecessor)) => {
                Ok(compare::reused(id, manifest, predecessor, &self.mask).into())
            }
            (Change::Unchanged, None) => Ok(Difference::new(id.clone(), DiffOutcome::Unchanged).into()),
            (Change::Update(sent), predecessor) => {
                let mut compared = self.change(member, sent, live).await?;
                let content = predecessor.map(|predecessor| {
                    compare::replaced_content(id, manifest, Some(predecessor), &self.mask)
                });
                compared.difference.fields.extend(content.into_iter().flatten());
                Ok(compared)
            }
            (Change::Create | Change::Recreate, _) => {
                self.create(member, &new_manifest(member, &self.input.changes.plan.set)).await
            }
        }
    }

    /// Returns the difference of a member that is being deleted. No dry run is sent: the server accepts an apply to it,
    /// and deletes it nevertheless.
    fn deleted(&self, member: &Member, change: &Change) -> Option<Difference> {
        let since = deletion::deleted_since(self.input.listed.live.get(&member.id)?)?;
        let terminating = Effect::Terminating(since.to_owned());
        let held = self.input.changes.held_claims.iter().find(|claim| claim.id == member.id);
        let difference = |outcome| Difference::new(member.id.clone(), outcome).with_effect(terminating);
        Some(match (change, held) {
            (Change::Recreate, _) => {
                difference(DiffOutcome::Created).unverified("deploy creates it anew once it is gone")
            }
            (_, Some(claim)) => {
                let is_at_risk = claim.is_at_risk;
                difference(DiffOutcome::Changed).with_effect(Effect::Held { is_at_risk })
            }
            (_, None) => return None,
        })
    }

    async fn create(&self, member: &Member, manifest: &Value) -> Result<Compared> {
        let id = &member.id;
        let predecessor = compare::predecessor(id, &self.input.listed.live);
        let created = |response: Option<&Value>| {
            let created = compare::created(id, manifest, response, predecessor, &self.mask);
            let is_name_final = member.kind != SECRET || !self.input.changes.stores_key;
            if is_name_final { created } else { created.with_effect(Effect::NameNotFinal) }
        };
        let missing = id.namespace.as_ref().filter(|name| self.input.missing_namespaces.contains(*name));
        if let Some(namespace) = missing {
            return Ok(created(None).unverified(format!("namespace {namespace} does not exist yet")).into());
        }
        match self.dry_run(member, manifest, "resourceVersion", &json!("1"), false).await? {
            Ok(response) => Ok(created(Some(&response)).into()),
            Err(status) if status.code == 409 => self.resolve_existing(member, manifest).await,
            // A dependency does not exist until the deploy creates it.
            Err(status) if status.code == 404 => {
                Ok(created(None).unverified(self.missing_dependency(member, &status)).into())
            }
            Err(status) if is_missing_right(&status) => {
                Ok(created(None).unverified(missing_right(member)).into())
            }
            Err(status) => {
                let difference = created(None).unverified("the server rejects it");
                Ok(Compared { difference, deploy_error: Some(self.rejection(id, status)) })
            }
        }
    }

    /// Returns the reason for a 404. An account without the verb `bind` may only bind roles that the server can look
    /// up; otherwise the server reports that the binding is not found.
    fn missing_dependency(&self, member: &Member, status: &Status) -> String {
        let role = |other: &&Member| other.kind == ROLE && other.id.namespace == member.id.namespace;
        let role = self.input.changes.plan.members.iter().find(role).filter(|_| member.kind == ROLE_BINDING);
        match role.filter(|role| !self.input.listed.live.contains_key(&role.id)) {
            Some(role) => format!("{} does not exist yet", role.id),
            None => self.mask.text(&status.message).into_owned(),
        }
    }

    /// Compares with an existing object that was not in the list.
    async fn resolve_existing(&self, member: &Member, manifest: &Value) -> Result<Compared> {
        let live = self
            .api
            .get_opt(&collection(member), &member.id.name)
            .await
            .map_err(|error| error.into_error(&format!("cannot read {}", member.id)))?;
        match live {
            Some(live) if members::is_member(&live, &self.input.changes.plan.set) => {
                self.change(member, manifest, &live).await
            }
            Some(live) if self.input.ownership.adopts() => self.adopt(member, live).await,
            Some(live) => Ok(Compared::unknown(member.id.clone(), foreign_object_error(&member.id, &live))),
            None => Ok(Difference::new(member.id.clone(), DiffOutcome::Created)
                .unverified("an object of that name has just been deleted")
                .into()),
        }
    }

    /// Compares an object of another tool that a deploy adopts. The server can only check the apply; the fields that
    /// the adoption moves to our manager first, and thereby removes if the manifest lacks them, are predicted.
    async fn adopt(&self, member: &Member, mut live: Value) -> Result<Compared> {
        let set = &self.input.changes.plan.set;
        if let Some(blocker) = adoption::blocker(&live, set) {
            return Ok(Compared::unknown(member.id.clone(), not_adopted_error(&member.id, &live, &blocker)));
        }
        let mut managers = Vec::new();
        if let Some(migration) = adoption::migration(&live, &member.manifest["apiVersion"]) {
            live["metadata"]["managedFields"] = migration.managed_fields;
            managers = migration.managers;
        }
        let warning = adoption::tracker(&live).map(|(tool, mark)| adoption::still_tracked(tool, mark));
        let manifest = manifest_for(member, &live, set, self.input.ownership);
        let difference = compare::changed(&member.id, &manifest, &live, None, &self.mask);
        let mut difference = Difference { outcome: DiffOutcome::Changed, ..difference };
        difference.effects.insert(0, Effect::Adopted { managers, warning });
        match self.dry_run(member, &manifest, "uid", &live["metadata"]["uid"], false).await? {
            Ok(_) => Ok(difference.into()),
            Err(status) if !conflicts(&status).is_empty() => {
                if !self.takes_over_all(member, &manifest, &live, &status) {
                    let stops = conflicts(&status).into_iter().filter(|effect| !is_moved(effect));
                    difference.effects.extend(stops);
                }
                Ok(difference.into())
            }
            Err(status) if is_missing_right(&status) => {
                Ok(difference.unverified(missing_right(member)).into())
            }
            Err(status) => {
                let difference = difference.unverified("the server rejects it");
                let rejection = self.rejection(&member.id, status);
                Ok(Compared { difference, deploy_error: Some(rejection) })
            }
        }
    }

    async fn change(&self, member: &Member, manifest: &Value, live: &Value) -> Result<Compared> {
        let id = &member.id;
        let changed = |response: Option<&Value>| compare::changed(id, manifest, live, response, &self.mask);
        let status = match self.dry_run(member, manifest, "uid", &live["metadata"]["uid"], false).await? {
            Ok(response) => {
                let mut difference = changed(Some(&response));
                difference.effects.extend(self.taken(id));
                return Ok(difference.into());
            }
            Err(status) => status,
        };
        let conflicts = conflicts(&status);
        if !conflicts.is_empty() && self.takes_over_all(member, manifest, live, &status) {
            let forced = self.dry_run(member, manifest, "uid", &live["metadata"]["uid"], true).await?;
            if let Ok(response) = forced {
                return Ok(changed(Some(&response)).into());
            }
        }
        let mut difference = changed(None);
        if !conflicts.is_empty() {
            difference.outcome = DiffOutcome::Changed;
            difference.effects.extend(conflicts);
            return Ok(difference.into());
        }
        if is_missing_right(&status) {
            return Ok(difference.unverified(missing_right(member)).into());
        }
        let difference = difference.unverified("the server rejects it");
        let refused = Some(self.rejection(id, status));
        Ok(Compared { difference, deploy_error: refused })
    }

    /// Returns the fields without a manager at which a deploy stops.
    fn taken(&self, id: &ObjectId) -> Vec<Effect> {
        let ownership = self.input.ownership;
        let taken = self.input.changes.taken.get(id).map(Vec::as_slice).unwrap_or_default();
        let rule = |conflict: &Conflict| conflict.rule.unwrap_or_else(|| ownership.default_rule());
        let stops = taken.iter().filter(|conflict| rule(conflict) == OwnershipRule::Fail);
        stops
            .map(|conflict| {
                let owner = conflict.owners.first().map(|owner| owner.manager.clone());
                Effect::Stops { manager: owner.unwrap_or_default(), field: conflict.field.clone() }
            })
            .collect()
    }

    /// Whether a deploy takes over all conflicting fields.
    fn takes_over_all(&self, member: &Member, manifest: &Value, live: &Value, status: &Status) -> bool {
        let ownership = self.input.ownership;
        let conflicts =
            conflict::conflicts(field_conflict::causes(status), member, manifest, Some(live), ownership);
        let rule = |conflict: &Conflict| conflict.rule.unwrap_or_else(|| ownership.default_rule());
        conflicts.iter().all(|conflict| rule(conflict) == OwnershipRule::Take)
    }

    /// Sends the dry run; the inner error means that the server rejected the object.
    async fn dry_run(
        &self,
        member: &Member,
        manifest: &Value,
        condition: &str,
        value: &Value,
        force: bool,
    ) -> Result<Result<Value, Status>> {
        let mut manifest = manifest.clone();
        manifest["metadata"][condition] = value.clone();
        match self.api.apply(&collection(member), &manifest, ApplyOptions { dry_run: true, force }).await {
            Ok(response) => {
                for warning in &response.warnings {
                    let message = format!("{}: {}", member.id, self.mask.text(warning));
                    self.events.warn(Id::ServerWarning, message).await;
                }
                Ok(Ok(response.body))
            }
            Err(ApiError::Status(status)) if !is_unspecific_error(&status) => Ok(Err(*status)),
            Err(error) => Err(error.into_error(&dry_run_action(&member.id))),
        }
    }

    fn rejection(&self, id: &ObjectId, mut status: Status) -> Error {
        status.message = self.mask.text(&status.message).into_owned();
        status_error::status_error(&dry_run_action(id), &status).of_rejected(id.rejected_as(&id.kind))
    }
}

/// Whether the account has no right to send the dry run. The comparison on this computer does not need it.
fn is_missing_right(status: &Status) -> bool {
    // The authorizer's message; those of admission have another form.
    status.code == 403
        && status.message.contains("forbidden: User \"")
        && status.message.contains(" cannot ")
        && !status.message.contains("system:anonymous")
}

fn missing_right(member: &Member) -> String {
    format!("no right to patch {}, so that it was compared on this computer", member.kind.plural)
}

/// Whether the error is not about the object: authentication failed, or the server is not able to respond now.
fn is_unspecific_error(status: &Status) -> bool {
    let is_unspecific =
        matches!(status.code, 401 | 429 | 500..) && !status_error::is_type_mismatch(&status.message);
    is_unspecific || status.message.contains("system:anonymous")
}

fn collection(member: &Member) -> Collection {
    member.kind.collection(member.id.namespace.as_deref())
}

fn dry_run_action(id: &ObjectId) -> String {
    format!("cannot dry-run {}", id.with_namespace())
}

/// Returns the conflicting fields, with their managers.
fn conflicts(status: &Status) -> Vec<Effect> {
    let conflict = |cause: ConflictCause<'_>| {
        // The server's message: conflict with "kubectl-scale" with subresource "scale" using apps/v1
        let manager = cause.message.split('"').nth(1).unwrap_or("another manager").to_owned();
        Effect::Stops { manager, field: cause.field.to_owned() }
    };
    let mut conflicts: Vec<Effect> = field_conflict::causes(status).map(conflict).collect();
    // The server lists them in no fixed order.
    conflicts.sort_by_key(ToString::to_string);
    conflicts
}

/// Whether the field of a conflict belongs to a manager whose fields an adoption moves to ours.
fn is_moved(conflict: &Effect) -> bool {
    matches!(conflict, Effect::Stops { manager, .. } if adoption::is_migrated(manager, None))
}

fn foreign_object_error(id: &ObjectId, live: &Value) -> Error {
    let owner = other_set::other_set(live, &[]).unwrap_or_else(|| {
        let entries = live["metadata"]["managedFields"].as_array().into_iter().flatten();
        let managers: BTreeSet<&str> = entries.filter_map(|entry| entry["manager"].as_str()).collect();
        let managers: Vec<&str> = managers.into_iter().collect();
        let managers = if managers.is_empty() { "none".to_owned() } else { managers.join(", ") };
        format!("another owner (managers: {managers})")
    });
    Error::new(Id::ForeignObject, Kind::Ownership, format!("cannot compare {}", id.with_namespace()))
        .caused_by(format!("it exists and belongs to {owner}"))
        .hint("choose another name with --name or [deploy].name, or another namespace with -n")
        .hint("handsctl diff --adopt compares with it, as deploy --adopt would adopt it")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: u16, message: &str) -> Status {
        serde_json::from_value(json!({
            "code": code, "message": message, "details": { "causes": [{
                "reason": "FieldManagerConflict", "field": ".spec.replicas",
                "message": "conflict with \"kubectl-scale\" with subresource \"scale\" using apps/v1",
            }] },
        }))
        .unwrap()
    }

    #[test]
    fn missing_right_is_told_from_rejection() {
        let cannot = r#"ingresses.networking.k8s.io "oh" is forbidden: User "a" cannot patch resource "ingresses" in API group "networking.k8s.io" in the namespace "n""#;
        assert!(is_missing_right(&status(403, cannot)));
        for message in [
            r#"pods "a" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1"#,
            r#"admission webhook "w" denied the request: you cannot use resource "a" here"#,
            r#"roles "oh" is forbidden: user "a" is attempting to grant RBAC permissions not currently held"#,
        ] {
            assert!(!is_missing_right(&status(403, message)), "{message}");
        }
    }

    #[test]
    fn fields_of_an_adopted_tool_do_not_stop() {
        let stops = |manager: &str| Effect::Stops { manager: manager.into(), field: ".spec.type".into() };
        assert!(is_moved(&stops("helm")));
        assert!(!is_moved(&stops("argocd-controller")));
    }

    #[test]
    fn conflict_effect_names_manager_and_field() {
        let stops = Effect::Stops { manager: "kubectl-scale".into(), field: ".spec.replicas".into() };
        assert_eq!(conflicts(&status(409, "")), [stops]);
    }
}
