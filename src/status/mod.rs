//! Live objects → verdict and findings. Pure: time is an argument.
//!
//! What goes in:
//! - `observed`: the objects that the watches have shown, with their Events.
//! - `grace`: how long each fault that may heal is waited for.
//!
//! What is made of it:
//! - `evaluate`: each object's status → the verdict: go on, ready, or failed.
//! - `rules`: the status of one object, a rule for each kind.
//! - `verdict`: what is expected, and the answer.
//! - `finding`: one cause of failure, with its evidence.
//!
//! For a set that nobody is waiting for:
//! - `health`: what `status` shows.
//! - `threshold`: metrics beside the thresholds of `[deploy.thresholds]`.
//! - `in_use`: which ConfigMaps and Secrets the running pods refer to.

mod evaluate;
mod finding;
#[cfg(test)]
mod fixtures;
mod grace;
mod health;
mod in_use;
mod observed;
mod rules;
mod threshold;
mod verdict;

pub use evaluate::evaluate;
pub use finding::{Finding, Lookup};
pub use grace::GracePeriods;
pub use health::{ClaimHealth, ComponentHealth, EndpointsHealth, Health, HealthVerdict, health};
pub use in_use::referenced_names;
pub use observed::state::{ObservedState, TrackedKind};
pub use threshold::{Metric, Reading, Threshold};
pub use verdict::{Evaluation, Expected, ObjectState, Verdict};
