//! The objects that the watches have received.
//!
//! - `state`: the live objects, by kind and UID, and which object owns which.
//! - `untyped`: an object of a kind without a type of its own, with its conditions.
//! - `exhibits`: a faulty object with its owners, claims and Events.
//! - `kube_events`: the Events about them (core/v1 Event).
//! - `first_seen`: when a container was first observed in its current phase.

mod exhibits;
pub(super) mod first_seen;
pub(super) mod kube_events;
pub(super) mod state;
pub(super) mod untyped;
