//! `[condenser]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::free_table::FreeTable;

/// Shortening of long conversations. Without this table a model summarizes them if `core.enable_default_condenser` is
/// set; with a table that OpenHands cannot read they are not shortened at all.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("x-unknown" = "section"))]
pub struct Condenser {
    /// How a long conversation is shortened. Each way has its own keys: their descriptions name the ways in parentheses.
    /// Absent: `noop`.
    #[schemars(extend("x-otherwise" = "the application would not shorten conversations at all"))]
    #[schemars(extend("x-aliases" = {"none": "noop", "summarizing": "llm", "summary": "structured", "masking": "observation_masking", "window": "conversation_window"}))]
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub condenser_type: Option<CondenserType>,
    /// Number of a conversation's latest observations that stay unchanged; default 100 (`observation_masking`) or 1
    /// (`browser_output_masking`).
    #[schemars(range(min = 1), extend("examples" = [100]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attention_window: Option<i64>,
    /// Number of a conversation's first events that are always kept; default 1 (`recent`, `llm`, `amortized`, `llm_attention`,
    /// `structured`).
    #[schemars(range(min = 0))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_first: Option<i64>,
    /// Number of a conversation's events that are kept; default 100 (`recent`).
    #[schemars(range(min = 1), extend("examples" = [100]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_events: Option<i64>,
    /// Number of events at which a conversation is shortened; default 100 (`llm`, `amortized`, `llm_attention`,
    /// `structured`).
    #[schemars(range(min = 2), extend("examples" = [100]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_size: Option<i64>,
    /// Number of characters of one event that the summarizing model receives; default 10000 (`llm`, `structured`).
    #[schemars(extend("examples" = [10_000]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_event_length: Option<i64>,
    /// Model that summarizes a conversation: the name of an `[llm.NAME]` table, or its keys as a table (`llm`, `llm_attention`,
    /// `structured`; the last accepts only a table).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub llm_config: Option<CondenserModel>,
    /// Condensers that run one after another, each a table with its `type` (`pipeline`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub condensers: Option<Vec<FreeTable>>,
}

/// Type of a condenser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CondenserType {
    /// Shortens nothing.
    Noop,
    /// Hides old observations.
    ObservationMasking,
    /// Hides old web pages.
    BrowserOutputMasking,
    /// Keeps only the latest events.
    Recent,
    /// A model summarizes the removed events.
    Llm,
    /// Removes events in the middle.
    Amortized,
    /// A model selects the events that matter.
    LlmAttention,
    /// A model fills in a summary of a fixed form.
    Structured,
    /// Runs several condensers one after another.
    Pipeline,
    /// Removes half of the conversation when the model's limit is reached.
    ConversationWindow,
}

/// Model of a condenser.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum CondenserModel {
    /// Name of an `[llm.NAME]` table.
    Named(String),
    /// Keys as in `[llm]`.
    Inline(FreeTable),
}

impl CondenserType {
    /// Every key that applies to some type.
    pub const ALL_KEYS: &'static [&'static str] = &[
        "attention_window",
        "condensers",
        "keep_first",
        "llm_config",
        "max_event_length",
        "max_events",
        "max_size",
    ];

    /// Returns the keys that apply to this type. Any other key makes the application use no condenser.
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

    /// Whether this type needs a model.
    #[must_use]
    pub const fn needs_model(self) -> bool {
        matches!(self, Self::Llm | Self::LlmAttention | Self::Structured)
    }
}
