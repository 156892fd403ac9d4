//! OpenHands' own tables, as `openhands/core/config/*.py` of the published package has them (0.45 to 1.6).
//!
//! Three marks stand in the schema beside the types: `x-unknown` on a table says what the application does with a
//! key that it does not know, `x-ignored` on a key says why the Kubernetes runtime does not use it, `x-since` is the
//! first version that may know the key.

mod agent;
mod condenser;
mod core;
mod kubernetes;
mod llm;
mod mcp;
mod model_routing;
mod sandbox;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use agent::{Agent, AgentOptions, NamedAgent};
pub use condenser::{Condenser, CondenserModel, CondenserType};
pub use core::{Core, FileStore, Runtime};
pub use kubernetes::{Kubernetes, Security};
pub use llm::{Llm, LlmOptions};
pub use mcp::Mcp;
pub use model_routing::{ModelRouting, Router};
pub use sandbox::Sandbox;

/// A table whose keys are not checked: it reaches the application as it is written.
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
