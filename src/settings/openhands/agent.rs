//! `[agent]` and `[agent.NAME]`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::condenser::Condenser;
use super::free_table::FreeTable;

/// Default agent, and named agents.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("x-unknown" = "section"))]
pub struct Agent {
    /// Options of the default agent.
    #[serde(flatten)]
    pub options: AgentOptions,
    /// Named agents, each with the options that differ from the default agent's.
    #[serde(flatten)]
    pub named: BTreeMap<String, NamedAgent>,
}

/// Named agent. Only a named agent can have the three inner tables: under `[agent]` their names would be agents' names.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("x-unknown" = "section"))]
pub struct NamedAgent {
    /// Options of the agent.
    #[serde(flatten)]
    pub options: AgentOptions,
    /// Shortening of the agent's long conversations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub condenser: Option<Condenser>,
    /// Routing of the agent's requests to models.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_routing: Option<FreeTable>,
    /// Settings of the agent's extensions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extended: Option<FreeTable>,
}

/// Options of an agent.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("x-unknown" = "section"))]
pub struct AgentOptions {
    /// Whether the agent runs in the terminal client.
    #[schemars(extend("x-since" = "0.55"))]
    #[schemars(extend("default" = false))]
    #[schemars(extend("x-ignored" = "only the terminal client uses it"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cli_mode: Option<bool>,
    /// Name of the `[llm.NAME]` table that the agent uses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub llm_config: Option<String>,
    /// Python class of a custom agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub classpath: Option<String>,
    /// File name of the agent's system prompt.
    #[schemars(extend("x-since" = "0.46"))]
    #[schemars(extend("default" = "system_prompt.j2"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_prompt_filename: Option<String>,
    /// Whether the agent may browse the web.
    #[schemars(extend("default" = true))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_browsing: Option<bool>,
    /// Whether the agent edits files through a model.
    #[schemars(extend("default" = false))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_llm_editor: Option<bool>,
    /// Whether the agent has the standard editor.
    #[schemars(extend("default" = true))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_editor: Option<bool>,
    /// Whether the agent has Jupyter.
    #[schemars(extend("default" = true))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_jupyter: Option<bool>,
    /// Whether the agent has a shell.
    #[schemars(extend("default" = true))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_cmd: Option<bool>,
    /// Whether the agent has the thinking tool.
    #[schemars(extend("default" = true))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_think: Option<bool>,
    /// Whether the agent has the finishing tool.
    #[schemars(extend("default" = true))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_finish: Option<bool>,
    /// Whether the agent may request that its conversation is shortened.
    #[schemars(extend("x-since" = "0.48"))]
    #[schemars(extend("default" = false))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_condensation_request: Option<bool>,
    /// Whether prompt extensions, such as microagents, are added to the agent's prompt.
    #[schemars(extend("default" = true))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_prompt_extensions: Option<bool>,
    /// Whether the agent has the tools of `[mcp]`.
    #[schemars(extend("default" = true))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_mcp: Option<bool>,
    /// Names of the microagents that are disabled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disabled_microagents: Option<Vec<String>>,
    /// Whether a conversation is truncated at the model's limit.
    #[schemars(extend("default" = true))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_history_truncation: Option<bool>,
    /// Whether the elements of a web page are marked in the screenshots that the agent gets.
    #[schemars(extend("default" = true))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_som_visual_browsing: Option<bool>,
    /// Whether the agent keeps a list of tasks.
    #[schemars(extend("x-since" = "0.54"))]
    #[schemars(extend("default" = true))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_plan_mode: Option<bool>,
    /// Whether an agent that repeats itself is stopped.
    #[schemars(extend("x-since" = "1.0"))]
    #[schemars(extend("default" = true))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_stuck_detection: Option<bool>,
    /// Runtime for which the agent's tools are chosen.
    #[schemars(extend("x-since" = "0.57"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
}
