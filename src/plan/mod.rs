//! Settings → objects: ordered, labelled, rendered. Pure.

pub mod adoption;
pub mod apply_set;
mod build;
pub mod capacity;
pub mod conflict;
pub mod diff;
pub mod extra;
mod field_path;
mod hash;
pub mod ingress;
pub mod kind;
pub mod labels;
pub mod lease;
pub mod leftover;
mod object;
pub mod on_stop;
pub mod owned;
pub mod ownership;
pub mod placement;
pub mod pod_security;
pub mod pull;
pub mod references;
pub mod release;
pub mod revision;
mod scheduling;
pub mod seed;
mod template;
mod values;
pub mod wanted_secret;
pub mod yaml;

/// Name of the Deployment of profile `dev`, and of its Service.
pub const DEV_TARGET: &str = "ubuntu-dev";

pub use build::{Member, Plan, SecretNaming, build, set_of};
pub use field_path::{FieldPath, Owner};
pub use hash::SecretKey;
pub use object::ObjectId;
