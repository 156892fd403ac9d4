//! Watched changes → the state that `status` evaluates.

use jiff::Timestamp;
use serde_json::Value;

use super::watcher::{WatchedChange, Watches};
use crate::error::{Error, Result};
use crate::object::kind::KindInfo;
use crate::status::{ObservedState, TrackedKind};

/// The scope of objects that were listed and are not watched.
pub const UNWATCHED: usize = usize::MAX;

/// The kind as the evaluation tracks it; None for kinds that are ready as soon as they exist.
#[must_use]
pub fn tracked_kind(kind: KindInfo) -> Option<TrackedKind> {
    TrackedKind::from_id(&kind.id("", ""))
}

/// Replaces the objects of this scope in the state by a list.
///
/// # Errors
/// Fails if an object cannot be parsed.
pub fn show_list(
    state: &mut ObservedState,
    scope: usize,
    kind: KindInfo,
    objects: &[Value],
    observed_at: Timestamp,
) -> Result<()> {
    match tracked_kind(kind) {
        Some(kind) => state.replace(scope, kind, objects, observed_at).map_err(unreadable_object),
        None => Ok(()),
    }
}

/// Adds a watched change to the state. Returns the error of a failed optional watch, which costs evidence, not the
/// verdict.
///
/// # Errors
/// Fails if an object cannot be parsed, or a required watch fails for good.
pub(crate) fn show_change(
    state: &mut ObservedState,
    watches: &Watches,
    change: WatchedChange,
    now: Timestamp,
) -> Result<Option<Error>> {
    let kind = |scope: usize| watches.scopes()[scope].kind;
    match change {
        WatchedChange::Listed(scope, objects) => show_list(state, scope, kind(scope), &objects, now)?,
        WatchedChange::Changed(scope, object) => {
            if let Some(kind) = tracked_kind(kind(scope)) {
                state.apply(scope, kind, &object, now).map_err(unreadable_object)?;
            }
        }
        WatchedChange::Deleted(scope, object) => {
            if let (Some(kind), Some(uid)) = (tracked_kind(kind(scope)), object["metadata"]["uid"].as_str()) {
                state.remove(scope, kind, uid);
            }
        }
        WatchedChange::Failed(scope, error) => {
            let error = error.into_error(&format!("cannot continue watching {}", kind(scope).plural));
            return if watches.scopes()[scope].optional { Ok(Some(error)) } else { Err(error) };
        }
    }
    Ok(None)
}

fn unreadable_object(error: serde_json::Error) -> Error {
    Error::internal("the API server sent an object that cannot be parsed").caused_by(error)
}
