//! Warns that conversations are interrupted when the application's pod stops.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;

use super::prepare::Preparation;
use super::{verify, version_change};
use crate::catalogue::Id;
use crate::cluster::app::client::AppClient;
use crate::cluster::app::{conversation_count, probe, sandbox_pods};
use crate::cluster::watch::observed_set::ObservedSet;
use crate::error::Result;
use crate::object::kind::DEPLOYMENT;
use crate::object::{ObjectId, labels};
use crate::phrase;
use crate::plan::inventory::app_keys::StoredAppKeys;
use crate::plan::manifests::stop_signal;
use crate::session::runner::Run;
use crate::settings::edition::Edition;
use crate::status::sandbox;

/// The time limit of the application's answer. A stop does not wait for one that hangs.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// Warns about the conversations that the planned changes interrupt, before anything is changed.
///
/// # Errors
/// The server is unreachable.
pub(super) async fn report(run: &Run<'_>, prepared: &Preparation) -> Result<()> {
    if !stops_application(prepared) {
        return Ok(());
    }
    let new_image = version_change::new_runtime_image(prepared);
    warn_of_stop(run, &prepared.observed, &prepared.state.app_keys, new_image.as_deref()).await
}

/// Warns about the conversations that a stop of the deployed application interrupts, wherever they run. `keys` are those of
/// the installation. `new_image` is the image of future sandboxes, if the run changes it.
///
/// # Errors
/// The server is unreachable.
pub(crate) async fn warn_of_stop(
    run: &Run<'_>,
    observed: &ObservedSet,
    keys: &StoredAppKeys,
    new_image: Option<&str>,
) -> Result<()> {
    let edition = verify::edition_of(run.settings(), |id| observed.members.get(id));
    if edition.has_sandbox_pods() {
        return warn_of_interruption(run, new_image).await;
    }
    let pods = observed.ready_pods(&run.session.set());
    let Some(pod) = pods.first() else { return Ok(()) };
    if probe::is_simulated(run.api(), pod).await {
        return Ok(());
    }
    let message = match running_in_the_pod(run, pod, edition, keys).await {
        Ok(running) => sandbox::interrupted_in_the_pod(running),
        Err(why) => {
            Some(format!("conversations that are at work are interrupted; their number is unknown: {why}"))
        }
    };
    if let Some(message) = message {
        run.events().warn(Id::ConversationInterrupted, message).await;
    }
    Ok(())
}

/// Asks the application how many conversations are at work in its pod.
async fn running_in_the_pod(
    run: &Run<'_>,
    pod: &Pod,
    edition: &'static Edition,
    keys: &StoredAppKeys,
) -> std::result::Result<u32, String> {
    let StoredAppKeys::Keys(keys) = keys else { return Err("its key is missing".to_owned()) };
    let application = AppClient::new(&run.settings().deploy, pod.metadata.name.clone(), edition);
    let counting = conversation_count::get(run.api(), &application, keys.api());
    let counted = tokio::time::timeout(ANSWER_LIMIT, counting).await;
    let counted = counted.map_err(|_| format!("no answer within {}", phrase::span(ANSWER_LIMIT)))??;
    Ok(counted.running)
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
        Some(pods) => sandbox::interrupted_conversations(&pods, new_image),
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
