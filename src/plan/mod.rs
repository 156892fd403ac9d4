//! Settings → objects: ordered, labelled, rendered. Pure.

pub mod adoption;
pub mod apply_set;
mod build;
pub mod capacity;
pub mod conflict;
pub mod diff;
pub mod extra;
mod hash;
pub mod ingress;
pub mod lease;
pub mod leftover;
pub mod on_stop;
pub mod ownership;
pub mod placement;
pub mod pod_security;
pub mod pull;
pub mod release;
pub mod revision;
mod scheduling;
pub mod seed;
mod template;
mod values;
pub mod wanted_secret;

/// Name of the Deployment of profile `dev`, and of its Service.
pub const DEV_TARGET: &str = "ubuntu-dev";

pub use build::{Member, Plan, SecretNaming, build, set_of};
pub use hash::SecretKey;
