//! Decides whether a namespace's Pod Security level admits sandbox pods
//! (<https://kubernetes.io/docs/concepts/security/pod-security-standards/>).

use serde_json::Value;

const ENFORCE: &str = "pod-security.kubernetes.io/enforce";

/// Returns the enforced level if it rejects sandbox pods, else `None`. Sandboxes run as root without a seccomp profile,
/// which `restricted` rejects; with `[kubernetes] privileged` they are privileged, which `baseline` rejects too.
#[must_use]
pub fn rejecting_level(namespace: &Value, privileged: bool) -> Option<&str> {
    let level = namespace["metadata"]["labels"][ENFORCE].as_str()?;
    let rejects = match level {
        "restricted" => true,
        "baseline" => privileged,
        _ => false,
    };
    rejects.then_some(level)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn restricted_rejects_all_and_baseline_privileged_sandboxes() {
        let namespace = |level: &str| json!({ "metadata": { "labels": { ENFORCE: level } } });
        assert_eq!(rejecting_level(&namespace("restricted"), false), Some("restricted"));
        assert_eq!(rejecting_level(&namespace("baseline"), false), None);
        assert_eq!(rejecting_level(&namespace("baseline"), true), Some("baseline"));
        assert_eq!(rejecting_level(&namespace("privileged"), true), None);
        assert_eq!(rejecting_level(&json!({}), true), None);
    }
}
