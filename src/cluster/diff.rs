//! What a deploy would make different: one list of each kind, and a dry run for each member that is not as it should
//! be. Nothing is changed.

use std::collections::BTreeSet;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use kube::api::ListParams;
use kube::core::Status;
use serde_json::{Value, json};

use super::apply::field_conflict;
use super::client::api::{Api, ApiError};
use super::client::request::ApplyOptions;
use super::client::status_error;
use super::watch::observe::{self, UNWATCHED};
use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};
use crate::event::Events;
use crate::object::kind::{Collection, KindInfo, POD, REPLICA_SET, ROLE, ROLE_BINDING, SECRET};
use crate::object::{ObjectId, labels};
use crate::plan::changes::{Change, Changes};
use crate::plan::diff::{Compared, DiffOutcome, Difference, Effect, Mask, compare};
use crate::plan::inventory::apply_set::ApplySet;
use crate::plan::inventory::members::{self, Members};
use crate::plan::inventory::revision::RevisionResult;
use crate::plan::ownership::conflict::{self, Conflict, ConflictCause};
use crate::plan::ownership::policy::Ownership;
use crate::plan::{Member, Plan};
use crate::settings::handsctl::OwnershipRule;
use crate::status::{self, ObservedState};

/// Requests on their way at the same time, as in an apply.
const IN_FLIGHT: usize = 16;

/// The set as it is.
#[derive(Debug)]
pub struct ListedSet {
    /// Members that are there.
    pub live: Members,
    /// Pods and `ReplicaSets` of the set; None where they may not be listed.
    followers: Option<ObservedState>,
    /// What may not be listed.
    unreadable: Vec<ForbiddenList>,
}

/// Objects that may not be listed.
#[derive(Debug)]
struct ForbiddenList {
    kind: KindInfo,
    namespace: String,
    status: Status,
}

/// A list that is asked for.
struct ListScope<'a> {
    kind: KindInfo,
    namespace: &'a str,
    labels: &'a str,
}

/// Lists the members of the set, of every kind that one can have, and what refers to their configuration.
///
/// # Errors
/// Where there is no answer; what may not be listed is remembered.
pub async fn list_set(api: &Api, set: &ApplySet) -> Result<ListedSet> {
    let member = set.member_selector();
    let instance = labels::instance_selector(&set.name);
    let mut scopes: Vec<ListScope<'_>> = Vec::new();
    for namespace in set.namespaces() {
        scopes.extend(set.kinds().map(|kind| ListScope { kind, namespace, labels: &member }));
    }
    let followers = [POD, REPLICA_SET];
    scopes.extend(followers.map(|kind| ListScope { kind, namespace: &set.namespace, labels: &instance }));
    let lists: Vec<Result<Vec<Value>, Status>> =
        stream::iter(&scopes).map(|scope| list(api, scope)).buffered(IN_FLIGHT).try_collect().await?;
    let mut look =
        ListedSet { live: Members::new(), followers: Some(ObservedState::default()), unreadable: Vec::new() };
    let now = api.clock().now();
    for (scope, list) in scopes.iter().zip(lists) {
        look.take(scope, list, set, now)?;
    }
    Ok(look)
}

/// The inner error is a refusal for want of a right.
async fn list(api: &Api, scope: &ListScope<'_>) -> Result<Result<Vec<Value>, Status>> {
    let params = ListParams::default().labels(scope.labels);
    match api.list(&scope.kind.in_namespace(scope.namespace), &params).await {
        Ok(list) => Ok(Ok(list.items)),
        Err(ApiError::Status(status))
            if status.code == 403 && !status.message.contains("system:anonymous") =>
        {
            Ok(Err(*status))
        }
        Err(fault) => {
            Err(fault
                .into_error(&format!("cannot list {} in namespace {}", scope.kind.plural, scope.namespace)))
        }
    }
}

impl ListedSet {
    fn take(
        &mut self,
        scope: &ListScope<'_>,
        list: Result<Vec<Value>, Status>,
        set: &ApplySet,
        now: Timestamp,
    ) -> Result<()> {
        let is_follower = scope.kind == POD || scope.kind == REPLICA_SET;
        match list {
            Ok(objects) if is_follower => {
                if let Some(world) = &mut self.followers {
                    observe::show_list(world, UNWATCHED, scope.kind, &objects, now)?;
                }
            }
            Ok(objects) => self.live.extend(objects.into_iter().filter_map(|mut object| {
                // The items of a list do not say of which kind they are.
                object["apiVersion"] = json!(scope.kind.api_version());
                object["kind"] = json!(scope.kind.kind);
                let id = scope.kind.id(scope.namespace, object["metadata"]["name"].as_str()?);
                members::is_member(&object, set).then_some((id, object))
            })),
            Err(_) if is_follower => self.followers = None,
            Err(status) => {
                let namespace = scope.namespace.to_owned();
                self.unreadable.push(ForbiddenList { kind: scope.kind, namespace, status });
            }
        }
        Ok(())
    }

    /// Whether it is known what pods and their Deployment refer to.
    #[must_use]
    pub fn knows_followers(&self) -> bool {
        self.followers.is_some()
    }

    /// Names of configuration that pods refer to, or what a Deployment keeps `history` of. Where nobody can tell, all
    /// of it counts.
    #[must_use]
    pub fn in_use(&self, history: usize) -> BTreeSet<String> {
        match &self.followers {
            Some(world) => status::referenced_names(world, history),
            None => self.live.keys().map(|id| id.name.clone()).collect(),
        }
    }

    /// Kinds that may not be listed although the plan has none of them: what an earlier configuration left is not found.
    #[must_use]
    pub fn overlooked(&self, plan: &Plan) -> Vec<&'static str> {
        let planned = |it: &&ForbiddenList| plan.members.iter().any(|member| it.holds(&member.id));
        self.unreadable.iter().filter(|it| !planned(it)).map(|it| it.kind.plural).collect()
    }

    /// The values of every Secret that is known, so that none of them is shown anywhere.
    fn mask(&self, plan: &Plan) -> Mask {
        Mask::of(plan.members.iter().map(|member| &member.manifest).chain(self.live.values()))
    }
}

impl ForbiddenList {
    fn holds(&self, id: &ObjectId) -> bool {
        self.kind.kind == id.kind
            && self.kind.group == id.group
            && Some(self.namespace.as_str()) == id.namespace.as_deref()
    }
}

/// What is known before the dry runs.
#[derive(Debug, Clone, Copy)]
pub struct DiffInput<'a> {
    /// What a deploy would do.
    pub changes: &'a Changes,
    /// The set as it is.
    pub listed: &'a ListedSet,
    /// Namespaces that a deploy would create.
    pub missing_namespaces: &'a [String],
    /// What is done about fields of others.
    pub ownership: &'a Ownership,
}

/// Compares every member with what is there, in the order of sending, then the members that are no longer planned.
///
/// # Errors
/// Where there is no answer. A refusal of one object stands beside it.
pub async fn compare(api: &Api, input: DiffInput<'_>, events: &Events) -> Result<Vec<Compared>> {
    let DiffInput { changes, listed, .. } = input;
    let created = input.missing_namespaces.iter().map(|name| ObjectId::cluster("", "Namespace", name));
    let untried =
        |id| Difference::new(id, DiffOutcome::Created).unverified("it is created first, without a dry run");
    let mut all: Vec<Compared> = created.map(untried).map(Compared::from).collect();
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
        let listed = self.input.listed;
        if let Some(unreadable) = listed.unreadable.iter().find(|it| it.holds(&member.id)) {
            let action = format!("cannot list {} in namespace {}", member.kind.plural, unreadable.namespace);
            let error = self.refusal(&action, unreadable.status.clone());
            return Ok(Compared::unknown(member.id.clone(), error));
        }
        match (change, listed.live.get(&member.id)) {
            (Change::Unchanged, _) => Ok(Difference::new(member.id.clone(), DiffOutcome::Unchanged).into()),
            (Change::Create(manifest) | Change::Update(manifest), Some(live)) => {
                self.change(member, manifest, live).await
            }
            (Change::Create(manifest) | Change::Update(manifest), None) => {
                self.create(member, manifest).await
            }
        }
    }

    async fn create(&self, member: &Member, manifest: &Value) -> Result<Compared> {
        let id = &member.id;
        let predecessor = compare::predecessor(id, &self.input.listed.live);
        let created = |answer: Option<&Value>| {
            let created = compare::created(id, manifest, answer, predecessor, &self.mask);
            let named = member.kind != SECRET || !self.input.changes.stores_key;
            if named { created } else { created.with_effect(Effect::NameNotFinal) }
        };
        let missing = id.namespace.as_ref().filter(|name| self.input.missing_namespaces.contains(*name));
        if let Some(namespace) = missing {
            return Ok(created(None).unverified(format!("namespace {namespace} does not exist yet")).into());
        }
        match self.ask(member, manifest, "resourceVersion", &json!("1"), false).await? {
            Ok(answer) => Ok(created(Some(&answer)).into()),
            Err(status) if status.code == 409 => self.taken(member, manifest).await,
            // What it needs is not there before the deploy has made it.
            Err(status) if status.code == 404 => {
                Ok(created(None).unverified(self.lacking(member, &status)).into())
            }
            Err(status) => {
                let difference = created(None).unverified("the server refuses it");
                Ok(Compared { difference, refused: Some(self.refusal(&cannot_try(id), status)) })
            }
        }
    }

    /// An account without the verb `bind` may only bind roles that the server can look up; it then answers that the
    /// binding is not found.
    fn lacking(&self, member: &Member, status: &Status) -> String {
        let role = |other: &&Member| other.kind == ROLE && other.id.namespace == member.id.namespace;
        let role = self.input.changes.plan.members.iter().find(role).filter(|_| member.kind == ROLE_BINDING);
        match role.filter(|role| !self.input.listed.live.contains_key(&role.id)) {
            Some(role) => format!("{} does not exist yet", role.id),
            None => self.mask.text(&status.message),
        }
    }

    /// Something of that name is there and was not in the list.
    async fn taken(&self, member: &Member, manifest: &Value) -> Result<Compared> {
        let found = self
            .api
            .get_opt(&collection(member), &member.id.name)
            .await
            .map_err(|fault| fault.into_error(&format!("cannot read {}", member.id)))?;
        match found {
            Some(found) if members::is_member(&found, &self.input.changes.plan.set) => {
                self.change(member, manifest, &found).await
            }
            Some(found) => Ok(Compared::unknown(member.id.clone(), foreign(&member.id, &found))),
            None => Ok(Difference::new(member.id.clone(), DiffOutcome::Created)
                .unverified("an object of that name has just been deleted")
                .into()),
        }
    }

    async fn change(&self, member: &Member, manifest: &Value, live: &Value) -> Result<Compared> {
        let id = &member.id;
        let changed = |answer: Option<&Value>| compare::changed(id, manifest, live, answer, &self.mask);
        let status = match self.ask(member, manifest, "uid", &live["metadata"]["uid"], false).await? {
            Ok(answer) => return Ok(changed(Some(&answer)).into()),
            Err(status) => status,
        };
        let conflicts = conflicts(&status);
        if !conflicts.is_empty() && self.takes(member, manifest, live, &status) {
            let taken = self.ask(member, manifest, "uid", &live["metadata"]["uid"], true).await?;
            if let Ok(answer) = taken {
                return Ok(changed(Some(&answer)).into());
            }
        }
        let mut difference = changed(None);
        if !conflicts.is_empty() {
            difference.outcome = DiffOutcome::Changed;
            difference.effects.extend(conflicts);
            return Ok(difference.into());
        }
        let message = self.mask.text(&status.message);
        let difference = difference.unverified("the server refuses it");
        if is_immutable(&status) {
            let outcome = DiffOutcome::Changed;
            return Ok(Difference { outcome, ..difference }.with_effect(Effect::Refused(message)).into());
        }
        let refused = Some(self.refusal(&cannot_try(id), status));
        Ok(Compared { difference, refused })
    }

    /// Whether a deploy takes over every field that others manage.
    fn takes(&self, member: &Member, manifest: &Value, live: &Value, status: &Status) -> bool {
        let ownership = self.input.ownership;
        let conflicts =
            conflict::conflicts(field_conflict::causes(status), member, manifest, Some(live), ownership);
        let rule = |conflict: &Conflict| conflict.rule.unwrap_or_else(|| ownership.default_rule());
        conflicts.iter().all(|conflict| rule(conflict) == OwnershipRule::Take)
    }

    /// The dry run. The inner error is a refusal.
    async fn ask(
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
            Ok(answer) => {
                for warning in &answer.warnings {
                    let message = format!("{}: {}", member.id, self.mask.text(warning));
                    self.events.warn(Id::ServerWarning, message).await;
                }
                Ok(Ok(answer.body))
            }
            Err(ApiError::Status(status)) if !is_no_word_on_the_object(&status) => Ok(Err(*status)),
            Err(fault) => Err(fault.into_error(&cannot_try(&member.id))),
        }
    }

    fn refusal(&self, action: &str, mut status: Status) -> Error {
        status.message = self.mask.text(&status.message);
        status_error::status_error(action, &status)
    }
}

/// Whether the server says nothing of the object: it does not know who asks, or cannot answer now.
fn is_no_word_on_the_object(status: &Status) -> bool {
    let is_silent =
        matches!(status.code, 401 | 429 | 500..) && !status_error::is_type_mismatch(&status.message);
    is_silent || status.message.contains("system:anonymous")
}

fn collection(member: &Member) -> Collection {
    member.kind.collection(member.id.namespace.as_deref())
}

fn cannot_try(id: &ObjectId) -> String {
    format!("cannot dry-run {}", named(id))
}

fn named(id: &ObjectId) -> String {
    match &id.namespace {
        Some(namespace) => format!("{id} in namespace {namespace}"),
        None => id.to_string(),
    }
}

/// The fields that other managers keep.
fn conflicts(status: &Status) -> Vec<Effect> {
    let conflict = |cause: ConflictCause<'_>| {
        // The server's sentence: conflict with "kubectl-scale" with subresource "scale" using apps/v1
        let manager = cause.message.split('"').nth(1).unwrap_or("another manager").to_owned();
        Effect::Stops { manager, field: cause.field.to_owned() }
    };
    let mut conflicts: Vec<Effect> = field_conflict::causes(status).map(conflict).collect();
    // The server names them in any order.
    conflicts.sort_by_key(ToString::to_string);
    conflicts
}

/// What API servers say of a value that cannot follow the one that is there (kubernetes/pkg/apis/*/validation).
const NOT_AFTER_THIS_ONE: &[&str] = &[
    "immutable",
    "may not change once set",
    "cannot change roleRef",
    "can not be less than",
    "updates to statefulset spec",
];

fn is_immutable(status: &Status) -> bool {
    status.code == 422 && NOT_AFTER_THIS_ONE.iter().any(|words| status.message.contains(words))
}

fn foreign(id: &ObjectId, found: &Value) -> Error {
    let entries = found["metadata"]["managedFields"].as_array().into_iter().flatten();
    let managers: BTreeSet<&str> = entries.filter_map(|entry| entry["manager"].as_str()).collect();
    let managers: Vec<&str> = managers.into_iter().collect();
    let managers = if managers.is_empty() { "none".to_owned() } else { managers.join(", ") };
    Error::new(Id::ForeignObject, Kind::Ownership, format!("cannot compare {}", named(id)))
        .caused_by(format!("it exists and belongs to somebody else (managers: {managers})"))
        .hint("choose another name with --name or [deploy].name, or another namespace with -n")
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
    fn a_conflict_names_the_manager_and_the_field() {
        let stops = Effect::Stops { manager: "kubectl-scale".into(), field: ".spec.replicas".into() };
        assert_eq!(conflicts(&status(409, "")), [stops]);
    }

    /// Texts of kube-apiserver 1.34.
    #[test]
    fn what_cannot_follow_is_told_apart_from_what_is_wrong() {
        let rows = [
            (
                422,
                r#"Deployment.apps "a" is invalid: spec.selector: Invalid value: {}: field is immutable"#,
                true,
            ),
            (
                422,
                r#"PersistentVolumeClaim "a" is invalid: spec.resources.requests.storage: Forbidden: field can not be less than status.capacity"#,
                true,
            ),
            (422, r#"RoleBinding "a" is invalid: roleRef: Invalid value: {}: cannot change roleRef"#, true),
            (
                422,
                r#"Ingress "a" is invalid: spec.rules[0].host: Invalid value: "_": a lowercase RFC 1123"#,
                false,
            ),
            (403, r#"admission webhook "immutable.example" denied the request"#, false),
        ];
        for (code, message, expected) in rows {
            assert_eq!(is_immutable(&status(code, message)), expected, "{message}");
        }
    }
}
