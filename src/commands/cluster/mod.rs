//! The local cluster.
//!
//! - `up`: creates, starts or reuses it. `ready_cluster`: what it then is.
//!   `await_kind`, `await_kwok`, `await_ingress`: wait until something can be deployed to it.
//! - `down`: deletes it. `status`: whether it is there and running.

mod await_ingress;
mod await_kind;
mod await_kwok;
pub mod down;
mod ready_cluster;
pub mod status;
pub mod up;
