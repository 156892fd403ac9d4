//! Revisions of the set in the cluster: records, marks and deletes them.

use kube::api::ListParams;
use serde_json::{Value, json};

use crate::catalogue::Id;
use crate::cluster::client::api::{Api, ApiError};
use crate::cluster::client::request::{if_same_object, if_unchanged};
use crate::error::{Error, Kind, Result};
use crate::event::Events;
use crate::object::ObjectId;
use crate::object::kind::{Collection, SECRET};
use crate::plan::SecretKey;
use crate::plan::inventory::apply_set::ApplySet;
use crate::plan::inventory::history::SurplusRevision;
use crate::plan::inventory::revision::{
    self, EVIDENCE, ForeignReason, ForeignRevision, RESULT, RUN, RevisionResult,
};
use crate::plan::inventory::snapshot::Snapshot;

/// A reference to a recorded revision, with its last written result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevisionRef {
    /// The revision's number.
    pub number: u64,
    /// The Secrets of the set's namespace.
    secrets: Collection,
    /// The name of the revision's Secret.
    name: String,
    result: RevisionResult,
    /// The Secret as this run created it, without its data; None: an earlier run did.
    created: Option<Value>,
}

/// How often a revision that another program annotates meanwhile is read again before it is deleted.
const ATTEMPTS: usize = 3;

impl RevisionRef {
    /// Refers to an existing revision.
    #[must_use]
    pub fn existing(set: &ApplySet, number: u64, result: RevisionResult) -> Self {
        Self {
            number,
            secrets: SECRET.in_namespace(&set.namespace),
            name: revision::name(set, number),
            result,
            created: None,
        }
    }
}

/// How many numbers whose names others have taken are skipped, one after another.
const MAX_TAKEN: u64 = 100;

/// Records a new revision under this number as being applied. If another Secret has the revision's name, which the list
/// of the set's Secrets does not show, the next number is tried.
///
/// # Errors
/// Fails if the server rejects it, another run has recorded this revision, or others have taken too many names.
pub async fn record(
    api: &Api,
    set: &ApplySet,
    number: u64,
    snapshot: &Snapshot,
    by: &str,
    key: &SecretKey,
    events: &Events,
) -> Result<RevisionRef> {
    let secrets = SECRET.in_namespace(&set.namespace);
    let last = number.saturating_add(MAX_TAKEN);
    let mut number = number;
    loop {
        let (manifest, too_large) = revision::manifest(set, number, by, snapshot, key)?;
        let id = SECRET.id(&set.namespace, &revision::name(set, number));
        match api.create(&secrets, &manifest).await {
            Ok(created) => {
                if too_large {
                    let message =
                        format!("revision {number} is too large to be stored: no rollback to it is possible");
                    events.warn(Id::RevisionTooLarge, message).await;
                }
                return Ok(RevisionRef {
                    created: Some(json!({ "metadata": created.body["metadata"] })),
                    ..RevisionRef::existing(set, number, RevisionResult::Applying)
                });
            }
            Err(error) if error.code() == Some(409) && number < last => {
                // A deployer has the right to list Secrets, but not to get them.
                let params = ListParams::default().fields(&format!("metadata.name={}", id.name));
                let live = api.list(&secrets, &params).await;
                let live = live.map_err(|error| error.into_error(&format!("cannot read {id}")))?.items;
                let is_named = |live: &&Value| live["metadata"]["name"] == id.name.as_str();
                let live = live.iter().find(is_named);
                if live.is_some_and(|live| revision::is_recorded(set, number, live, key)) {
                    return Err(taken(set, &id, "another run has recorded it meanwhile")
                        .hint("run the command again"));
                }
                let foreign =
                    ForeignRevision { name: id.name, number: Some(number), reason: ForeignReason::Labels };
                events.warn(Id::ForeignRevision, foreign.warning(set)).await;
                number += 1;
            }
            Err(error) if error.code() == Some(409) => {
                return Err(taken(set, &id, "it is not a revision of this installation")
                    .hint(format!("to delete it: kubectl delete {id} -n {}", set.namespace)));
            }
            Err(error) => {
                return Err(error
                    .into_error(&format!("cannot create {id} in namespace {}", set.namespace))
                    .state("the installation was not changed"));
            }
        }
    }
}

/// Returns the error for a Secret that exists under the name of a new revision.
fn taken(set: &ApplySet, id: &ObjectId, reason: &str) -> Error {
    let message = format!("{id} in namespace {} exists: {reason}", set.namespace);
    Error::new(Id::ForeignObject, Kind::Ownership, message).state("the installation was not changed")
}

/// Records the result of a revision that has no evidence, with the timeline of the run that decided it. Sends no request if
/// it has this result already.
///
/// # Errors
/// Fails if the server rejects the change.
pub async fn set_result(
    api: &Api,
    revision: &mut RevisionRef,
    result: RevisionResult,
    record: Option<&str>,
) -> Result<()> {
    if revision.result == result {
        return Ok(());
    }
    write_result(api, revision, result, None, record).await
}

/// Records a revision as failed, with the evidence and the timeline of the run.
///
/// # Errors
/// Fails if the server rejects the change.
pub async fn set_failed(
    api: &Api,
    revision: &mut RevisionRef,
    evidence: &str,
    record: Option<&str>,
) -> Result<()> {
    write_result(api, revision, RevisionResult::Failed, Some(evidence), record).await
}

/// Writes the result and the evidence; without evidence removes that of an earlier run.
async fn write_result(
    api: &Api,
    revision: &mut RevisionRef,
    result: RevisionResult,
    evidence: Option<&str>,
    record: Option<&str>,
) -> Result<()> {
    let evidence = evidence.map(revision::kept_evidence);
    let mut annotations = json!({ RESULT: result.as_str(), EVIDENCE: evidence });
    if let Some(record) = record {
        annotations[RUN] = json!(record);
    }
    let fields = json!({ "metadata": { "annotations": annotations } });
    match api.merge_patch(&revision.secrets, &revision.name, &fields).await {
        Ok(_) => {
            revision.result = result;
            Ok(())
        }
        Err(error) => {
            Err(error.into_error(&format!("cannot mark revision {} as {}", revision.number, result.as_str())))
        }
    }
}

/// Deletes the revision of a run that changed nothing, by its UID and resourceVersion: another run may have recorded one
/// under the same number, or decided about this one while the computer was suspended. Such a revision is kept, and so is
/// one that this run did not create.
///
/// # Errors
/// Fails if the server rejects the deletion.
pub async fn withdraw(api: &Api, revision: &RevisionRef) -> Result<()> {
    let Some(mut last) = revision.created.clone() else { return Ok(()) };
    let failed = |error: ApiError| error.into_error(&format!("cannot delete revision {}", revision.number));
    for _ in 0..ATTEMPTS {
        match api.delete(&revision.secrets, &revision.name, &if_unchanged(&last)).await {
            Ok(_) => return Ok(()),
            Err(error) if error.code() == Some(404) => return Ok(()),
            Err(error) if error.code() == Some(409) => {}
            Err(error) => return Err(failed(error)),
        }
        let live = api.get_opt(&revision.secrets, &revision.name).await.map_err(failed)?;
        match live.filter(|live| is_undecided(live, &last)) {
            Some(live) => last = live,
            None => return Ok(()),
        }
    }
    Ok(())
}

/// Whether the live Secret is the one that was read before, and no run has recorded another result in it.
fn is_undecided(live: &Value, last: &Value) -> bool {
    let result = |secret: &Value| secret["metadata"]["annotations"][RESULT].clone();
    live["metadata"]["uid"] == last["metadata"]["uid"] && result(live) == result(last)
}

/// Deletes revisions.
///
/// # Errors
/// Fails if the server rejects the change.
pub async fn delete(api: &Api, set: &ApplySet, revisions: &[SurplusRevision]) -> Result<()> {
    let secrets = SECRET.in_namespace(&set.namespace);
    let deletes = revisions.iter().map(|revision| async {
        let params = if_same_object(&json!({ "metadata": { "uid": revision.uid } }));
        let deleted = api.delete_same(&secrets, &revision::name(set, revision.number), &params).await;
        deleted.map_err(|error| error.into_error(&format!("cannot delete revision {}", revision.number)))
    });
    futures::future::try_join_all(deletes).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::scripted::{ScriptedServer, scripted};
    use crate::event::Event;

    const SECRETS: &str = "/api/v1/namespaces/n/secrets";
    const SECRET_PATH: &str = "/api/v1/namespaces/n/secrets/handsctl-oh-r3";

    /// The Secret of revision 3.
    fn stored(uid: &str, version: &str, result: RevisionResult) -> Value {
        let annotations = json!({ RESULT: result.as_str() });
        json!({ "metadata": {
            "name": "handsctl-oh-r3", "uid": uid, "resourceVersion": version, "annotations": annotations,
        } })
    }

    /// Records revision 3, withdraws it, and lets `script` answer after the creation.
    async fn withdraw_against(script: impl AsyncFnOnce(&mut ScriptedServer)) {
        let (api, mut server) = scripted();
        let (events, _receiver) = Events::channel();
        let set = ApplySet { name: "oh".into(), namespace: "n".into(), ..ApplySet::default() };
        let snapshot = Snapshot::default();
        let work = async {
            let revision = record(&api, &set, 3, &snapshot, "ana@laptop", &SecretKey(vec![1; 32]), &events)
                .await
                .unwrap();
            withdraw(&api, &revision).await.unwrap();
        };
        tokio::join!(work, async {
            let create = server.expect(&format!("POST {SECRETS}")).await;
            create.created(&stored("u3", "5", RevisionResult::Applying));
            script(&mut server).await;
        });
        // The connection is still open: a second deletion would arrive.
        server.expect_none_for(std::time::Duration::from_secs(60)).await;
    }

    /// Records revision 3 against a Secret of that name, and returns the number and the warnings.
    async fn record_beside(live: Value) -> (Result<u64>, Vec<String>) {
        let (api, mut server) = scripted();
        let (events, mut receiver) = Events::channel();
        let set = ApplySet { name: "oh".into(), namespace: "n".into(), ..ApplySet::default() };
        let (snapshot, key) = (Snapshot::default(), SecretKey(vec![1; 32]));
        let recorded = async {
            let recorded = record(&api, &set, 3, &snapshot, "ana@laptop", &key, &events).await;
            drop(events);
            recorded.map(|revision| revision.number)
        };
        let answers = async {
            let create = server.expect(&format!("POST {SECRETS}")).await;
            create.status(409, "AlreadyExists", "secrets \"handsctl-oh-r3\" already exists");
            let list = server.expect(&format!("GET {SECRETS}")).await;
            assert!(list.query.contains("handsctl-oh-r3"), "{}", list.query);
            let is_recorded = live["data"]["mac"].is_string();
            list.ok(&json!({ "metadata": {}, "items": [live] }));
            if !is_recorded {
                let create = server.expect(&format!("POST {SECRETS}")).await;
                assert_eq!(create.body["metadata"]["name"], "handsctl-oh-r4");
                create.created(&stored("u4", "5", RevisionResult::Applying));
            }
        };
        let (recorded, ()) = tokio::join!(recorded, answers);
        let mut warnings = Vec::new();
        while let Some(event) = receiver.recv().await {
            if let Event::Warning { message, .. } = event {
                warnings.push(message);
            }
        }
        (recorded, warnings)
    }

    #[tokio::test(start_paused = true)]
    async fn taken_name_is_skipped_with_a_warning() {
        let (recorded, warnings) = record_beside(json!({ "metadata": { "name": "handsctl-oh-r3" } })).await;
        assert_eq!(recorded.unwrap(), 4);
        let [warning] = warnings.as_slice() else { panic!("{warnings:?}") };
        assert!(warning.starts_with("secret/handsctl-oh-r3 is not a revision"), "{warning}");
        assert!(warning.contains("kubectl delete secret handsctl-oh-r3 -n n"), "{warning}");
    }

    #[tokio::test(start_paused = true)]
    async fn revision_of_another_run_is_not_skipped() {
        let set = ApplySet { name: "oh".into(), namespace: "n".into(), ..ApplySet::default() };
        let key = SecretKey(vec![1; 32]);
        let (secret, _) = revision::manifest(&set, 3, "bo@laptop", &Snapshot::default(), &key).unwrap();
        let (recorded, warnings) = record_beside(secret).await;
        let error = recorded.unwrap_err();
        assert!(error.message().contains("another run has recorded it meanwhile"), "{error:?}");
        assert_eq!(warnings, [""; 0]);
    }

    /// Rejects the deletion, because the Secret is not the one with this resourceVersion any more.
    async fn reject_deletion(server: &mut ScriptedServer, version: &str) {
        let delete = server.expect(&format!("DELETE {SECRET_PATH}")).await;
        assert_eq!(delete.body["preconditions"], json!({ "uid": "u3", "resourceVersion": version }));
        delete.status(409, "Conflict", "the precondition does not match");
    }

    #[tokio::test(start_paused = true)]
    async fn withdraw_keeps_the_revision_of_another_run() {
        withdraw_against(async |server: &mut ScriptedServer| {
            reject_deletion(server, "5").await;
            let read = server.expect(&format!("GET {SECRET_PATH}")).await;
            read.ok(&stored("u4", "9", RevisionResult::Applying));
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn withdraw_keeps_a_revision_that_another_run_decided() {
        withdraw_against(async |server: &mut ScriptedServer| {
            reject_deletion(server, "5").await;
            let read = server.expect(&format!("GET {SECRET_PATH}")).await;
            read.ok(&stored("u3", "9", RevisionResult::Good));
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn withdraw_deletes_a_revision_that_was_only_annotated() {
        withdraw_against(async |server: &mut ScriptedServer| {
            reject_deletion(server, "5").await;
            let read = server.expect(&format!("GET {SECRET_PATH}")).await;
            read.ok(&stored("u3", "6", RevisionResult::Applying));
            let delete = server.expect(&format!("DELETE {SECRET_PATH}")).await;
            assert_eq!(delete.body["preconditions"], json!({ "uid": "u3", "resourceVersion": "6" }));
            delete.ok(&json!({}));
        })
        .await;
    }
}
