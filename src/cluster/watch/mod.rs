//! The objects of a set, kept up to date by watches.
//!
//! - `watcher`: one watch per scope, over as many connections as it takes.
//! - `outage`: whether what the watches have shown is current.
//! - `store`: the objects that watches show, for waits on any condition. `wait_clock`: deadline and heartbeat of a wait.
//! - `observe`: what watches show → the state that `status` evaluates.
//! - `observed_set`: the members of a set and everything that belongs to them.

pub mod observe;
pub mod observed_set;
pub(super) mod outage;
pub(super) mod store;
pub(super) mod wait_clock;
pub mod watcher;
