//! What a deploy would change, field by field: before, after, who caused it, and what follows from it. Pure.
//!
//! - `compare`: an object as it is and as it would be → its `Difference`.
//! - `predict`: what server-side apply would make of an object, where the server cannot be asked.
//! - `noise`: removes what the server and its controllers keep for themselves.
//! - `field_change`: two versions of an object → the fields that differ, and their cause.
//! - `field_owners`: which manager set which field.
//! - `list_keys`: lists whose items are told apart by a key.
//! - `pointer`: the notation of a field.
//! - `mask`: values that nobody may see.
//! - `effect`: what follows from a change: a restart, lost data.
//! - `difference`: the result, and the refusal of a server that says no more.

pub mod compare;
pub mod difference;
mod effect;
mod field_change;
mod field_owners;
mod list_keys;
mod mask;
mod noise;
mod pointer;
mod predict;

pub use compare::{changed, created, predecessor, unplanned};
pub use difference::{Compared, DiffOutcome, Difference};
pub use effect::Effect;
pub use field_change::{Change, ChangeCause, FieldChange, Hidden};
pub use field_owners::Manager;
pub use mask::Mask;
pub use pointer::FieldPointer;

#[cfg(test)]
mod tests;
