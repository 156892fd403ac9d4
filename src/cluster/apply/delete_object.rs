//! Deletes exactly the object that was judged, and judges it again where it has changed since.

use kube::api::{DeleteParams, PropagationPolicy};
use serde_json::Value;

use crate::catalogue::Id;
use crate::cluster::client::api::Api;
use crate::cluster::client::request::if_unchanged;
use crate::error::{Error, Kind, Result};
use crate::object::ObjectId;
use crate::object::kind::DEPLOYMENT;
use crate::plan::inventory::apply_set::ApplySet;

/// How often an object that changes under the delete is judged again.
const ATTEMPTS: usize = 5;

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeleteOutcome {
    /// The server has taken the delete, or it was gone already.
    Deleted,
    /// It has changed, and is no longer one that goes.
    Kept,
}

/// Deletes this object while `still` says that it goes. The delete carries UID and resourceVersion, so what somebody
/// changed since it was judged is never deleted unseen.
///
/// # Errors
/// Where the server refuses, or the object changes faster than it can be deleted.
pub(crate) async fn delete_unchanged(
    api: &Api,
    set: &ApplySet,
    id: &ObjectId,
    object: &Value,
    still: impl Fn(&Value) -> bool,
) -> Result<DeleteOutcome> {
    let Some(kind) = set.kind_of(id) else {
        return Err(Error::internal(format!("{id} is of a kind that handsctl does not delete")));
    };
    let collection = kind.collection(id.namespace.as_deref());
    // A Deployment is gone when its pods are.
    let propagation =
        if kind == DEPLOYMENT { PropagationPolicy::Foreground } else { PropagationPolicy::Background };
    let mut known = object.clone();
    for _ in 0..ATTEMPTS {
        let params = DeleteParams { propagation_policy: Some(propagation.clone()), ..if_unchanged(&known) };
        match api.delete(&collection, &id.name, &params).await {
            Ok(_) => return Ok(DeleteOutcome::Deleted),
            Err(error) if error.code() == Some(404) => return Ok(DeleteOutcome::Deleted),
            Err(error) if error.code() == Some(409) => {}
            Err(error) => return Err(error.into_error(&format!("cannot delete {id}"))),
        }
        let found = api.get_opt(&collection, &id.name).await;
        match found.map_err(|error| error.into_error(&format!("cannot read {id}")))? {
            None => return Ok(DeleteOutcome::Deleted),
            Some(found) if still(&found) => known = found,
            Some(_) => return Ok(DeleteOutcome::Kept),
        }
    }
    Err(Error::new(Id::TeardownStuck, Kind::Rejected, format!("{id} changes faster than it can be deleted"))
        .hint("run the command again"))
}
