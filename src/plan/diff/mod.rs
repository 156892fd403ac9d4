//! The changes of a deploy, field by field: old value, new value, cause and consequences. Pure.
//!
//! - `compare`: compares a live object with the object after a deploy → `Difference`.
//! - `recorded`: compares two recorded contents of the set, and names the keys of config.toml that differ.
//! - `predict`: predicts the result of server-side apply if there is no server-side dry run.
//! - `noise`: removes the fields that the API server and its controllers maintain.
//! - `field_change`: compares two versions of an object → the fields that differ, and their cause.
//! - `addition`: fields that other managers added and a deploy keeps.
//! - `field_owners`: the manager that a difference is attributed to.
//! - `list_keys`: lists whose items are identified by keys.
//! - `pointer`: paths of fields, and their notation.
//! - `hidden_field`: the fields that are never shown.
//! - `effect`: consequences of a change, such as a restart.
//! - `difference`: the result, and the API server's rejection if there was one.

mod addition;
pub mod compare;
pub mod difference;
mod effect;
mod field_change;
mod field_owners;
mod hidden_field;
mod list_keys;
mod noise;
mod pointer;
mod predict;
mod recorded;

pub use addition::{Addition, additions};
pub use compare::{
    changed, created, predecessor, recorded_versions, referenced_name, replaced_content, reused, unplanned,
};
pub use difference::{Compared, DiffOutcome, Difference};
pub use effect::Effect;
pub use field_change::{ChangeCause, FieldChange, Hidden, ValueChange};
pub use field_owners::FieldManager;
pub use pointer::FieldPointer;
pub use recorded::{RecordedChanges, recorded_changes};

#[cfg(test)]
mod tests;
