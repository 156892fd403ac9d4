//! One verdict with reasons; the exit code says it.
//!
//! - `command`: reads the state of the set and prints it.
//! - `thresholds`: metrics of the running application beside `[deploy.thresholds]`.

mod command;
mod thresholds;

pub use command::StatusArgs;
pub(crate) use command::run;
