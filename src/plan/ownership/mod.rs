//! Fields and objects that others manage.
//!
//! - `policy`: the rules of `[deploy.ownership]` and the flags, and manifests without yielded fields.
//! - `conflict`: the server's conflict response → fields and their managers, and the table that shows them.
//! - `value_pair`: two values for one row, shortened to the part in which they differ.
//! - `foreign_change`: fields of a live member that another manager changed since the deploy.
//!   `foreign_pod`: what others added to its pods.
//! - `live_exposure`: live objects that expose the application more than their manifests do. `restoring_patch`: the
//!   command that restores planned fields.
//!   `foreign_exposure`: objects of others that expose it.
//! - `lost_traffic`: live Services and routes that do not lead where their manifests do.
//! - `taken_field`: fields of ours that somebody took without leaving a manager.
//! - `port_clash`: ports of others with the name of a planned port.
//! - `adoption`: whether an object of another tool can be adopted, and the migration of that tool's fields.
//! - `other_set`: the handsctl set that a foreign object belongs to.

pub mod adoption;
pub mod conflict;
pub mod foreign_change;
pub mod foreign_exposure;
pub mod foreign_pod;
pub mod live_exposure;
pub mod lost_traffic;
pub mod other_set;
pub mod policy;
pub mod port_clash;
pub mod restoring_patch;
pub mod taken_field;
mod value_pair;
