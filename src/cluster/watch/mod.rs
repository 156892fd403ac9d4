//! The objects of a set, kept up to date by watches.
//!
//! - `watcher`: one watch per kind and namespace; reopens it after each disconnection, with backoff.
//! - `outage`: marks the watched state as stale while the API server does not respond.
//! - `store`: the watched objects, for waits on any condition. `wait_clock`: deadline and heartbeat of a wait.
//! - `observe`: watched changes → the state that `status` evaluates.
//! - `observed_set`: the members of a set and the objects that belong to them. `deployed`: a deployed set with its record, for
//!   `status`.

pub mod deployed;
pub mod observe;
pub mod observed_set;
pub(super) mod outage;
pub(super) mod store;
pub(super) mod wait_clock;
pub mod watcher;
