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
    /// General settings of the application.
    pub core: Core,
    /// Default model, and named models as `[llm.NAME]`.
    pub llm: Llm,
    /// Default agent, and named agents as `[agent.NAME]`.
    pub agent: Agent,
    /// Sandboxes, in which conversations run.
    pub sandbox: Sandbox,
    /// Objects that the application creates for every conversation.
    pub kubernetes: Kubernetes,
    /// Confirmation and analysis of the agent's actions.
    pub security: Security,
    /// Shortening of long conversations.
    pub condenser: Condenser,
    /// Servers of the Model Context Protocol.
    pub mcp: Mcp,
    /// Settings of extensions.
    pub extended: FreeTable,
    /// Routing of requests to models.
    #[schemars(extend("x-since" = "0.56"))]
    pub model_routing: ModelRouting,
}
