//! Recognizes an object that a write of this run produced, although its response was lost. Pure.

use serde_json::Value;

use crate::object::labels::MANAGER;

/// Whether `live` can be the result of writing `sent`: we wrote to it, and it contains every field of `sent`.
#[must_use]
pub(crate) fn is_our_write(sent: &Value, live: &Value) -> bool {
    let entries = live["metadata"]["managedFields"].as_array();
    let has_our_entry = entries.into_iter().flatten().any(|entry| entry["manager"] == MANAGER);
    let mut sent = sent.clone();
    if let Some(metadata) = sent["metadata"].as_object_mut() {
        // A precondition, not a field of the object.
        metadata.remove("resourceVersion");
    }
    has_our_entry && contains(live, &sent)
}

/// Whether the write can only create: it has no precondition, or one that no existing object meets.
#[must_use]
pub(crate) fn is_create(sent: &Value) -> bool {
    let metadata = &sent["metadata"];
    metadata["uid"].is_null() && (metadata["resourceVersion"].is_null() || metadata["resourceVersion"] == "1")
}

/// Whether `live` contains every field of `sent`. Maps may have more fields, which the server adds.
fn contains(live: &Value, sent: &Value) -> bool {
    match (live, sent) {
        (Value::Object(live), Value::Object(sent)) => {
            sent.iter().all(|(key, sent)| live.get(key).is_some_and(|live| contains(live, sent)))
        }
        (Value::Array(live), Value::Array(sent)) => {
            live.len() == sent.len() && live.iter().zip(sent).all(|(live, sent)| contains(live, sent))
        }
        _ => live == sent,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn live(manager: &str, data: &str) -> Value {
        json!({
            "metadata": { "name": "a", "uid": "u", "resourceVersion": "7", "managedFields": [{ "manager": manager }] },
            "data": { "key": data },
            "list": [{ "a": 1, "default": 2 }],
        })
    }

    #[test]
    fn our_write_has_our_manager_and_all_sent_fields() {
        let sent = json!({
            "metadata": { "name": "a", "resourceVersion": "1" }, "data": { "key": "k" }, "list": [{ "a": 1 }],
        });
        assert!(is_our_write(&sent, &live(MANAGER, "k")));
        assert!(!is_our_write(&sent, &live(MANAGER, "other")), "written by another run");
        assert!(!is_our_write(&sent, &live("kubectl", "k")), "a copy");
        assert!(!is_our_write(&json!({ "list": [] }), &live(MANAGER, "k")));
        assert!(!is_our_write(&json!({ "metadata": { "uid": "v" } }), &live(MANAGER, "k")));
    }

    #[test]
    fn write_with_meetable_precondition_is_not_a_create() {
        assert!(is_create(&json!({ "metadata": { "resourceVersion": "1" } })));
        assert!(is_create(&json!({ "metadata": {} })));
        assert!(!is_create(&json!({ "metadata": { "resourceVersion": "7" } })));
        assert!(!is_create(&json!({ "metadata": { "uid": "u" } })));
    }
}
