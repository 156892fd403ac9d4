//! Settings → the objects that a deploy wants in the cluster, and what follows from those that are there. Pure.
//!
//! What is wanted:
//! - `build`: settings → [`Plan`].
//! - `desired`: the plan and its members.
//! - `manifests`: templates, the values of their placeholders, and objects that are made without a template.
//!
//! What is recorded of it in the cluster:
//! - `inventory`: the ApplySet and its members, revisions, the lock's Lease, and what is pruned.
//!
//! What it means for what is there:
//! - `changes`: the plan beside what is there → what a run has to do.
//! - `ownership`: fields and objects that others manage.
//! - `checks`: what can be known before anything is sent.
//! - `diff`: what a deploy would change, field by field.

pub mod build;
pub mod changes;
pub mod checks;
pub mod desired;
pub mod diff;
pub mod inventory;
pub mod manifests;
pub mod ownership;

pub use build::{build, set_of};
pub use desired::{Member, Plan, PlanOrigin, SecretNaming};
pub use manifests::content_hash::SecretKey;
