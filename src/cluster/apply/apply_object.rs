//! Applies one member: retries where a rule resolves the field conflict, and adopts an object of another tool where
//! that is allowed.

use kube::core::Status;
use serde_json::{Value, json};

use super::applied::{Applied, ApplyMode};
use super::deletion_wait;
use super::field_conflict::{self, field_conflict_error, is_field_conflict};
use super::namespaces;
use crate::catalogue::Id;
use crate::cluster::client::api::{Api, ApiError, Response};
use crate::cluster::client::request::ApplyOptions;
use crate::cluster::client::status_error;
use crate::error::{Error, Kind, Result};
use crate::event::{Action, Events};
use crate::object::field_path::FieldOwner;
use crate::object::kind::Collection;
use crate::object::{ObjectId, deletion, managed_fields};
use crate::plan::Member;
use crate::plan::changes::manifest_for;
use crate::plan::inventory::apply_set::ApplySet;
use crate::plan::inventory::members;
use crate::plan::ownership::adoption;
use crate::plan::ownership::conflict::{self, Conflict};
use crate::plan::ownership::other_set;
use crate::plan::ownership::policy::Ownership;
use crate::plan::ownership::port_clash::{self, PortClash};
use crate::settings::handsctl::OwnershipRule;

/// How many times to try a member whose object changes between reading it and the next request.
const ATTEMPTS: u32 = 5;

/// Applies the members of one set, one at a time.
pub(crate) struct ObjectApplier<'a> {
    pub(crate) api: &'a Api,
    pub(crate) set: &'a ApplySet,
    pub(crate) ownership: &'a Ownership,
    pub(crate) mode: ApplyMode,
    pub(crate) events: &'a Events,
}

/// The result of applying one member.
pub(crate) struct ApplyOutcome {
    pub(crate) applied: Applied,
    /// An explanation of the action, where it is not obvious.
    pub(crate) message: Option<String>,
}

/// An existing object, and how to apply to it.
#[derive(Clone, Copy)]
struct ApplyTarget<'a> {
    object: &'a Value,
    mode: ApplyMode,
    /// The object of another tool is being adopted: fields managed by its deploy tools are not conflicts.
    adopting: bool,
}

/// The resolution of the conflicts of a response.
enum ConflictResolution {
    /// Take over all conflicting fields.
    Take,
    /// Leave some fields to their managers, and apply a manifest without them.
    Yield,
    /// Fail.
    Stop,
}

impl ObjectApplier<'_> {
    /// Applies a member that did not exist when the set was listed.
    pub(crate) async fn create(&self, member: &Member, manifest: &Value) -> Result<ApplyOutcome> {
        // The object may exist by now: a lost response to our own request, another run, or another tool.
        for _ in 0..ATTEMPTS {
            match self.patch(member, &create_only(manifest), self.mode, false).await {
                Ok(response) => return Ok(self.outcome(member, response, None, None).await),
                Err(error) if error.code() == Some(409) => {}
                Err(error) => return Err(apply_error(error, &member.id)),
            }
            let Some(live) = self.get(member).await? else { continue };
            if members::is_member(&live, self.set) && deletion::deleted_since(&live).is_some() {
                return Err(deletion_wait::still_deleted_error(&[(member.id.clone(), live)]));
            }
            if members::is_member(&live, self.set) {
                let manifest = self.manifest(member, &live);
                return self.update(member, &manifest, &live).await;
            }
            if self.ownership.adopts() {
                return self.adopt(member, live).await;
            }
            return Err(foreign_object_error(self.api, &member.id, &live).await);
        }
        Err(kept_changing_error(&member.id))
    }

    /// Applies a member that exists, with the manifest computed for its last known state.
    pub(crate) async fn update(
        &self,
        member: &Member,
        manifest: &Value,
        before: &Value,
    ) -> Result<ApplyOutcome> {
        let target = ApplyTarget { object: before, mode: self.mode, adopting: false };
        let response = self.apply_resolving_conflicts(member, manifest.clone(), target).await?;
        Ok(self.outcome(member, response, Some(before), None).await)
    }

    /// Returns the error for fields that somebody took from us without becoming their manager, unless a rule or a flag
    /// decides about each of them.
    pub(crate) fn taken_error(&self, member: &Member, taken: &[Conflict]) -> Option<Error> {
        let stops = matches!(self.resolution(taken), ConflictResolution::Stop);
        stops.then(|| self.conflict_error(member, taken))
    }

    /// Returns the member's manifest for this live object.
    fn manifest(&self, member: &Member, live: &Value) -> Value {
        manifest_for(member, live, self.set, self.ownership)
    }

    /// Returns the manifest for an object that is being adopted. The fields of its deploy tools count as ours, so
    /// leaving one out of the manifest removes it.
    fn adopting_manifest(&self, member: &Member, live: &Value) -> Value {
        let Some(migration) = adoption::migration(live, &member.manifest["apiVersion"]) else {
            return self.manifest(member, live);
        };
        let mut migrated = live.clone();
        migrated["metadata"]["managedFields"] = migration.managed_fields;
        self.manifest(member, &migrated)
    }

    /// Applies to an existing object, and retries until no conflict is left that an ownership rule resolves.
    async fn apply_resolving_conflicts(
        &self,
        member: &Member,
        mut manifest: Value,
        target: ApplyTarget<'_>,
    ) -> Result<Response> {
        let uid = &target.object["metadata"]["uid"];
        for _ in 0..ATTEMPTS {
            manifest["metadata"]["uid"] = uid.clone();
            let status = match self.patch(member, &manifest, target.mode, false).await {
                Ok(response) => return Ok(response),
                Err(ApiError::Status(status)) if is_field_conflict(&status) => status,
                Err(error) => return Self::after_rejection(error, member, &manifest, target),
            };
            let live = match self.get(member).await {
                Ok(Some(live)) if live["metadata"]["uid"] == *uid => live,
                Ok(_) => return Err(kept_changing_error(&member.id)),
                // Without permission to read the object, report the conflicts from the server's message.
                Err(read_error) => {
                    let conflicts = self.conflicts(member, &manifest, &status, None, target.adopting);
                    let error =
                        self.conflict_error(member, &conflicts).fact("live object", read_error.message());
                    return Err(read_error.hints().iter().fold(error, Error::hint));
                }
            };
            let conflicts = self.conflicts(member, &manifest, &status, Some(&live), target.adopting);
            match self.resolution(&conflicts) {
                ConflictResolution::Stop => return Err(self.conflict_error(member, &conflicts)),
                ConflictResolution::Yield => {}
                ConflictResolution::Take => {
                    // Force only the conflicts that were evaluated: with this version a later change is rejected.
                    manifest["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"].clone();
                    match self.patch(member, &manifest, target.mode, true).await {
                        Ok(response) => return Ok(response),
                        Err(error) if error.code() == Some(409) => {}
                        Err(error) => {
                            let target = ApplyTarget { object: &live, ..target };
                            return Self::after_rejection(error, member, &manifest, target);
                        }
                    }
                }
            }
            manifest = if target.adopting {
                self.adopting_manifest(member, &live)
            } else {
                self.manifest(member, &live)
            };
        }
        Err(kept_changing_error(&member.id))
    }

    /// Returns the result of a rejected apply: an error, or the object as it is if only its dry run is rejected. The dry
    /// run of an adoption still finds the ports of the object's deploy tools, which the adoption removes.
    fn after_rejection(
        error: ApiError,
        member: &Member,
        manifest: &Value,
        target: ApplyTarget<'_>,
    ) -> Result<Response> {
        let ApiError::Status(status) = error else { return Err(apply_error(error, &member.id)) };
        let clashes = match status.code {
            422 if names_only_ports(&status) => port_clash::port_clashes(manifest, target.object),
            _ => Vec::new(),
        };
        if clashes.is_empty() {
            return Err(apply_error(ApiError::Status(status), &member.id));
        }
        if target.adopting && target.mode == ApplyMode::DryRun && clashes.iter().all(PortClash::is_migrated) {
            let warning = "not checked by a dry run: the adoption replaces its ports".to_owned();
            return Ok(Response { status: 200, warnings: vec![warning], body: target.object.clone() });
        }
        Err(port_clash_error(&member.id, &clashes).caused_by(status.message.clone()))
    }

    /// Returns the conflicts of a response. Adopting an object, fields of its deploy tools are not conflicts.
    fn conflicts(
        &self,
        member: &Member,
        sent: &Value,
        status: &Status,
        live: Option<&Value>,
        adopting: bool,
    ) -> Vec<Conflict> {
        let mut conflicts =
            conflict::conflicts(field_conflict::causes(status), member, sent, live, self.ownership);
        if adopting {
            conflicts
                .retain(|conflict| conflict.owners.is_empty() || !conflict.owners.iter().all(is_migrated));
        }
        conflicts
    }

    fn resolution(&self, conflicts: &[Conflict]) -> ConflictResolution {
        let rules =
            conflicts.iter().map(|conflict| conflict.rule.unwrap_or_else(|| self.ownership.default_rule()));
        rules.fold(ConflictResolution::Take, |verdict, rule| match (verdict, rule) {
            (ConflictResolution::Stop, _) | (_, OwnershipRule::Fail) => ConflictResolution::Stop,
            (ConflictResolution::Yield, _) | (_, OwnershipRule::Yield) => ConflictResolution::Yield,
            (ConflictResolution::Take, OwnershipRule::Take) => ConflictResolution::Take,
        })
    }

    /// Adopts an object of another tool. Sends a dry run first, so that a rejected member leaves the object
    /// unchanged.
    async fn adopt(&self, member: &Member, live: Value) -> Result<ApplyOutcome> {
        if let Some(blocker) = adoption::blocker(&live, self.set) {
            return Err(not_adopted_error(&member.id, &live, &blocker));
        }
        let manifest = self.adopting_manifest(member, &live);
        let dry_run = ApplyTarget { object: &live, mode: ApplyMode::DryRun, adopting: true };
        let response = self.apply_resolving_conflicts(member, manifest.clone(), dry_run).await?;
        let migration = adoption::migration(&live, &manifest["apiVersion"]);
        let managers = migration.map_or_else(Vec::new, |migration| migration.managers);
        let response = match self.mode {
            ApplyMode::DryRun => response,
            ApplyMode::Apply => {
                let migrated = self.migrate(member, live.clone()).await?;
                let target = ApplyTarget { object: &migrated, mode: ApplyMode::Apply, adopting: true };
                let outcome = self.apply_resolving_conflicts(member, manifest, target).await;
                // The dry run succeeded, so the object was changed after it.
                let state =
                    "handsctl already manages the fields of its tools; the same command continues from here";
                outcome.map_err(|error| error.fact("adopted", state))?
            }
        };
        let from = if managers.is_empty() { String::new() } else { format!(" from {}", managers.join(", ")) };
        let verb = if self.mode == ApplyMode::DryRun { "would be" } else { "was" };
        let tracker = adoption::tracker(&live)
            .map_or_else(String::new, |(tool, mark)| format!("; {}", adoption::still_tracked(tool, mark)));
        let message = format!("{} {verb} adopted{from}{tracker}", member.id.with_namespace());
        self.events.warn(Id::Adopted, message).await;
        let message = Some(format!("adopted{from}"));
        Ok(self.outcome(member, response, Some(&live), message).await)
    }

    /// Moves the fields of the object's deploy tools to our field manager, and returns the updated object.
    async fn migrate(&self, member: &Member, mut live: Value) -> Result<Value> {
        let uid = live["metadata"]["uid"].clone();
        for _ in 0..ATTEMPTS {
            let Some(migration) = adoption::migration(&live, &member.manifest["apiVersion"]) else {
                return Ok(live);
            };
            let patch = json!({ "metadata": {
                "uid": uid,
                "resourceVersion": live["metadata"]["resourceVersion"],
                "managedFields": migration.managed_fields,
            } });
            match self.api.merge_patch(&collection(member), &member.id.name, &patch).await {
                Ok(response) => return Ok(response.body),
                Err(error) if error.code() == Some(409) => {}
                Err(error) => return Err(apply_error(error, &member.id)),
            }
            match self.get(member).await? {
                Some(current) if current["metadata"]["uid"] == uid => live = current,
                _ => break,
            }
        }
        Err(kept_changing_error(&member.id))
    }

    async fn outcome(
        &self,
        member: &Member,
        response: Response,
        before: Option<&Value>,
        message: Option<String>,
    ) -> ApplyOutcome {
        for warning in &response.warnings {
            self.events.warn(Id::ServerWarning, format!("{}: {warning}", member.id)).await;
        }
        let action = action_of(&response, before);
        ApplyOutcome { applied: Applied::new(member, action, Some(response.body)), message }
    }

    async fn patch(
        &self,
        member: &Member,
        manifest: &Value,
        mode: ApplyMode,
        force: bool,
    ) -> Result<Response, ApiError> {
        let options = ApplyOptions { dry_run: mode == ApplyMode::DryRun, force };
        match self.api.apply(&collection(member), manifest, options).await {
            Err(ApiError::Status(status)) if options.dry_run && is_uncheckable(&status) => {
                let created = manifest["metadata"]["uid"].is_null();
                let warnings = vec![format!("not checked by a dry run: {}", status.message)];
                Ok(Response { status: if created { 201 } else { 200 }, warnings, body: manifest.clone() })
            }
            result => result,
        }
    }

    async fn get(&self, member: &Member) -> Result<Option<Value>> {
        let live = self.api.get_opt(&collection(member), &member.id.name).await;
        live.map_err(|error| error.into_error(&format!("cannot read {}", member.id.with_namespace())))
    }

    fn conflict_error(&self, member: &Member, conflicts: &[Conflict]) -> Error {
        let id = &member.id;
        let error = field_conflict_error(id, conflicts, self.api.clock().now());
        let lines: Vec<String> =
            conflicts.iter().map(|conflict| conflict::yield_line(id, conflict)).collect();
        error.hint(format!(
            "to keep their change, put into config.toml:\n[deploy.ownership]\n{}",
            lines.join("\n")
        ))
    }
}

/// Returns the manifest with a resourceVersion that no object can have, so that server-side apply only creates.
/// (With a UID, apply only updates that very object.)
fn create_only(manifest: &Value) -> Value {
    let mut manifest = manifest.clone();
    manifest["metadata"]["resourceVersion"] = json!("1");
    manifest
}

/// Returns whether a dry run fails although the apply may succeed: an object that this one refers to does not exist until
/// it is applied, or a webhook does not support dry runs (k8s.io/apiserver/pkg/admission/plugin/webhook/errors).
fn is_uncheckable(status: &Status) -> bool {
    let is_of_other_object = !status_error::is_missing_namespace(&status.message)
        && !status.message.contains("could not find the requested resource");
    status.code == 404 && is_of_other_object || status_error::is_dry_run_unsupported(status)
}

fn collection(member: &Member) -> Collection {
    member.kind.collection(member.id.namespace.as_deref())
}

fn is_migrated(owner: &FieldOwner) -> bool {
    adoption::is_migrated(&owner.manager, owner.subresource.as_deref())
}

fn action_of(response: &Response, before: Option<&Value>) -> Action {
    match before {
        _ if response.status == 201 => Action::Created,
        Some(before) if managed_fields::is_same_but_for_status(before, &response.body) => Action::Unchanged,
        Some(_) => Action::Configured,
        None => Action::Created,
    }
}

/// Whether a rejection is only about the ports of a Service: another mistake needs its own error.
fn names_only_ports(status: &Status) -> bool {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let fields: Vec<&str> = causes.map(|cause| cause.field.as_str()).collect();
    !fields.is_empty() && fields.iter().all(|field| field.starts_with("spec.ports"))
}

fn apply_error(error: ApiError, id: &ObjectId) -> Error {
    let action = format!("cannot apply {}", id.with_namespace());
    match error {
        ApiError::Status(status)
            if status.code == 404 && status_error::is_missing_namespace(&status.message) =>
        {
            namespaces::missing_namespace(id.namespace.as_deref().unwrap_or_default())
        }
        // The UID is that of the listed object: it has been deleted since, or deleted and recreated.
        ApiError::Status(status) if status.code == 409 => status_error::status_error(&action, &status)
            .hint("it was deleted meanwhile; run the command again"),
        ApiError::Status(status) if has_immutable_selector(&status) => status_error::status_error(
            &action, &status,
        )
        .hint("a selector cannot be changed: choose another name with --name or [deploy].name")
        .hint(format!(
            "or delete the object first; its pods keep running: kubectl delete {id} -n {} --cascade=orphan",
            id.namespace.as_deref().unwrap_or_default()
        )),
        error => error.into_error(&action),
    }
    .of_rejected(id.rejected_as(&id.kind))
}

/// Whether the server rejects another selector of an existing object, as of one that is being adopted.
fn has_immutable_selector(status: &Status) -> bool {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    status.code == 422
        && causes.into_iter().any(|cause| {
            cause.field.starts_with("spec.selector") && cause.message.contains("field is immutable")
        })
}

/// Returns the error for ports of others that have the names of planned ports.
fn port_clash_error(id: &ObjectId, clashes: &[PortClash]) -> Error {
    let texts: Vec<String> = clashes.iter().map(PortClash::text).collect();
    let message = format!("cannot apply {}: {}", id.with_namespace(), texts.join("; "));
    let error = Error::new(Id::FieldConflict, Kind::Ownership, message);
    let ports = if clashes.len() == 1 { "that port" } else { "those ports" };
    let error = error.hint(format!("to give up {ports}: {}", port_clash::command(id, clashes)));
    error.hint("handsctl deploy --force-conflicts then overwrites the other fields of the port")
}

fn kept_changing_error(id: &ObjectId) -> Error {
    let message = format!("cannot apply {}: it kept changing while it was applied", id.with_namespace());
    Error::new(Id::FieldConflict, Kind::Ownership, message).hint("run the command again")
}

/// Returns the error for an object of someone else. The names of the namespaces tell the home of another handsctl set.
async fn foreign_object_error(api: &Api, id: &ObjectId, live: &Value) -> Error {
    let namespaces = if other_set::has_hidden_home(live) { namespaces::names(api).await } else { Vec::new() };
    let set = other_set::other_set(live, &namespaces);
    let owner = set.as_deref().unwrap_or("another owner");
    let message = format!("{} exists and belongs to {owner}; it was not changed", id.with_namespace());
    let error = with_object_facts(Error::new(Id::ForeignObject, Kind::Ownership, message), live)
        .hint("choose another name with --name or [deploy].name, or another namespace with -n");
    // A member of another set is never adopted.
    if set.is_some() { error } else { error.hint("handsctl deploy --adopt adopts it") }
}

/// Returns the error for an object that cannot be adopted.
pub(crate) fn not_adopted_error(id: &ObjectId, live: &Value, blocker: &str) -> Error {
    let message = format!("cannot adopt {}: {blocker}; it was not changed", id.with_namespace());
    with_object_facts(Error::new(Id::ForeignObject, Kind::Ownership, message), live)
        .hint("choose another name with --name or [deploy].name, or another namespace with -n")
}

fn with_object_facts(error: Error, live: &Value) -> Error {
    let created = live["metadata"]["creationTimestamp"].as_str().unwrap_or("an unknown time");
    let entries = live["metadata"]["managedFields"].as_array();
    let mut managers: Vec<&str> =
        entries.into_iter().flatten().filter_map(|entry| entry["manager"].as_str()).collect();
    managers.sort_unstable();
    managers.dedup();
    let managers = if managers.is_empty() { "none".to_owned() } else { managers.join(", ") };
    error.fact("created", created).fact("managers", managers)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;
    use crate::cluster::scripted::{Exchange, ScriptedServer, scripted};
    use crate::object::kind::DEPLOYMENT;
    use crate::object::labels::MANAGER;
    use crate::plan::inventory::apply_set::PART_OF;
    use crate::settings::format::OwnedField;

    const PATH: &str = "/apis/apps/v1/namespaces/n/deployments/oh";

    fn set() -> ApplySet {
        ApplySet { name: "oh".into(), namespace: "n".into(), ..ApplySet::default() }
    }

    fn member() -> Member {
        let manifest = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "name": "oh", "namespace": "n" }, "spec": { "replicas": 1, "paused": false },
        });
        Member { id: DEPLOYMENT.id("n", "oh"), kind: DEPLOYMENT, manifest }
    }

    /// The member as the server has it; `kubectl` has scaled it.
    fn live(uid: &str, version: &str) -> Value {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {
                "name": "oh", "namespace": "n", "uid": uid, "resourceVersion": version,
                "labels": { PART_OF: set().id() },
                "managedFields": [
                    { "manager": MANAGER, "operation": "Apply", "apiVersion": "apps/v1", "fieldsV1": {
                        "f:metadata": { "f:labels": { format!("f:{PART_OF}"): {} } }, "f:spec": { "f:paused": {} } } },
                    { "manager": "kubectl", "operation": "Update", "apiVersion": "apps/v1",
                      "subresource": "scale", "fieldsV1": { "f:spec": { "f:replicas": {} } } },
                ],
            },
            "spec": { "replicas": 3, "paused": false },
        })
    }

    /// Answers as the API server does where `kubectl` has `.spec.replicas`.
    fn field_conflict(exchange: Exchange) {
        let cause = json!({
            "reason": "FieldManagerConflict", "field": ".spec.replicas",
            "message": "conflict with \"kubectl\" with subresource \"scale\" using apps/v1",
        });
        exchange.status_with(409, "Conflict", "Apply failed with 1 conflict", &json!({ "causes": [cause] }));
    }

    fn rule(rule: OwnershipRule) -> Ownership {
        let field = OwnedField::parse("deployment/oh:spec.replicas").unwrap();
        Ownership::new(&BTreeMap::from([(field, rule)]), false, false)
    }

    /// Runs `work` against the script, which must be read to its end.
    async fn run<T>(
        ownership: Ownership,
        work: impl AsyncFnOnce(ObjectApplier<'_>) -> T,
        script: impl AsyncFnOnce(&mut ScriptedServer),
    ) -> T {
        let (api, mut server) = scripted();
        let (events, _receiver) = Events::channel();
        let set = set();
        let applier = ObjectApplier {
            api: &api,
            set: &set,
            ownership: &ownership,
            mode: ApplyMode::Apply,
            events: &events,
        };
        let (outcome, ()) = tokio::join!(work(applier), script(&mut server));
        server.expect_none_for(Duration::from_secs(60)).await;
        outcome
    }

    async fn update(
        ownership: Ownership,
        script: impl AsyncFnOnce(&mut ScriptedServer),
    ) -> Result<ApplyOutcome> {
        let (member, listed) = (member(), live("u-1", "7"));
        let manifest = member.manifest.clone();
        run(ownership, async |applier| applier.update(&member, &manifest, &listed).await, script).await
    }

    async fn create(
        ownership: Ownership,
        script: impl AsyncFnOnce(&mut ScriptedServer),
    ) -> Result<ApplyOutcome> {
        let member = member();
        run(ownership, async |applier| applier.create(&member, &member.manifest).await, script).await
    }

    #[tokio::test(start_paused = true)]
    async fn conflict_without_a_rule_names_manager_and_values() {
        let outcome = update(Ownership::default(), async |server| {
            field_conflict(server.expect(&format!("PATCH {PATH}")).await);
            server.expect(&format!("GET {PATH}")).await.ok(&live("u-1", "8"));
        })
        .await;
        let error = outcome.err().unwrap();
        assert_eq!(error.id(), Id::FieldConflict);
        let text = format!("{error:?}");
        for part in [".spec.replicas  kubectl (scale)", "--force-conflicts", "deployment/oh:spec.replicas"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn conflict_is_taken_over_only_at_the_version_read() {
        let outcome = update(rule(OwnershipRule::Take), async |server| {
            let first = server.expect(&format!("PATCH {PATH}")).await;
            assert_eq!(first.body["metadata"]["uid"], "u-1");
            assert!(!first.query.contains("force=true"), "{}", first.query);
            field_conflict(first);
            server.expect(&format!("GET {PATH}")).await.ok(&live("u-1", "8"));
            let forced = server.expect(&format!("PATCH {PATH}")).await;
            assert!(forced.query.contains("force=true"), "{}", forced.query);
            assert_eq!(forced.body["metadata"]["resourceVersion"], "8");
            // Someone writes between the read and the forced apply.
            forced.status(409, "Conflict", "the object has been modified");
            let again = server.expect(&format!("PATCH {PATH}")).await;
            assert!(!again.query.contains("force=true"), "{}", again.query);
            assert!(again.body["metadata"]["resourceVersion"].is_null(), "{}", again.body);
            again.ok(&live("u-1", "9"));
        })
        .await;
        assert_eq!(outcome.unwrap().applied.action, Action::Unchanged);
    }

    #[tokio::test(start_paused = true)]
    async fn yielded_field_is_left_out_of_the_next_apply() {
        let outcome = update(rule(OwnershipRule::Yield), async |server| {
            field_conflict(server.expect(&format!("PATCH {PATH}")).await);
            server.expect(&format!("GET {PATH}")).await.ok(&live("u-1", "8"));
            let again = server.expect(&format!("PATCH {PATH}")).await;
            assert_eq!(again.body["spec"], json!({ "paused": false }));
            again.ok(&live("u-1", "8"));
        })
        .await;
        assert!(outcome.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn object_recreated_between_conflict_and_read_stops() {
        let outcome = update(rule(OwnershipRule::Take), async |server| {
            field_conflict(server.expect(&format!("PATCH {PATH}")).await);
            server.expect(&format!("GET {PATH}")).await.ok(&live("u-2", "1"));
        })
        .await;
        assert_eq!(outcome.err().map(|error| error.id()), Some(Id::FieldConflict));
    }

    #[tokio::test(start_paused = true)]
    async fn object_that_changes_at_every_attempt_stops() {
        let outcome = update(rule(OwnershipRule::Take), async |server| {
            for version in 0..ATTEMPTS {
                field_conflict(server.expect(&format!("PATCH {PATH}")).await);
                server.expect(&format!("GET {PATH}")).await.ok(&live("u-1", &version.to_string()));
                server.expect(&format!("PATCH {PATH}")).await.status(409, "Conflict", "modified");
            }
        })
        .await;
        let error = outcome.err().unwrap();
        assert!(error.message().starts_with("cannot apply deployment.apps/oh in namespace n"), "{error:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn conflict_on_an_unreadable_object_quotes_the_server() {
        let outcome = update(Ownership::default(), async |server| {
            field_conflict(server.expect(&format!("PATCH {PATH}")).await);
            server.expect(&format!("GET {PATH}")).await.status(403, "Forbidden", "may not get");
        })
        .await;
        let text = format!("{:?}", outcome.err().unwrap());
        assert!(text.contains("kubectl (scale)") && text.contains("cannot read"), "{text}");
    }

    #[tokio::test(start_paused = true)]
    async fn creation_finds_a_foreign_object_and_changes_nothing() {
        let mut foreign = live("u-9", "1");
        foreign["metadata"]["labels"] = json!({});
        let outcome = create(Ownership::default(), async |server| {
            let created = server.expect(&format!("PATCH {PATH}")).await;
            assert_eq!(created.body["metadata"]["resourceVersion"], "1", "create only");
            created.status(409, "Conflict", "exists");
            server.expect(&format!("GET {PATH}")).await.ok(&foreign);
        })
        .await;
        let error = outcome.err().unwrap();
        assert_eq!(error.id(), Id::ForeignObject);
        assert!(format!("{error:?}").contains("kubectl"), "{error:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn creation_finds_a_member_and_updates_it() {
        let outcome = create(Ownership::default(), async |server| {
            server.expect(&format!("PATCH {PATH}")).await.status(409, "Conflict", "exists");
            server.expect(&format!("GET {PATH}")).await.ok(&live("u-1", "7"));
            let updated = server.expect(&format!("PATCH {PATH}")).await;
            assert_eq!(updated.body["metadata"]["uid"], "u-1");
            updated.ok(&live("u-1", "7"));
        })
        .await;
        assert_eq!(outcome.unwrap().applied.action, Action::Unchanged);
    }

    #[tokio::test(start_paused = true)]
    async fn adoption_that_the_server_rejects_changes_nothing() {
        let mut foreign = live("u-9", "1");
        foreign["metadata"]["labels"] = json!({});
        let adopting = Ownership::new(&BTreeMap::new(), false, true);
        let outcome = create(adopting, async |server| {
            server.expect(&format!("PATCH {PATH}")).await.status(409, "Conflict", "exists");
            server.expect(&format!("GET {PATH}")).await.ok(&foreign);
            let dry_run = server.expect(&format!("PATCH {PATH}")).await;
            assert!(dry_run.query.contains("dryRun=All"), "{}", dry_run.query);
            dry_run.status(422, "Invalid", "spec.selector: field is immutable");
        })
        .await;
        assert!(outcome.is_err());
    }
}
