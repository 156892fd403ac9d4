//! Whether an object is as a repeated write of this run made it the first time. Pure.

use serde_json::Value;

use crate::object::labels::MANAGER;

/// Whether `found` is what sending `sent` would have made: we wrote to it, and it says everything that was sent.
#[must_use]
pub(crate) fn is_our_write(sent: &Value, found: &Value) -> bool {
    let entries = found["metadata"]["managedFields"].as_array();
    let ours = entries.into_iter().flatten().any(|entry| entry["manager"] == MANAGER);
    let mut sent = sent.clone();
    if let Some(metadata) = sent["metadata"].as_object_mut() {
        // A condition, and no part of the object.
        metadata.remove("resourceVersion");
    }
    ours && says(found, &sent)
}

/// Whether the request creates and never changes: it has no condition, or one that no object meets.
#[must_use]
pub(crate) fn is_create(sent: &Value) -> bool {
    let metadata = &sent["metadata"];
    metadata["uid"].is_null() && (metadata["resourceVersion"].is_null() || metadata["resourceVersion"] == "1")
}

/// What the server adds to maps is its own.
fn says(found: &Value, sent: &Value) -> bool {
    match (found, sent) {
        (Value::Object(found), Value::Object(sent)) => {
            sent.iter().all(|(key, sent)| found.get(key).is_some_and(|found| says(found, sent)))
        }
        (Value::Array(found), Value::Array(sent)) => {
            found.len() == sent.len() && found.iter().zip(sent).all(|(found, sent)| says(found, sent))
        }
        _ => found == sent,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(manager: &str, data: &str) -> Value {
        json!({
            "metadata": { "name": "a", "uid": "u", "resourceVersion": "7", "managedFields": [{ "manager": manager }] },
            "data": { "key": data },
            "list": [{ "a": 1, "default": 2 }],
        })
    }

    #[test]
    fn an_object_is_our_doing_where_we_wrote_it_and_it_says_what_was_sent() {
        let sent = json!({
            "metadata": { "name": "a", "resourceVersion": "1" }, "data": { "key": "k" }, "list": [{ "a": 1 }],
        });
        assert!(is_our_write(&sent, &found(MANAGER, "k")));
        assert!(!is_our_write(&sent, &found(MANAGER, "other")), "another run's");
        assert!(!is_our_write(&sent, &found("kubectl", "k")), "a copy");
        assert!(!is_our_write(&json!({ "list": [] }), &found(MANAGER, "k")));
        assert!(!is_our_write(&json!({ "metadata": { "uid": "v" } }), &found(MANAGER, "k")));
    }

    #[test]
    fn a_request_with_a_condition_that_an_object_can_meet_does_not_create() {
        assert!(is_create(&json!({ "metadata": { "resourceVersion": "1" } })));
        assert!(is_create(&json!({ "metadata": {} })));
        assert!(!is_create(&json!({ "metadata": { "resourceVersion": "7" } })));
        assert!(!is_create(&json!({ "metadata": { "uid": "u" } })));
    }
}
