//! `teardown`: deletes the set and lists the objects that it keeps.
//!
//! - `command`: the arguments, the help and the steps.

mod command;

pub use command::TeardownArgs;
pub(crate) use command::run;
