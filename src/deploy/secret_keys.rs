//! Checks the user's Secrets that the pod reads keys from, before the first write.

use super::prepare::Preparation;
use crate::catalogue::Id;
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
/// Exit 14 with every Secret that is incomplete, and that no extra manifest may create.
pub(super) async fn ensure_complete(run: &Run<'_>, prepared: &Preparation) -> Result<()> {
    let incomplete = &prepared.state.incomplete_secrets;
    let changes = &prepared.changes;
    let starts_pods = !changes.is_empty() && changes.plan.origin == PlanOrigin::Configuration;
    // No container runs in a simulation.
    let stops =
        starts_pods && !run.session.is_simulation && !extra_manifests::may_create_secrets(run.settings());
    if incomplete.is_empty() || !stops {
        prepared.state.warn_of_incomplete_secrets(run.events()).await;
        return Ok(());
    }
    let namespaces = prepared.state.missing_namespaces();
    Err(error(run.settings(), incomplete, &namespaces))
}

/// Returns the error for Secrets that lack keys, with the commands that create them. `namespaces` do not exist yet.
fn error(settings: &Settings, incomplete: &[(SecretRef, String)], namespaces: &[String]) -> Error {
    let faults: Vec<&str> = incomplete.iter().map(|(_, fault)| fault.as_str()).collect();
    let message = format!("{}; nothing was changed", faults.join("; "));
    let keys = config_keys::of_failure(Id::MissingReference, SECRET.kind, None, &message, settings);
    let error = Error::new(Id::MissingReference, Kind::Prerequisite, message).with_keys(keys);
    let absent =
        namespaces.iter().filter(|name| incomplete.iter().any(|(secret, _)| secret.namespace == **name));
    let error = absent.fold(error, |error, name| error.hint(format!("kubectl create namespace {name}")));
    incomplete.iter().fold(error, |error, (secret, _)| error.hint(secret.creating_command()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::checks::secret_refs::secret_refs;
    use crate::settings::{Request, read_without_secrets};

    #[test]
    fn error_names_key_of_config_and_command() {
        let folder = tempfile::tempdir().unwrap();
        let config = "[llm]\napi_key = { secret = \"llm\", key = \"token\" }\n";
        std::fs::write(folder.path().join("config.toml"), config).unwrap();
        let settings = read_without_secrets(&Request::default(), &[], folder.path()).unwrap().settings;
        let secret = secret_refs(&settings).remove(0);
        let fault = secret.missing_keys(None).unwrap();
        let error = error(&settings, &[(secret, fault)], &["openhands".to_owned(), "boxes".to_owned()]);
        assert_eq!(error.message(), "secret/llm in namespace openhands does not exist; nothing was changed");
        assert_eq!((error.kind(), error.location().map(|at| at.span.start)), (Kind::Prerequisite, Some(6)));
        let create = "kubectl create secret generic llm -n openhands --from-literal=token=VALUE";
        assert_eq!(error.hints(), ["kubectl create namespace openhands", create]);
    }
}
