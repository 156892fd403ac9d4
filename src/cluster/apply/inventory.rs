//! Objects that must exist before the first member: the set's parent and the key of its Secret names.

use kube::api::ListParams;
use kube::core::Status;
use serde_json::{Value, json};

use super::field_conflict::{self, field_conflict_error, is_field_conflict};
use super::namespaces::missing_namespace;
use crate::catalogue::Id;
use crate::cluster::client::api::{Api, ApiError};
use crate::cluster::client::request::ApplyOptions;
use crate::cluster::client::status_error;
use crate::error::{Error, Kind, Result};
use crate::event::{Action, Events, Phase};
use crate::object::ObjectId;
use crate::object::kind::{CONFIG_MAP, SECRET};
use crate::object::labels;
use crate::plan::inventory::apply_set::{self, ApplySet, InventoryScope, parent_matches};
use crate::plan::inventory::set_key::{self, StoredKey};
use crate::plan::ownership::conflict;
use crate::plan::ownership::policy::Ownership;
use crate::plan::{Member, SecretKey};

/// How many times to send the parent when other tools change its annotations between reading and writing it.
const ATTEMPTS: usize = 5;

/// Returns the error for a failed write of one of these objects, before any member of the set was applied.
fn write_error(error: ApiError, action: &str, namespace: &str) -> Error {
    let error = match error {
        // The namespace could not be read earlier.
        ApiError::Status(status)
            if status.code == 404 && status_error::is_missing_namespace(&status.message) =>
        {
            missing_namespace(namespace)
        }
        error => error.into_error(&format!("{action} in namespace {namespace}")),
    };
    error.state("the installation was not changed")
}

/// Gets the set's parent; None if it does not exist.
///
/// # Errors
/// Exit 7 if the parent belongs to another tool.
pub async fn get_parent(api: &Api, set: &ApplySet) -> Result<Option<Value>> {
    let parent = api
        .get_opt(&CONFIG_MAP.in_namespace(&set.namespace), &set.parent_name())
        .await
        .map_err(|error| error.into_error(&format!("cannot read {}", set.parent())))?;
    match &parent {
        Some(parent) => {
            let tooling = parent["metadata"]["annotations"][apply_set::TOOLING].as_str().unwrap_or_default();
            if !apply_set::is_handsctl(tooling) {
                return Err(foreign_parent_error(set, tooling));
            }
        }
        None => return Ok(None),
    }
    Ok(parent)
}

fn foreign_parent_error(set: &ApplySet, tooling: &str) -> Error {
    let owner = if tooling.is_empty() { "no tool".to_owned() } else { format!("`{tooling}`") };
    Error::new(
        Id::ForeignSet,
        Kind::Ownership,
        format!(
            "{} in namespace {} is not the record of an installation: it was created by {owner}",
            set.parent(),
            set.namespace
        ),
    )
    .hint("choose another name with --name or [deploy].name")
}

/// Applies the parent and returns the applied object. Sends no request if the live parent has every field already.
///
/// A parent with the set's id is ours, so its fields are taken over from other managers: from a tool that restored or
/// annotated it. `force` takes them over also from a parent without the id.
///
/// # Errors
/// Fails if the server rejects it, another manager owns fields of a parent that is not ours, or the inventory was changed
/// meanwhile.
pub async fn apply_parent(
    api: &Api,
    set: &ApplySet,
    scope: InventoryScope<'_>,
    mut live: Option<Value>,
    force: bool,
    events: &Events,
) -> Result<Value> {
    let collection = CONFIG_MAP.in_namespace(&set.namespace);
    let mut attempts = 0;
    loop {
        attempts += 1;
        let mut manifest = set.parent_manifest(scope, live.as_ref());
        let version = match &live {
            Some(live) if parent_matches(live, &manifest) => return Ok(live.clone()),
            Some(live) => live["metadata"]["resourceVersion"].clone(),
            None => json!("1"),
        };
        manifest["metadata"]["resourceVersion"] = version;
        let is_ours = live.as_ref().is_some_and(|live| has_id(live, set));
        let options = ApplyOptions { dry_run: false, force: force || is_ours };
        let status = match api.apply(&collection, &manifest, options).await {
            Ok(response) => {
                let action = if response.status == 201 { Action::Created } else { Action::Configured };
                events.object(Phase::Apply, set.parent(), action, None).await;
                return Ok(response.body);
            }
            Err(ApiError::Status(status)) if is_field_conflict(&status) => {
                return Err(parent_conflict_error(api, set, &manifest, live.as_ref(), &status));
            }
            Err(ApiError::Status(status)) if status.code == 409 => status,
            Err(error) => {
                return Err(write_error(error, &format!("cannot apply {}", set.parent()), &set.namespace));
            }
        };
        let Some(before) = live.take().filter(|_| is_ours && attempts < ATTEMPTS) else {
            return Err(parent_changed_error(set, &status));
        };
        match get_parent(api, set).await? {
            Some(current) if apply_set::is_same_inventory(&before, &current) => live = Some(current),
            _ => return Err(parent_changed_error(set, &status)),
        }
    }
}

/// Whether the parent has the set's id.
fn has_id(parent: &Value, set: &ApplySet) -> bool {
    parent["metadata"]["labels"][apply_set::ID] == set.id()
}

fn parent_conflict_error(
    api: &Api,
    set: &ApplySet,
    manifest: &Value,
    live: Option<&Value>,
    status: &Status,
) -> Error {
    let parent = Member { id: set.parent(), kind: CONFIG_MAP, manifest: manifest.clone() };
    // No rule of [deploy.ownership] applies to the parent: it is not a member.
    let no_rules = Ownership::default();
    let conflicts = conflict::conflicts(field_conflict::causes(status), &parent, manifest, live, &no_rules);
    field_conflict_error(&parent.id, &conflicts, api.clock().now())
}

fn parent_changed_error(set: &ApplySet, status: &Status) -> Error {
    Error::new(
        Id::ForeignSet,
        Kind::Ownership,
        format!("{} was changed by another client meanwhile", set.parent()),
    )
    .caused_by(status.message.clone())
    .hint("run the command again")
}

/// Lists the Secrets of the set: its key, its revisions, and the Secrets that are members.
///
/// # Errors
/// Fails if Secrets cannot be listed.
pub async fn list_own_secrets(api: &Api, set: &ApplySet) -> Result<Vec<Value>> {
    let params = ListParams::default().labels(&labels::managed_selector(&set.name));
    let list = api.list(&SECRET.in_namespace(&set.namespace), &params).await;
    let failed = format!("cannot list secrets in namespace {}", set.namespace);
    Ok(list.map_err(|error| error.into_error(&failed))?.items)
}

/// Returns the key of the set's Secret names, and whether it is stored in the cluster already. Generates one otherwise.
///
/// # Errors
/// Fails if the Secret of that name does not hold a key.
pub fn read_key(set: &ApplySet, own_secrets: &[Value]) -> Result<(SecretKey, bool)> {
    match set_key::stored_key(set, own_secrets) {
        StoredKey::Key(key) => Ok((key, true)),
        StoredKey::Invalid => Err(foreign_key_error(set)),
        StoredKey::Absent => {
            let mut bytes = vec![0; 32];
            fill_random(&mut bytes)?;
            Ok((SecretKey(bytes), false))
        }
    }
}

/// Fills a new key with random bytes.
///
/// # Errors
/// This computer returns none.
pub(super) fn fill_random(bytes: &mut [u8]) -> Result<()> {
    getrandom::fill(bytes)
        .map_err(|error| Error::internal("this computer returns no random numbers").caused_by(error))
}

/// Returns the error for a Secret that has the name of the set's key and was created by somebody else.
#[must_use]
pub fn foreign_key_error(set: &ApplySet) -> Error {
    let id = SECRET.id(&set.namespace, &set.parent_name());
    Error::new(
        Id::ForeignObject,
        Kind::Ownership,
        format!(
            "{id} in namespace {} is not the key of this installation: handsctl did not create it",
            set.namespace
        ),
    )
    .hint("choose another name with --name or [deploy].name")
    .hint(format!("if no other installation uses it: kubectl delete {id} -n {}", set.namespace))
}

/// Lets the server check the creation of the Secret that stores a new key. Stores nothing.
///
/// # Errors
/// Exit 7 if a Secret of that name exists; exit 8 if the server would reject it.
pub async fn check_new_key(api: &Api, set: &ApplySet, key: &SecretKey) -> Result<()> {
    let id = SECRET.id(&set.namespace, &set.parent_name());
    let manifest = set_key::manifest(set, key);
    let error = match api.create_dry_run(&SECRET.in_namespace(&set.namespace), &manifest).await {
        Err(error) if error.code() == Some(409) => foreign_key_error(set),
        // Whether the server accepts the object stays unknown, or a repetition helps: the creation tells.
        Err(ApiError::Status(status))
            if matches!(status.code, 408 | 429) || status_error::is_dry_run_unsupported(&status) =>
        {
            return Ok(());
        }
        Err(ApiError::Status(status)) if (400..500).contains(&status.code) => {
            write_error(ApiError::Status(status), &format!("cannot create {id}"), &set.namespace)
        }
        // A lost connection or an overload: the creation itself is repeated.
        Ok(_) | Err(_) => return Ok(()),
    };
    Err(error.of_rejected(id.rejected_as(&id.kind)))
}

/// Creates the Secret that stores a new key.
///
/// # Errors
/// Exit 7 if a Secret of that name exists. It cannot be this set's key: the lock excludes other runs.
pub async fn create_key(api: &Api, set: &ApplySet, key: &SecretKey, events: &Events) -> Result<()> {
    let id = SECRET.id(&set.namespace, &set.parent_name());
    create_secret(api, id, &set_key::manifest(set, key), || foreign_key_error(set), events).await
}

/// Creates a Secret of a set that is no member. `foreign` is the error for one of that name that exists.
///
/// # Errors
/// The error of `foreign`; the server rejects the Secret.
pub(super) async fn create_secret(
    api: &Api,
    id: ObjectId,
    manifest: &Value,
    foreign: impl FnOnce() -> Error,
    events: &Events,
) -> Result<()> {
    let namespace = id.namespace.as_deref().unwrap_or_default();
    match api.create(&SECRET.in_namespace(namespace), manifest).await {
        Ok(_) => {
            events.object(Phase::Apply, id, Action::Created, None).await;
            Ok(())
        }
        Err(error) if error.code() == Some(409) => Err(foreign()),
        Err(error) => Err(write_error(error, &format!("cannot create {id}"), namespace)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::scripted::{Exchange, ScriptedServer, scripted};
    use crate::object::kind::SERVICE;

    const COLLECTION: &str = "/api/v1/namespaces/n/configmaps";
    const PATH: &str = "/api/v1/namespaces/n/configmaps/handsctl-oh";

    fn set() -> ApplySet {
        ApplySet { name: "oh".into(), namespace: "n".into(), ..ApplySet::default() }
    }

    /// The parent as the server has it when it lists these members.
    fn live(members: &[&ObjectId]) -> Value {
        let mut parent = set().parent_manifest(InventoryScope::Exact(members), None);
        parent["metadata"]["resourceVersion"] = json!("7");
        parent
    }

    /// The outcome of applying the parent with these members while `script` answers.
    async fn apply_against(
        members: &[&ObjectId],
        live: Option<Value>,
        script: impl AsyncFnOnce(&mut ScriptedServer),
    ) -> Result<Value> {
        let (api, mut server) = scripted();
        let (events, _receiver) = Events::channel();
        let set = set();
        let scope = InventoryScope::Superset(members);
        let applying = apply_parent(&api, &set, scope, live, false, &events);
        tokio::join!(applying, script(&mut server)).0
    }

    /// The outcome of applying the parent with these members while `script` answers its PATCH.
    async fn apply(
        members: &[&ObjectId],
        live: Option<Value>,
        script: impl AsyncFnOnce(Exchange),
    ) -> Result<Value> {
        apply_against(members, live, async |server| {
            script(server.expect(&format!("PATCH {PATH}")).await).await;
        })
        .await
    }

    #[tokio::test(start_paused = true)]
    async fn parent_of_another_tool_is_rejected() {
        let (api, mut server) = scripted();
        let set = set();
        let (parent, ()) = tokio::join!(get_parent(&api, &set), async {
            let parent = json!({ "metadata": { "annotations": { apply_set::TOOLING: "kubectl/v1.34" } } });
            server.expect(&format!("GET {PATH}")).await.ok(&parent);
        });
        let error = parent.err().unwrap();
        assert_eq!(error.id(), Id::ForeignSet);
        assert!(error.message().contains("created by `kubectl/v1.34`"), "{}", error.message());
    }

    #[tokio::test(start_paused = true)]
    async fn missing_parent_is_created_and_only_created() {
        let secret = SECRET.id("n", "a");
        let parent = apply(&[&secret], None, async |exchange| {
            assert_eq!(exchange.body["metadata"]["resourceVersion"], "1");
            let parent = exchange.body.clone();
            exchange.created(&parent);
        })
        .await;
        assert_eq!(parent.unwrap()["metadata"]["annotations"][apply_set::CONTAINS], "Secret");
    }

    #[tokio::test(start_paused = true)]
    async fn parent_that_lists_the_members_already_is_not_sent() {
        let (api, mut server) = scripted();
        let (events, _receiver) = Events::channel();
        let secret = SECRET.id("n", "a");
        let members = [&secret];
        let live = live(&members);
        let scope = InventoryScope::Exact(&members);
        apply_parent(&api, &set(), scope, Some(live), false, &events).await.unwrap();
        server.expect_none_for(std::time::Duration::from_secs(1)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn parent_changed_by_another_run_stops_before_members() {
        let (secret, map, service) = (SECRET.id("n", "a"), CONFIG_MAP.id("n", "b"), SERVICE.id("n", "c"));
        let outcome = apply_against(&[&secret, &map], Some(live(&[&secret])), async |server| {
            let sent = server.expect(&format!("PATCH {PATH}")).await;
            assert_eq!(sent.body["metadata"]["resourceVersion"], "7");
            sent.status(409, "Conflict", "the object has been modified");
            server.expect(&format!("GET {PATH}")).await.ok(&live(&[&secret, &service]));
        })
        .await;
        assert_eq!(outcome.err().map(|error| error.id()), Some(Id::ForeignSet));
    }

    #[tokio::test(start_paused = true)]
    async fn annotated_parent_is_read_and_sent_again() {
        let (secret, map) = (SECRET.id("n", "a"), CONFIG_MAP.id("n", "b"));
        let outcome = apply_against(&[&secret, &map], Some(live(&[&secret])), async |server| {
            let sent = server.expect(&format!("PATCH {PATH}")).await;
            sent.status(409, "Conflict", "the object has been modified");
            let mut annotated = live(&[&secret]);
            annotated["metadata"]["annotations"]["note"] = json!("by kubectl");
            annotated["metadata"]["resourceVersion"] = json!("8");
            server.expect(&format!("GET {PATH}")).await.ok(&annotated);
            let again = server.expect(&format!("PATCH {PATH}")).await;
            assert_eq!(again.body["metadata"]["resourceVersion"], "8");
            assert!(again.body["metadata"]["annotations"]["note"].is_null(), "{}", again.body);
            let parent = again.body.clone();
            again.ok(&parent);
        })
        .await;
        assert_eq!(outcome.unwrap()["metadata"]["annotations"][apply_set::CONTAINS], "ConfigMap,Secret");
    }

    #[tokio::test(start_paused = true)]
    async fn fields_of_our_parent_are_taken_over() {
        let (secret, map) = (SECRET.id("n", "a"), CONFIG_MAP.id("n", "b"));
        let parent = apply(&[&secret, &map], Some(live(&[&secret])), async |exchange| {
            assert!(exchange.query.contains("force=true"), "{}", exchange.query);
            assert_eq!(exchange.body["metadata"]["resourceVersion"], "7", "only the version that was read");
            let parent = exchange.body.clone();
            exchange.ok(&parent);
        })
        .await;
        parent.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn parent_without_our_id_is_a_field_conflict() {
        let (secret, map) = (SECRET.id("n", "a"), CONFIG_MAP.id("n", "b"));
        let mut live = live(&[&secret]);
        live["metadata"]["labels"] = json!({ apply_set::ID: "applyset-other-v1" });
        live["metadata"]["managedFields"] = json!([{
            "manager": "kubectl-annotate", "operation": "Update", "apiVersion": "v1",
            "fieldsV1": { "f:metadata": { "f:annotations": { format!("f:{}", apply_set::CONTAINS): {} } } },
        }]);
        let parent = apply(&[&secret, &map], Some(live), async |exchange| {
            assert!(!exchange.query.contains("force=true"), "{}", exchange.query);
            let field = format!(".metadata.annotations.{}", apply_set::CONTAINS);
            let cause = json!({
                "reason": "FieldManagerConflict", "field": field, "message": "conflict with \"kubectl-annotate\"",
            });
            exchange.status_with(409, "Conflict", "1 conflict", &json!({ "causes": [cause] }));
        })
        .await;
        let error = parent.err().unwrap();
        assert_eq!(error.id(), Id::FieldConflict);
        assert!(format!("{error:?}").contains("kubectl-annotate"), "{error:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn force_conflicts_takes_over_a_parent_without_our_id() {
        let (api, mut server) = scripted();
        let (events, _receiver) = Events::channel();
        let set = set();
        let secret = SECRET.id("n", "a");
        let mut parent = live(&[]);
        parent["metadata"]["labels"] = json!({ apply_set::ID: "applyset-other-v1" });
        let members = [&secret];
        let scope = InventoryScope::Superset(&members);
        let applying = apply_parent(&api, &set, scope, Some(parent), true, &events);
        let (applied, ()) = tokio::join!(applying, async {
            let exchange = server.expect(&format!("PATCH {PATH}")).await;
            assert!(exchange.query.contains("force=true"), "{}", exchange.query);
            let parent = exchange.body.clone();
            exchange.ok(&parent);
        });
        assert_eq!(applied.unwrap()["metadata"]["labels"][apply_set::ID], set.id());
    }

    #[tokio::test(start_paused = true)]
    async fn namespace_deleted_before_the_parent_is_named() {
        let parent = apply(&[], None, async |exchange| {
            exchange.status(404, "NotFound", "namespaces \"n\" not found");
        })
        .await;
        let text = format!("{:?}", parent.err().unwrap());
        assert!(text.contains("namespace n") && text.contains("the installation was not changed"), "{text}");
    }

    #[tokio::test(start_paused = true)]
    async fn key_secret_of_someone_else_is_never_used() {
        let (api, mut server) = scripted();
        let (events, _receiver) = Events::channel();
        let set = set();
        let foreign_secret = json!({ "metadata": { "name": "handsctl-oh" }, "data": { "key": "c2hvcnQ=" } });
        assert_eq!(read_key(&set, &[foreign_secret]).err().map(|error| error.id()), Some(Id::ForeignObject));
        let key = SecretKey(vec![1; 32]);
        let (created, ()) = tokio::join!(create_key(&api, &set, &key, &events), async {
            let secrets = COLLECTION.replace("configmaps", "secrets");
            server.expect(&format!("POST {secrets}")).await.status(409, "AlreadyExists", "exists");
        });
        assert_eq!(created.err().map(|error| error.id()), Some(Id::ForeignObject));
    }
}
