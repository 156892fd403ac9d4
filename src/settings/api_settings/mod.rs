//! config.toml → the settings of an application that takes them by its API.
//!
//! - `carried`: the keys that it has a field for. `not_carried`: why it has none for the others.
//! - `field`: a field of its settings. `condenser`: those that shorten conversations. `model`: a model with its secrets. `named_models`: the models of `[llm.NAME]`.
//! - `desired`: all configured settings.

mod carried;
mod condenser;
mod desired;
mod field;
mod model;
mod named_models;
mod not_carried;

pub use desired::ApiSettings;
pub use field::{Field, Group};
pub use model::{ModelSecret, ModelSettings};
pub use named_models::{DEFAULT_PROFILE, is_profile_name};
pub(crate) use not_carried::why_not_carried;
