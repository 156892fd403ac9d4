//! What the cluster records of a set, so that the next run finds it again.
//!
//! - `apply_set`: the set's identity and its parent ConfigMap, as kubectl's ApplySets define them.
//! - `members`: the members that are in the cluster.
//! - `prune`: members that are no longer planned, and what becomes of each.
//! - `revision`: what was deployed when, kept as immutable Secrets.
//! - `lease`: who changes the set, and until when that is believed.

pub mod apply_set;
pub mod lease;
pub mod members;
pub mod prune;
pub mod revision;
