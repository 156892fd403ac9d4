//! Checks the user's Secrets that the pod reads keys from, before the first write.

use super::prepare::Preparation;
use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};
use crate::object::kind::SECRET;
use crate::plan::PlanOrigin;
use crate::plan::checks::secret_refs::IncompleteSecret;
use crate::plan::config_keys;
use crate::plan::manifests::extra_manifests;
use crate::session::runner::Run;
use crate::settings::Settings;

/// Checks that a changed configuration finds its Secrets with their keys. Otherwise the pod that serves would be stopped for
/// one that cannot start. An unchanged configuration is reported by its rollout, and a revision has its own Secrets.
///
/// # Errors
/// Exit 14 with every Secret that is incomplete, in a namespace that exists, and that no extra manifest may create.
pub(super) async fn ensure_complete(run: &Run<'_>, prepared: &Preparation) -> Result<()> {
    let state = &prepared.state;
    let changes = &prepared.changes;
    let starts_pods = !changes.is_empty() && changes.plan.origin == PlanOrigin::Configuration;
    // No container runs in a simulation.
    let stops =
        starts_pods && !run.session.is_simulation && !extra_manifests::may_create_secrets(run.settings());
    let incomplete = in_existing_namespaces(&state.incomplete_secrets, &state.missing_namespaces());
    if incomplete.is_empty() || !stops {
        state.warn_of_incomplete_secrets(run.events()).await;
        return Ok(());
    }
    Err(error(run.settings(), &incomplete))
}

/// Returns the Secrets whose namespace this run does not create.
fn in_existing_namespaces<'a>(
    incomplete: &'a [IncompleteSecret],
    missing_namespaces: &[String],
) -> Vec<&'a IncompleteSecret> {
    // Controllers fill new namespaces: ClusterExternalSecret, reflector, Kyverno. The rollout reports what stays incomplete.
    incomplete.iter().filter(|secret| !missing_namespaces.contains(&secret.namespace)).collect()
}

/// Returns the error for Secrets that lack keys, with the commands that complete them.
fn error(settings: &Settings, incomplete: &[&IncompleteSecret]) -> Error {
    let faults: Vec<&str> = incomplete.iter().map(|secret| secret.fault.as_str()).collect();
    let message = format!("{}; nothing was changed", faults.join("; "));
    let keys = config_keys::of_failure(Id::MissingReference, SECRET.kind, None, &message, settings);
    let error = Error::new(Id::MissingReference, Kind::Prerequisite, message).with_keys(keys);
    incomplete.iter().fold(error, |error, secret| error.hint(secret.command.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::checks::secret_refs::{SecretRef, SecretUse, secret_refs};
    use crate::settings::tests::settings_of;

    #[test]
    fn secret_of_a_new_namespace_is_left_to_controllers() {
        let used_for = SecretUse::Keys(["k".to_owned()].into());
        let secret = SecretRef { namespace: "new".into(), name: "s".into(), used_for };
        let incomplete = [secret.incomplete(None).unwrap()];
        assert!(in_existing_namespaces(&incomplete, &["new".to_owned()]).is_empty());
        assert_eq!(in_existing_namespaces(&incomplete, &["other".to_owned()]).len(), 1);
    }

    #[test]
    fn error_names_key_of_config_and_command() {
        let config = "[llm]\napi_key = { secret = \"llm\", key = \"token\" }\n";
        let settings = settings_of(config);
        let secret = secret_refs(&settings).remove(0);
        let create = secret.completing_command(None).unwrap();
        let error = error(&settings, &[&secret.incomplete(None).unwrap()]);
        assert_eq!(error.message(), "secret/llm in namespace openhands does not exist; nothing was changed");
        assert_eq!((error.kind(), error.location().map(|at| at.span.start)), (Kind::Prerequisite, Some(6)));
        assert_eq!(create, "kubectl create secret generic llm -n openhands --from-literal=token=VALUE");
        assert_eq!(error.hints(), [create]);
    }
}
