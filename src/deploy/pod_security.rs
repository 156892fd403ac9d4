//! Checks the Pod Security levels of the namespaces, before anything is planned.

use crate::catalogue::Id;
use crate::cluster::apply::namespaces::NamespaceState;
use crate::cluster::inspect::ClusterState;
use crate::error::{Error, Kind, Result};
use crate::plan::checks::pod_security;
use crate::settings::Settings;
use crate::settings::handsctl::Profile;

/// Checks the namespaces' Pod Security levels before the plan is built.
///
/// # Errors
/// Exit 14 if Pod Security rejects the sandbox pods: the application would start, but no conversation could.
pub(super) fn ensure_sandboxes_allowed(settings: &Settings, state: &ClusterState) -> Result<()> {
    if settings.deploy.profile == Profile::Dev {
        return ensure_agent_allowed(settings, state);
    }
    if !settings.edition().has_sandbox_pods() {
        return Ok(());
    }
    let runtime = settings.runtime_namespace();
    let Some(NamespaceState::Present(namespace)) = state.namespaces.get(runtime) else { return Ok(()) };
    let privileged = settings.openhands.kubernetes.privileged;
    let Some(gap) = pod_security::gap(namespace, privileged) else {
        return Ok(());
    };
    let sandboxes = if privileged { "privileged sandbox pods" } else { "sandbox pods, which run as root" };
    Err(Error::new(
        Id::PodSecurityTooStrict,
        Kind::Prerequisite,
        format!(
            "namespace {runtime} enforces Pod Security `{}`, which rejects {sandboxes}; nothing was changed",
            gap.enforced
        ),
    )
    .with_keys(settings.config_keys(&keys(privileged, settings)))
    .hint("[kubernetes] namespace = \"NAME\" runs the sandboxes in another namespace")
    .hint(gap.relax_hint(runtime)))
}

/// Returns the keys that need the level, the one to change first.
fn keys(privileged: bool, settings: &Settings) -> Vec<String> {
    let set =
        ["kubernetes.privileged"].into_iter().filter(|key| privileged && settings.locate(key).is_some());
    set.chain(["kubernetes.namespace"]).map(str::to_owned).collect()
}

/// Checks that Pod Security allows mirrord's agent: the agent pod shares the PID namespace of its node, which only the
/// level `privileged` allows.
fn ensure_agent_allowed(settings: &Settings, state: &ClusterState) -> Result<()> {
    let namespace = settings.deploy.namespace.as_str();
    let Some(NamespaceState::Present(object)) = state.namespaces.get(namespace) else { return Ok(()) };
    let Some(gap) = pod_security::gap(object, true) else { return Ok(()) };
    Err(Error::new(
        Id::PodSecurityTooStrict,
        Kind::Prerequisite,
        format!("namespace {namespace} enforces Pod Security `{}`, which rejects mirrord's agent; nothing was changed", gap.enforced),
    )
    .at_config(settings.locate("deploy.namespace"))
    .hint("-n NAME with a new name: handsctl creates that namespace with the level that the agent needs")
    .hint(gap.relax_hint(namespace)))
}
