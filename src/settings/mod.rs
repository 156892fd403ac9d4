//! config.toml, the environment, `--set` and flags → [`Settings`].
//!
//! Each layer is parsed into a tree that keeps the place of every key and value, checked by itself against the JSON
//! Schema that is made from the types, and laid upon the layer below. What is left is typed, and checked for values
//! that contradict each other. All mistakes are reported at once. Only `read` reads; the rest is pure.
//!
//! No text that leaves this module holds a secret: literals are masked in the source text that diagnostics point
//! into, and are moved out of the tree into [`Settings::secrets`].

mod check;
mod contradictions;
mod effective;
pub mod extra;
pub mod format;
mod layer;
mod manual;
pub mod openhands;
pub mod ours;
mod outcome;
mod profile;
mod read;
pub mod secret;
mod secrets;
mod sensitive;
mod shape;
mod starter;
mod suggest;
mod tolerations;
mod tree;
mod variables;
mod version;
mod write;

use schemars::JsonSchema;

pub use effective::{Origin, Setting, Settings};
pub use manual::{Article, Manual, Unknown, ValueForm};
pub use read::{Flags, Loaded, Request, read, read_without_secrets};
pub use version::AppVersion;

use crate::error::{Error, Result};

/// The whole config.toml.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used: tables are typed one by one")]
struct ConfigFile {
    /// The cluster that handsctl makes or uses.
    cluster: ours::Cluster,
    /// What is deployed, and how.
    deploy: ours::Deploy,
    #[serde(flatten)]
    openhands: openhands::OpenHands,
}

/// JSON Schema (draft 2020-12) of config.toml, made from the types that parse it.
#[must_use]
pub fn json_schema() -> serde_json::Value {
    let mut schema = schemars::schema_for!(ConfigFile);
    // Every table may be absent.
    schema.remove("required");
    schema.insert("additionalProperties".to_owned(), false.into());
    schema.insert("title".to_owned(), "config.toml of OpenHands and handsctl".into());
    schema.to_value()
}

/// The schema as the checker walks it.
fn schema_shape() -> Result<std::sync::Arc<shape::TableShape>> {
    shape::read(&json_schema())
        .map(std::sync::Arc::new)
        .map_err(|error| Error::internal("cannot read the schema").caused_by(error))
}

#[cfg(test)]
mod tests;
