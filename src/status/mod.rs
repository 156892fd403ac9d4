//! Live objects → verdicts and findings. Pure: time is an argument.
//!
//! Watches fill a [`World`]; [`judge`] compares it with what the set [`Expected`] and answers with a
//! [`Verdict`], each object's gap, and a [`Finding`] for each final cause. [`health`] sums up a set that
//! nobody is waiting for.
//!
//! One judge per level: container (`container`, `crash`, `probe`, `image`), pod (`pod`, `schedule`), workload
//! (`deployment`, `workload`, `refusal`), claim. Each answers with symptoms that say when they become final;
//! `collapse` makes findings of those that have.

mod claim;
mod collapse;
mod container;
mod crash;
mod deployment;
mod finding;
#[cfg(test)]
mod fixtures;
mod gauge;
mod image;
mod in_use;
mod judge;
mod moment;
mod note;
mod outlook;
mod pod;
mod probe;
mod refusal;
mod schedule;
mod summary;
mod symptom;
mod tolerance;
mod words;
mod workload;
mod world;

pub use finding::{Finding, Lookup};
pub use gauge::{Bound, Gauge, Measured};
pub use in_use::in_use;
pub use judge::{Expected, Judgement, ObjectState, Verdict, judge};
pub use summary::{Claim, Component, Endpoints, Health, HealthVerdict, health};
pub use tolerance::Tolerance;
pub use world::{Watched, World};
