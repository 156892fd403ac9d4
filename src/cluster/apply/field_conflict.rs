//! A field conflict as the API server reports it → the error that names fields and managers.

use jiff::Timestamp;
use kube::core::Status;

use crate::catalogue::Id;
use crate::cluster::client::status_error;
use crate::error::{Error, Kind};
use crate::object::ObjectId;
use crate::plan::ownership::conflict::{self, Conflict, ConflictCause};
use crate::settings::handsctl::OwnershipRule;

/// Whether the API server refused because other managers have fields of the manifest.
pub(crate) fn is_field_conflict(status: &Status) -> bool {
    status.code == 409 && causes(status).next().is_some()
}

/// The fields that other managers have, one for each manager.
pub(crate) fn causes(status: &Status) -> impl Iterator<Item = ConflictCause<'_>> {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes
        .filter(|cause| status_error::is_field_conflict(cause))
        .map(|cause| ConflictCause { field: &cause.field, message: &cause.message })
}

/// The error of these conflicts. `now` is the server's time.
pub(crate) fn field_conflict_error(id: &ObjectId, conflicts: &[Conflict], now: Timestamp) -> Error {
    let message = match &id.namespace {
        Some(namespace) => format!("{id} in namespace {namespace} has fields that others manage"),
        None => format!("{id} has fields that others manage"),
    };
    let message = format!("{message}; nothing of it was changed");
    let error = Error::new(Id::FieldConflict, Kind::Ownership, message)
        .fact("fields", conflict::table(id, conflicts, now));
    let is_forbidden = |conflict: &&Conflict| conflict.rule == Some(OwnershipRule::Fail);
    let forbidden: Vec<&str> =
        conflicts.iter().filter(is_forbidden).map(|conflict| conflict.field.as_str()).collect();
    if forbidden.is_empty() {
        error.hint("take them over: handsctl deploy --force-conflicts")
    } else {
        error.hint(format!("[deploy.ownership] says \"fail\" of {}", forbidden.join(", ")))
    }
}
