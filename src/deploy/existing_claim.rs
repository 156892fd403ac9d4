//! Reads the volume claim that `[deploy].existing_claim` names, before the first write.

use super::prepare::Preparation;
use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};
use crate::object::ObjectId;
use crate::object::kind::CLAIM;
use crate::plan::PlanOrigin;
use crate::session::runner::Run;
use crate::settings::Settings;

/// Checks that the claim of a changed configuration exists: no node takes a pod whose claim is missing.
///
/// # Errors
/// Exit 14 if it does not exist. The scheduler tells it later to an account that may not read claims.
pub(super) async fn ensure_exists(run: &Run<'_>, prepared: &Preparation) -> Result<()> {
    let (settings, changes) = (run.settings(), &prepared.changes);
    let Some(claim) = &settings.deploy.existing_claim else { return Ok(()) };
    if changes.is_empty() || changes.plan.origin != PlanOrigin::Configuration {
        return Ok(());
    }
    let namespace = settings.deploy.namespace.as_str();
    let id = CLAIM.id(namespace, claim.as_str());
    // An extra manifest may create it.
    if changes.plan.members.iter().any(|member| member.id == id) {
        return Ok(());
    }
    match run.api().get_opt(&CLAIM.in_namespace(namespace), &id.name).await {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err(missing(settings, &id)),
        Err(error) if error.code() == Some(403) => Ok(()),
        Err(error) => Err(error.into_error(&format!("cannot read {id} in namespace {namespace}"))),
    }
}

/// Returns the error for a claim that does not exist.
fn missing(settings: &Settings, claim: &ObjectId) -> Error {
    let namespace = settings.deploy.namespace.as_str();
    let message = format!(
        "{claim} does not exist in namespace {namespace}, and the pod would wait for it; nothing was changed"
    );
    Error::new(Id::ClaimMissing, Kind::Prerequisite, message)
        .with_keys(settings.config_keys(&["deploy.existing_claim".to_owned()]))
        .hint(format!("kubectl get persistentvolumeclaims -n {namespace} lists the volume claims"))
        .hint("without [deploy].existing_claim, handsctl deploy creates one")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::tests::settings_of;

    #[test]
    fn missing_claim_names_its_key_and_lists_the_others() {
        let settings = settings_of("[deploy]\nexisting_claim = \"mine\"\n");
        let error = missing(&settings, &CLAIM.id("openhands", "mine"));
        assert_eq!((error.id(), error.kind().exit_code()), (Id::ClaimMissing, 14));
        assert!(
            error.message().starts_with("persistentvolumeclaim/mine does not exist in namespace openhands")
        );
        assert_eq!(error.location().map(|at| at.span.start), Some(26));
        assert_eq!(
            error.hints()[0],
            "kubectl get persistentvolumeclaims -n openhands lists the volume claims"
        );
    }
}
