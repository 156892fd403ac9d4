//! Replaces the pods of the set's Deployments without another change.

use jiff::Timestamp;
use serde_json::json;

use super::applied::Applied;
use crate::cluster::client::api::Api;
use crate::error::Result;
use crate::event::{Action, Event, Events, Phase};
use crate::object::kind::DEPLOYMENT;
use crate::plan::inventory::members::Members;

/// The annotation of `kubectl rollout restart`, because other tools show it.
const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";

/// Sets the restart time on the pod templates of the Deployments, with a separate field manager: the next deploy, which
/// does not set the annotation, neither removes it nor replaces the pods again.
///
/// # Errors
/// Fails if the server rejects the change.
pub async fn restart(api: &Api, members: &Members, now: Timestamp, events: &Events) -> Result<Vec<Applied>> {
    let mut deployments: Vec<_> = members.iter().filter(|(id, _)| id.kind == DEPLOYMENT.kind).collect();
    deployments.sort_by_key(|(id, _)| *id);
    let objects = deployments.iter().map(|(id, _)| (*id).clone()).collect();
    events.send(Event::Planned { phase: Phase::Apply, objects }).await;
    let mut restarted = Vec::new();
    for (id, object) in deployments {
        let manifest = json!({
            "apiVersion": DEPLOYMENT.api_version(),
            "kind": DEPLOYMENT.kind,
            // With the UID, apply does not recreate a Deployment that was deleted meanwhile.
            "metadata": { "name": id.name, "namespace": id.namespace, "uid": object["metadata"]["uid"] },
            "spec": { "template": { "metadata": { "annotations": { RESTARTED_AT: now.to_string() } } } },
        });
        let response = api
            .apply_as_restart(&DEPLOYMENT.collection(id.namespace.as_deref()), &manifest)
            .await
            .map_err(|error| error.into_error(&format!("cannot restart {id}")))?;
        let action = Action::Configured;
        events.object(Phase::Apply, id.clone(), action, Some("restarted".to_owned())).await;
        restarted.push(Applied { id: id.clone(), action, object: Some(response.body) });
    }
    Ok(restarted)
}
