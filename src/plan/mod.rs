//! Settings → the plan of the set's objects, and its comparison with the cluster. Pure.
//!
//! The desired state:
//! - `build`: settings → [`Plan`].
//! - `desired`: the plan and its members. `goal`: the configuration or a kept revision, which becomes the plan.
//! - `manifests`: templates, the values of their placeholders, and objects without a template.
//!
//! Its record in the cluster:
//! - `inventory`: the ApplySet and its members, revisions, the lock's Lease, and prune decisions.
//!
//! Its comparison with the cluster:
//! - `changes`: the plan and the live objects → the changes that a run has to make. `deletions`: claims that are being
//!   deleted while a workload holds them.
//! - `ownership`: fields and objects that others manage.
//! - `checks`: facts and warnings that are determined before anything is sent.
//! - `diff`: the changes of a deploy, field by field.
//!
//! After a failure:
//! - `config_keys`: what the cluster reports → the keys of config.toml that cause it. `rejection_words`: a rejection in words.

pub mod build;
pub mod changes;
pub mod checks;
pub mod config_keys;
pub mod deletions;
pub mod desired;
pub mod diff;
pub mod goal;
#[cfg(test)]
pub(crate) mod history_model;
pub mod inventory;
pub mod manifests;
pub mod ownership;
pub mod rejection_words;

pub use build::{apply_set_for, build};
pub use desired::{Member, Plan, PlanOrigin, SecretNaming};
pub use manifests::content_hash::SecretKey;
