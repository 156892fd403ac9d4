//! The version of the outputs for programs: `v` of every object, and of every item of a list. Pure.

use schemars::JsonSchema;
use serde::Serialize;

/// The version of all outputs for programs. A version may get additional fields; another number means that a field has
/// another meaning or is gone.
pub(super) const VERSION: u8 = 1;

/// An output with its version.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Versioned<T> {
    /// The version of the schema. A version may get additional fields.
    v: u8,
    #[serde(flatten)]
    output: T,
}

impl<T> Versioned<T> {
    /// Adds the present version to an output, which is an object.
    pub fn new(output: T) -> Self {
        Self { v: VERSION, output }
    }
}
