//! `[llm]` and `[llm.NAME]`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::free_table::FreeTable;
use crate::settings::format::HttpUrl;
use crate::settings::secrets::value::Secret;

/// Default model, and named models.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("x-unknown" = "section"))]
pub struct Llm {
    /// Options of the default model.
    #[serde(flatten)]
    pub options: LlmOptions,
    /// Named models, each with the options that differ from the default model's.
    #[serde(flatten)]
    pub named: BTreeMap<String, LlmOptions>,
}

/// A model and the options of calls to it.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("x-unknown" = "section"))]
pub struct LlmOptions {
    /// Name of the model as litellm spells it: `anthropic/claude-sonnet-4-20250514`.
    #[schemars(extend("default" = "claude-sonnet-4-20250514"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// API key of the model's provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key: Option<Secret>,
    /// Base URL of the model's API, for self-hosted models.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_url: Option<HttpUrl>,
    /// Version of the API of the model's provider.
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
    /// URL of the site that is reported to `OpenRouter`.
    #[schemars(extend("default" = "https://docs.all-hands.dev/"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub openrouter_site_url: Option<String>,
    /// Name of the application that is reported to `OpenRouter`.
    #[schemars(extend("default" = "OpenHands"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub openrouter_app_name: Option<String>,
    /// Number of retries of a failed call to the model.
    #[schemars(extend("default" = 5))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_retries: Option<i64>,
    /// Factor by which the wait between retries of a call to the model grows.
    #[schemars(extend("default" = 8))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_multiplier: Option<f64>,
    /// Shortest wait between retries of a call to the model, in seconds.
    #[schemars(extend("default" = 8))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_min_wait: Option<i64>,
    /// Longest wait between retries of a call to the model, in seconds.
    #[schemars(extend("default" = 64))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_max_wait: Option<i64>,
    /// Seconds after which a call to the model times out.
    #[schemars(extend("examples" = [120]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<i64>,
    /// Number of characters of one observation that are sent to the model.
    #[schemars(extend("default" = 30000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_message_chars: Option<i64>,
    /// Sampling temperature of the model.
    #[schemars(extend("default" = 0.0))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Probability mass of the model's nucleus sampling (top-p).
    #[schemars(extend("default" = 1.0))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// Number of candidate tokens in the model's top-k sampling.
    #[schemars(extend("examples" = [40.0]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_k: Option<f64>,
    /// Provider of the model, if the model's name does not contain it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom_llm_provider: Option<String>,
    /// Largest input of the model, in tokens.
    #[schemars(extend("examples" = [128_000]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_input_tokens: Option<i64>,
    /// Largest answer of the model, in tokens.
    #[schemars(extend("examples" = [8192]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<i64>,
    /// Price of one input token, for the displayed cost.
    #[schemars(extend("examples" = [0.000_003]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_cost_per_token: Option<f64>,
    /// Price of one output token, for the displayed cost.
    #[schemars(extend("examples" = [0.000_015]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_cost_per_token: Option<f64>,
    /// URL of the Ollama server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ollama_base_url: Option<HttpUrl>,
    /// Whether parameters that the model does not support are left out.
    #[schemars(extend("default" = true))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drop_params: Option<bool>,
    /// Whether litellm may adapt parameters to the model.
    #[schemars(extend("default" = true))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modify_params: Option<bool>,
    /// Whether images are withheld from a model that supports them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disable_vision: Option<bool>,
    /// Whether stop words are left out of calls to the model.
    #[schemars(extend("x-since" = "0.53"))]
    #[schemars(extend("default" = false))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disable_stop_word: Option<bool>,
    /// Whether the prompt cache of the model's provider is used.
    #[schemars(extend("default" = true))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caching_prompt: Option<bool>,
    /// Whether every call to the model is logged to a file.
    #[schemars(extend("default" = false))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_completions: Option<bool>,
    /// Directory of the files that `log_completions` writes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_completions_folder: Option<String>,
    /// Name of the tokenizer that counts the model's tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom_tokenizer: Option<String>,
    /// Whether the model's native tool calling is used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub native_tool_calling: Option<bool>,
    /// Reasoning effort of the model: `low`, `medium`, `high` or `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_effort: Option<String>,
    /// Seed of the model's sampling, for repeatable answers.
    #[schemars(extend("examples" = [42]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<i64>,
    /// Safety settings of a model that has some, such as Gemini.
    #[schemars(extend("x-since" = "0.46"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub safety_settings: Option<Vec<BTreeMap<String, String>>>,
    /// Whether this model takes part in `[model_routing]`.
    #[schemars(extend("x-since" = "0.56"))]
    #[schemars(extend("default" = false))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub for_routing: Option<bool>,
    /// Number of retries after a malformed answer of the model.
    #[schemars(extend("x-since" = "0.60"))]
    #[schemars(extend("default" = 5))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correct_num: Option<i64>,
    /// Additional arguments of every call to the model.
    #[schemars(extend("x-since" = "0.60"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completion_kwargs: Option<FreeTable>,
}
