//! What the API server's answer about a pod of the application means. Pure.

use serde_json::Value;

use super::check::{Category, Check, Listed};
use crate::catalogue::Id;
use crate::cluster::apply::pod_admission::PodAdmission;
use crate::plan::checks::quota;
use crate::plan::rejection_words;
use crate::settings::Settings;

/// Checks that the server would create the application's pod. `old_pods` are those that a deploy replaces: they free
/// their part of a quota first.
pub(super) fn pod(admission: PodAdmission, old_pods: &Listed, settings: &Settings) -> Check {
    let (category, name) = (Category::App, "pod");
    let error = match admission {
        PodAdmission::Admitted => {
            return Check::passed(category, name, "the API server admits the application's pod");
        }
        PodAdmission::Unknown => {
            let reason = "this account may not create pods, or a webhook answers no dry run";
            return Check::unknown(category, name, reason);
        }
        PodAdmission::Rejected(error) => error,
    };
    if error.id() == Id::QuotaRejected {
        match old_pods {
            Err(reason) => return Check::unknown(category, name, reason.as_str()),
            Ok(pods) if !pods.is_empty() && !quota::rejects_without(pods, &error.evidence_text()) => {
                let text = "the quota has room for it as soon as the present pod has stopped";
                return Check::passed(category, name, text);
            }
            Ok(_) => {}
        }
    }
    Check::failed(category, name, rejection_words::explained(error, settings))
}

/// Returns the pods that have not ended: a quota counts no others.
pub(super) fn unfinished(pods: Listed) -> Listed {
    let is_ended = |pod: &Value| matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    pods.map(|pods| pods.into_iter().filter(|pod| !is_ended(pod)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::check::Outcome;
    use crate::error::{Error, Kind};
    use crate::object::kind::{DEPLOYMENT, POD};
    use crate::settings::tests::settings_of;
    use serde_json::json;

    fn rejected(id: Id, cause: &str) -> PodAdmission {
        let error = Error::new(id, Kind::Rejected, "the server would reject the new pods")
            .caused_by(cause.to_owned());
        PodAdmission::Rejected(error.of_rejected(DEPLOYMENT.id("n", "oh").rejected_as(POD.kind)))
    }

    #[test]
    fn limit_range_that_rejects_the_pod_names_the_key() {
        let settings = settings_of("[deploy.resources]\nlimits = { memory = \"8Gi\" }\n");
        let range = rejected(Id::PodsRejected, "maximum memory usage per Container is 1Gi, but limit is 8Gi");
        let Outcome::Failed(error) = pod(range, &Ok(Vec::new()), &settings).outcome else {
            panic!("8Gi > 1Gi")
        };
        assert_eq!(error.keys()[0].key, "deploy.resources.limits.memory");
        assert_eq!(error.location().map(|at| at.line_column().0), Some(2));
    }

    #[test]
    fn quota_counts_without_the_pods_that_a_deploy_replaces() {
        let settings = settings_of("");
        let outcome = |used: &str, old: Listed| {
            let cause = format!("exceeded quota: q, requested: pods=1, used: pods={used}, limited: pods=1");
            pod(rejected(Id::QuotaRejected, &cause), &old, &settings).outcome
        };
        let old = || Ok(vec![json!({ "metadata": { "name": "oh-1" } })]);
        assert!(matches!(outcome("1", old()), Outcome::Passed(_)));
        assert!(matches!(outcome("2", old()), Outcome::Failed(_)));
        assert!(matches!(outcome("1", Ok(Vec::new())), Outcome::Failed(_)));
        assert!(matches!(outcome("1", Err("no right".to_owned())), Outcome::Unknown(_)));
    }

    #[test]
    fn pod_without_an_answer_is_not_checked() {
        let outcome = |admission| pod(admission, &Ok(Vec::new()), &settings_of("")).outcome;
        assert!(matches!(outcome(PodAdmission::Unknown), Outcome::Unknown(_)));
        assert!(matches!(outcome(PodAdmission::Admitted), Outcome::Passed(_)));
    }
}
