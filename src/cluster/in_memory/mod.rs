//! A Kubernetes API server in the process of a test that stores what it is sent, so that whole commands run against it
//! in milliseconds. Where single responses matter, use `scripted` instead.
//!
//! - `server`: requests → responses and watches, and the faults that a test injects.
//! - `call`: the parts of a request.
//! - `store`: the objects and their changes.
//! - `merge`: server-side apply and merge patches.
//! - `workloads`: stands in for the controllers of Deployments and claims.

mod call;
mod merge;
pub(crate) mod server;
mod store;
mod workloads;
