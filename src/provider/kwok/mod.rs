//! kwok: a real control plane as processes on loopback, with simulated nodes.
//!
//! - `up`: creates, starts or reuses a cluster. `start`: creates or starts one. `delete`: deletes it.
//! - `status`: what `cluster status` shows.
//! - `spec`: what a cluster is made from. `ports`: free ports for it. `folder`: where its files are.
//! - `config`: the file that kwokctl is given. `kwokctl`: runs it. `processes`: what it has started.
//! - `objects`: nodes and storage class. `evidence`: what is kept of a failure.

mod config;
pub(super) mod delete;
mod evidence;
mod folder;
mod kwokctl;
mod objects;
mod ports;
mod processes;
mod spec;
mod start;
mod status;
mod up;

pub(super) use delete::down;
pub use objects::objects;
pub use spec::KwokSpec;
pub(super) use status::status;
pub use status::{KwokDetails, ProcessStatus};
pub(super) use up::up;
