//! Whether a namespace's Pod Security level lets sandboxes run
//! (<https://kubernetes.io/docs/concepts/security/pod-security-standards/>).

use serde_json::Value;

const ENFORCE: &str = "pod-security.kubernetes.io/enforce";

/// The level that refuses sandbox pods; None where they may run. They run as root without a seccomp profile,
/// which `restricted` refuses; `[kubernetes] privileged` makes them privileged, which `baseline` refuses too.
#[must_use]
pub fn refusing_level(namespace: &Value, privileged: bool) -> Option<&str> {
    let level = namespace["metadata"]["labels"][ENFORCE].as_str()?;
    let refuses = match level {
        "restricted" => true,
        "baseline" => privileged,
        _ => false,
    };
    refuses.then_some(level)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn restricted_refuses_all_and_baseline_the_privileged() {
        let namespace = |level: &str| json!({ "metadata": { "labels": { ENFORCE: level } } });
        assert_eq!(refusing_level(&namespace("restricted"), false), Some("restricted"));
        assert_eq!(refusing_level(&namespace("baseline"), false), None);
        assert_eq!(refusing_level(&namespace("baseline"), true), Some("baseline"));
        assert_eq!(refusing_level(&namespace("privileged"), true), None);
        assert_eq!(refusing_level(&json!({}), true), None);
    }
}
