//! `[model_routing]`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::free_table::FreeTable;

/// Which model answers what.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("x-unknown" = "crash"))]
pub struct ModelRouting {
    /// The router; absent: `noop_router`.
    #[schemars(extend("default" = "noop_router"))]
    #[schemars(extend("x-otherwise" = "no conversation would start"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub router_name: Option<Router>,
    /// Models to choose from.
    #[schemars(extend("x-ignored" = "the application takes every [llm.NAME] with for_routing = true instead"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub llms_for_routing: Option<BTreeMap<String, FreeTable>>,
}

/// How a model is chosen (`openhands/llm/router/`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Router {
    /// None is: `[llm]` answers everything.
    NoopRouter,
    /// What has images in it goes to a model that sees them.
    MultimodalRouter,
}
