//! kind: the nodes of a cluster are containers.
//!
//! - `up`: creates, starts or reuses a cluster. `start`: creates or starts one. `delete`: deletes it.
//! - `status`: the status of a cluster. `inspect`: reads its record and nodes and determines its owner.
//! - `spec`: the spec of a cluster. `config`: kind's configuration file. `folder`: the cluster's files on disk.
//!
//! Before anything is created:
//! - `preflight`: reads facts about this computer. `host_checks`: checks them. Pure.
//! - `ports`, `sockets`: find the process that listens on a port.
//!
//! While kind runs:
//! - `progress`: parses kind's output into steps.
//! - `failure_reason`: derives the reason of a failure. `evidence`: saves the logs of a failure.
//!
//! On a running cluster:
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

pub(super) use delete::{delete_replaced, down};
pub(super) use host_checks::no_engine_error;
pub use host_checks::{HostFinding, HostReport};
pub use images::{LoadedImage, Nodes, Require};
pub(super) use images::{load, nodes_with, replaced};
pub(super) use preflight::inspect_host;
pub use spec::KindSpec;
pub use status::{KindDetails, NodeStatus};
pub(super) use status::{own_kubeconfig, recorded_differences, recorded_ports, status, status_on};
pub(super) use up::up;
