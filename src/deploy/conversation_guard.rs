//! Refuses to stop an application that deletes a conversation's volume when it stops, and warns of one that does when its
//! node stops.

use super::prepare::Preparation;
use crate::catalogue::Id;
use crate::cluster::teardown;
use crate::error::{Error, Kind, Result};
use crate::object::kind::CLAIM;
use crate::plan::desired::PlanOrigin;
use crate::plan::manifests::stop_signal;
use crate::session::runner::Run;

/// Checks that there is no volume of a conversation. `hint` is the command that continues anyway.
///
/// # Errors
/// Exit 2 with the volumes' names.
pub(crate) async fn ensure_no_conversations(run: &Run<'_>, hint: &str) -> Result<()> {
    let settings = run.settings();
    let mut claims = teardown::list_sandboxes(run.api(), settings.runtime_namespace()).await?;
    claims.retain(|id| id.kind == CLAIM.kind);
    if claims.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = claims.iter().map(ToString::to_string).collect();
    let message = "the application would delete the volume of its first conversation when it stops; nothing was changed";
    Err(Error::new(Id::ConversationAtRisk, Kind::Usage, message)
        .fact("volumes", names.join("\n"))
        .at_config(settings.locate("deploy.on_stop"))
        .hint("[deploy] on_stop = \"keep\", the default, keeps every conversation")
        .hint(hint))
}

/// Warns about a revision whose application receives SIGTERM when its node stops.
pub(super) async fn warn_of_node_stop(run: &Run<'_>, prepared: &Preparation) {
    let plan = &prepared.changes.plan;
    let PlanOrigin::Revision(number) = plan.origin else { return };
    if !plan.members.iter().any(|member| stop_signal::receives_sigterm_of_node(&member.manifest)) {
        return;
    }
    let message = format!(
        "the container of revision {number} does not block SIGTERM: when its node stops, the application deletes \
         the volume of its first conversation; handsctl deploy applies config.toml and blocks it again"
    );
    run.events().warn(Id::NodeStopAtRisk, message).await;
}
