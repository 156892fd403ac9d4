//! Nodes, and the preparation of a new local cluster before the first deploy.
//!
//! - `readiness`: waits for nodes, the default storage class and the controllers.
//! - `kwok_nodes`: creates the simulated nodes of a kwok cluster.
//! - `ingress_controller`: applies, replaces and removes an ingress controller.
//! - `image_pull`: has a node pull an image.
//! - `ended_sandboxes`: deletes what is left of sandboxes that ended with their node.
//! - `capacity`: lists the nodes and pods from which `plan` computes how many sandboxes fit.

pub mod capacity;
pub mod ended_sandboxes;
pub mod image_pull;
pub mod ingress_controller;
pub mod kwok_nodes;
pub mod readiness;
