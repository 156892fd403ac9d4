//! Whether the namespace of sandboxes admits them. Pure.

use serde_json::Value;

use super::check::{Category, Check};
use crate::catalogue::Id;
use crate::error::{Error, Kind};
use crate::plan::checks::pod_security::{self, PodSecurityGap};
use crate::settings::Settings;

/// Checks the namespace's Pod Security level. A namespace that does not exist gets the level that sandboxes need.
pub(super) fn check(namespace: Result<Option<Value>, String>, settings: &Settings) -> Check {
    let (category, name) = (Category::Sandboxes, "pod security");
    let runtime = settings.runtime_namespace();
    let namespace = match namespace {
        Err(reason) => return Check::unknown(category, name, reason),
        Ok(None) => return Check::passed(category, name, format!("a deploy creates namespace {runtime}")),
        Ok(Some(namespace)) => namespace,
    };
    let privileged = settings.openhands.kubernetes.privileged;
    let Some(PodSecurityGap { enforced, needed }) = pod_security::gap(&namespace, privileged) else {
        return Check::passed(category, name, format!("namespace {runtime} admits sandboxes"));
    };
    let message = format!("namespace {runtime} enforces Pod Security `{enforced}`, which rejects sandboxes");
    let error = Error::new(Id::PodSecurityTooStrict, Kind::Prerequisite, message)
        .at_config(settings.locate("kubernetes.namespace"))
        .hint("[kubernetes] namespace = \"NAME\" runs the sandboxes in another namespace")
        .hint(format!(
            "an administrator can relax it: kubectl label namespace {runtime} --overwrite \
             pod-security.kubernetes.io/enforce={needed}"
        ));
    Check::failed(category, name, error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::check::Outcome;
    use crate::doctor::fixtures::settings;
    use serde_json::json;

    #[test]
    fn restricted_namespace_fails() {
        let settings = settings("");
        let level = |level: &str| json!({ "metadata": { "labels": { "pod-security.kubernetes.io/enforce": level } } });
        assert!(matches!(check(Ok(Some(level("restricted"))), &settings).outcome, Outcome::Failed(_)));
        assert!(matches!(check(Ok(Some(level("baseline"))), &settings).outcome, Outcome::Passed(_)));
        assert!(matches!(check(Ok(None), &settings).outcome, Outcome::Passed(_)));
    }
}
