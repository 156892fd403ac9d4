//! What watches show → the state that `status` evaluates.

use jiff::Timestamp;
use serde_json::Value;

use super::watcher::{Seen, Watches};
use crate::error::{Error, Result};
use crate::object::kind::KindInfo;
use crate::status::{Watched, World};

/// The judge's word for a kind; None for kinds that are ready once they exist.
#[must_use]
pub fn watched(kind: KindInfo) -> Option<Watched> {
    Watched::of(&kind.id("", ""))
}

/// Shows a list to the judge's world.
///
/// # Errors
/// Where the server sent something that is no such object.
pub fn list(world: &mut World, kind: KindInfo, objects: &[Value], seen: Timestamp) -> Result<()> {
    match watched(kind) {
        Some(kind) => world.replace(kind, objects, seen).map_err(unreadable),
        None => Ok(()),
    }
}

fn unreadable(error: serde_json::Error) -> Error {
    Error::internal("the API server sent an object that cannot be read").caused_by(error)
}

pub(crate) fn show(world: &mut World, watches: &Watches, seen: Seen, now: Timestamp) -> Result<()> {
    let kind = |index: usize| watched(watches.scopes()[index].kind);
    match seen {
        Seen::Listed(index, objects) => list(world, watches.scopes()[index].kind, &objects, now),
        Seen::Changed(index, object) => match kind(index) {
            Some(kind) => world.apply(kind, &object, now).map_err(unreadable),
            None => Ok(()),
        },
        Seen::Gone(index, object) => {
            if let (Some(kind), Some(uid)) = (kind(index), object["metadata"]["uid"].as_str()) {
                world.remove(kind, uid);
            }
            Ok(())
        }
        // Less evidence, same verdict.
        Seen::Failed(index, _) if watches.scopes()[index].optional => Ok(()),
        Seen::Failed(index, fault) => {
            Err(fault.explain(&format!("cannot go on watching {}", watches.scopes()[index].kind.plural)))
        }
    }
}
