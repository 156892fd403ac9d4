//! `teardown`: deletes the set and lists the objects that it keeps.
//!
//! - `command`: the arguments, the help and the steps.
//! - `sandboxes`: the sandboxes that `--sandboxes` deletes.

mod command;
mod sandboxes;

pub use command::TeardownArgs;
pub(crate) use command::run;
