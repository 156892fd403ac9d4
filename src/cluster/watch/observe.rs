//! What watches show → the state that `status` evaluates.

use jiff::Timestamp;
use serde_json::Value;

use super::watcher::{WatchedChange, Watches};
use crate::error::{Error, Result};
use crate::object::kind::KindInfo;
use crate::status::{ObservedState, TrackedKind};

/// The scope of objects that were listed and are not watched.
pub const UNWATCHED: usize = usize::MAX;

/// The kind as the evaluation knows it; None for kinds that are ready once they exist.
#[must_use]
pub fn tracked_kind(kind: KindInfo) -> Option<TrackedKind> {
    TrackedKind::of(&kind.id("", ""))
}

/// Adds a list to the state: everything that this scope shows.
///
/// # Errors
/// Where the server sent something that is no such object.
pub fn show_list(
    state: &mut ObservedState,
    scope: usize,
    kind: KindInfo,
    objects: &[Value],
    seen: Timestamp,
) -> Result<()> {
    match tracked_kind(kind) {
        Some(kind) => state.replace(scope, kind, objects, seen).map_err(unreadable),
        None => Ok(()),
    }
}

/// Adds to the state what a watch has shown. A watch that is optional and refused shows less evidence, and the verdict
/// is the same.
///
/// # Errors
/// Where the server sent something that is no such object, or a watch that is needed cannot be had any more.
pub(crate) fn show_change(
    state: &mut ObservedState,
    watches: &Watches,
    change: WatchedChange,
    now: Timestamp,
) -> Result<()> {
    let kind = |scope: usize| watches.scopes()[scope].kind;
    match change {
        WatchedChange::Listed(scope, objects) => show_list(state, scope, kind(scope), &objects, now),
        WatchedChange::Changed(scope, object) => match tracked_kind(kind(scope)) {
            Some(kind) => state.apply(scope, kind, &object, now).map_err(unreadable),
            None => Ok(()),
        },
        WatchedChange::Gone(scope, object) => {
            if let (Some(kind), Some(uid)) = (tracked_kind(kind(scope)), object["metadata"]["uid"].as_str()) {
                state.remove(scope, kind, uid);
            }
            Ok(())
        }
        WatchedChange::Failed(scope, _) if watches.scopes()[scope].optional => Ok(()),
        WatchedChange::Failed(scope, error) => {
            Err(error.into_error(&format!("cannot go on watching {}", kind(scope).plural)))
        }
    }
}

fn unreadable(error: serde_json::Error) -> Error {
    Error::internal("the API server sent an object that cannot be read").caused_by(error)
}
