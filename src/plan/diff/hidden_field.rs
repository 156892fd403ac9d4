//! The fields that a diff never shows: the data of a Secret.

use super::pointer::FieldPointer;

/// Returns whether a field of an object of this kind is never shown.
pub(super) fn hides(kind: &str, path: &FieldPointer) -> bool {
    kind == "Secret" && (path.is_under(&["data"]) || path.is_under(&["stringData"]))
}
