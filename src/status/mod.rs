//! Live objects → verdict and findings. Pure: the time is an argument.
//!
//! Input:
//! - `observed`: the objects that the watches have received. `grace`: how long each fault may heal before it is final.
//!
//! Evaluation:
//! - `evaluate`: the health of each object → the verdict. `rules`: the health of one object, with a rule for each kind.
//! - `verdict`: the expected objects, and the result of the evaluation. `finding`: one cause, with its evidence.
//!
//! Outside of a rollout:
//! - `health`: the health of a set for `handsctl status`. `audit`: states of a running set that no rollout evaluates.
//! - `next_command`: findings → commands that fix them. `log_lines`: the end of a log, without its repetitions.
//! - `looked_up`: objects read for a finding → its evidence. `threshold`: metrics, compared with `[deploy.thresholds]`.
//! - `unanswered`: an application that does not answer. `unwatched`: objects of which nothing tells whether they work.
//! - `rejected`: Deployments whose pods are rejected. `without_rollout`: objects that cannot do their work.
//! - `sandbox`: the sandboxes of conversations: which have ended, and which a stop of the application concerns.
//! - `replaced_images`: pods with an earlier build of their image. `in_use`: ConfigMaps and Secrets of running pods.

mod audit;
mod evaluate;
mod finding;
#[cfg(test)]
mod fixtures;
mod grace;
mod health;
mod in_use;
mod log_lines;
pub mod looked_up;
mod next_command;
mod observed;
mod rejected;
mod replaced_images;
mod rules;
pub mod sandbox;
mod threshold;
mod unanswered;
mod unwatched;
mod verdict;
mod without_rollout;

pub use audit::{paused_rollouts, scale_command, scaled_to_zero_at, terminating_finding, unfit_replicas};
pub use evaluate::evaluate;
pub use finding::{Exhibit, Finding, LogRun, Lookup, NodeQuestion, PodClaims};
pub use grace::GracePeriods;
pub use health::{
    ClaimHealth, ComponentHealth, ContainerExit, EndpointsHealth, Health, HealthVerdict, health,
};
pub use in_use::referenced_names;
pub use log_lines::{fold_similar, is_absent_log, shorten};
pub use next_command::{is_about_a_pod, with_next_command};
pub use observed::state::{ObservedState, TrackedKind};
pub use rejected::rejected_deployments;
pub use replaced_images::{replaced_image_finding, running_images};
pub use rules::container_states::{ContainerReport, EventReport};
pub use sandbox::{SandboxCleanup, SandboxHealth, sandbox_health, stuck_reason};
pub use threshold::{Metric, MetricHistory, Reading, Threshold, VolumeUsage};
pub use unanswered::{automation_down, unanswered_probe, unreachable_url};
pub use unwatched::is_unwatched;
pub use verdict::{Evaluation, Expected, ObjectState, Verdict};
pub use without_rollout::{unready_before, without_effect};
