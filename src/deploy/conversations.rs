//! Warns that conversations are interrupted when the application's pod stops.

use super::prepare::Preparation;
use super::version_change;
use crate::catalogue::Id;
use crate::cluster::app::sandbox_pods;
use crate::error::Result;
use crate::object::kind::DEPLOYMENT;
use crate::object::{ObjectId, labels};
use crate::plan::manifests::stop_signal;
use crate::session::runner::Run;
use crate::status;

/// Warns about the conversations that the planned changes interrupt, before anything is changed.
///
/// # Errors
/// The server is unreachable.
pub(super) async fn report(run: &Run<'_>, prepared: &Preparation) -> Result<()> {
    if !stops_application(prepared) {
        return Ok(());
    }
    warn_of_interruption(run, version_change::new_runtime_image(prepared).as_deref()).await
}

/// Returns whether the planned changes stop a pod of the application. A pod that deletes a conversation when it stops
/// does not count: it has an error of its own.
pub(super) fn stops_application(prepared: &Preparation) -> bool {
    let set = &prepared.state.set;
    let is_application = |id: &ObjectId| {
        prepared.observed.members.get(id).is_some_and(|live| {
            labels::is_instance(live, &set.name)
                && live["spec"]["replicas"] != 0
                && !stop_signal::deletes_conversation_on_stop(live)
        })
    };
    prepared.changes.stopping.iter().any(|id| id.kind == DEPLOYMENT.kind && is_application(id))
}

/// Warns about the conversations that a stop of the application interrupts. `new_image` is the image of future
/// sandboxes, if the run changes it.
///
/// # Errors
/// The server is unreachable.
pub(crate) async fn warn_of_interruption(run: &Run<'_>, new_image: Option<&str>) -> Result<()> {
    let namespace = run.settings().runtime_namespace();
    let message = match sandbox_pods::list(run.api(), namespace).await? {
        Some(pods) => status::interrupted_conversations(&pods, new_image),
        None => Some(format!(
            "conversations that are at work are interrupted; their number is unknown: no right to list pods in \
             namespace {namespace}"
        )),
    };
    if let Some(message) = message {
        run.events().warn(Id::ConversationInterrupted, message).await;
    }
    Ok(())
}
