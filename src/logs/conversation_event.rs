//! The events of a conversation as lines of a log. Pure.
//!
//! The kinds of events and their fields are those of the SDK 1.49.1 (`openhands/sdk/event`,
//! `openhands/sdk/tool/schema.py`). Every event has an id, a timestamp and a source; the rest depends on its kind.

use serde_json::Value;

/// The fields that say what a text is about: the tool, the code of an error, the part of the state.
const SUBJECTS: [&str; 3] = ["tool_name", "code", "key"];
/// Where the text of an event is, the most telling place first.
const TEXTS: [&str; 16] = [
    "/llm_message/content",
    "/system_prompt",
    "/summary",
    "/thought",
    "/action/command",
    "/action/message",
    "/action/path",
    "/action/thought",
    "/observation/content",
    "/error",
    "/rejection_reason",
    "/detail",
    "/reason",
    "/hook_command",
    "/value",
    "/title",
];

/// An event of a conversation.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ConversationEvent<'a> {
    /// When it was recorded, in the time zone of the pod.
    pub(crate) time: &'a str,
    /// `user`, `agent` or `environment`.
    pub(crate) source: &'a str,
    /// `MessageEvent`.
    pub(crate) kind: &'a str,
    /// What its text is about.
    pub(crate) subject: Option<&'a str>,
    /// Its first text; empty if it has none.
    pub(crate) text: &'a str,
}

impl<'a> ConversationEvent<'a> {
    /// Reads an event. Missing fields are empty.
    pub(crate) fn new(event: &'a Value) -> Self {
        let field = |name: &str| event[name].as_str();
        let time = field("timestamp").unwrap_or_default();
        Self {
            // Nobody reads microseconds.
            time: time.split_once('.').map_or(time, |(seconds, _)| seconds),
            source: field("source").unwrap_or_default(),
            kind: field("kind").unwrap_or_default(),
            subject: SUBJECTS.into_iter().find_map(field),
            text: TEXTS.into_iter().find_map(|path| first_text(event.pointer(path)?)).unwrap_or_default(),
        }
    }

    /// Returns the event as a line without its end: time, source, kind, and the text with at most `most` characters.
    /// `safe` removes from a text what must not be printed, before a part of it is cut off, and makes it one line.
    pub(crate) fn line(&self, most: usize, safe: impl Fn(&str) -> String) -> String {
        let subject = self.subject.map(|subject| format!(" {subject}")).unwrap_or_default();
        let head = safe(&format!("{} {} {}{subject}", self.time, self.source, self.kind));
        let text = safe(self.text);
        match text.char_indices().nth(most) {
            _ if text.is_empty() => head,
            None => format!("{head}: {text}"),
            Some((end, _)) => format!("{head}: {}…", &text[..end]),
        }
    }
}

/// Returns the value if it is a text, the text of a content, or that of the first content that has one.
fn first_text(value: &Value) -> Option<&str> {
    let text = match value {
        Value::String(text) => Some(text.as_str()),
        Value::Array(contents) => contents.iter().find_map(first_text),
        Value::Object(content) => content.get("text").and_then(Value::as_str),
        _ => None,
    };
    text.filter(|text| !text.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn line_of(mut event: Value) -> String {
        event["timestamp"] = json!("2026-11-30T17:53:49.400285");
        ConversationEvent::new(&event)
            .line(20, |text| text.split_whitespace().collect::<Vec<_>>().join(" ").replace("sk-1", "***"))
    }

    #[test]
    fn each_kind_of_event_is_one_line() {
        let cases = [
            (
                json!({ "source": "user", "kind": "MessageEvent",
                    "llm_message": { "content": [{ "type": "image" }, { "type": "text", "text": "Hello\nthere" }] } }),
                "user MessageEvent: Hello there",
            ),
            (
                json!({ "source": "agent", "kind": "ActionEvent", "tool_name": "terminal", "thought": [],
                    "action": { "command": "ls -l" } }),
                "agent ActionEvent terminal: ls -l",
            ),
            (
                json!({ "source": "environment", "kind": "ObservationEvent", "tool_name": "terminal",
                    "observation": { "content": [{ "text": "a" }] } }),
                "environment ObservationEvent terminal: a",
            ),
            (
                json!({ "source": "environment", "kind": "ConversationStateUpdateEvent",
                    "key": "execution_status", "value": "paused" }),
                "environment ConversationStateUpdateEvent execution_status: paused",
            ),
            (
                json!({ "source": "environment", "kind": "ConversationStateUpdateEvent",
                    "key": "full_state", "value": { "id": "a" } }),
                "environment ConversationStateUpdateEvent full_state",
            ),
            (
                json!({ "source": "environment", "kind": "ConversationErrorEvent", "code": "LLMError",
                    "detail": "no model" }),
                "environment ConversationErrorEvent LLMError: no model",
            ),
            (json!({ "source": "user", "kind": "PauseEvent" }), "user PauseEvent"),
        ];
        for (event, expected) in cases {
            assert_eq!(line_of(event), format!("2026-11-30T17:53:49 {expected}"));
        }
    }

    #[test]
    fn text_is_cut_after_it_is_made_safe() {
        let text = format!("{} sk-1 and more", "x".repeat(18));
        let line = line_of(json!({ "source": "a", "kind": "K", "error": text }));
        assert_eq!(line, format!("2026-11-30T17:53:49 a K: {} *…", "x".repeat(18)));
    }

    #[test]
    fn event_of_another_form_is_still_a_line() {
        for event in [json!({}), json!("text"), json!([1]), json!({ "timestamp": 5, "error": 7 })] {
            assert_eq!(ConversationEvent::new(&event).line(20, str::to_owned).trim(), "");
        }
    }
}
