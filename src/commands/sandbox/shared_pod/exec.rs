//! `sandbox exec` of a conversation that shares the application's pod: runs the command there, in the conversation's folder.

use super::application::SharedPod;
use super::errors;
use crate::cluster::app::app_pods;
use crate::commands::exec::{ContainerTarget, container_in};
use crate::error::Result;
use crate::object::exec_target;
use crate::session::cluster_session::Session;

/// Finds the application's container and the folder of the typed conversation in it.
///
/// # Errors
/// Exit 2 if there is no such conversation, or more than one; exit 12 if no pod runs. The application does not answer.
pub(in crate::commands::sandbox) async fn find_container(
    session: &Session,
    shared: &SharedPod,
    typed: &str,
) -> Result<ContainerTarget> {
    let application = shared.open(session).await?;
    let folder = shared.conversation(&application, typed).await?.folder;
    let (api, set) = (&session.connection.api, session.set());
    let pods = app_pods::list(api, &set).await?;
    let pod =
        exec_target::serving_pod(&pods).ok_or_else(|| errors::no_ready_pod(&set.name, &set.namespace))?;
    let target = container_in(session, &set.namespace, pod, None, errors::SHOWS_WHY).await?;
    Ok(ContainerTarget { folder, ..target })
}
