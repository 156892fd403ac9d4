//! The record of a set in the cluster, by which later runs find its members.
//!
//! - `apply_set`: the set's identity and its parent ConfigMap, as kubectl's ApplySets define them.
//! - `installation`: the sets of a cluster, as their parents describe them.
//! - `members`: the set's live members.
//! - `namespace_objects`: the objects of a namespace that are somebody else's.
//! - `presence`: compares the members that the revisions name with the existing ones.
//! - `prune`: decides whether members that are no longer planned are deleted or kept.
//! - `set_key`: the set's key and the MAC of its revisions.
//! - `provenance`: who started the run that made a revision, and from which commit.
//! - `restorable`: the rules for a member that a rollback restores. `snapshot`: the members of a revision. `revision`: one
//!   recorded deploy and its result, stored as an immutable Secret.
//! - `restored_rights`: the rights and images of a revision beyond the configuration and the live set.
//!   `restored_exposure`: how it exposes the application beyond them.
//! - `history`: all revisions: which one is deployed, which one a rollback restores, and which are surplus.
//! - `first_deploy`: how far the deploys of an installation got that has no application.
//! - `given_settings`: the settings that an application got, as its claim records them.
//! - `lease`: the Lease of the set's lock: its content, duration, renewal interval and expiry.

pub mod app_keys;
pub mod apply_set;
#[cfg(test)]
mod damaged_revisions;
pub mod first_deploy;
pub mod given_settings;
pub mod history;
pub mod installation;
pub mod lease;
pub mod members;
pub mod namespace_objects;
pub mod presence;
pub mod provenance;
pub mod prune;
pub mod restorable;
pub mod restored_exposure;
pub mod restored_rights;
pub mod revision;
pub mod set_key;
pub mod snapshot;
