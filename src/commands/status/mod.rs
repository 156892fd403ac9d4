//! The command `status`: one verdict with its reasons and its exit code.
//!
//! - `command`: its arguments and its steps.
//! - `read`: reads the cluster and probes the application. `assess`: compares the set with its record.
//!   `pods`: the pods that it compares with, and what others added to them.
//!   `routes`: what keeps an Ingress from being served.
//! - `judge`: the verdict with the application's answers, and its exit code.
//! - `wait`: reads again after each change, until the application is healthy.
//! - `watch`: shows each change until Ctrl-C.
//! - `thresholds`: measures the running application and compares it with `[deploy.thresholds]`.
//! - `all`: the verdicts of all installations of the cluster.
//! - `print`: the report as text. `output`: the report for programs.

mod all;
mod assess;
mod command;
mod judge;
mod output;
mod pods;
mod print;
mod read;
mod routes;
mod thresholds;
mod wait;
mod watch;

pub(crate) use all::InstallationStatus;
pub use command::StatusArgs;
pub(crate) use command::run;
pub(in crate::commands) use judge::{Drift, read_judged};
pub(crate) use output::StatusObject;
pub(in crate::commands) use read::StatusReport;
