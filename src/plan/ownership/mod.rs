//! Fields and objects that others manage.
//!
//! - `policy`: the rules of `[deploy.ownership]` and the flags, and manifests without yielded fields.
//! - `conflict`: the server's conflict response → fields and their managers, and the table that shows them.
//! - `foreign_change`: fields of a live member that another manager changed since the deploy.
//! - `taken_field`: fields of ours that somebody took without leaving a manager.
//! - `adoption`: whether an object of another tool can be adopted, and the migration of that tool's fields.
//! - `other_set`: the handsctl set that a foreign object belongs to.

pub mod adoption;
pub mod conflict;
pub mod foreign_change;
pub mod other_set;
pub mod policy;
pub mod taken_field;
