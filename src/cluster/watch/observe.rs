//! What watches show → the state that `status` evaluates.

use jiff::Timestamp;
use serde_json::Value;

use super::watcher::{WatchedChange, Watches};
use crate::error::{Error, Result};
use crate::object::kind::KindInfo;
use crate::status::{ObservedState, TrackedKind};

/// The judge's word for a kind; None for kinds that are ready once they exist.
#[must_use]
pub fn tracked_kind(kind: KindInfo) -> Option<TrackedKind> {
    TrackedKind::of(&kind.id("", ""))
}

/// Shows a list to the judge's world.
///
/// # Errors
/// Where the server sent something that is no such object.
pub fn show_list(
    world: &mut ObservedState,
    kind: KindInfo,
    objects: &[Value],
    seen: Timestamp,
) -> Result<()> {
    match tracked_kind(kind) {
        Some(kind) => world.replace(kind, objects, seen).map_err(unreadable),
        None => Ok(()),
    }
}

fn unreadable(error: serde_json::Error) -> Error {
    Error::internal("the API server sent an object that cannot be read").caused_by(error)
}

pub(crate) fn show_change(
    world: &mut ObservedState,
    watches: &Watches,
    seen: WatchedChange,
    now: Timestamp,
) -> Result<()> {
    let kind = |index: usize| tracked_kind(watches.scopes()[index].kind);
    match seen {
        WatchedChange::Listed(index, objects) => {
            show_list(world, watches.scopes()[index].kind, &objects, now)
        }
        WatchedChange::Changed(index, object) => match kind(index) {
            Some(kind) => world.apply(kind, &object, now).map_err(unreadable),
            None => Ok(()),
        },
        WatchedChange::Gone(index, object) => {
            if let (Some(kind), Some(uid)) = (kind(index), object["metadata"]["uid"].as_str()) {
                world.remove(kind, uid);
            }
            Ok(())
        }
        // Less evidence, same verdict.
        WatchedChange::Failed(index, _) if watches.scopes()[index].optional => Ok(()),
        WatchedChange::Failed(index, fault) => {
            Err(fault.into_error(&format!("cannot go on watching {}", watches.scopes()[index].kind.plural)))
        }
    }
}
