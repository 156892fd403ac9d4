//! What the checks before a deploy decide. The files of the same name in `deploy/` read the input and report the result.
//!
//! - `pod_security`: decides whether a namespace's Pod Security level admits sandbox pods.
//! - `secret_refs`: the user's Secrets that the configuration refers to, and their faults.
//! - `certificate`: decides whether a TLS Secret's certificate covers a host.
//! - `ingress_controller`: recognizes the controller of an ingress class by its pods.
//! - `shared_host`: the Ingresses of others that claim the host of an Ingress.
//! - `service_account`: the ServiceAccount that the configuration names, and the commands that create it.
//! - `version_change`: a change of the app version, with the images and paths that change with it.
//! - `dry_run_sample`: chooses the changes that the API server checks before the first write.
//! - `pod_resources`: the amounts of a resource that a pod asks for.
//! - `quota`: decides whether a quota rejects new pods even after the old ones have stopped.
//! - `quota_sum`: adds up what the new objects take of the quotas.
//! - `node_fit`: decides whether a node accepts a pod.
//! - `sandbox_capacity`: estimates how many sandboxes fit on the nodes.
//! - `app_settings`: decides whether to post model and key to the application.

pub mod api_settings;
pub mod app_keys;
pub mod app_settings;
pub mod certificate;
pub mod dry_run_sample;
pub mod ingress_controller;
pub mod node_fit;
mod pod_resources;
pub mod pod_security;
pub mod quota;
pub mod quota_sum;
pub mod sandbox_capacity;
pub mod secret_refs;
pub mod service_account;
pub mod shared_host;
pub mod version_change;
