//! Finds the application's Deployment, the volume with its state, and the pod that has it mounted.

use k8s_openapi::api::core::v1::Pod;
use serde::Deserialize as _;
use serde_json::Value;

use crate::catalogue::Id;
use crate::cluster::app::{app_pods, probe};
use crate::cluster::volume::transfer::MountedVolume;
use crate::cluster::watch::deployed;
use crate::cluster::watch::observed_set::{self, ObservedSet};
use crate::deploy::missing_application;
use crate::error::{Error, Kind, Result};
use crate::object::kind::{CLAIM, DEPLOYMENT};
use crate::object::labels;
use crate::object::list_items::items;
use crate::object::pod_spec::{ClaimMount, application_claim, claim_mounts};
use crate::plan::inventory::apply_set::ApplySet;
use crate::plan::manifests::image_pull_pod::image_of;
use crate::plan::manifests::values;
use crate::session::runner::Run;
use crate::settings::AppVersion;
use crate::settings::edition::{Edition, SandboxPlace};
use crate::settings::format::ImageRef;

/// The deployed application with its volume.
pub(in crate::commands) struct ApplicationVolume {
    /// The live Deployment.
    pub(in crate::commands) deployment: Value,
    /// The set, watched from before the first change.
    pub(in crate::commands) observed: ObservedSet,
    /// The volume's claim, as the application mounts it.
    pub(in crate::commands) mount: ClaimMount,
    /// The requested size of the claim, if the account may read it.
    pub(in crate::commands) size: Option<String>,
    /// The application's image.
    pub(in crate::commands) image: String,
    /// The application's version; None if it is not known.
    pub(in crate::commands) version: Option<AppVersion>,
}

/// Finds the application, and its volume in the running one; None if it does not run. `action` is "nothing to back up".
///
/// # Errors
/// Exit 14 on simulated nodes, whose pods have no files; those of [`find_claim`].
pub(in crate::commands) async fn find(
    run: &Run<'_>,
    action: &str,
) -> Result<(ApplicationVolume, Option<MountedVolume>)> {
    let application = find_claim(run, action).await?;
    let pods = pods(run).await?;
    ensure_real(run, &pods).await?;
    let mount = &application.mount;
    let running = pods.iter().find(|pod| is_running(pod, mount)).map(|pod| MountedVolume {
        namespace: run.session.set().namespace,
        pod: pod["metadata"]["name"].as_str().unwrap_or_default().to_owned(),
        mount: mount.clone(),
        is_live: true,
    });
    Ok((application, running))
}

/// Finds the application and its claim, for work that reads no files.
///
/// # Errors
/// Exit 12 if nothing is deployed; exit 2 if the state is not on a volume claim.
pub(in crate::commands) async fn find_claim(run: &Run<'_>, action: &str) -> Result<ApplicationVolume> {
    let set = run.session.set();
    let version = run.session.server_version().await?;
    let (observed, forbidden) = observed_set::open_deployed(run.api(), &set, version.streams_lists()).await?;
    let is_application =
        |object: &&Value| object["kind"] == DEPLOYMENT.kind && labels::is_of_application(object);
    let Some(deployment) = observed.members.values().find(is_application).cloned() else {
        if forbidden.iter().any(|scope| scope.kind == DEPLOYMENT) {
            let message = format!("{action}: no right to read deployments in namespace {}", set.namespace);
            return Err(Error::new(Id::Forbidden, Kind::Forbidden, message));
        }
        return Err(missing_application::error(run.session, action).await);
    };
    ensure_can_be_copied(&set, &deployment, action)?;
    let Some(mount) = application_claim(&deployment) else {
        let message = format!("{action}: the application's state is not on a volume claim");
        return Err(Error::new(Id::Usage, Kind::Usage, message)
            .hint("a bucket and a database are copied with their own tools"));
    };
    let claims = CLAIM.in_namespace(&set.namespace);
    let claim = run.api().get_opt(&claims, &mount.claim).await;
    let claim = match claim {
        Err(error) if error.code() == Some(403) => None,
        claim => {
            claim.map_err(|error| error.into_error(&format!("cannot read volume claim {}", mount.claim)))?
        }
    };
    let image = image_of(&deployment).unwrap_or_default().to_owned();
    let version = version_of(run, &image);
    Ok(ApplicationVolume {
        observed,
        size: claim.as_ref().and_then(requested_size),
        image,
        version,
        deployment,
        mount,
    })
}

/// Checks that handsctl knows what a volume of the application's edition consists of.
///
/// # Errors
/// Exit 2 for Agent Canvas, with the command that copies its files.
fn ensure_can_be_copied(set: &ApplySet, deployment: &Value, action: &str) -> Result<()> {
    let edition = Edition::of_deployment(deployment);
    let SandboxPlace::ApplicationPod { workspace } = edition.sandboxes else { return Ok(()) };
    let (name, namespace) = (&set.name, &set.namespace);
    let message = format!("{action}: handsctl does not copy volumes of {} yet", edition.product);
    Err(Error::new(Id::Usage, Kind::Usage, message)
        .hint(format!(
            "its files: kubectl exec -n {namespace} deployment/{name} -- tar cf - -C / {} {} > {name}.tar",
            edition.state.trim_start_matches('/'),
            workspace.trim_start_matches('/')
        ))
        .hint(format!(
            "nobody can read its secrets without the key: keep secret/{} of namespace {namespace} as well",
            values::app_keys_name(name)
        )))
}

/// Returns the application's version in an image; None if it is not known.
pub(in crate::commands) fn version_of(run: &Run<'_>, image: &str) -> Option<AppVersion> {
    let version = ImageRef::parse(image).ok().map(|image| run.settings().version_of(&image));
    version.filter(|version| !version.assumed)
}

/// Lists the application's pods.
///
/// # Errors
/// The account may not list pods.
pub(super) async fn pods(run: &Run<'_>) -> Result<Vec<Value>> {
    app_pods::list(run.api(), &run.session.set()).await
}

/// Returns the deployed revision, if the account may read it.
pub(super) async fn deployed_revision(run: &Run<'_>) -> Option<u64> {
    let record = deployed::read_record(run.api(), &run.session.set()).await.ok()?;
    record.revisions?.last().map(|revision| revision.number)
}

/// Returns the requested size of a claim: `5Gi`.
pub(super) fn requested_size(claim: &Value) -> Option<String> {
    claim["spec"]["resources"]["requests"]["storage"].as_str().map(str::to_owned)
}

/// Returns whether the container that mounts the volume runs, and is not being stopped.
pub(super) fn is_running(pod: &Value, mount: &ClaimMount) -> bool {
    let mut containers = items(&pod["status"]["containerStatuses"]);
    pod["metadata"]["deletionTimestamp"].is_null()
        && claim_mounts(pod).contains(mount)
        && containers
            .any(|status| status["name"] == *mount.container && status["state"]["running"].is_object())
}

async fn ensure_real(run: &Run<'_>, pods: &[Value]) -> Result<()> {
    let is_simulated = match pods.first().and_then(|pod| Pod::deserialize(pod).ok()) {
        Some(pod) => probe::is_simulated(run.api(), &pod).await,
        None => run.session.is_simulation,
    };
    if is_simulated { Err(probe::simulated_error("a volume has no files")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn files_outside_of_a_claim_of_its_own_are_copied_by_hand() {
        let set = ApplySet { name: "oh".into(), namespace: "n".into(), ..ApplySet::default() };
        let refused = |edition: &str| {
            let deployment = json!({ "metadata": { "annotations": { labels::EDITION: edition } } });
            ensure_can_be_copied(&set, &deployment, "nothing to back up")
                .map_err(|error| error.hints()[0].clone())
        };
        assert_eq!(refused("classic"), Ok(()));
        let canvas = refused("canvas").unwrap_err();
        assert!(
            canvas.ends_with("-C / home/openhands/.openhands home/openhands/workspace > oh.tar"),
            "{canvas}"
        );
        let server = refused("agent-server").unwrap_err();
        assert!(server.ends_with("-C / home/openhands/.openhands workspace > oh.tar"), "{server}");
    }

    #[test]
    fn pod_runs_while_its_container_does() {
        let mount =
            ClaimMount { claim: "c".into(), container: "openhands".into(), path: "/.openhands".into() };
        let pod = json!({
            "metadata": { "name": "oh-1" },
            "spec": {
                "containers": [{ "name": "openhands", "volumeMounts": [{ "name": "s", "mountPath": "/.openhands" }] }],
                "volumes": [{ "name": "s", "persistentVolumeClaim": { "claimName": "c" } }],
            },
            "status": { "containerStatuses": [{ "name": "openhands", "state": { "running": {} } }] },
        });
        assert!(is_running(&pod, &mount));
        for (pointer, value) in [
            ("/metadata/deletionTimestamp", json!("2026-01-01T00:00:00Z")),
            ("/status/containerStatuses/0/state", json!({ "waiting": {} })),
            ("/spec/volumes/0/persistentVolumeClaim/claimName", json!("other")),
        ] {
            let mut other = pod.clone();
            other["metadata"]["deletionTimestamp"] = Value::Null;
            *other.pointer_mut(pointer).unwrap() = value;
            assert!(!is_running(&other, &mount), "{pointer}");
        }
    }
}
