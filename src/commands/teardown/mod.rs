//! `teardown`: deletes the set and lists the objects that it keeps.
//!
//! - `command`: the arguments, the help and the steps.
//! - `sandboxes`: the sandboxes that `--sandboxes` deletes. `kept_snapshots`: the snapshots of the volume, which stay.

mod command;
mod kept_snapshots;
mod sandboxes;

pub use command::TeardownArgs;
pub(crate) use command::run;
