//! Settings → objects: ordered, labelled, rendered. Pure.

pub mod apply_set;
mod build;
pub mod diff;
mod hash;
pub mod kind;
pub mod labels;
pub mod lease;
pub mod leftover;
mod object;
pub mod owned;
pub mod pod_security;
pub mod references;
pub mod revision;
mod template;
mod values;
pub mod yaml;

pub use build::{Member, Plan, SecretNaming, build, set_of};
pub use hash::SecretKey;
pub use object::ObjectId;
