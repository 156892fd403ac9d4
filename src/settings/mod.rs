//! config.toml, the environment, `--set` and flags → [`Settings`]. Pure but for `load/read.rs`.
//!
//! From text to settings:
//! - `load`: parses each source into a tree with the position of every key, checks it against the JSON Schema that is
//!   generated from the types, and merges it over the sources before it.
//! - `secrets`: moves secrets out of the tree; no text that leaves it has one. `resolved`: the rest, as [`Settings`].
//! - `rules`: reports values that are valid alone but contradict each other.
//!
//! The types:
//! - `openhands`: OpenHands' own tables. `handsctl`: `[cluster]` and `[deploy]`. `format`: names, images, quantities.
//! - `profile`: the presets of `[deploy] profile`. `sandbox_tolerations`: those of sandboxes. `api_settings`: keys for an
//!   application without config.toml. `extra_manifests`: the user's objects. `manifest_fields`: fields that none has.
//!
//! Derived for the application:
//! - `edition`, `app_version`, `app_env`: its edition, version, variables. `left_out`: keys that its file does not get.
//!
//! For people:
//! - `docs`: the reference of every key, and the file of `config init`. `key_changes`: the keys in which two texts differ.
//!   `overridden`: the keys of the file that another source overrides.

pub mod api_settings;
mod app_env;
mod app_version;
mod docs;
pub mod edition;
pub mod extra_manifests;
pub mod format;
pub mod handsctl;
pub mod key_changes;
mod left_out;
mod load;
mod manifest_fields;
pub mod openhands;
mod overridden;
mod profile;
mod resolved;
mod rules;
mod sandbox_tolerations;
pub mod secrets;

pub use app_version::AppVersion;
pub use docs::field_keys::FieldKeys;
pub use docs::reference::{KeyDoc, KeyReference, UnknownKeys, ValueForm};
pub use docs::{template::FirstValues, unset_values::UnsetValue, unset_values::unset_values};
pub use load::diagnose::added_diagnostics;
pub use load::edit::{assigned_key, key_path, with_keys_set};
pub use load::read::{
    Flags, Loaded, Request, check_exposure_elsewhere, config_files, masked_set, read, read_checking_secrets,
    read_unapplied, read_with_available_secrets, read_without_secrets,
};
pub use load::schema::json_schema;
pub(crate) use load::toml_key::dotted as dotted_key;
pub use overridden::overridden_keys;
pub use resolved::{KeyOrigin, KeySources, KeyValue, Settings};
pub use rules::exposing_field::{ExposedBy, ExposingField, PRIVATE_ANNOTATIONS};
pub use rules::exposing_fields::{exposing_fields, fields_beyond, is_judged, services_of_app};
pub use rules::exposure::{SESSION_KEY, accepts_exposure};

#[cfg(test)]
pub(crate) mod tests;
