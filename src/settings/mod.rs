//! config.toml, the environment, `--set` and flags → [`Settings`]. Pure but for `load/read.rs`.
//!
//! The way from text to settings:
//! - `load`: each source is parsed into a tree that keeps the place of every key, checked against the JSON Schema that
//!   is made from the types, and laid upon the source below it.
//! - `secrets`: secrets are taken out of the tree. No text that leaves this room holds one.
//! - `resolved`: what is left is typed: [`Settings`].
//! - `rules`: values that are fine by themselves and cannot work together.
//!
//! The types:
//! - `openhands`: OpenHands' own tables.
//! - `handsctl`: `[cluster]` and `[deploy]`.
//! - `format`: texts with a form of their own: names, images, quantities.
//! - `profile`: what a profile changes.
//! - `extra_manifests`: the user's own objects.
//! - `sandbox_tolerations`: the value of `[kubernetes] tolerations_yaml`.
//!
//! What follows from them for the application:
//! - `app_version`: which OpenHands it is.
//! - `app_env`: its environment variables.
//!
//! For people:
//! - `docs`: the reference of every key, and the file that `config init` writes.

mod app_env;
mod app_version;
mod docs;
pub mod extra_manifests;
pub mod format;
pub mod handsctl;
mod load;
pub mod openhands;
mod profile;
mod resolved;
mod rules;
mod sandbox_tolerations;
pub mod secrets;

pub use app_version::AppVersion;
pub use docs::reference::{KeyDoc, KeyReference, UnknownKeys, ValueForm};
pub use load::read::{Flags, Loaded, Request, read, read_without_secrets};
pub use load::schema::json_schema;
pub use resolved::{KeyOrigin, KeyValue, Settings};

#[cfg(test)]
mod tests;
