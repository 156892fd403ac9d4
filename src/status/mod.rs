//! Live objects → verdict and findings. Pure: the time is an argument.
//!
//! Input:
//! - `observed`: the objects that the watches have received, with their Events.
//! - `grace`: how long, or for how many restarts, each kind of fault may heal before it is final.
//!
//! Evaluation:
//! - `evaluate`: the health of each object → the verdict: ready, waiting, or failed.
//! - `rules`: the health of one object, with a rule for each kind.
//! - `verdict`: the expected objects, and the result of the evaluation.
//! - `finding`: one cause of failure, with its evidence.
//!
//! Outside of a rollout:
//! - `health`: the health of a set for `handsctl status`.
//! - `threshold`: metrics, compared with `[deploy.thresholds]`.
//! - `rejected`: Deployments whose pods the API server has rejected.
//! - `sandbox`: sandboxes that have ended, whose rest blocks their conversation.
//! - `in_use`: names of ConfigMaps and Secrets that the running pods refer to.

mod evaluate;
mod finding;
#[cfg(test)]
mod fixtures;
mod grace;
mod health;
mod in_use;
mod observed;
mod rejected;
mod rules;
pub mod sandbox;
mod threshold;
mod verdict;

pub use evaluate::evaluate;
pub use finding::{Finding, Lookup};
pub use grace::GracePeriods;
pub use health::{ClaimHealth, ComponentHealth, EndpointsHealth, Health, HealthVerdict, health};
pub use in_use::referenced_names;
pub use observed::state::{ObservedState, TrackedKind};
pub use rejected::rejected_deployments;
pub use threshold::{Metric, Reading, Threshold};
pub use verdict::{Evaluation, Expected, ObjectState, Verdict};
