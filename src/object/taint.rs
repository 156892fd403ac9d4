//! Taints of nodes and tolerations of pods. Pure.

use serde_json::Value;

/// Returns whether a taint keeps pods with these tolerations off its node.
#[must_use]
pub fn repels(taint: &Value, tolerations: &[Value]) -> bool {
    matches!(taint["effect"].as_str(), Some("NoSchedule" | "NoExecute"))
        && !tolerations.iter().any(|toleration| tolerates(toleration, taint))
}

/// Formats a taint as kubectl does: `gpu=yes:NoSchedule`, `gpu:NoSchedule`.
#[must_use]
pub fn describe(taint: &Value) -> String {
    let text = |field: &str| taint[field].as_str().unwrap_or_default();
    let value = if text("value").is_empty() { String::new() } else { format!("={}", text("value")) };
    format!("{}{value}:{}", text("key"), text("effect"))
}

/// Returns whether a toleration matches a taint
/// (<https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/>).
fn tolerates(toleration: &Value, taint: &Value) -> bool {
    fn text(value: &Value) -> &str {
        value.as_str().unwrap_or_default()
    }
    let effect = text(&toleration["effect"]);
    if !effect.is_empty() && effect != text(&taint["effect"]) {
        return false;
    }
    let (key, exists) = (text(&toleration["key"]), toleration["operator"] == "Exists");
    if key.is_empty() {
        return exists;
    }
    key == text(&taint["key"]) && (exists || text(&toleration["value"]) == text(&taint["value"]))
}
