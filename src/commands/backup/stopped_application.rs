//! Stops the application, mounts its volume in a pod of its own where the work needs the files, and starts the application
//! again, however the work between ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;
use serde_json::Value;

use super::application_volume::{self, ApplicationVolume};
use crate::catalogue::Id;
use crate::cluster::access::{access_review, rules};
use crate::cluster::apply::applied::Applied;
use crate::cluster::apply::deletion_wait::{self, DeletedObject};
use crate::cluster::apply::scale::ScaledDeployment;
use crate::cluster::rollout::follow::RolloutWatch;
use crate::cluster::volume::transfer::MountedVolume;
use crate::cluster::volume::volume_pod::{self as pods, PodLimits};
use crate::cluster::watch::observed_set;
use crate::deploy::{claim_guard, conversation_guard, conversations, rollout, verify};
use crate::error::{Error, Kind, Result};
use crate::event::{Finished, Phase};
use crate::flags::Probe;
use crate::object::ObjectId;
use crate::object::kind::POD;
use crate::phrase;
use crate::plan::manifests::image_pull_pod::owner;
use crate::plan::manifests::stop_signal;
use crate::plan::manifests::volume_pod::{self, VolumePod};
use crate::session::runner::Run;
use crate::session::step::step;
use crate::session::uncut::{UncutEnd, uncut};

/// Seconds after the command's time limit in which a pod that mounts a volume ends by itself.
const AFTER_DEADLINE: u64 = 60;

/// Returns the seconds after which a pod that mounts a volume ends by itself, even if this command is killed.
pub(super) fn volume_pod_seconds(run: &Run<'_>) -> u64 {
    run.deadline().total.as_secs() + AFTER_DEADLINE
}

/// Whether the volume is in a state in which the application must not start.
#[derive(Debug, Clone, Default)]
pub(in crate::commands) struct HalfReplaced(Arc<AtomicBool>);

impl HalfReplaced {
    pub(in crate::commands) fn set(&self, is_half_replaced: bool) {
        self.0.store(is_half_replaced, Ordering::SeqCst);
    }

    pub(in crate::commands) fn get(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// Runs `work` with the volume while the application is stopped. Returns its result and the started Deployment. The
/// caller holds the set's lock.
///
/// # Errors
/// Exit 2 if the stop would delete a conversation's volume; those of the work.
pub(in crate::commands) async fn while_stopped<T>(
    run: &Run<'_>,
    application: &ApplicationVolume,
    half_replaced: &HalfReplaced,
    work: impl AsyncFnOnce(&MountedVolume) -> Result<T>,
) -> Result<(T, Applied)> {
    let set = run.session.set();
    let ApplicationVolume { deployment, observed, mount, .. } = application;
    ensure_stop_keeps_conversations(run, deployment).await?;
    claim_guard::ensure_restart_keeps(run, observed).await?;
    access_review::check(run.api(), &rules::for_stop(&set)).await?;
    conversations::warn_of_interruption(run, None).await?;
    let owner = owner(deployment);
    let pod = volume_pod::for_application(deployment, mount, &set.name, volume_pod_seconds(run), owner)
        .ok_or_else(|| Error::internal("the Deployment has no container with its volume"))?;
    let scaled = ScaledDeployment::new(deployment)?;
    pods::delete_leftover(run.api(), &set.namespace, &set.name, &mount.claim).await?;
    while_scaled_down(run, &scaled, replicas(run, deployment), half_replaced, async || {
        with_volume_pod(run, &pod, work).await
    })
    .await
}

/// Runs `work` while the application is stopped, without a pod that mounts the volume. Returns its result and the started
/// Deployment. The caller holds the set's lock, and has checked that no data depends on the application's pod.
///
/// # Errors
/// Exit 2 if the stop would delete a conversation's volume; those of the work.
pub(in crate::commands) async fn without_pods<T>(
    run: &Run<'_>,
    application: &ApplicationVolume,
    half_replaced: &HalfReplaced,
    work: impl AsyncFnOnce() -> Result<T>,
) -> Result<(T, Applied)> {
    let deployment = &application.deployment;
    ensure_stop_keeps_conversations(run, deployment).await?;
    conversations::warn_of_interruption(run, None).await?;
    let scaled = ScaledDeployment::new(deployment)?;
    while_scaled_down(run, &scaled, replicas(run, deployment), half_replaced, work).await
}

async fn ensure_stop_keeps_conversations(run: &Run<'_>, deployment: &Value) -> Result<()> {
    if !stop_signal::deletes_conversation_on_stop(deployment) {
        return Ok(());
    }
    let hint =
        "set on_stop = \"keep\" and run handsctl deploy --delete-data: it stops this pod one last time";
    conversation_guard::ensure_no_conversations(run, hint).await
}

/// Runs `work` while the Deployment has no pods, then starts `replicas` of them.
async fn while_scaled_down<T>(
    run: &Run<'_>,
    scaled: &ScaledDeployment,
    replicas: u64,
    half_replaced: &HalfReplaced,
    work: impl AsyncFnOnce() -> Result<T>,
) -> Result<(T, Applied)> {
    let api = run.api();
    step(run.events(), Phase::Copy, "stop", async {
        let (stopping, scaled_down) = (api.clone(), scaled.clone());
        let (stop, stop_end) = uncut(async move { scaled_down.scale(&stopping, 0).await });
        start_at_the_end(run, scaled, replicas, half_replaced, stop_end);
        stop.result().await?;
        let stopped = stop_pods(run).await?;
        Ok(((), format!("{} stopped", phrase::count(stopped, "pod"))))
    })
    .await?;
    let result = work().await?;
    let applied = step(run.events(), Phase::Copy, "start", async {
        let applied = scaled.scale(api, replicas).await?;
        run.cleanups().forget_last();
        Ok((applied, format!("scaled to {replicas}")))
    })
    .await?;
    Ok((result, applied))
}

/// Waits until the started application is ready and answers. Returns its URL.
pub(in crate::commands) async fn await_application(
    run: &Run<'_>,
    applied: &[Applied],
    started: Timestamp,
) -> Result<Option<String>> {
    let version = run.session.server_version().await?;
    let (mut observed, _) =
        observed_set::open_deployed(run.api(), &run.session.set(), version.streams_lists()).await?;
    let rollout = RolloutWatch {
        expected: observed_set::expected(applied),
        grace: rollout::grace_periods(run.settings(), started),
        deadline: run.deadline().at,
        usual: None,
    };
    rollout::follow(run, &mut observed, &rollout).await?;
    let edition = verify::edition_of(run.settings(), |id| observed.members.get(id));
    let endpoint = verify::probe_application(run, Probe::Auto, &observed, edition).await?.endpoint;
    Ok(endpoint.into_url())
}

/// Waits for the application that a finished backup has started again: its Deployment, and the time before it was stopped. The
/// summary gets its URL.
///
/// # Errors
/// Those of [`await_application`]. They name the backup, which exists.
pub(super) async fn after_backup(
    run: &Run<'_>,
    restarted: Option<(Applied, Timestamp)>,
    finished: Finished,
) -> Result<Finished> {
    let Some((applied, started)) = restarted else { return Ok(finished) };
    match await_application(run, &[applied], started).await {
        Ok(url) => Ok(Finished { url, ..finished }),
        Err(error) => Err(error.fact("backup", finished.message)),
    }
}

/// Runs `work` with a volume that a pod of its own mounts.
///
/// # Errors
/// Exit 9 if the pod cannot run; those of the work.
pub(super) async fn with_volume_pod<T>(
    run: &Run<'_>,
    pod: &VolumePod,
    work: impl AsyncFnOnce(&MountedVolume) -> Result<T>,
) -> Result<T> {
    let (api, events) = (run.api(), run.events());
    let namespace = pod.manifest["metadata"]["namespace"].as_str().unwrap_or_default().to_owned();
    let streaming = run.session.server_version().await?.streams_lists();
    let step_name = format!("mount {}", pod.mount.claim);
    let volume = step(events, Phase::Copy, &step_name, async {
        let claim = pod.mount.claim.clone();
        let consequence = format!(
            "a pod that mounts volume claim {claim} is left in namespace {namespace}; it ends by itself"
        );
        let (creating, requested) = (api.clone(), pod.clone());
        let (creation, creation_end) = uncut(async move { pods::create(&creating, &requested).await });
        let (cleaning, set) = (api.without_deadline(), run.session.set().name);
        run.cleanups().push(Id::VolumeCommandFailed, consequence, async move {
            creation_end.reached_or_aborted().await;
            pods::delete_leftover(&cleaning, &namespace, &set, &claim).await
        });
        let created = match creation.result().await {
            Ok(created) => created,
            Err(error) => {
                run.cleanups().forget_last();
                return Err(error);
            }
        };
        let limits = PodLimits {
            grace: rollout::grace_periods(run.settings(), api.clock().floor()),
            deadline: run.deadline().at,
            streaming,
        };
        let volume = pods::await_ready(api, pod, &created, limits, run.settings(), events).await?;
        let message = format!("in pod/{}", volume.pod);
        Ok((volume, message))
    })
    .await?;
    let result = work(&volume).await;
    after_cleanup(result, run.cleanups().run_last().await)
}

/// Returns the result of the work, with a failure of its cleanup. The work's own error is the reason for the exit code.
fn after_cleanup<T>(result: Result<T>, cleaned: Result<()>) -> Result<T> {
    match (result, cleaned) {
        (Err(error), Err(failure)) => {
            let error = error.fact("also", failure.with_causes());
            Err(failure.hints().iter().fold(error, |error, hint| error.hint(hint.clone())))
        }
        (result, cleaned) => cleaned.and(result),
    }
}

/// Returns how many pods the application has after the command: as many as before, or as the configuration says if it was
/// stopped, as after a run that was killed.
fn replicas(run: &Run<'_>, deployment: &Value) -> u64 {
    match deployment["spec"]["replicas"].as_u64() {
        Some(0) | None => run.settings().deploy.replicas.into(),
        Some(replicas) => replicas,
    }
}

/// Starts the application when the command ends, after the request that stops it.
fn start_at_the_end(
    run: &Run<'_>,
    scaled: &ScaledDeployment,
    replicas: u64,
    half_replaced: &HalfReplaced,
    stop: UncutEnd,
) {
    let (api, scaled, half_replaced) = (run.api().without_deadline(), scaled.clone(), half_replaced.clone());
    let consequence = "the application is still stopped; handsctl deploy starts it";
    run.cleanups().push(Id::ApplicationStopped, consequence, async move {
        if half_replaced.get() {
            let message = "a volume is only partly replaced";
            return Err(Error::new(Id::ApplicationStopped, Kind::Internal, message)
                .hint("run handsctl restore again: it completes the replacement first"));
        }
        stop.reached_or_aborted().await;
        scaled.scale(&api, replicas).await.map(drop)
    });
}

/// Waits until the application's pods are gone. Returns their number.
async fn stop_pods(run: &Run<'_>) -> Result<usize> {
    let set = run.session.set();
    let pods = application_volume::pods(run).await?;
    let objects = pods.into_iter().filter_map(|object| {
        let name = object["metadata"]["name"].as_str()?;
        let id: ObjectId = POD.id(&set.namespace, name);
        Some(DeletedObject { id, collection: POD.in_namespace(&set.namespace), object })
    });
    let objects: Vec<DeletedObject> = objects.collect();
    let count = objects.len();
    let remaining = deletion_wait::until_gone(run.api(), objects, run.deadline().at, run.events()).await?;
    match remaining.first() {
        None => Ok(count),
        Some(pod) => Err(run.deadline().passed(Some(&format!("{} has not stopped", pod.id)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_of_the_work_is_not_hidden_by_that_of_its_cleanup() {
        let lost = || Error::new(Id::VolumeCommandFailed, Kind::Rejected, "the copy failed");
        let left = || Error::internal("cannot delete pod/x");
        let both = after_cleanup::<()>(Err(lost()), Err(left())).unwrap_err();
        assert_eq!((both.kind(), both.message()), (Kind::Rejected, "the copy failed"));
        assert_eq!(both.facts()[0].text, "cannot delete pod/x");
        assert_eq!(after_cleanup::<()>(Err(lost()), Ok(())).unwrap_err().message(), "the copy failed");
        assert_eq!(after_cleanup(Ok(1), Err(left())).unwrap_err().message(), "cannot delete pod/x");
        assert_eq!(after_cleanup(Ok(1), Ok(())).unwrap(), 1);
    }
}
