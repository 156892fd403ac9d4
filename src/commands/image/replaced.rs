//! Pods that still run the previous image of a name: a pod keeps its image when another image of the same name is loaded
//! onto its node.

use kube::api::ListParams;

use crate::commands::restart::{self, KeyChange};
use crate::deploy::replaced_images;
use crate::error::Result;
use crate::event::{Finished, Phase};
use crate::flags::RolloutArgs;
use crate::object::kind::POD;
use crate::object::labels;
use crate::object::running_image::{RunningImage, running_images};
use crate::provider;
use crate::session::cluster_session::Session;
use crate::session::runner::Run;

/// Returns the running images of the set's pods that were replaced on their node. Empty outside of kind clusters, and if
/// the pods cannot be listed.
pub(super) async fn outdated(session: &Session) -> Vec<RunningImage> {
    let connection = &session.connection;
    if provider::kind_cluster(&connection.choice.context).is_none() {
        return Vec::new();
    }
    let set = session.set();
    let pods = POD.in_namespace(&set.namespace);
    let of_set = ListParams::default().labels(&labels::instance_selector(&set.name));
    let Ok(list) = connection.api.list(&pods, &of_set).await else { return Vec::new() };
    replaced_images::among(session, &running_images(&list.items)).await
}

/// The part of `up` that replaces pods whose image was rebuilt: the deploy changes nothing, because the image's name is
/// the same.
///
/// # Errors
/// Those of `restart`.
pub(in crate::commands) async fn restart_outdated(
    run: &Run<'_>,
    rollout: &RolloutArgs,
    deployed: Finished,
) -> Result<Finished> {
    if rollout.no_wait {
        return Ok(deployed);
    }
    let outdated = outdated(run.session).await;
    let Some(first) = outdated.first() else { return Ok(deployed) };
    let message = format!("pod/{} runs the previous {}", first.pod, first.image);
    run.events().done(Phase::Preflight, "image", message).await;
    restart::restart(run, rollout, KeyChange::Keep).await?;
    Ok(deployed)
}
