//! The fields that a diff never shows: the data of a Secret, and variables of a secret name.

use super::pointer::FieldPointer;
use crate::object::secret_name::is_sensitive;

/// Returns whether a field of an object of this kind is never shown.
pub(super) fn hides(kind: &str, path: &FieldPointer) -> bool {
    let is_data = kind == "Secret" && (path.is_under(&["data"]) || path.is_under(&["stringData"]));
    let is_variable = path.last_key() == Some("value") && path.item_name("env").is_some_and(is_sensitive);
    is_data || is_variable
}
