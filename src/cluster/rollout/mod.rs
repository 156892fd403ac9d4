//! Follows what was applied until it is ready or has failed.
//!
//! - `follow`: the members of a set.
//! - `workloads`: workloads outside of a set: cluster DNS, an ingress controller.
//! - `evidence`: reads what the watched objects do not carry: container logs, taints.
//! - `finding_error`: findings → the error that they are.

mod evidence;
pub mod finding_error;
pub mod follow;
pub mod workloads;
