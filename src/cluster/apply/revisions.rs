//! Revisions of the set in the cluster: records, marks and deletes them.

use serde_json::json;

use crate::catalogue::Id;
use crate::cluster::client::api::Api;
use crate::cluster::client::request::if_same_object;
use crate::error::{Error, Kind, Result};
use crate::event::Events;
use crate::object::kind::{Collection, SECRET};
use crate::plan::SecretKey;
use crate::plan::inventory::apply_set::ApplySet;
use crate::plan::inventory::history::SurplusRevision;
use crate::plan::inventory::revision::{self, EVIDENCE, RESULT, RevisionResult};
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
    /// The UID of the Secret, if this run created it.
    uid: Option<String>,
}

impl RevisionRef {
    /// Refers to an existing revision.
    #[must_use]
    pub fn existing(set: &ApplySet, number: u64, result: RevisionResult) -> Self {
        Self {
            number,
            secrets: SECRET.in_namespace(&set.namespace),
            name: revision::name(set, number),
            result,
            uid: None,
        }
    }
}

/// Records a new revision under this number as being applied.
///
/// # Errors
/// Fails if the server rejects it, or another Secret of that name exists.
pub async fn record(
    api: &Api,
    set: &ApplySet,
    number: u64,
    snapshot: &Snapshot,
    by: &str,
    key: &SecretKey,
    events: &Events,
) -> Result<RevisionRef> {
    let (manifest, too_large) = revision::manifest(set, number, by, snapshot, key)?;
    if too_large {
        let message = format!("revision {number} is too large to be stored: no rollback to it is possible");
        events.warn(Id::RevisionTooLarge, message).await;
    }
    let id = SECRET.id(&set.namespace, &revision::name(set, number));
    match api.create(&SECRET.in_namespace(&set.namespace), &manifest).await {
        Ok(created) => Ok(RevisionRef {
            uid: created.body["metadata"]["uid"].as_str().map(str::to_owned),
            ..RevisionRef::existing(set, number, RevisionResult::Applying)
        }),
        Err(error) if error.code() == Some(409) => Err(Error::new(
            Id::ForeignObject,
            Kind::Ownership,
            format!("{id} in namespace {} exists and is not a revision of this set", set.namespace),
        )
        .hint(format!("to delete it: kubectl delete {id} -n {}", set.namespace))),
        Err(error) => Err(error
            .into_error(&format!("cannot create {id} in namespace {}", set.namespace))
            .state("the set was not changed")),
    }
}

/// Records the result of a revision that has no evidence. Sends no request if it has this result already.
///
/// # Errors
/// Fails if the server rejects the change.
pub async fn set_result(api: &Api, revision: &mut RevisionRef, result: RevisionResult) -> Result<()> {
    if revision.result == result {
        return Ok(());
    }
    write_result(api, revision, result, None).await
}

/// Records a revision as failed, with the evidence.
///
/// # Errors
/// Fails if the server rejects the change.
pub async fn set_failed(api: &Api, revision: &mut RevisionRef, evidence: &str) -> Result<()> {
    write_result(api, revision, RevisionResult::Failed, Some(evidence)).await
}

/// Writes the result and the evidence; without evidence removes that of an earlier run.
async fn write_result(
    api: &Api,
    revision: &mut RevisionRef,
    result: RevisionResult,
    evidence: Option<&str>,
) -> Result<()> {
    let evidence = evidence.map(revision::kept_evidence);
    let fields = json!({ "metadata": { "annotations": { RESULT: result.as_str(), EVIDENCE: evidence } } });
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

/// Deletes the revision of a run that changed nothing, by its UID: another run may have recorded one under the same
/// number. A revision that this run did not create is kept.
///
/// # Errors
/// Fails if the server rejects the deletion.
pub async fn withdraw(api: &Api, revision: &RevisionRef) -> Result<()> {
    let Some(uid) = &revision.uid else { return Ok(()) };
    let params = if_same_object(&json!({ "metadata": { "uid": uid } }));
    let deleted = api.delete_same(&revision.secrets, &revision.name, &params).await;
    deleted
        .map(drop)
        .map_err(|error| error.into_error(&format!("cannot delete revision {}", revision.number)))
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
    use crate::cluster::scripted::scripted;

    #[tokio::test(start_paused = true)]
    async fn withdraw_keeps_the_revision_of_another_run() {
        let (api, mut server) = scripted();
        let (events, _receiver) = Events::channel();
        let set = ApplySet { name: "oh".into(), namespace: "n".into(), ..ApplySet::default() };
        let snapshot = Snapshot { members: Vec::new(), note: String::new() };
        let work = async {
            let revision = record(&api, &set, 3, &snapshot, "ana@laptop", &SecretKey(vec![1; 32]), &events)
                .await
                .unwrap();
            withdraw(&api, &revision).await.unwrap();
        };
        tokio::join!(work, async {
            let created = json!({ "metadata": { "name": "handsctl-oh-r3", "uid": "u3" } });
            server.expect("POST /api/v1/namespaces/n/secrets").await.ok(&created);
            let delete = server.expect("DELETE /api/v1/namespaces/n/secrets/handsctl-oh-r3").await;
            assert_eq!(delete.body["preconditions"], json!({ "uid": "u3" }));
            delete.status(409, "Conflict", "the UID in the precondition does not match");
        });
    }
}
