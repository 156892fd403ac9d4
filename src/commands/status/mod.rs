//! The command `status`: one verdict with its reasons and its exit code.
//!
//! - `command`: reads the state of the set and prints it.
//! - `thresholds`: measures the running application and compares it with `[deploy.thresholds]`.

mod command;
mod thresholds;

pub use command::StatusArgs;
pub(crate) use command::run;
