//! Whether the namespace of sandboxes admits them. Pure.

use serde_json::Value;

use super::check::{Category, Check};
use crate::catalogue::Id;
use crate::error::{Error, Kind};
use crate::plan::checks::pod_security;
use crate::settings::Settings;
use crate::settings::handsctl::Profile;

/// Checks the namespace's Pod Security level. A namespace that does not exist gets the level that sandboxes need.
pub(super) fn check(namespace: Result<Option<Value>, String>, settings: &Settings) -> Check {
    let (category, name) = (Category::Sandboxes, "pod security");
    let is_dev = settings.deploy.profile == Profile::Dev;
    let (runtime, pods) = if is_dev {
        (settings.deploy.namespace.as_str(), "mirrord's agent")
    } else {
        (settings.runtime_namespace(), "sandboxes")
    };
    let namespace = match namespace {
        Err(reason) => return Check::unknown(category, name, reason),
        Ok(None) => return Check::passed(category, name, format!("a deploy creates namespace {runtime}")),
        Ok(Some(namespace)) => namespace,
    };
    // The agent shares the process ids of its node, which only the level `privileged` allows.
    let privileged = is_dev || settings.openhands.kubernetes.privileged;
    let Some(gap) = pod_security::gap(&namespace, privileged) else {
        return Check::passed(category, name, format!("namespace {runtime} admits {pods}"));
    };
    let message =
        format!("namespace {runtime} enforces Pod Security `{}`, which rejects {pods}", gap.enforced);
    let key = if is_dev { "deploy.namespace" } else { "kubernetes.namespace" };
    let error = Error::new(Id::PodSecurityTooStrict, Kind::Prerequisite, message)
        .with_keys(settings.config_keys(&[key.to_owned()]))
        .hint(if is_dev {
            "-n NAME with a new name: handsctl creates that namespace with the level that the agent needs"
        } else {
            "[kubernetes] namespace = \"NAME\" runs the sandboxes in another namespace"
        })
        .hint(gap.relax_hint(runtime));
    Check::failed(category, name, error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::check::Outcome;
    use crate::settings::tests::settings_of;
    use serde_json::json;

    #[test]
    fn restricted_namespace_fails() {
        let settings = settings_of("");
        let level = |level: &str| json!({ "metadata": { "labels": { "pod-security.kubernetes.io/enforce": level } } });
        assert!(matches!(check(Ok(Some(level("restricted"))), &settings).outcome, Outcome::Failed(_)));
        assert!(matches!(check(Ok(Some(level("baseline"))), &settings).outcome, Outcome::Passed(_)));
        assert!(matches!(check(Ok(None), &settings).outcome, Outcome::Passed(_)));
        let dev = settings_of("[deploy]\nprofile = \"dev\"\n");
        assert!(matches!(check(Ok(Some(level("baseline"))), &dev).outcome, Outcome::Failed(_)));
    }
}
