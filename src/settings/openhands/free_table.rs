//! A table whose keys are not checked.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A table whose keys are not checked; it is passed on as written.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FreeTable(pub toml::Table);

impl JsonSchema for FreeTable {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "FreeTable".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "object", "additionalProperties": true })
    }
}
