//! One member on its way: sent, and sent again where a conflict is settled by a rule; and the taking over of an
//! object of somebody else's.

use kube::core::Status;
use serde_json::{Value, json};

use super::applied::{Applied, ApplyMode};
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
use crate::object::{ObjectId, managed_fields};
use crate::plan::Member;
use crate::plan::changes::manifest_for;
use crate::plan::inventory::apply_set::ApplySet;
use crate::plan::inventory::members;
use crate::plan::ownership::adoption;
use crate::plan::ownership::conflict::{self, Conflict};
use crate::plan::ownership::policy::Ownership;
use crate::settings::handsctl::OwnershipRule;

/// How often a member is sent at most, where its object changes between a look at it and the next request.
const ATTEMPTS: u32 = 5;

/// Sends members.
pub(crate) struct ObjectApplier<'a> {
    pub(crate) api: &'a Api,
    pub(crate) set: &'a ApplySet,
    pub(crate) ownership: &'a Ownership,
    pub(crate) mode: ApplyMode,
    pub(crate) events: &'a Events,
}

/// What came of a member.
pub(crate) struct ApplyOutcome {
    pub(crate) applied: Applied,
    /// Why, where that is not obvious.
    pub(crate) message: Option<String>,
}

/// An object that is there, and how it is sent to.
#[derive(Clone, Copy)]
struct ApplyTarget<'a> {
    object: &'a Value,
    mode: ApplyMode,
    /// It is somebody else's and being taken over: what its tools manage is no conflict.
    adopting: bool,
}

/// What follows from the conflicts of an answer.
enum ConflictResolution {
    /// All of them are taken over.
    Take,
    /// Some are left to others, so another manifest is sent.
    Yield,
    /// Nothing is sent any more.
    Stop,
}

impl ObjectApplier<'_> {
    /// Sends a member that was not there when the set was listed.
    pub(crate) async fn create(&self, member: &Member, manifest: &Value) -> Result<ApplyOutcome> {
        // A retry of what was made and not answered, another run, or somebody else's object.
        for _ in 0..ATTEMPTS {
            match self.patch(member, &create_only(manifest), self.mode, false).await {
                Ok(answer) => return Ok(self.outcome(member, answer, None, None).await),
                Err(fault) if fault.code() == Some(409) => {}
                Err(fault) => return Err(explain(fault, &member.id)),
            }
            let Some(found) = self.get(member).await? else { continue };
            if members::is_member(&found, self.set) {
                let manifest = self.manifest(member, &found);
                return self.update(member, &manifest, &found).await;
            }
            if self.ownership.adopts() {
                return self.adopt(member, found).await;
            }
            return Err(foreign(&member.id, &found));
        }
        Err(kept_changing(&member.id))
    }

    /// Sends a member that is there, with the manifest that was made for it as it was.
    pub(crate) async fn update(
        &self,
        member: &Member,
        manifest: &Value,
        known: &Value,
    ) -> Result<ApplyOutcome> {
        let upon = ApplyTarget { object: known, mode: self.mode, adopting: false };
        let answer = self.apply_resolving_conflicts(member, manifest.clone(), upon).await?;
        Ok(self.outcome(member, answer, Some(known), None).await)
    }

    /// The member's manifest for this live object.
    fn manifest(&self, member: &Member, live: &Value) -> Value {
        manifest_for(member, live, self.set, self.ownership)
    }

    /// The same for an object that is being taken over: what its tools manage is as good as ours, and would be reset
    /// where it is left out.
    fn adopting_manifest(&self, member: &Member, live: &Value) -> Value {
        let Some(migration) = adoption::migration(live, &member.manifest["apiVersion"]) else {
            return self.manifest(member, live);
        };
        let mut migrated = live.clone();
        migrated["metadata"]["managedFields"] = migration.managed_fields;
        self.manifest(member, &migrated)
    }

    /// Applies upon an object until no conflict is left that a rule settles.
    async fn apply_resolving_conflicts(
        &self,
        member: &Member,
        mut manifest: Value,
        upon: ApplyTarget<'_>,
    ) -> Result<Response> {
        let uid = &upon.object["metadata"]["uid"];
        for _ in 0..ATTEMPTS {
            manifest["metadata"]["uid"] = uid.clone();
            let status = match self.patch(member, &manifest, upon.mode, false).await {
                Ok(answer) => return Ok(answer),
                Err(ApiError::Status(status)) if is_field_conflict(&status) => status,
                Err(fault) => return Err(explain(fault, &member.id)),
            };
            let live = match self.get(member).await {
                Ok(Some(live)) if live["metadata"]["uid"] == *uid => live,
                Ok(_) => return Err(kept_changing(&member.id)),
                // Without the right to read it the server's own words have to do.
                Err(unread) => {
                    let found = self.conflicts(member, &manifest, &status, None, upon.adopting);
                    let error = self.conflicting(member, &found).fact("there", unread.message());
                    return Err(unread.hints().iter().fold(error, Error::hint));
                }
            };
            let found = self.conflicts(member, &manifest, &status, Some(&live), upon.adopting);
            match self.resolution(&found) {
                ConflictResolution::Stop => return Err(self.conflicting(member, &found)),
                ConflictResolution::Yield => {}
                ConflictResolution::Take => {
                    // Only what was looked at is taken over: with this version a later conflict is refused.
                    manifest["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"].clone();
                    match self.patch(member, &manifest, upon.mode, true).await {
                        Ok(answer) => return Ok(answer),
                        Err(fault) if fault.code() == Some(409) => {}
                        Err(fault) => return Err(explain(fault, &member.id)),
                    }
                }
            }
            manifest = if upon.adopting {
                self.adopting_manifest(member, &live)
            } else {
                self.manifest(member, &live)
            };
        }
        Err(kept_changing(&member.id))
    }

    /// The conflicts of an answer; what the tools of an object that is being taken over manage is none.
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

    /// Takes over an object of somebody else's. What the server would refuse of it, it is asked before anything of
    /// the object is changed.
    async fn adopt(&self, member: &Member, found: Value) -> Result<ApplyOutcome> {
        if let Some(obstacle) = adoption::blocker(&found, self.set) {
            return Err(not_adopted(&member.id, &found, &obstacle));
        }
        let manifest = self.adopting_manifest(member, &found);
        let trial = ApplyTarget { object: &found, mode: ApplyMode::DryRun, adopting: true };
        let answer = self.apply_resolving_conflicts(member, manifest.clone(), trial).await?;
        let migration = adoption::migration(&found, &manifest["apiVersion"]);
        let managers = migration.map_or_else(Vec::new, |migration| migration.managers);
        let answer = match self.mode {
            ApplyMode::DryRun => answer,
            ApplyMode::Apply => {
                let migrated = self.migrate(member, found.clone()).await?;
                let upon = ApplyTarget { object: &migrated, mode: ApplyMode::Apply, adopting: true };
                let outcome = self.apply_resolving_conflicts(member, manifest, upon).await;
                // The trial went well, so somebody changed the object since.
                let state =
                    "what its tools managed is handsctl's already; the same command goes on from here";
                outcome.map_err(|error| error.fact("adopted", state))?
            }
        };
        let from = if managers.is_empty() { String::new() } else { format!(" from {}", managers.join(", ")) };
        let would = if self.mode == ApplyMode::DryRun { "would be" } else { "was" };
        self.events.warn(Id::Adopted, format!("{} {would} taken over{from}", named(&member.id))).await;
        let message = Some(format!("adopted{from}"));
        Ok(self.outcome(member, answer, Some(&found), message).await)
    }

    /// Makes what the object's tools manage ours; the object as it is then.
    async fn migrate(&self, member: &Member, mut found: Value) -> Result<Value> {
        let uid = found["metadata"]["uid"].clone();
        for _ in 0..ATTEMPTS {
            let Some(migration) = adoption::migration(&found, &member.manifest["apiVersion"]) else {
                return Ok(found);
            };
            let patch = json!({ "metadata": {
                "uid": uid,
                "resourceVersion": found["metadata"]["resourceVersion"],
                "managedFields": migration.managed_fields,
            } });
            match self.api.merge_patch(&collection(member), &member.id.name, &patch).await {
                Ok(answer) => return Ok(answer.body),
                Err(fault) if fault.code() == Some(409) => {}
                Err(fault) => return Err(explain(fault, &member.id)),
            }
            match self.get(member).await? {
                Some(now) if now["metadata"]["uid"] == uid => found = now,
                _ => break,
            }
        }
        Err(kept_changing(&member.id))
    }

    async fn outcome(
        &self,
        member: &Member,
        answer: Response,
        known: Option<&Value>,
        message: Option<String>,
    ) -> ApplyOutcome {
        for warning in &answer.warnings {
            self.events.warn(Id::ServerWarning, format!("{}: {warning}", member.id)).await;
        }
        let action = action_of(&answer, known);
        ApplyOutcome { applied: Applied::new(member, action, Some(answer.body)), message }
    }

    async fn patch(
        &self,
        member: &Member,
        manifest: &Value,
        mode: ApplyMode,
        force: bool,
    ) -> Result<Response, ApiError> {
        let options = ApplyOptions { dry_run: mode == ApplyMode::DryRun, force };
        self.api.apply(&collection(member), manifest, options).await
    }

    async fn get(&self, member: &Member) -> Result<Option<Value>> {
        let found = self.api.get_opt(&collection(member), &member.id.name).await;
        found.map_err(|fault| fault.into_error(&format!("cannot read {}", named(&member.id))))
    }

    fn conflicting(&self, member: &Member, conflicts: &[Conflict]) -> Error {
        let id = &member.id;
        let error = field_conflict_error(id, conflicts, self.api.clock().now());
        let lines: Vec<String> =
            conflicts.iter().map(|conflict| conflict::yield_line(id, conflict)).collect();
        error.hint(format!("leave one to others: [deploy.ownership]\n{}", lines.join("\n")))
    }
}

/// Server-side apply creates or changes, whichever fits; with a resourceVersion that no object can have it only
/// creates, with a UID it only changes that very object.
fn create_only(manifest: &Value) -> Value {
    let mut manifest = manifest.clone();
    manifest["metadata"]["resourceVersion"] = json!("1");
    manifest
}

fn collection(member: &Member) -> Collection {
    member.kind.collection(member.id.namespace.as_deref())
}

fn is_migrated(owner: &FieldOwner) -> bool {
    adoption::is_migrated(&owner.manager, owner.subresource.as_deref())
}

fn action_of(answer: &Response, known: Option<&Value>) -> Action {
    match known {
        _ if answer.status == 201 => Action::Created,
        Some(before) if managed_fields::is_same_but_for_status(before, &answer.body) => Action::Unchanged,
        Some(_) => Action::Configured,
        None => Action::Created,
    }
}

fn explain(fault: ApiError, id: &ObjectId) -> Error {
    let action = format!("cannot apply {}", named(id));
    match fault {
        ApiError::Status(status)
            if status.code == 404 && status_error::is_missing_namespace(&status.message) =>
        {
            namespaces::missing_namespace(id.namespace.as_deref().unwrap_or_default())
        }
        // The UID is that of the object as it was listed: it has been deleted since, or deleted and made again.
        ApiError::Status(status) if status.code == 409 => status_error::status_error(&action, &status)
            .hint("somebody deleted it meanwhile: run the command again"),
        fault => fault.into_error(&action),
    }
}

fn named(id: &ObjectId) -> String {
    match &id.namespace {
        Some(namespace) => format!("{id} in namespace {namespace}"),
        None => id.to_string(),
    }
}

fn kept_changing(id: &ObjectId) -> Error {
    let message = format!("cannot apply {}: others change, delete or make it at the same time", named(id));
    Error::new(Id::FieldConflict, Kind::Ownership, message).hint("run the command again")
}

fn foreign(id: &ObjectId, found: &Value) -> Error {
    let message =
        format!("{} exists and belongs to somebody else; not one byte of it was changed", named(id));
    described(Error::new(Id::ForeignObject, Kind::Ownership, message), found)
        .hint("choose another name with --name or [deploy].name, or another namespace with -n")
        .hint("handsctl deploy --adopt takes it over")
}

fn not_adopted(id: &ObjectId, found: &Value, obstacle: &str) -> Error {
    let message = format!("cannot take over {}: {obstacle}; not one byte of it was changed", named(id));
    described(Error::new(Id::ForeignObject, Kind::Ownership, message), found)
        .hint("choose another name with --name or [deploy].name, or another namespace with -n")
}

fn described(error: Error, found: &Value) -> Error {
    let created = found["metadata"]["creationTimestamp"].as_str().unwrap_or("an unknown time");
    let entries = found["metadata"]["managedFields"].as_array();
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
        let (member, known) = (member(), live("u-1", "7"));
        let manifest = member.manifest.clone();
        run(ownership, async |applier| applier.update(&member, &manifest, &known).await, script).await
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
    async fn conflict_on_an_unreadable_object_uses_the_servers_words() {
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
            let trial = server.expect(&format!("PATCH {PATH}")).await;
            assert!(trial.query.contains("dryRun=All"), "{}", trial.query);
            trial.status(422, "Invalid", "spec.selector: field is immutable");
        })
        .await;
        assert!(outcome.is_err());
    }
}
