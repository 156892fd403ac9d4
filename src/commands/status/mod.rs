//! The command `status`: one verdict with its reasons and its exit code.
//!
//! - `command`: its arguments and its steps.
//! - `read`: reads the cluster and probes the application. `assess`: compares the set with its record.
//!   `pods`: the pods that it compares with, and what others added to them.
//!   `routes`: what keeps an Ingress from being served.
//! - `wait`: reads again after each change, until the application is healthy.
//! - `thresholds`: measures the running application and compares it with `[deploy.thresholds]`.
//! - `print`: the report as text. `output`: the report for programs.

mod assess;
mod command;
mod output;
mod pods;
mod print;
mod read;
mod routes;
mod thresholds;
mod wait;

pub use command::StatusArgs;
pub(in crate::commands) use command::read_judged;
pub(crate) use command::run;
pub(crate) use output::StatusObject;
pub(in crate::commands) use read::StatusReport;
