//! Warns about the effects of another app version.

use super::prepare::Preparation;
use crate::catalogue::Id;
use crate::object::kind::{CONFIG_MAP, DEPLOYMENT};
use crate::object::{ObjectId, labels};
use crate::plan::checks::version_change::{self, Deployed};
use crate::session::runner::Run;
use crate::settings::Settings;
use crate::settings::edition::Edition;

/// Reports the version change, before anything is changed.
pub(crate) async fn report(run: &Run<'_>, prepared: &Preparation) {
    let Some(change) = change(run.settings(), prepared) else { return };
    let id = if change.is_downgrade() { Id::VersionDowngrade } else { Id::VersionChanges };
    // The state is on a volume that the new version may migrate.
    let message = format!("{}; handsctl backup saves its data first", change.sentence());
    run.events().warn(id, message).await;
}

/// Returns the image of future sandboxes if the planned configuration has another one than the deployed one.
pub(super) fn new_runtime_image(prepared: &Preparation) -> Option<String> {
    let (live, planned) = compared(prepared)?;
    version_change::new_runtime_image(live, planned)
}

fn change(settings: &Settings, prepared: &Preparation) -> Option<version_change::VersionChange> {
    let (live, planned) = compared(prepared)?;
    // Releases of different editions are not comparable; a change of the edition has a warning of its own.
    if Edition::of_deployment(live.deployment) != Edition::of_deployment(planned.deployment) {
        return None;
    }
    version_change::detect(live, planned, |image| settings.version_of(image))
}

/// Returns the application as it is deployed and as it is planned.
fn compared(prepared: &Preparation) -> Option<(Deployed<'_>, Deployed<'_>)> {
    let members = &prepared.changes.plan.members;
    let planned = members
        .iter()
        .find(|member| member.kind == DEPLOYMENT && labels::is_of_application(&member.manifest))?;
    let live = prepared.observed.members.get(&planned.id)?;
    let mounted = |deployment: &serde_json::Value| -> Option<ObjectId> {
        let template = &deployment["spec"]["template"];
        let volumes = template["spec"]["volumes"].as_array()?;
        let mounted = volumes.iter().find_map(|volume| volume["configMap"]["name"].as_str());
        let name = mounted.or_else(|| template["metadata"]["annotations"][labels::POD_CONFIG].as_str())?;
        Some(CONFIG_MAP.id(planned.id.namespace.as_deref()?, name))
    };
    let (live_config, planned_config) = (mounted(live), mounted(&planned.manifest));
    let configuration = live_config.and_then(|id| prepared.observed.members.get(&id));
    let live = Deployed { deployment: live, configuration };
    let configuration = members
        .iter()
        .find(|member| Some(&member.id) == planned_config.as_ref())
        .map(|member| &member.manifest);
    Some((live, Deployed { deployment: &planned.manifest, configuration }))
}
