//! `[agent]` and `[agent.NAME]`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::condenser::Condenser;
use super::free_table::FreeTable;

/// The agent that is used where no other is named, and named ones.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("x-unknown" = "section"))]
pub struct Agent {
    /// The agent that is used where no other is named.
    #[serde(flatten)]
    pub options: AgentOptions,
    /// Further agents, each with what differs from the first.
    #[serde(flatten)]
    pub named: BTreeMap<String, NamedAgent>,
}

/// An agent by its name. Only here may the three tables stand: under `[agent]` they would be names of agents.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("x-unknown" = "section"))]
pub struct NamedAgent {
    /// What every agent has.
    #[serde(flatten)]
    pub options: AgentOptions,
    /// How long conversations are shortened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub condenser: Option<Condenser>,
    /// Which model answers what.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_routing: Option<FreeTable>,
    /// Settings of extensions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extended: Option<FreeTable>,
}

/// What an agent may use.
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
    /// Name of the `[llm.NAME]` to use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub llm_config: Option<String>,
    /// Python class of an agent of your own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub classpath: Option<String>,
    /// File name of the system prompt.
    #[schemars(extend("x-since" = "0.46"))]
    #[schemars(extend("default" = "system_prompt.j2"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_prompt_filename: Option<String>,
    /// Whether the agent may browse.
    #[schemars(extend("default" = true))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_browsing: Option<bool>,
    /// Whether a model edits files.
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
    /// Whether the agent may ask for a shorter history.
    #[schemars(extend("x-since" = "0.48"))]
    #[schemars(extend("default" = false))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_condensation_request: Option<bool>,
    /// Whether prompts are extended.
    #[schemars(extend("default" = true))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_prompt_extensions: Option<bool>,
    /// Whether the agent has the tools of `[mcp]`.
    #[schemars(extend("default" = true))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_mcp: Option<bool>,
    /// Names of microagents that are switched off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disabled_microagents: Option<Vec<String>>,
    /// Whether the history is cut at the model's limit.
    #[schemars(extend("default" = true))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_history_truncation: Option<bool>,
    /// Whether elements of a page are marked in screenshots.
    #[schemars(extend("default" = true))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_som_visual_browsing: Option<bool>,
    /// Whether the agent keeps a list of tasks.
    #[schemars(extend("x-since" = "0.54"))]
    #[schemars(extend("default" = true))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_plan_mode: Option<bool>,
    /// Whether an agent that goes round in circles is stopped.
    #[schemars(extend("x-since" = "1.0"))]
    #[schemars(extend("default" = true))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_stuck_detection: Option<bool>,
    /// Runtime that the agent's tools are chosen for.
    #[schemars(extend("x-since" = "0.57"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
}
