//! What the watches have shown.
//!
//! - `state`: the live objects, by kind and UID, and which object owns which.
//! - `kube_events`: the Events about them (core/v1 Event).
//! - `first_seen`: when a container was first seen in its present phase.

pub(super) mod first_seen;
pub(super) mod kube_events;
pub(super) mod state;
