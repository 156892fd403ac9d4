//! Everything that OpenHands reads from config.toml.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::agent::Agent;
use super::condenser::Condenser;
use super::core::Core;
use super::free_table::FreeTable;
use super::kubernetes::{Kubernetes, Security};
use super::llm::Llm;
use super::mcp::Mcp;
use super::model_routing::ModelRouting;
use super::sandbox::Sandbox;

/// Everything that OpenHands reads from config.toml.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct OpenHands {
    /// The application itself.
    pub core: Core,
    /// The model that is used where no other is named, and named ones as `[llm.NAME]`.
    pub llm: Llm,
    /// The agent that is used where no other is named, and named ones as `[agent.NAME]`.
    pub agent: Agent,
    /// What conversations run in.
    pub sandbox: Sandbox,
    /// Objects that the application makes for every conversation.
    pub kubernetes: Kubernetes,
    /// What the agent may do without being asked.
    pub security: Security,
    /// How long conversations are shortened.
    pub condenser: Condenser,
    /// Servers of the Model Context Protocol.
    pub mcp: Mcp,
    /// Settings of extensions.
    pub extended: FreeTable,
    /// Which model answers what.
    #[schemars(extend("x-since" = "0.56"))]
    pub model_routing: ModelRouting,
}
