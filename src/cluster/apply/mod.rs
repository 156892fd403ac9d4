//! Writes to a set, in the order of a deploy.
//!
//! - `namespaces`: reads namespaces, creates the missing ones.
//! - `lock`: sends the writes of the set's Lease: acquires, renews and releases it. `lock_wait`: waits
//!   until no other run holds it.
//! - `inventory`: the ApplySet's parent ConfigMap and the key of Secret names.
//! - `app_keys`: the keys of an application that keeps its settings itself.
//! - `revisions`: writes a revision and its result, and deletes surplus revisions.
//! - `waves`: applies the members, sixteen at a time. `apply_object`: applies one member. `applied`: its result.
//!   `field_conflict`: the error (exit 7) for fields that other managers own.
//! - `prune`: deletes the members that `plan::inventory::prune` chose. `delete_object`: deletes one object.
//! - `refusals`: lets the server check every change and the new pod, before the first write.
//! - `pod_admission`: asks whether the server would create the pods of a Deployment.
//! - `held_claims`: reads the claims that are being deleted and that the pods to stop still keep.
//! - `deletion_wait`: waits until objects that are being deleted are gone.
//! - `restart`: replaces the pods without another change. `scale`: changes their number without another change.

pub mod app_keys;
pub mod applied;
pub(super) mod apply_object;
pub(crate) mod delete_object;
pub mod deletion_wait;
pub(super) mod field_conflict;
pub(crate) mod held_claims;
pub mod inventory;
pub mod lock;
pub mod lock_wait;
pub mod namespaces;
pub mod pod_admission;
pub mod prune;
pub mod refusals;
pub mod restart;
pub mod revisions;
pub mod scale;
pub mod waves;
