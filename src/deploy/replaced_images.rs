//! Finds pods that run an earlier build of their image: a pod keeps its image when another one of the same name is
//! loaded onto its node.

use crate::catalogue::Id;
use crate::event::Events;
use crate::object::running_image::RunningImage;
use crate::provider;
use crate::session::cluster_session::Session;
use crate::status::{self, ObservedState};

/// Returns those of the running images that were replaced on their node. Empty outside of kind clusters, whose nodes'
/// images this computer cannot read. It sends no request to the API server.
pub(crate) async fn among(session: &Session, running: &[RunningImage]) -> Vec<RunningImage> {
    let is_kind = provider::kind_cluster(&session.connection.choice.context).is_some();
    if !is_kind || running.is_empty() {
        return Vec::new();
    }
    provider::replaced_images(&session.environment, running).await.into_iter().cloned().collect()
}

/// Returns the replaced images of the set's observed pods.
pub(crate) async fn observed(session: &Session, state: &ObservedState) -> Vec<RunningImage> {
    among(session, &status::running_images(state, &session.set().name)).await
}

/// Warns about the pods that run an earlier build, and that this run does not replace.
pub(crate) async fn warn(session: &Session, state: &ObservedState, events: &Events) {
    for image in observed(session, state).await {
        let finding = status::replaced_image_finding(&image, &session.set().namespace);
        let hints = finding.hints.join("; ");
        events.warn(Id::ImageReplaced, format!("{}: {}; {hints}", finding.object, finding.message)).await;
    }
}
