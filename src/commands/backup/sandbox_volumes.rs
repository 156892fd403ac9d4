//! The volumes of conversations: copied through their running sandbox, else through a pod that mounts them.

use kube::api::ListParams;
use serde_json::{Value, json};

use super::application_volume::{is_running, requested_size};
use super::copy::{Archive, copy};
use super::stopped_application::{volume_pod_seconds, with_volume_pod};
use crate::archive::manifest::{Manifest, Part, SANDBOXES};
use crate::archive::write::PartSource;
use crate::catalogue::Id;
use crate::cluster::app::sandbox_pods;
use crate::cluster::client::request::if_same_object;
use crate::cluster::volume::transfer::MountedVolume;
use crate::error::{Error, Kind, Result};
use crate::object::kind::{CLAIM, POD};
use crate::object::pod_spec::claim_mounts;
use crate::plan::manifests::volume_pod::{self, UNFINISHED, VolumePod};
use crate::session::runner::Run;
use crate::status::sandbox::ConversationPart;

/// Copies the volumes of all conversations into the archive.
pub(super) async fn copy_all(run: &Run<'_>, mut archive: Archive, parts: &mut Vec<Part>) -> Result<Archive> {
    let namespace = run.settings().runtime_namespace();
    let claims = run.api().list(&CLAIM.in_namespace(namespace), &ListParams::default()).await;
    let claims = claims
        .map_err(|error| error.into_error(&format!("cannot list volume claims in namespace {namespace}")))?;
    let pods = sandbox_pods::list(run.api(), namespace).await?.unwrap_or_default();
    for claim in claims.items {
        let Some(name) = claim["metadata"]["name"]
            .as_str()
            .filter(|name| ConversationPart::Claim.conversation_in(name).is_some())
        else {
            continue;
        };
        let running = mounted(&pods, namespace, name);
        let source = PartSource {
            name: format!("{SANDBOXES}/{name}"),
            claim: name.to_owned(),
            size: requested_size(&claim),
            is_at_rest: running.is_none(),
        };
        let part;
        (archive, part) = if let Some(volume) = running {
            copy(run, &volume, source, archive).await?
        } else {
            let pod = pod_for(run, name)?;
            with_volume_pod(run, &pod, async |volume| copy(run, volume, source, archive).await).await?
        };
        parts.push(part);
    }
    Ok(archive)
}

/// Checks that the conversations' volumes of a backup do not exist, or are those of an unfinished restore.
///
/// # Errors
/// Exit 2 with their names.
pub(in crate::commands) async fn ensure_absent(run: &Run<'_>, manifest: &Manifest) -> Result<()> {
    let mut existing = Vec::new();
    for part in manifest.sandboxes() {
        if get_claim(run, &part.claim).await?.is_some_and(|claim| !is_unfinished(&claim)) {
            existing.push(part.claim.as_str());
        }
    }
    if existing.is_empty() {
        return Ok(());
    }
    let message = "volumes of conversations exist already; nothing was changed";
    Err(Error::new(Id::VolumeHoldsData, Kind::Usage, message)
        .fact("volumes", existing.join("\n"))
        .hint("--delete-data replaces them by those of the backup"))
}

/// Prepares the restore of a conversation's volume: creates its claim, or stops the sandbox that has it mounted. Returns
/// whether the volume has earlier files, other than those of an unfinished restore.
///
/// # Errors
/// Exit 2 if the volume is not of a conversation; those of the API server.
pub(in crate::commands) async fn prepare(run: &Run<'_>, part: &Part) -> Result<bool> {
    let settings = run.settings();
    let namespace = settings.runtime_namespace();
    if ConversationPart::Claim.conversation_in(&part.claim).is_none() {
        let message = format!("the backup has a volume that is not of a conversation: {}", part.claim);
        return Err(Error::new(Id::BackupInvalid, Kind::Usage, message));
    }
    if let Some(claim) = get_claim(run, &part.claim).await? {
        delete_sandbox(run, &part.claim).await?;
        return Ok(!is_unfinished(&claim));
    }
    let kubernetes = &settings.openhands.kubernetes;
    let size = part.size.clone().unwrap_or_else(|| kubernetes.pvc_storage_size.to_string());
    let class = kubernetes.pvc_storage_class.as_ref().map(ToString::to_string);
    let claim = volume_pod::sandbox_claim(namespace, &part.claim, &size, class.as_deref());
    let created = run.api().create(&CLAIM.in_namespace(namespace), &claim).await;
    created.map(|_| false).map_err(|error| {
        error.into_error(&format!("cannot create volume claim {} in namespace {namespace}", part.claim))
    })
}

/// Runs `work` with a conversation's volume in a pod of its own.
///
/// # Errors
/// Exit 9 if the pod cannot run; those of the work.
pub(in crate::commands) async fn in_own_pod(
    run: &Run<'_>,
    claim: &str,
    work: impl AsyncFnOnce(&MountedVolume) -> Result<()>,
) -> Result<()> {
    with_volume_pod(run, &pod_for(run, claim)?, work).await
}

/// Runs `work` with a conversation's volume, in its running sandbox or in a pod of its own.
///
/// # Errors
/// Exit 9 if the pod cannot run; those of the work.
pub(in crate::commands) async fn in_any_pod(
    run: &Run<'_>,
    claim: &str,
    work: impl AsyncFnOnce(&MountedVolume) -> Result<()>,
) -> Result<()> {
    let namespace = run.settings().runtime_namespace();
    let pods = sandbox_pods::list(run.api(), namespace).await?.unwrap_or_default();
    match mounted(&pods, namespace, claim) {
        Some(volume) => work(&volume).await,
        None => in_own_pod(run, claim, work).await,
    }
}

/// Marks the claim that [`prepare`] has created as completely restored.
///
/// # Errors
/// The API server does not accept the change.
pub(in crate::commands) async fn mark_finished(run: &Run<'_>, claim: &str) -> Result<()> {
    let namespace = run.settings().runtime_namespace();
    let finished = json!({ "metadata": { "annotations": { UNFINISHED: Value::Null } } });
    let marked = run.api().merge_patch(&CLAIM.in_namespace(namespace), claim, &finished).await;
    marked.map(drop).map_err(|error| {
        error.into_error(&format!("cannot change volume claim {claim} in namespace {namespace}"))
    })
}

/// Deletes the sandbox that has the claim mounted. The application starts it again with the conversation.
async fn delete_sandbox(run: &Run<'_>, claim: &str) -> Result<()> {
    let namespace = run.settings().runtime_namespace();
    let pods = sandbox_pods::list(run.api(), namespace).await?.unwrap_or_default();
    let has_claim = |pod: &&Value| claim_mounts(pod).iter().any(|mount| mount.claim == claim);
    for pod in pods.iter().filter(has_claim) {
        let name = pod["metadata"]["name"].as_str().unwrap_or_default();
        let params = if_same_object(pod).grace_period(0);
        let deleted = run.api().delete_same(&POD.in_namespace(namespace), name, &params).await;
        deleted.map_err(|error| error.into_error(&format!("cannot delete the sandbox pod/{name}")))?;
    }
    Ok(())
}

async fn get_claim(run: &Run<'_>, name: &str) -> Result<Option<Value>> {
    let namespace = run.settings().runtime_namespace();
    let claim = run.api().get_opt(&CLAIM.in_namespace(namespace), name).await;
    claim.map_err(|error| {
        error.into_error(&format!("cannot read volume claim {name} in namespace {namespace}"))
    })
}

fn is_unfinished(claim: &Value) -> bool {
    claim["metadata"]["annotations"][UNFINISHED].is_string()
}

/// Returns the volume in a running sandbox.
fn mounted(pods: &[Value], namespace: &str, claim: &str) -> Option<MountedVolume> {
    let mounts = pods.iter().flat_map(|pod| claim_mounts(pod).into_iter().map(move |mount| (pod, mount)));
    let (pod, mount) =
        mounts.into_iter().find(|(pod, mount)| mount.claim == claim && is_running(pod, mount))?;
    Some(MountedVolume {
        namespace: namespace.to_owned(),
        pod: pod["metadata"]["name"].as_str()?.to_owned(),
        mount,
        is_live: true,
    })
}

/// Builds the pod that mounts a conversation's volume.
fn pod_for(run: &Run<'_>, claim: &str) -> Result<VolumePod> {
    let settings = run.settings();
    let Some(image) = &settings.openhands.sandbox.runtime_container_image else {
        let message = format!("cannot mount volume claim {claim}: the sandboxes' image is not known");
        return Err(Error::new(Id::Usage, Kind::Usage, message).hint("set [sandbox] runtime_container_image"));
    };
    let secret = settings.openhands.kubernetes.image_pull_secret.as_ref().map(ToString::to_string);
    let seconds = volume_pod_seconds(run);
    let namespace = settings.runtime_namespace();
    let set = run.session.set();
    Ok(volume_pod::for_sandbox(namespace, claim, image.as_str(), secret.as_deref(), &set.name, seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volume_is_read_in_the_running_sandbox_that_mounts_it() {
        let pod = json!({
            "metadata": { "name": "openhands-runtime-a" },
            "spec": {
                "containers": [{ "name": "runtime", "volumeMounts": [{ "name": "w", "mountPath": "/workspace" }] }],
                "volumes": [{ "name": "w", "persistentVolumeClaim": { "claimName": "a-pvc" } }],
            },
            "status": { "containerStatuses": [{ "name": "runtime", "state": { "running": {} } }] },
        });
        let volume = mounted(std::slice::from_ref(&pod), "boxes", "a-pvc").unwrap();
        assert_eq!((volume.pod.as_str(), volume.mount.path.as_str()), ("openhands-runtime-a", "/workspace"));
        assert!(mounted(std::slice::from_ref(&pod), "boxes", "b-pvc").is_none());
        let mut ended = pod;
        ended["status"]["containerStatuses"][0]["state"] = json!({ "terminated": {} });
        assert!(mounted(&[ended], "boxes", "a-pvc").is_none());
    }
}
