//! A conversation that runs in the application's own pod, as the application describes it, and when nobody uses it any
//! more.
//!
//! The fields and statuses are those of agent-server 1.49.1 (`openhands/agent_server/models.py`, `ConversationInfo`;
//! `openhands/sdk/conversation/state.py`, `ConversationExecutionStatus`).

use jiff::Timestamp;
use serde_json::Value;

/// The statuses in which no agent works and nobody is asked. A conversation with another status is never deleted, those of
/// later releases among them.
const AT_REST: [&str; 5] = ["idle", "paused", "finished", "error", "stuck"];

/// A conversation that shares the application's pod with all others.
#[derive(Debug, Clone, PartialEq)]
pub struct PodConversation {
    /// Its id, a UUID.
    pub id: String,
    /// The title that the application shows.
    pub title: Option<String>,
    /// `idle`, `running`, `paused`, `waiting_for_confirmation`, `finished`, `error`, `stuck` or `deleting`.
    pub status: String,
    /// The folder in the pod in which its commands run.
    pub folder: Option<String>,
    /// When it was started.
    pub created: Option<Timestamp>,
    /// When its last event was recorded, as the application remembers it: after a KILL of the application this is the time of
    /// an earlier event.
    pub updated: Option<Timestamp>,
    /// The model of its agent.
    pub model: Option<String>,
    /// What the models have cost in US dollars; None before the first request.
    pub cost: Option<f64>,
    /// The conversation that started this one.
    pub parent: Option<String>,
}

impl PodConversation {
    /// Reads a conversation of an answer; None if it is none.
    #[must_use]
    pub fn from_answer(answer: &Value) -> Option<Self> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let time = |value: &Value| value.as_str()?.parse().ok();
        Some(Self {
            id: text(&answer["id"])?,
            title: text(&answer["title"]),
            status: text(&answer["execution_status"])?,
            folder: text(&answer["workspace"]["working_dir"]),
            created: time(&answer["created_at"]),
            updated: time(&answer["updated_at"]),
            model: text(&answer["current_model_id"]).or_else(|| text(&answer["agent"]["llm"]["model"])),
            cost: cost(answer),
            parent: text(&answer["parent_conversation_id"]),
        })
    }

    /// Whether no agent works and nobody is asked.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        AT_REST.contains(&self.status.as_str())
    }

    /// Whether it is at rest, and the application remembers no event since this time. One without a time is in use.
    #[must_use]
    pub fn is_unused_since(&self, cutoff: Timestamp) -> bool {
        self.is_at_rest() && self.updated.is_some_and(|updated| updated < cutoff)
    }

    /// Whether a typed word means this conversation: the beginning of its id, with or without its dashes.
    #[must_use]
    pub fn is_meant_by(&self, typed: &str) -> bool {
        let digits = |text: &str| text.replace('-', "").to_ascii_lowercase();
        digits(&self.id).starts_with(&digits(typed))
    }
}

/// Adds up what each of its models has cost.
fn cost(answer: &Value) -> Option<f64> {
    let models = answer["stats"]["usage_to_metrics"].as_object()?;
    let costs: Vec<f64> =
        models.values().filter_map(|metrics| metrics["accumulated_cost"].as_f64()).collect();
    (!costs.is_empty()).then(|| costs.iter().sum())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::status::sandbox::short_id;

    const ID: &str = "7f26ff04-7111-4ee7-9106-4c95ea6e6f3e";

    fn answer(status: &str, updated: &str) -> Value {
        json!({
            "id": ID, "title": null, "execution_status": status,
            "workspace": { "working_dir": "/w", "kind": "LocalWorkspace" },
            "created_at": "2026-11-01T10:00:00.818043Z", "updated_at": updated,
            "agent": { "llm": { "model": "a/m" } }, "current_model_id": null,
            "stats": { "usage_to_metrics": { "a": { "accumulated_cost": 0.5 }, "b": { "accumulated_cost": 0.25 } } },
        })
    }

    fn conversation(status: &str, updated: &str) -> PodConversation {
        PodConversation::from_answer(&answer(status, updated)).unwrap()
    }

    #[test]
    fn conversation_is_read_from_its_answer() {
        let conversation = conversation("idle", "2026-11-02T10:00:00Z");
        assert_eq!(conversation.folder.as_deref(), Some("/w"));
        assert_eq!(conversation.model.as_deref(), Some("a/m"));
        assert_eq!((conversation.title, conversation.parent), (None, None));
        assert_eq!(conversation.cost, Some(0.75));
        for incomplete in [json!({}), json!("a"), json!({ "id": ID }), json!({ "execution_status": "idle" })]
        {
            assert_eq!(PodConversation::from_answer(&incomplete), None);
        }
    }

    #[test]
    fn only_old_conversations_at_rest_are_unused() {
        let cutoff: Timestamp = "2026-11-20T00:00:00Z".parse().unwrap();
        let (old, new) = ("2026-11-02T10:00:00Z", "2026-11-20T00:00:01Z");
        for (status, is_at_rest) in [
            ("idle", true),
            ("paused", true),
            ("finished", true),
            ("error", true),
            ("stuck", true),
            ("running", false),
            ("waiting_for_confirmation", false),
            ("deleting", false),
            ("of a later release", false),
        ] {
            assert_eq!(conversation(status, old).is_unused_since(cutoff), is_at_rest, "{status}");
            assert!(!conversation(status, new).is_unused_since(cutoff), "{status}");
            assert!(!conversation(status, "yesterday").is_unused_since(cutoff), "without a time");
        }
    }

    #[test]
    fn beginning_of_an_id_means_a_conversation() {
        let conversation = conversation("idle", "");
        for typed in [ID, "7f26", "7f26ff04-71", "7f26ff0471114ee791064c95ea6e6f3e", "7F26"] {
            assert!(conversation.is_meant_by(typed), "{typed}");
        }
        assert!(!conversation.is_meant_by("7f27"));
    }

    #[test]
    fn short_id_tells_the_conversations_apart() {
        let all = [ID, "7f26ff04-7222-4ee7-9106-4c95ea6e6f3e", "cb788197-7725-4c40-86d0-077f73fc7fc0"];
        assert_eq!(short_id(all[0], &all), "7f26ff04-71");
        assert_eq!(short_id(all[2], &all), "cb788197");
        assert_eq!(short_id("a", &all), "a");
    }
}
