//! `backup --snapshot`: a `VolumeSnapshot` of the application's volume claim, instead of a file.

use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use serde_json::Value;

use super::application_volume::{self, ApplicationVolume};
use super::snapshot_source;
use super::stopped_application::{self, HalfReplaced, after_backup};
use crate::catalogue::Id;
use crate::cluster::access::{access_review, rules};
use crate::cluster::apply::applied::Applied;
use crate::cluster::volume::snapshot::{self, SnapshotGoal, SnapshotWait};
use crate::command_line::quoted;
use crate::deploy::claim_guard;
use crate::error::{Error, Kind, Result};
use crate::event::{Finished, Phase};
use crate::object::volume_snapshot;
use crate::plan::manifests::volume_snapshot::{self as manifests, SnapshotSource};
use crate::session::runner::Run;
use crate::session::step::step;
use crate::session::uncut::{UncutEnd, uncut};

/// What `backup --snapshot` is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct SnapshotRequest<'a> {
    /// Whether the application is stopped until the content of the volume is captured.
    pub(super) stop: bool,
    /// The class, if one is named.
    pub(super) class: Option<&'a str>,
}

/// Takes the snapshot. The application is only stopped until the content of the volume is captured.
///
/// # Errors
/// Exit 14 if the cluster takes no snapshot of the volume; exit 8 if the snapshot fails.
pub(super) async fn backup(run: &Run<'_>, request: SnapshotRequest<'_>) -> Result<Finished> {
    run.events().target("backup", run.session.target()).await;
    let set = run.session.set();
    let (application, class) = step(run.events(), Phase::Preflight, "preflight", async {
        let application = application_volume::find_claim(run, "nothing to back up").await?;
        let claim = &application.mount.claim;
        snapshot_source::ensure_api(run, &format!("cannot take a snapshot of volume claim {claim}")).await?;
        access_review::check(run.api(), &rules::for_snapshot(&set, request.stop)).await?;
        let live = snapshot_source::read_claim(run, claim).await?;
        let live = live.ok_or_else(|| {
            Error::new(Id::ClaimMissing, Kind::Prerequisite, format!("volume claim {claim} does not exist"))
                .hint("handsctl status shows what the application waits for")
        })?;
        let class = snapshot_source::class(run, &live, request.class).await?;
        let words =
            class.as_deref().map_or_else(|| "the default class".to_owned(), |class| format!("class {class}"));
        let message = format!("volume claim {claim}, {words}");
        Ok(((application, class), message))
    })
    .await?;
    let now = Timestamp::from_second(run.api().clock().now().as_second()).unwrap_or_default();
    let manifest = manifests::snapshot(&SnapshotSource {
        set: &set.name,
        namespace: &set.namespace,
        claim: &application.mount.claim,
        class: class.as_deref(),
        image: &application.image,
        revision: application_volume::deployed_revision(run).await,
        stopped: request.stop,
        run: &format!("{}-{}-{}", run.user_host(), std::process::id(), Timestamp::now().as_nanosecond()),
        time: &now.strftime("%Y%m%d-%H%M%S").to_string(),
    });
    let new = NewSnapshot::new(run, manifest);
    let (taken, restarted) = if request.stop {
        let (taken, restarted) = take_while_stopped(run, &application, &new).await?;
        (taken, Some(restarted))
    } else {
        (new.take(run).await?, None)
    };
    let ready = new.until_ready(run, &taken).await?;
    let finished = finished(&ready, &application.mount.claim, request.stop);
    after_backup(run, restarted, finished).await
}

/// Takes the snapshot of the stopped application and starts the application again. Returns the Deployment, and the time
/// before it was stopped.
async fn take_while_stopped(
    run: &Run<'_>,
    application: &ApplicationVolume,
    new: &NewSnapshot,
) -> Result<(Value, (Applied, Timestamp))> {
    run.under_lock(&run.session.set(), async {
        claim_guard::ensure_restart_keeps(run, &application.observed).await?;
        let started = run.api().clock().floor();
        let half_replaced = HalfReplaced::default();
        let take = async || new.take(run).await;
        let (taken, applied) =
            stopped_application::without_pods(run, application, &half_replaced, take).await?;
        Ok((taken, (applied, started)))
    })
    .await
}

/// A snapshot that is deleted again unless it becomes ready.
struct NewSnapshot {
    manifest: Value,
    /// The request that creates it, once it is sent.
    creation: Arc<Mutex<Option<UncutEnd>>>,
}

impl NewSnapshot {
    /// The cleanup is added before that of the stopped application, because the snapshot becomes ready after its start.
    fn new(run: &Run<'_>, manifest: Value) -> Self {
        let new = Self { manifest, creation: Arc::default() };
        let (api, manifest, creation) =
            (run.api().without_deadline(), new.manifest.clone(), Arc::clone(&new.creation));
        let consequence = format!("volume snapshot {} may be left", new.name());
        run.cleanups().push(Id::SnapshotFailed, consequence, async move {
            let end = creation.lock().ok().and_then(|mut creation| creation.take());
            let Some(end) = end else { return Ok(()) };
            end.reached_or_aborted().await;
            snapshot::delete_of_run(&api, &manifest).await
        });
        new
    }

    fn name(&self) -> &str {
        self.manifest["metadata"]["name"].as_str().unwrap_or_default()
    }

    /// Creates the snapshot and waits until the content of the volume is captured.
    async fn take(&self, run: &Run<'_>) -> Result<Value> {
        step(run.events(), Phase::Copy, "take the snapshot", async {
            let (api, manifest) = (run.api().clone(), self.manifest.clone());
            let (creation, end) = uncut(async move { snapshot::create(&api, &manifest).await });
            if let Ok(mut started) = self.creation.lock() {
                *started = Some(end);
            }
            let created = creation.result().await?;
            let taken = self.wait(run, &created, SnapshotGoal::Taken).await?;
            Ok((taken, self.name().to_owned()))
        })
        .await
    }

    /// Waits until a claim can be made from the snapshot. It is kept from then on.
    async fn until_ready(&self, run: &Run<'_>, taken: &Value) -> Result<Value> {
        let ready = step(run.events(), Phase::Copy, "ready to restore", async {
            let ready = self.wait(run, taken, SnapshotGoal::Ready).await?;
            let size = volume_snapshot::restore_size(&ready).unwrap_or("size unknown").to_owned();
            Ok((ready, size))
        })
        .await?;
        run.cleanups().forget_last();
        Ok(ready)
    }

    async fn wait(&self, run: &Run<'_>, snapshot: &Value, goal: SnapshotGoal) -> Result<Value> {
        match snapshot::wait(run.api(), snapshot, goal, run.deadline().at, run.events()).await? {
            SnapshotWait::Reached(live) => Ok(live),
            SnapshotWait::Expired(missing) => {
                Err(run.deadline().passed(Some(&format!("volume snapshot {}: {missing}", self.name()))))
            }
        }
    }
}

fn finished(ready: &Value, claim: &str, stopped: bool) -> Finished {
    let text = |field: &str| ready["metadata"][field].as_str().unwrap_or_default();
    let (name, namespace) = (text("name"), text("namespace"));
    let size = volume_snapshot::restore_size(ready).unwrap_or("unknown");
    let consistency = if stopped {
        "consistent: the application was stopped"
    } else {
        "consistent as after a power failure: the whole volume as of one moment, while the application ran; \
         --stop stops it meanwhile"
    };
    let place = format!(
        "the snapshot is in the cluster's storage and is deleted with namespace {namespace}; handsctl backup FILE makes a \
         copy on this computer"
    );
    Finished {
        message: format!("volume snapshot {name} of volume claim {claim}, restore size {size}"),
        notes: vec![consistency.to_owned(), place],
        next: vec![
            ("restore".to_owned(), format!("handsctl restore --snapshot {} --delete-data", quoted(name))),
            ("delete".to_owned(), format!("kubectl delete volumesnapshot {} -n {namespace}", quoted(name))),
        ],
        ..Finished::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn summary_has_size_consistency_and_the_way_back() {
        let ready = json!({ "metadata": { "name": "oh-state-1", "namespace": "n" }, "status": { "restoreSize": "5Gi" } });
        let summary = finished(&ready, "oh-state", false);
        assert_eq!(summary.message, "volume snapshot oh-state-1 of volume claim oh-state, restore size 5Gi");
        assert!(summary.notes[0].contains("--stop stops it"), "{:?}", summary.notes);
        assert_eq!(summary.next[0].1, "handsctl restore --snapshot oh-state-1 --delete-data");
        assert_eq!(summary.next[1].1, "kubectl delete volumesnapshot oh-state-1 -n n");
        assert_eq!(finished(&ready, "oh-state", true).notes[0], "consistent: the application was stopped");
    }
}
