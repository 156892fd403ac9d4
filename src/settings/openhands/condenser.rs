//! `[condenser]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::free_table::FreeTable;

/// How long conversations are shortened. Where the table is absent, `core.enable_default_condenser` has them
/// summarized; where it is there and not understood, they are not shortened at all.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("x-unknown" = "section"))]
pub struct Condenser {
    /// The way: which of the other keys belong to it is said there. Absent: `noop`.
    #[schemars(extend("x-otherwise" = "the application would not shorten conversations at all"))]
    #[schemars(extend("x-aliases" = {"none": "noop", "summarizing": "llm", "summary": "structured", "masking": "observation_masking", "window": "conversation_window"}))]
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub way: Option<CondenserType>,
    /// Latest observations that are left as they are (`observation_masking`: 100, `browser_output_masking`: 1).
    #[schemars(range(min = 1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attention_window: Option<i64>,
    /// Events at the beginning that always stay; default 1 (`recent`, `llm`, `amortized`, `llm_attention`, `structured`).
    #[schemars(range(min = 0))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_first: Option<i64>,
    /// Events that are kept; default 100 (`recent`).
    #[schemars(range(min = 1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_events: Option<i64>,
    /// Events at which a conversation is shortened; default 100 (`llm`, `amortized`, `llm_attention`, `structured`).
    #[schemars(range(min = 2))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_size: Option<i64>,
    /// Characters of one event that the summarizing model sees; default 10000 (`llm`, `structured`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_event_length: Option<i64>,
    /// The summarizing model: the name of an `[llm.NAME]`, or its keys as a table (`llm`, `llm_attention`,
    /// `structured`; the last takes a table only).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub llm_config: Option<CondenserModel>,
    /// Condensers one after another, each a table with its `type` (`pipeline`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub condensers: Option<Vec<FreeTable>>,
}

/// A way to shorten conversations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CondenserType {
    /// Nothing is shortened.
    Noop,
    /// Old observations are hidden.
    ObservationMasking,
    /// Old pages of the browser are hidden.
    BrowserOutputMasking,
    /// Only the latest events are kept.
    Recent,
    /// A model summarizes what is forgotten.
    Llm,
    /// Events in the middle are forgotten.
    Amortized,
    /// A model says which events matter.
    LlmAttention,
    /// A model fills in a summary of a fixed form.
    Structured,
    /// Several one after another.
    Pipeline,
    /// Half of the conversation is forgotten when the model's limit is reached.
    ConversationWindow,
}

/// The model of a condenser.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum CondenserModel {
    /// The name of an `[llm.NAME]`.
    Named(String),
    /// Keys as in `[llm]`.
    Inline(FreeTable),
}

impl CondenserType {
    /// Every key that belongs to some way.
    pub const ALL_KEYS: &'static [&'static str] = &[
        "attention_window",
        "condensers",
        "keep_first",
        "llm_config",
        "max_event_length",
        "max_events",
        "max_size",
    ];

    /// Keys that go with this way; every other one makes the application use no condenser.
    #[must_use]
    pub const fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Noop | Self::ConversationWindow => &[],
            Self::ObservationMasking | Self::BrowserOutputMasking => &["attention_window"],
            Self::Recent => &["keep_first", "max_events"],
            Self::Llm | Self::Structured => &["keep_first", "llm_config", "max_event_length", "max_size"],
            Self::Amortized => &["keep_first", "max_size"],
            Self::LlmAttention => &["keep_first", "llm_config", "max_size"],
            Self::Pipeline => &["condensers"],
        }
    }

    /// Whether a model is needed.
    #[must_use]
    pub const fn needs_model(self) -> bool {
        matches!(self, Self::Llm | Self::LlmAttention | Self::Structured)
    }
}
