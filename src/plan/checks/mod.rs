//! What can be known of a deploy before anything is sent.
//!
//! - `pod_security`: whether the namespace's Pod Security level admits sandbox pods.
//! - `secret_refs`: the user's Secrets that the configuration names, and whether they have what is needed.
//! - `version_change`: what another version of the application changes beside its code.
//! - `node_fit`: which nodes take a pod.
//! - `sandbox_capacity`: how many sandboxes the nodes have room for.
//! - `app_settings`: whether the application is given model and key.

pub mod app_settings;
pub mod node_fit;
pub mod pod_security;
pub mod sandbox_capacity;
pub mod secret_refs;
pub mod version_change;
