//! `[model_routing]`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::free_table::FreeTable;

/// Routing of requests to models.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("x-unknown" = "crash"))]
pub struct ModelRouting {
    /// Router that chooses the model; absent: `noop_router`.
    #[schemars(extend("default" = "noop_router"))]
    #[schemars(extend("x-otherwise" = "no conversation would start"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub router_name: Option<Router>,
    /// Models from which the router chooses.
    #[schemars(extend("x-ignored" = "the application takes every [llm.NAME] with for_routing = true instead"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub llms_for_routing: Option<BTreeMap<String, FreeTable>>,
}

/// Router that chooses the model (`openhands/llm/router/`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Router {
    /// No routing: the model of `[llm]` answers everything.
    NoopRouter,
    /// Requests with images go to a model that supports images.
    MultimodalRouter,
}
