//! `[llm]` and `[llm.NAME]`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::free_table::FreeTable;
use crate::settings::format::HttpUrl;
use crate::settings::secrets::value::Secret;

/// The model that is used where no other is named, and named ones.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("x-unknown" = "section"))]
pub struct Llm {
    /// The model that is used where no other is named.
    #[serde(flatten)]
    pub options: LlmOptions,
    /// Further models, each with what differs from the first.
    #[serde(flatten)]
    pub named: BTreeMap<String, LlmOptions>,
}

/// A model and how it is called.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("x-unknown" = "section"))]
pub struct LlmOptions {
    /// Name of the model as litellm spells it: `anthropic/claude-sonnet-4-20250514`.
    #[schemars(extend("default" = "claude-sonnet-4-20250514"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Key of the model's provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key: Option<Secret>,
    /// Address of the API, for models of your own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_url: Option<HttpUrl>,
    /// Version of the API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// Access key for models on AWS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aws_access_key_id: Option<Secret>,
    /// Secret access key for models on AWS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aws_secret_access_key: Option<Secret>,
    /// Region for models on AWS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aws_region_name: Option<String>,
    /// Site that `OpenRouter` is told.
    #[schemars(extend("default" = "https://docs.all-hands.dev/"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub openrouter_site_url: Option<String>,
    /// Name that `OpenRouter` is told.
    #[schemars(extend("default" = "OpenHands"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub openrouter_app_name: Option<String>,
    /// How often a failed call is repeated.
    #[schemars(extend("default" = 5))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_retries: Option<i64>,
    /// Growth of the wait between repetitions.
    #[schemars(extend("default" = 8))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_multiplier: Option<f64>,
    /// Shortest wait in seconds.
    #[schemars(extend("default" = 8))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_min_wait: Option<i64>,
    /// Longest wait in seconds.
    #[schemars(extend("default" = 64))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_max_wait: Option<i64>,
    /// Seconds after which a call fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<i64>,
    /// Characters of one observation that reach the model.
    #[schemars(extend("default" = 30000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_message_chars: Option<i64>,
    /// Sampling temperature.
    #[schemars(extend("default" = 0.0))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Nucleus sampling.
    #[schemars(extend("default" = 1.0))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// Top-k sampling.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_k: Option<f64>,
    /// Provider, where the name of the model does not say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom_llm_provider: Option<String>,
    /// Largest input in tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_input_tokens: Option<i64>,
    /// Largest answer in tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<i64>,
    /// Price of an input token, for the cost that is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_cost_per_token: Option<f64>,
    /// Price of an output token, for the cost that is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_cost_per_token: Option<f64>,
    /// Address of Ollama.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ollama_base_url: Option<HttpUrl>,
    /// Whether parameters that the model does not know are left out.
    #[schemars(extend("default" = true))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drop_params: Option<bool>,
    /// Whether litellm may mend parameters.
    #[schemars(extend("default" = true))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modify_params: Option<bool>,
    /// Whether images are kept from a model that could see them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disable_vision: Option<bool>,
    /// Whether stop words are not sent.
    #[schemars(extend("x-since" = "0.53"))]
    #[schemars(extend("default" = false))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disable_stop_word: Option<bool>,
    /// Whether the provider's prompt cache is used.
    #[schemars(extend("default" = true))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caching_prompt: Option<bool>,
    /// Whether every call is written to a file.
    #[schemars(extend("default" = false))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_completions: Option<bool>,
    /// Directory of those files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_completions_folder: Option<String>,
    /// Tokenizer that counts tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom_tokenizer: Option<String>,
    /// Whether the model's own tool calls are used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub native_tool_calling: Option<bool>,
    /// `low`, `medium`, `high` or `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_effort: Option<String>,
    /// Seed of the sampling.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<i64>,
    /// Safety settings of models that have them.
    #[schemars(extend("x-since" = "0.46"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub safety_settings: Option<Vec<BTreeMap<String, String>>>,
    /// Whether this model takes part in `[model_routing]`.
    #[schemars(extend("x-since" = "0.56"))]
    #[schemars(extend("default" = false))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub for_routing: Option<bool>,
    /// How often a malformed answer is asked for again.
    #[schemars(extend("x-since" = "0.60"))]
    #[schemars(extend("default" = 5))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correct_num: Option<i64>,
    /// Further arguments of every call.
    #[schemars(extend("x-since" = "0.60"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completion_kwargs: Option<FreeTable>,
}
