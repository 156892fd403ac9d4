//! Checks the user's Secrets that the pod reads keys from, before the first write.

use super::prepare::Preparation;
use crate::catalogue::Id;
use crate::cluster::client::api::Api;
use crate::error::{Error, Kind, Result};
use crate::object::kind::SECRET;
use crate::plan::PlanOrigin;
use crate::plan::checks::secret_refs::SecretRef;
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
    let commands = commands(run.api(), &incomplete).await;
    Err(error(run.settings(), &incomplete, commands))
}

/// Returns the Secrets whose namespace this run does not create.
fn in_existing_namespaces<'a>(
    incomplete: &'a [(SecretRef, String)],
    missing_namespaces: &[String],
) -> Vec<&'a (SecretRef, String)> {
    // Controllers fill new namespaces: ClusterExternalSecret, reflector, Kyverno. The rollout reports what stays incomplete.
    incomplete.iter().filter(|(secret, _)| !missing_namespaces.contains(&secret.namespace)).collect()
}

/// Reads the Secrets again and returns the commands that complete them; none for a Secret that cannot be read.
async fn commands(api: &Api, incomplete: &[&(SecretRef, String)]) -> Vec<String> {
    let mut commands = Vec::new();
    for (secret, _) in incomplete {
        if let Ok(live) = api.get_opt(&SECRET.in_namespace(&secret.namespace), &secret.name).await {
            commands.extend(secret.completing_command(live.as_ref()));
        }
    }
    commands
}

/// Returns the error for Secrets that lack keys, with the commands that complete them.
fn error(settings: &Settings, incomplete: &[&(SecretRef, String)], commands: Vec<String>) -> Error {
    let faults: Vec<&str> = incomplete.iter().map(|(_, fault)| fault.as_str()).collect();
    let message = format!("{}; nothing was changed", faults.join("; "));
    let keys = config_keys::of_failure(Id::MissingReference, SECRET.kind, None, &message, settings);
    let error = Error::new(Id::MissingReference, Kind::Prerequisite, message).with_keys(keys);
    commands.into_iter().fold(error, Error::hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::checks::secret_refs::{SecretUse, secret_refs};
    use crate::settings::{Request, read_without_secrets};

    #[test]
    fn secret_of_a_new_namespace_is_left_to_controllers() {
        let used_for = SecretUse::Keys(["k".to_owned()].into());
        let secret = SecretRef { namespace: "new".into(), name: "s".into(), used_for };
        let incomplete = [(secret, "fault".to_owned())];
        assert!(in_existing_namespaces(&incomplete, &["new".to_owned()]).is_empty());
        assert_eq!(in_existing_namespaces(&incomplete, &["other".to_owned()]).len(), 1);
    }

    #[test]
    fn error_names_key_of_config_and_command() {
        let folder = tempfile::tempdir().unwrap();
        let config = "[llm]\napi_key = { secret = \"llm\", key = \"token\" }\n";
        std::fs::write(folder.path().join("config.toml"), config).unwrap();
        let settings = read_without_secrets(&Request::default(), &[], folder.path()).unwrap().settings;
        let secret = secret_refs(&settings).remove(0);
        let fault = secret.missing_keys(None).unwrap();
        let create = secret.completing_command(None).unwrap();
        let error = error(&settings, &[&(secret, fault)], vec![create.clone()]);
        assert_eq!(error.message(), "secret/llm in namespace openhands does not exist; nothing was changed");
        assert_eq!((error.kind(), error.location().map(|at| at.span.start)), (Kind::Prerequisite, Some(6)));
        assert_eq!(create, "kubectl create secret generic llm -n openhands --from-literal=token=VALUE");
        assert_eq!(error.hints(), [create]);
    }
}
