//! Revisions of the set in the cluster: recorded, marked, deleted.

use serde_json::json;

use crate::catalogue::Id;
use crate::cluster::client::api::{Api, ApiError};
use crate::cluster::client::request::if_same_object;
use crate::error::{Error, Kind, Result};
use crate::event::Events;
use crate::object::kind::{Collection, SECRET};
use crate::plan::inventory::apply_set::ApplySet;
use crate::plan::inventory::revision::{
    self, EVIDENCE, History, RESULT, RevisionResult, Snapshot, SurplusRevision,
};

/// The revision that this run is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevisionRef {
    /// Its number.
    pub number: u64,
    /// Of the set.
    secrets: Collection,
    /// Of its Secret.
    name: String,
    result: RevisionResult,
}

impl RevisionRef {
    /// One that is there already.
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

/// Records a new revision as being applied. Attempts before it that nobody finished are marked as failed.
///
/// # Errors
/// Where the server refuses, or somebody made a Secret of that name.
pub async fn record(
    api: &Api,
    set: &ApplySet,
    history: &History,
    content: &Snapshot,
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
    let (manifest, too_large) = revision::manifest(set, number, by, content)?;
    if too_large {
        let message = format!("revision {number} is too large to be kept: there will be no rollback to it");
        events.warn(Id::RevisionTooLarge, message).await;
    }
    let id = SECRET.id(&set.namespace, &revision::name(set, number));
    match api.create(&SECRET.in_namespace(&set.namespace), &manifest).await {
        Ok(_) => Ok(RevisionRef::existing(set, number, RevisionResult::Applying)),
        Err(fault) if fault.code() == Some(409) => Err(Error::new(
            Id::ForeignObject,
            Kind::Ownership,
            format!("{id} in namespace {} exists and is no revision of this set", set.namespace),
        )
        .hint(format!("kubectl delete {id} -n {} removes it", set.namespace))),
        Err(fault) => Err(fault
            .into_error(&format!("cannot create {id} in namespace {}", set.namespace))
            .state("nothing of the set was changed")),
    }
}

/// Says what came of a revision. Nothing is sent where it says so already.
///
/// # Errors
/// Where the server refuses.
pub async fn set_result(api: &Api, revision: &mut RevisionRef, outcome: RevisionResult) -> Result<()> {
    if revision.result == outcome {
        return Ok(());
    }
    let fields = json!({ "metadata": { "annotations": { RESULT: outcome.word() } } });
    match api.merge_patch(&revision.secrets, &revision.name, &fields).await {
        Ok(_) => {
            revision.result = outcome;
            Ok(())
        }
        Err(fault) => {
            Err(fault.into_error(&format!("cannot mark revision {} as {}", revision.number, outcome.word())))
        }
    }
}

/// Says that a revision failed, and why.
///
/// # Errors
/// Where the server refuses.
pub async fn set_failed(api: &Api, revision: &mut RevisionRef, evidence: &str) -> Result<()> {
    let annotations = json!({
        RESULT: RevisionResult::Failed.word(),
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
        Err(fault) => Err(fault.into_error(&format!("cannot mark revision {} as failed", revision.number))),
    }
}

/// Deletes revisions.
///
/// # Errors
/// Where the server refuses.
pub async fn delete(api: &Api, set: &ApplySet, revisions: &[SurplusRevision]) -> Result<()> {
    let secrets = SECRET.in_namespace(&set.namespace);
    let deletes = revisions.iter().map(|revision| async {
        let params = if_same_object(&json!({ "metadata": { "uid": revision.uid } }));
        match api.delete(&secrets, &revision::name(set, revision.number), &params).await {
            Ok(_) => Ok(()),
            // Gone, or another object under this name by now.
            Err(ApiError::Status(status)) if matches!(status.code, 404 | 409) => Ok(()),
            Err(fault) => Err(fault.into_error(&format!("cannot delete revision {}", revision.number))),
        }
    });
    futures::future::try_join_all(deletes).await?;
    Ok(())
}
