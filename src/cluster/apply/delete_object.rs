//! Deletes exactly the object that was evaluated, and evaluates it again if it has changed since.

use kube::api::{DeleteParams, PropagationPolicy};
use serde_json::Value;

use crate::catalogue::Id;
use crate::cluster::client::api::Api;
use crate::cluster::client::request::if_unchanged;
use crate::error::{Error, Kind, Result};
use crate::object::ObjectId;
use crate::plan::inventory::apply_set::ApplySet;

/// How many times to try an object that changes before its delete request arrives.
const ATTEMPTS: usize = 5;

/// Why an object is kept that was to be deleted.
pub(crate) const CHANGED: &str = "it was changed meanwhile";

/// The result of a delete.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum DeleteOutcome {
    /// The server accepted the delete, or the object was already gone.
    Deleted,
    /// The object has changed to this and is no longer deletable.
    Kept(Value),
}

/// Returns whether objects of this kind own pods. With foreground deletion they are gone only after their pods.
pub(super) fn has_pods(id: &ObjectId) -> bool {
    matches!(
        (id.group.as_str(), id.kind.as_str()),
        ("apps", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet") | ("batch", "Job")
    )
}

/// Deletes this object while `is_deletable` accepts it. The delete carries UID and resourceVersion, so an object that
/// changed after its evaluation is evaluated again.
///
/// # Errors
/// Fails if the server rejects the delete, or the object keeps changing.
pub(crate) async fn delete_unchanged(
    api: &Api,
    set: &ApplySet,
    id: &ObjectId,
    object: &Value,
    is_deletable: impl Fn(&Value) -> bool,
) -> Result<DeleteOutcome> {
    let Some(kind) = set.kind_of(id) else {
        return Err(Error::internal(format!("{id} is of a kind that handsctl does not delete")));
    };
    let collection = kind.collection(id.namespace.as_deref());
    let propagation =
        if has_pods(id) { PropagationPolicy::Foreground } else { PropagationPolicy::Background };
    let mut current = object.clone();
    for _ in 0..ATTEMPTS {
        let params = DeleteParams { propagation_policy: Some(propagation.clone()), ..if_unchanged(&current) };
        match api.delete(&collection, &id.name, &params).await {
            Ok(_) => return Ok(DeleteOutcome::Deleted),
            Err(error) if error.code() == Some(404) => return Ok(DeleteOutcome::Deleted),
            Err(error) if error.code() == Some(409) => {}
            Err(error) => return Err(error.into_error(&format!("cannot delete {id}"))),
        }
        let live = api.get_opt(&collection, &id.name).await;
        match live.map_err(|error| error.into_error(&format!("cannot read {id}")))? {
            None => return Ok(DeleteOutcome::Deleted),
            Some(live) if is_deletable(&live) => current = live,
            Some(live) => return Ok(DeleteOutcome::Kept(live)),
        }
    }
    Err(Error::new(Id::TeardownStuck, Kind::Rejected, format!("cannot delete {id}: it kept changing"))
        .hint("run the command again"))
}
