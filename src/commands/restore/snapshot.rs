//! `restore --snapshot`: replaces the application's volume by one that the storage makes from a `VolumeSnapshot`.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::claim_source;
use super::snapshot_check::{self, SavedVolume, SnapshotContent};
use super::target_check::{ensure_not_newer, with_deploy_hint};
use crate::catalogue::Id;
use crate::cluster::access::{access_review, rules};
use crate::cluster::apply::applied::Applied;
use crate::cluster::apply::deletion_wait::{self, DeletedObject};
use crate::cluster::client::request::if_same_object;
use crate::cluster::volume::snapshot;
use crate::commands::backup::application_volume::{self, ApplicationVolume};
use crate::commands::backup::snapshot_source;
use crate::commands::backup::stopped_application::{self, HalfReplaced, await_application};
use crate::error::{Error, Kind, Result};
use crate::event::{Action, Finished, Phase};
use crate::flags::Global;
use crate::object::kind::{CLAIM, VOLUME_SNAPSHOT, VOLUME_SNAPSHOT_CONTENT};
use crate::plan::manifests::volume_snapshot::image;
use crate::report::Streams;
use crate::session::confirm;
use crate::session::runner::Run;
use crate::session::step::step;
use crate::session::uncut::uncut;
use crate::settings::AppVersion;

/// What an error after the replacement tells of the data.
const REPLACED: &str = "the volume claim is made from the snapshot, and the earlier volume is deleted";

/// What `restore --snapshot` is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct SnapshotRestore<'a> {
    /// The snapshot.
    pub(super) name: &'a str,
    /// Whether an existing claim may be deleted.
    pub(super) delete_data: bool,
    /// How long to wait for the lock.
    pub(super) lock_wait: Option<Duration>,
}

/// Restores a snapshot.
///
/// # Errors
/// Exit 2 if the snapshot cannot be restored, or if the claim exists and `--delete-data` is not given.
pub(super) async fn restore(
    run: &Run<'_>,
    global: &Global,
    request: SnapshotRestore<'_>,
    streams: &Streams,
) -> Result<Finished> {
    let name = request.name;
    let deploy = &run.settings().deploy;
    if request.delete_data {
        let action = format!("replacing the data of {}", deploy.name);
        confirm::ensure_answerable(global, streams, &action)?;
    }
    let target = Target::read(run, name).await?;
    target.ensure_replaceable(request.delete_data)?;
    if target.live.is_some() && !global.yes {
        // Ask before the first progress output, which would overwrite the question.
        let object = format!(
            "the volume of {} in namespace {} with its settings and conversations, and restore volume snapshot {name}",
            deploy.name, deploy.namespace
        );
        confirm::deletion(global, &object, &run.session.connection.choice.context, streams).await?;
    }
    run.events().target("restore", run.session.target()).await;
    run.waiting_for_lock(request.lock_wait, async || replace(run, request).await).await
}

/// The installation and the snapshot before anything is changed.
struct Target {
    application: ApplicationVolume,
    /// The present claim; None if it does not exist.
    live: Option<Value>,
    /// The claim as a deploy applies it.
    applied: Value,
    /// The snapshot.
    snapshot: Value,
}

impl Target {
    async fn read(run: &Run<'_>, name: &str) -> Result<Self> {
        let application = application_volume::find_claim(run, "nothing to restore into").await;
        let application = application.map_err(with_deploy_hint)?;
        let claim = &application.mount.claim;
        snapshot_source::ensure_api(run, &format!("cannot restore volume claim {claim} from a snapshot"))
            .await?;
        let live = snapshot_source::read_claim(run, claim).await?;
        let applied = claim_source::applied(run, claim, live.as_ref())?;
        let snapshot = verified(run, name, live.as_ref(), &applied).await?;
        if let Some(image) = image(&snapshot) {
            let saved = application_volume::version_of(run, image).map(AppVersion::release);
            ensure_not_newer(saved, image, application.version.map(AppVersion::release))?;
        }
        Ok(Self { application, live, applied, snapshot })
    }

    /// A claim that is being deleted, as after an interrupted restore, holds data as long as it exists.
    fn ensure_replaceable(&self, delete_data: bool) -> Result<()> {
        if self.live.is_none() || delete_data {
            return Ok(());
        }
        let claim = &self.application.mount.claim;
        let message = format!(
            "volume claim {claim} exists, and a snapshot replaces it as a whole; nothing was changed"
        );
        Err(Error::new(Id::VolumeHoldsData, Kind::Usage, message)
            .hint("handsctl backup --snapshot takes a snapshot of it first")
            .hint("--delete-data deletes it with its settings and conversations"))
    }
}

/// Reads the snapshot and its content, and checks that the claim can be made from it.
async fn verified(run: &Run<'_>, name: &str, live: Option<&Value>, applied: &Value) -> Result<Value> {
    let set = run.session.set();
    let claim = applied["metadata"]["name"].as_str().unwrap_or_default();
    let snapshots = VOLUME_SNAPSHOT.in_namespace(&set.namespace);
    let snapshot = run.api().get_opt(&snapshots, name).await;
    let snapshot =
        snapshot.map_err(|error| error.into_error(&format!("cannot read volume snapshot {name}")))?;
    let Some(snapshot) = snapshot else {
        let others = snapshot::list(run.api(), &set.namespace, &set.name).await?;
        return Err(snapshot_check::missing(name, claim, &set.namespace, &others));
    };
    let content = read_content(run, &snapshot).await?;
    // An unbound claim has no driver yet, and its storage class may be another one than before.
    let driver = match live {
        Some(live)
            if live["spec"]["volumeName"].is_string() && matches!(content, SnapshotContent::Present(_)) =>
        {
            Some(snapshot_source::driver_of(run, live).await?)
        }
        _ => None,
    };
    snapshot_check::ensure_restorable(&SavedVolume {
        snapshot: &snapshot,
        content: &content,
        applied,
        driver: driver.as_deref(),
    })?;
    Ok(snapshot)
}

/// Reads what the storage has of a snapshot. Contents belong to the whole cluster; without the right to read them, the
/// snapshot's own status has to do.
async fn read_content(run: &Run<'_>, snapshot: &Value) -> Result<SnapshotContent> {
    let Some(name) = snapshot["status"]["boundVolumeSnapshotContentName"].as_str() else {
        return Ok(SnapshotContent::Missing);
    };
    match run.api().get_opt(&VOLUME_SNAPSHOT_CONTENT.collection(None), name).await {
        Ok(Some(content)) => Ok(SnapshotContent::Present(content)),
        Ok(None) => Ok(SnapshotContent::Missing),
        Err(error) if error.code() == Some(403) => Ok(SnapshotContent::Unreadable),
        Err(error) => Err(error.into_error(&format!("cannot read volumesnapshotcontent/{name}"))),
    }
}

async fn replace(run: &Run<'_>, request: SnapshotRestore<'_>) -> Result<Finished> {
    let (set, name) = (run.session.set(), request.name);
    let (target, applied, started) = run
        .under_lock(&set, async {
            access_review::check(run.api(), &rules::for_snapshot_restore(&set)).await?;
            // Another run may have changed the installation until now.
            let target = Target::read(run, name).await?;
            target.ensure_replaceable(request.delete_data)?;
            let started = run.api().clock().floor();
            let half_replaced = HalfReplaced::default();
            let work = async || replace_claim(run, &target, name, &half_replaced).await;
            let ((), applied) =
                stopped_application::without_pods(run, &target.application, &half_replaced, work).await?;
            Ok((target, applied, started))
        })
        .await?;
    finish(run, &target, name, applied, started).await
}

async fn finish(
    run: &Run<'_>,
    target: &Target,
    name: &str,
    applied: Applied,
    started: Timestamp,
) -> Result<Finished> {
    let url =
        await_application(run, &[applied], started).await.map_err(|error| error.fact("note", REPLACED))?;
    let claim = &target.application.mount.claim;
    let message =
        format!("restored {} to volume claim {claim}", snapshot_check::describe(name, &target.snapshot));
    let note = format!("volume snapshot {name} is kept");
    Ok(Finished { url, message, notes: vec![note], ..Finished::default() })
}

/// Deletes the claim and creates it anew from the snapshot. The requests go on when the command is interrupted, and the
/// application does not start between them.
async fn replace_claim(
    run: &Run<'_>,
    target: &Target,
    name: &str,
    half_replaced: &HalfReplaced,
) -> Result<()> {
    let claim = &target.application.mount.claim;
    step(run.events(), Phase::Copy, "replace the volume", async {
        // The application's stop takes time, in which somebody may have deleted the snapshot.
        verified(run, name, target.live.as_ref(), &target.applied).await?;
        let api = run.api().without_deadline();
        let (live, applied, snapshot) = (target.live.clone(), target.applied.clone(), name.to_owned());
        let (deadline, events, flag) = (run.deadline().at, run.events().clone(), half_replaced.clone());
        let id = CLAIM.id(&run.session.set().namespace, claim);
        let (passed, collection) = (run.deadline(), CLAIM.in_namespace(&run.session.set().namespace));
        let (replacement, end) = uncut(async move {
            if let Some(live) = live {
                let deleted = api.delete_same(&collection, &id.name, &if_same_object(&live)).await;
                deleted.map_err(|error| error.into_error(&format!("cannot delete {id}")))?;
                flag.set(true);
                let object = DeletedObject { id: id.clone(), collection, object: live };
                let remaining = deletion_wait::until_gone(&api, vec![object], deadline, &events).await?;
                if !remaining.is_empty() {
                    return Err(passed.passed(Some(&format!("{id} is not deleted"))));
                }
            }
            flag.set(true);
            claim_source::create_from_snapshot(&api, &applied, &snapshot).await?;
            flag.set(false);
            events
                .object(Phase::Apply, id, Action::Created, Some(format!("from volume snapshot {snapshot}")))
                .await;
            Ok(())
        });
        let consequence = format!("volume claim {claim} is only partly replaced");
        run.cleanups().push(Id::ApplicationStopped, consequence, end.reached());
        let result = replacement.result().await;
        run.cleanups().forget_last();
        result.map_err(|error| {
            if half_replaced.get() {
                error.hint("run handsctl restore again: it completes the replacement first")
            } else {
                error
            }
        })?;
        Ok(((), format!("volume claim {claim} is made from volume snapshot {name}")))
    })
    .await
}
