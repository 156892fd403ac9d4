//! What is sent, as JSON.
//!
//! - `template`: the embedded templates, text with placeholders → objects.
//! - `values`: settings → the values of the placeholders.
//! - `content_hash`: names of ConfigMaps and Secrets that carry a hash of their content.
//! - `scheduling`: tolerations, affinity, spreading, quota and limit range as the API has them.
//! - `stop_signal`: what the application does when its pod stops.
//! - `extra_manifests`: the user's own objects as members of the set.
//!
//! Objects beside the set:
//! - `ingress_controller`: the ingress controllers of local clusters.
//! - `image_pull_pod`: the short-lived pod that makes a node pull an image.

pub mod content_hash;
pub mod extra_manifests;
pub mod image_pull_pod;
pub mod ingress_controller;
pub(crate) mod scheduling;
pub mod stop_signal;
pub mod template;
pub mod values;
