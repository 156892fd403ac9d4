//! Manifests as JSON, built from the settings.
//!
//! - `template`: renders the embedded templates to objects.
//! - `values`: settings → the values of the placeholders.
//! - `content_hash`: content hashes for the names of ConfigMaps and Secrets.
//! - `network_policy`: the clients of the application's pod, and the targets of sandboxes.
//! - `scheduling`: tolerations, topology spread, quota and limit range in the API's form.
//! - `stop_signal`: start command and grace period, which decide whether the application receives SIGTERM.
//! - `extra_manifests`: the user's extra manifests as members of the set.
//!
//! Objects outside the set:
//! - `ingress_controller`: the ingress controllers of local clusters.
//! - `image_pull_pod`: the short-lived pod that makes a node pull an image. `volume_pod`: the one that mounts a volume for a
//!   backup. `volume_snapshot`: a snapshot of a volume claim, and the claim that is made from it.

pub mod content_hash;
pub mod extra_manifests;
pub mod image_pull_pod;
pub mod ingress_controller;
mod network_policy;
pub(crate) mod scheduling;
pub mod stop_signal;
pub mod template;
pub mod values;
pub mod volume_pod;
pub mod volume_snapshot;
