//! The commands of the local cluster.
//!
//! - `up`: creates, starts or reuses it. `ready_cluster`: the running cluster with its connection.
//!   `await_kind`, `await_kwok`, `await_ingress`: wait until a set can be deployed to it.
//! - `down`: deletes it. `status`: reports whether it exists and runs. `list`: lists all of this user.

mod await_ingress;
mod await_kind;
mod await_kwok;
pub mod down;
pub mod list;
mod ready_cluster;
pub mod status;
pub mod up;
