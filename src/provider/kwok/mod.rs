//! kwok: a real control plane runs as processes on loopback, nodes are simulated.
//!
//! - `up`: creates, starts or reuses a cluster. `start`: creates one. `restart`: starts what is not running. `delete`:
//!   deletes it.
//! - `status`: the status of a cluster.
//! - `spec`: the spec of a cluster. `ports`: chooses free ports. `folder`: the cluster's files on disk.
//! - `config`: kwokctl's configuration file. `kwokctl`: runs kwokctl. `processes`: finds and kills its processes.
//! - `objects`: nodes and storage class. `evidence`: saves the logs of a failure.

mod config;
pub(super) mod delete;
mod evidence;
mod folder;
mod kwokctl;
mod objects;
mod ports;
mod processes;
mod restart;
mod spec;
mod start;
mod status;
mod up;

pub(super) use delete::{delete_replaced, down};
pub use objects::objects;
pub use spec::KwokSpec;
pub use status::{KwokDetails, ProcessStatus};
pub(super) use status::{own_kubeconfig, recorded_differences, status};
pub(super) use up::up;
