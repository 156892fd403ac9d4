//! What a pod's connections mean. Pure.

use serde_json::Value;

use super::check::{Category, Check};
use crate::catalogue::Id;
use crate::error::{Error, Kind};

/// The steps that the pod reports, in order: name, and what their failure means.
const STEPS: &[(&str, &str, &str)] = &[
    ("resolve", "names from a pod", "a pod does not resolve the name of the API server"),
    ("server", "API server from a pod", "a pod does not reach the API server, and so starts no sandbox"),
    ("service", "service from a pod", "a pod does not reach the application's Service"),
];

/// Returns a check for each step. A step after a failed one says nothing of its own, and neither does a failed resolution
/// while the cluster's DNS is known to be down.
pub(super) fn checks(reported: &Result<Value, String>, pod: &str, is_dns_down: bool) -> Vec<Check> {
    let steps = match reported {
        Ok(steps) => steps,
        Err(reason) => return vec![Check::unknown(Category::Network, "names from a pod", reason.as_str())],
    };
    let mut checks = Vec::new();
    for (step, name, meaning) in STEPS {
        if let Some(error) = steps[step]["error"].as_str() {
            if *step == "resolve" && is_dns_down {
                checks.push(Check::unknown(Category::Network, name, "the cluster's DNS does not run"));
                break;
            }
            let id = if *step == "resolve" { Id::ClusterDnsDown } else { Id::PodUnconnected };
            let error = Error::new(id, Kind::Prerequisite, *meaning)
                .fact("pod", format!("pod/{pod}"))
                .caused_by(error.to_owned())
                .hint("a NetworkPolicy, or the cluster's network plugin, may hold the connection back");
            checks.push(Check::failed(Category::Network, name, error));
            break;
        }
        let took = steps[step]["milliseconds"].as_u64().unwrap_or_default();
        checks.push(Check::passed(Category::Network, name, format!("in {took} ms")));
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::check::Outcome;
    use serde_json::json;

    #[test]
    fn first_failed_step_is_the_last_check() {
        let fine = json!({ "milliseconds": 2 });
        let steps = json!({ "resolve": fine, "server": { "error": "timed out" }, "service": { "error": "timed out" } });
        let checks = checks(&Ok(steps), "app-1", false);
        assert_eq!(checks.len(), 2);
        assert!(matches!(&checks[0].outcome, Outcome::Passed(text) if text == "in 2 ms"));
        assert!(matches!(&checks[1].outcome, Outcome::Failed(error) if error.id() == Id::PodUnconnected));
    }

    #[test]
    fn dns_that_is_down_is_one_failure() {
        let steps = || Ok(json!({ "resolve": { "error": "temporary failure" } }));
        assert!(matches!(checks(&steps(), "app-1", true)[..], [Check { outcome: Outcome::Unknown(_), .. }]));
        assert!(matches!(checks(&steps(), "app-1", false)[..], [Check { outcome: Outcome::Failed(_), .. }]));
    }

    #[test]
    fn pod_that_cannot_be_asked_is_no_failure() {
        let checks = checks(&Err("no right".to_owned()), "app-1", false);
        assert!(matches!(&checks[..], [Check { outcome: Outcome::Unknown(_), .. }]));
    }
}
