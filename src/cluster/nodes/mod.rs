//! Nodes, and what a new local cluster needs before anything is deployed to it.
//!
//! - `readiness`: waits for nodes, the default storage class and the controllers.
//! - `kwok_nodes`: creates the simulated nodes of a kwok cluster.
//! - `ingress_controller`: applies, replaces and removes an ingress controller.
//! - `image_pull`: has a node pull an image.
//! - `capacity`: lists what `plan` needs to tell how many sandboxes fit.

pub mod capacity;
pub mod image_pull;
pub mod ingress_controller;
pub mod kwok_nodes;
pub mod readiness;
