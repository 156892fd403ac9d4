//! A field conflict as reported by the API server → the error that names fields and managers.

use jiff::Timestamp;
use kube::core::Status;

use crate::catalogue::Id;
use crate::cluster::client::status_error;
use crate::error::{Error, Kind};
use crate::object::ObjectId;
use crate::plan::ownership::conflict::{self, Conflict, ConflictCause};
use crate::settings::handsctl::OwnershipRule;

/// Whether the API server rejected the request because other managers own fields of the manifest.
pub(crate) fn is_field_conflict(status: &Status) -> bool {
    status.code == 409 && causes(status).next().is_some()
}

/// Returns the conflicting fields, one item for each field and manager.
pub(crate) fn causes(status: &Status) -> impl Iterator<Item = ConflictCause<'_>> {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes
        .filter(|cause| status_error::is_field_conflict(cause))
        .map(|cause| ConflictCause { field: &cause.field, message: &cause.message })
}

/// Returns the error for these conflicts. `now` is the server's time.
pub(crate) fn field_conflict_error(id: &ObjectId, conflicts: &[Conflict], now: Timestamp) -> Error {
    let message = match &id.namespace {
        Some(namespace) => format!("{id} in namespace {namespace} has fields that others changed"),
        None => format!("{id} has fields that others changed"),
    };
    let message = format!("{message}; it was not changed");
    let error = Error::new(Id::FieldConflict, Kind::Ownership, message)
        .fact("fields", conflict::table(id, conflicts, now))
        .conflicting(conflict::rows(id, conflicts));
    let fails_by_rule = |conflict: &&Conflict| conflict.rule == Some(OwnershipRule::Fail);
    let failing_fields: Vec<&str> =
        conflicts.iter().filter(fails_by_rule).map(|conflict| conflict.field.as_str()).collect();
    if failing_fields.is_empty() {
        error.hint("to overwrite their change: handsctl deploy --force-conflicts")
    } else {
        error.hint(format!("[deploy.ownership] sets \"fail\" for {}", failing_fields.join(", ")))
    }
}
