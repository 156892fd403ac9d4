//! Revisions of the set in the cluster: records, marks and deletes them.

use serde_json::json;

use crate::catalogue::Id;
use crate::cluster::client::api::{Api, ApiError};
use crate::cluster::client::request::if_same_object;
use crate::error::{Error, Kind, Result};
use crate::event::Events;
use crate::object::kind::{Collection, SECRET};
use crate::plan::inventory::apply_set::ApplySet;
use crate::plan::inventory::revision::{self, EVIDENCE, History, RESULT, RevisionResult, SurplusRevision};
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
        }
    }
}

/// Records a new revision as being applied. Marks the latest revision as failed if its run did not finish.
///
/// # Errors
/// Fails if the server rejects it, or another Secret of that name exists.
pub async fn record(
    api: &Api,
    set: &ApplySet,
    history: &History,
    snapshot: &Snapshot,
    by: &str,
    events: &Events,
) -> Result<RevisionRef> {
    if let Some(latest) = history.latest().filter(|latest| latest.result == RevisionResult::Applying) {
        set_result(
            api,
            &mut RevisionRef::existing(set, latest.number, latest.result),
            RevisionResult::Failed,
        )
        .await?;
    }
    let number = history.next_number();
    let (manifest, too_large) = revision::manifest(set, number, by, snapshot)?;
    if too_large {
        let message = format!("revision {number} is too large to be stored: no rollback to it is possible");
        events.warn(Id::RevisionTooLarge, message).await;
    }
    let id = SECRET.id(&set.namespace, &revision::name(set, number));
    match api.create(&SECRET.in_namespace(&set.namespace), &manifest).await {
        Ok(_) => Ok(RevisionRef::existing(set, number, RevisionResult::Applying)),
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

/// Marks a revision with a result. Sends no request if it has this result already.
///
/// # Errors
/// Fails if the server rejects the change.
pub async fn set_result(api: &Api, revision: &mut RevisionRef, result: RevisionResult) -> Result<()> {
    if revision.result == result {
        return Ok(());
    }
    let fields = json!({ "metadata": { "annotations": { RESULT: result.as_str() } } });
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

/// Marks a revision as failed, with the evidence.
///
/// # Errors
/// Fails if the server rejects the change.
pub async fn set_failed(api: &Api, revision: &mut RevisionRef, evidence: &str) -> Result<()> {
    let annotations = json!({
        RESULT: RevisionResult::Failed.as_str(),
        EVIDENCE: revision::kept_evidence(evidence),
    });
    match api
        .merge_patch(
            &revision.secrets,
            &revision.name,
            &json!({ "metadata": { "annotations": annotations } }),
        )
        .await
    {
        Ok(_) => {
            revision.result = RevisionResult::Failed;
            Ok(())
        }
        Err(error) => Err(error.into_error(&format!("cannot mark revision {} as failed", revision.number))),
    }
}

/// Deletes revisions.
///
/// # Errors
/// Fails if the server rejects the change.
pub async fn delete(api: &Api, set: &ApplySet, revisions: &[SurplusRevision]) -> Result<()> {
    let secrets = SECRET.in_namespace(&set.namespace);
    let deletes = revisions.iter().map(|revision| async {
        let params = if_same_object(&json!({ "metadata": { "uid": revision.uid } }));
        match api.delete(&secrets, &revision::name(set, revision.number), &params).await {
            Ok(_) => Ok(()),
            // Deleted already, or replaced by another object of the same name.
            Err(ApiError::Status(status)) if matches!(status.code, 404 | 409) => Ok(()),
            Err(error) => Err(error.into_error(&format!("cannot delete revision {}", revision.number))),
        }
    });
    futures::future::try_join_all(deletes).await?;
    Ok(())
}
