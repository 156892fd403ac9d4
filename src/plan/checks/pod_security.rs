//! Decides whether a namespace's Pod Security level admits sandbox pods
//! (<https://kubernetes.io/docs/concepts/security/pod-security-standards/>).

use serde_json::Value;

const ENFORCE: &str = "pod-security.kubernetes.io/enforce";

/// Why Pod Security rejects the sandbox pods of a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PodSecurityGap<'a> {
    /// The enforced level.
    pub enforced: &'a str,
    /// The lowest level that admits the pods.
    pub needed: &'static str,
}

impl PodSecurityGap<'_> {
    /// Returns the hint with the command that relaxes the namespace's level.
    #[must_use]
    pub fn relax_hint(&self, namespace: &str) -> String {
        let needed = self.needed;
        format!(
            "an administrator can relax it: kubectl label namespace {namespace} --overwrite {ENFORCE}={needed}"
        )
    }
}

/// Returns the levels if the enforced one rejects sandbox pods, else `None`. Sandboxes run as root without a seccomp
/// profile, which `restricted` rejects; with `[kubernetes] privileged` they are privileged, which `baseline` rejects too.
#[must_use]
pub fn gap(namespace: &Value, privileged: bool) -> Option<PodSecurityGap<'_>> {
    let enforced = namespace["metadata"]["labels"][ENFORCE].as_str()?;
    let needed = if privileged { "privileged" } else { "baseline" };
    let rejects = match enforced {
        "restricted" => true,
        "baseline" => privileged,
        _ => false,
    };
    rejects.then_some(PodSecurityGap { enforced, needed })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn restricted_rejects_all_and_baseline_privileged_sandboxes() {
        let namespace = |level: &str| json!({ "metadata": { "labels": { ENFORCE: level } } });
        let levels = |level: &str, privileged: bool| {
            gap(&namespace(level), privileged).map(|gap| (gap.enforced.to_owned(), gap.needed))
        };
        assert_eq!(levels("restricted", false), Some(("restricted".to_owned(), "baseline")));
        assert_eq!(levels("restricted", true), Some(("restricted".to_owned(), "privileged")));
        assert_eq!(levels("baseline", false), None);
        assert_eq!(levels("baseline", true), Some(("baseline".to_owned(), "privileged")));
        assert_eq!(levels("privileged", true), None);
        assert_eq!(gap(&json!({}), true), None);
    }
}
