//! Follows the applied objects until they are ready or have failed.
//!
//! - `follow`: follows the members of a set.
//! - `reported_states`: reports each change of an object's state.
//! - `reported_containers`: reports each change of a container's state, and the cluster's Events.
//! - `workloads`: follows workloads outside of a set: cluster DNS, an ingress controller.
//! - `evidence`: collects evidence that is not part of the watched objects: container logs, taints.
//!   `route`: what an Ingress depends on: its class, its controller, its certificate.
//!   `webhook`: who installed a webhook that does not respond, and its server.
//! - `finding_error`: findings → the error that reports them.

mod evidence;
pub mod finding_error;
pub mod follow;
mod reported_containers;
mod reported_states;
pub(crate) mod route;
pub(crate) mod webhook;
pub mod workloads;
