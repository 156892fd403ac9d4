//! Texts of events and of the cluster → texts for a page: without the values of secret names, and without what a terminal
//! would execute. Pure.

use crate::object::assignment;
use crate::report::text::sanitize::{one_line, sanitize};

/// Returns a text on one line.
pub(super) fn clean(text: &str) -> String {
    one_line(&assignment::masked(text))
}

/// Returns a text of several lines.
pub(super) fn clean_lines(text: &str) -> String {
    sanitize(&assignment::masked(text)).into_owned()
}
