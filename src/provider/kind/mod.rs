//! kind: containers as nodes.
//!
//! - `up`: creates, starts or reuses a cluster. `start`: creates or starts one. `delete`: deletes it.
//! - `status`: what `cluster status` shows. `inspect`: whose the cluster of this name is.
//! - `spec`: what a cluster is made from. `config`: the file that kind is given. `folder`: where its files are.
//!
//! Before anything is created:
//! - `preflight`: reads the facts of this computer. `host_checks`: what follows from them. Pure.
//! - `ports`, `sockets`: who listens on a port.
//!
//! While kind runs:
//! - `progress`: kind's own words → steps.
//! - `failure_reason`: what stopped it. `evidence`: what is kept of a failure.
//!
//! - `images`: loads images of the engine onto the nodes.

mod config;
pub(super) mod delete;
mod evidence;
mod failure_reason;
mod folder;
mod host_checks;
mod images;
mod inspect;
mod ports;
mod preflight;
mod progress;
mod sockets;
mod spec;
mod start;
mod status;
mod up;

pub(super) use delete::down;
pub use images::{LoadedImage, Nodes, Require};
pub(super) use images::{load, nodes_with};
pub use spec::KindSpec;
pub use status::{KindDetails, NodeStatus};
pub(super) use status::{made_ports, status};
pub(super) use up::up;
