//! The part of `deploy` before anything is changed: look, plan, watch, make sure of the rights.

use super::session::Session;
use crate::catalogue::Id;
use crate::cluster::apply::{self, Need};
use crate::cluster::ground::Presence;
use crate::cluster::live::{self, LiveSet};
use crate::cluster::survey::{Survey, survey};
use crate::cluster::{rights, rules};
use crate::error::{Error, Kind, Result};
use crate::event::Events;
use crate::plan::ownership::Ownership;
use crate::plan::{self, Plan, SecretNaming, pod_security};
use crate::settings::Settings;
use crate::settings::secret::SecretSource;

/// What is known before the first change.
pub(super) struct Prepared {
    pub(super) plan: Plan,
    pub(super) survey: Survey,
    pub(super) live: LiveSet,
    /// What is done about fields and objects of others.
    pub(super) ownership: Ownership,
    /// What has to be done for each member of the plan.
    pub(super) needs: Vec<Need>,
}

/// Looks, plans, watches, and makes sure of the rights.
///
/// # Errors
/// Whatever would stop the command half-way and can be known now.
pub(super) async fn preflight(
    session: &Session,
    ownership: Ownership,
    events: &Events,
) -> Result<(Prepared, String)> {
    let api = &session.connection.api;
    let settings = &session.settings;
    let version = session.server_version().await?;
    let wants_key = settings.secrets.values().any(|source| matches!(source, SecretSource::Value(_)));
    let survey = survey(api, &session.set(), wants_key, &referenced_secrets(settings), events).await?;
    sandboxes_may_run(settings, &survey)?;
    let plan = planned(settings, &survey)?;
    let live = match live::open(api, &plan, version.streams_lists(), events).await {
        // The server names one missing right at a time.
        Err(error) if error.kind() == Kind::Forbidden => {
            let mut all = rules::needed(&plan, plan.members.iter().map(|member| (member, true)));
            all.extend(rules::watched(&plan));
            rights::check(api, &all).await?;
            return Err(error);
        }
        live => live?,
    };
    for rule in ownership.without_field(&plan) {
        events
            .warn(Id::RuleWithoutField, format!("[deploy.ownership] `{rule}` is no field of the set"))
            .await;
    }
    let needs = apply::needs(&plan, &live.members, &ownership);
    let to_send: Vec<_> = plan
        .members
        .iter()
        .zip(&needs)
        .filter(|(_, need)| **need != Need::Nothing)
        .map(|(member, need)| (member, matches!(need, Need::Create(_))))
        .collect();
    if !to_send.is_empty() {
        rights::check(api, &rules::needed(&plan, to_send.iter().copied())).await?;
    }
    let message = format!("api {}, {} objects, {} to send", version.text, plan.members.len(), to_send.len());
    Ok((Prepared { plan, survey, live, ownership, needs }, message))
}

/// The application would start in any case; no conversation ever would.
fn sandboxes_may_run(settings: &Settings, survey: &Survey) -> Result<()> {
    let runtime = settings.runtime_namespace();
    let Some(Presence::Present(namespace)) = survey.namespaces.get(runtime) else { return Ok(()) };
    let Some(level) = pod_security::refusing_level(namespace, settings.openhands.kubernetes.privileged)
    else {
        return Ok(());
    };
    let sandboxes =
        if level == "restricted" { "sandbox pods, which run as root" } else { "privileged sandbox pods" };
    Err(Error::new(
        Id::PodSecurityTooStrict,
        Kind::Prerequisite,
        format!("namespace {runtime} enforces Pod Security `{level}`, which refuses {sandboxes}; nothing was changed"),
    )
    .at(settings.locate("kubernetes.namespace"))
    .hint("[kubernetes] namespace = \"NAME\" runs the sandboxes elsewhere")
    .hint(format!("an administrator can relax it: kubectl label namespace {runtime} --overwrite pod-security.kubernetes.io/enforce=baseline")))
}

/// Names of Secrets of somebody else's that the configuration refers to.
fn referenced_secrets(settings: &Settings) -> Vec<&str> {
    let mut names: Vec<&str> = settings
        .secrets
        .values()
        .filter_map(|source| match source {
            SecretSource::Reference { secret, .. } => Some(secret.as_str()),
            SecretSource::Value(_) | SecretSource::NotRead(_) => None,
        })
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn planned(settings: &Settings, survey: &Survey) -> Result<Plan> {
    let unused = plan::SecretKey(Vec::new());
    let key = survey.key.as_ref().map_or(&unused, |(key, _)| key);
    plan::build(settings, SecretNaming::Keyed { key, versions: &survey.secret_versions })
}
