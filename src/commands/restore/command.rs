//! `restore`: replaces the application's state by that of a backup.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::description::BackupDescription;
use super::order::{KEPT, replace_volumes};
use super::snapshot::{self, SnapshotRestore};
use super::target_check::{ensure_not_newer, with_deploy_hint};
use super::volumes::{RestoredVolumes, delete_earlier, open};
use crate::archive::contents;
use crate::archive::manifest::{Manifest, STATE};
use crate::archive::read;
use crate::catalogue::Id;
use crate::cluster::access::{access_review, rules};
use crate::cluster::volume::transfer::MountedVolume;
use crate::commands::backup::application_volume::{self, ApplicationVolume};
use crate::commands::backup::sandbox_volumes;
use crate::commands::backup::stopped_application::{self, HalfReplaced, await_application};
use crate::error::{Error, Kind, Result};
use crate::event::Finished;
use crate::flags::{Format, Global, LockArgs, parse_duration};
use crate::phrase;
use crate::report::{Output, Streams};
use crate::session::cluster_session::Secrets;
use crate::session::confirm;
use crate::session::output::output_form;
use crate::session::runner::{Invocation, Run};
use crate::settings::AppVersion;

/// Replace settings and conversations by those of a backup
///
/// In order: check the whole file, find the installation, stop the application, write the files beside the present ones
/// and read them back, replace the present ones by renaming, start the application and probe it, delete the earlier files.
/// The volumes of conversations that the file has are restored, too, and the settings are replaced last. After an
/// interruption each volume has the earlier files or the restored ones, never a mix of both; running the command again
/// restores the others. A volume with settings or conversations is only replaced with --delete-data.
/// With --snapshot the volume claim is deleted and made anew from a volume snapshot, which is checked before and kept.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  handsctl restore openhands.tar.gz --dry-run\n  handsctl restore openhands.tar.gz\n  handsctl restore openhands.tar.gz --delete-data --yes\n  handsctl restore --snapshot openhands-state-20261130-090000 --delete-data"
)]
pub struct RestoreArgs {
    /// File that `backup` has written
    #[arg(value_name = "FILE", required_unless_present = "snapshot")]
    pub file: Option<PathBuf>,
    /// Volume snapshot that `backup --snapshot` has taken
    #[arg(long, value_name = "NAME", conflicts_with_all = ["file", "dry_run"])]
    pub snapshot: Option<String>,
    /// Replace existing settings and conversations, which deletes them
    #[arg(long)]
    pub delete_data: bool,
    /// Check the file and describe it, without a cluster
    #[arg(long, conflicts_with = "delete_data")]
    pub dry_run: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened into the flags of the command")]
    pub lock: LockArgs,
    /// Time limit of the whole command [default: 30m]
    #[arg(long, value_parser = parse_duration, value_name = "DURATION")]
    pub timeout: Option<Duration>,
    /// Output format of the summary on stdout
    #[arg(short, long, value_name = "FORMAT")]
    pub output: Option<Format>,
}

const TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// Runs `restore`.
///
/// With `--dry-run -o json` or `-o yaml`: the description of the backup.
pub(crate) async fn run(global: &Global, arguments: &RestoreArgs, streams: &Streams) -> anyhow::Result<u8> {
    if let (true, Some(file)) = (arguments.dry_run, &arguments.file) {
        return describe(file, arguments.output, streams).await;
    }
    let invocation = Invocation {
        global,
        command: "restore",
        output: arguments.output,
        timeout: arguments.timeout.unwrap_or(TIMEOUT),
        streams,
    };
    let work = async |run: &Run<'_>| match (&arguments.snapshot, &arguments.file) {
        (Some(name), _) => {
            let restore = SnapshotRestore {
                name,
                delete_data: arguments.delete_data,
                lock_wait: arguments.lock.lock_wait,
            };
            snapshot::restore(run, global, restore, streams).await
        }
        (None, Some(file)) => from_file(run, global, arguments, file, streams).await,
        (None, None) => Err(Error::internal("neither a file nor a snapshot")),
    };
    invocation.change_cluster(Secrets::Unneeded, work).await
}

/// Restores a file.
async fn from_file(
    run: &Run<'_>,
    global: &Global,
    arguments: &RestoreArgs,
    file: &Path,
    streams: &Streams,
) -> Result<Finished> {
    if arguments.delete_data {
        let action = format!("replacing the data of {}", run.settings().deploy.name);
        confirm::ensure_answerable(global, streams, &action)?;
    }
    let manifest = Arc::new(verify(file.to_owned()).await?);
    let target = Target::read(run, &manifest).await?;
    if !arguments.delete_data {
        target.ensure_empty()?;
        sandbox_volumes::ensure_absent(run, &manifest).await?;
    } else if !global.yes {
        let volumes = sandbox_volumes::existing(run, &manifest).await?.len();
        if let Some(data) = replaced_data(target.possible_data(), volumes) {
            // Ask before the first progress output, which would overwrite the question.
            let deploy = &run.settings().deploy;
            let object = format!(
                "{data} of {} in namespace {}, and restore {}",
                deploy.name,
                deploy.namespace,
                file.display()
            );
            confirm::deletion(global, &object, &run.session.connection.choice.context, streams).await?;
        }
    }
    run.events().target("restore", run.session.target()).await;
    run.waiting_for_lock(arguments.lock.lock_wait, async || restore(run, arguments, file, &manifest).await)
        .await
}

/// Checks the file and prints what it contains.
async fn describe(file: &Path, output: Option<Format>, streams: &Streams) -> anyhow::Result<u8> {
    let manifest = verify(file.to_owned()).await?;
    let description = BackupDescription::new(&manifest);
    match output_form(output) {
        Output::Human => streams.text(&description.text(&manifest)).map(drop)?,
        output => streams.result(&description, output).map(drop)?,
    }
    Ok(0)
}

/// Checks the whole file on a thread of its own.
async fn verify(path: PathBuf) -> Result<Manifest> {
    let checking = tokio::task::spawn_blocking(move || {
        let manifest = read::verify(open(&path)?, |_| {});
        let manifest = manifest.map_err(|error| error.fact("file", path.display().to_string()))?;
        if manifest.part(STATE).is_none() {
            let message = "the backup does not have the application's state";
            return Err(Error::new(Id::BackupInvalid, Kind::Usage, message));
        }
        Ok(manifest)
    });
    checking.await.unwrap_or_else(|error| Err(Error::internal(error.to_string())))
}

/// The installation before anything is changed.
struct Target {
    application: ApplicationVolume,
    /// What the volume holds; None if it holds no data, or if no container has it mounted.
    data: Option<String>,
    /// Whether a container has it mounted.
    is_mounted: bool,
}

impl Target {
    /// Reads the installation.
    ///
    /// # Errors
    /// Exit 12 if nothing is deployed; exit 2 if the backup is of a newer application.
    async fn read(run: &Run<'_>, manifest: &Manifest) -> Result<Self> {
        let found = application_volume::find(run, "nothing to restore into").await;
        let (application, running) = found.map_err(with_deploy_hint)?;
        let deployed = application.version.map(AppVersion::release);
        ensure_not_newer(manifest.app_version(), &manifest.image, deployed)?;
        let data = match &running {
            Some(volume) => data_of_state(&volume.list(run.api()).await?),
            None => None,
        };
        Ok(Self { application, data, is_mounted: running.is_some() })
    }

    fn ensure_empty(&self) -> Result<()> {
        match &self.data {
            Some(data) => Err(holds_data(&self.application.mount.claim, data, "nothing was changed")),
            None => Ok(()),
        }
    }

    /// Describes what the volume holds. None if it holds no data; without a running container nobody knows.
    fn possible_data(&self) -> Option<&str> {
        match (&self.data, self.is_mounted) {
            (Some(data), _) => Some(data),
            (None, false) => Some("whatever the volume holds"),
            (None, true) => None,
        }
    }
}

/// Describes the data that a restore replaces: that of the state, and this number of conversations' volumes. None if there
/// is none.
fn replaced_data(state: Option<&str>, volumes: usize) -> Option<String> {
    let volumes = (volumes > 0).then(|| format!("{} of conversations", phrase::count(volumes, "volume")));
    match (state, volumes) {
        (None, volumes) => volumes,
        (Some(state), None) => Some(state.to_owned()),
        (Some(state), Some(volumes)) => Some(format!("{state} and {volumes}")),
    }
}

fn data_of_state(paths: &[String]) -> Option<String> {
    contents::data_of_state(paths.iter().map(String::as_str))
}

fn holds_data(claim: &str, data: &str, state: &str) -> Error {
    let message = format!("volume claim {claim} holds data: {data}; {state}");
    Error::new(Id::VolumeHoldsData, Kind::Usage, message)
        .hint("handsctl backup saves it")
        .hint("--delete-data replaces it by the backup")
}

async fn restore(
    run: &Run<'_>,
    arguments: &RestoreArgs,
    file: &Path,
    manifest: &Arc<Manifest>,
) -> Result<Finished> {
    let set = run.session.set();
    let (earlier, applied, started) = run
        .under_lock(&set, async {
            if manifest.sandboxes().next().is_some() {
                let needed = rules::for_sandbox_volumes(run.settings().runtime_namespace(), true);
                access_review::check(run.api(), &needed).await?;
            }
            // Another run may have changed the installation until now.
            let target = Target::read(run, manifest).await?;
            if !arguments.delete_data {
                target.ensure_empty()?;
                sandbox_volumes::ensure_absent(run, manifest).await?;
            }
            let started = run.api().clock().floor();
            let half_replaced = HalfReplaced::default();
            let work = async |volume: &MountedVolume| {
                if !arguments.delete_data
                    && let Some(data) = data_of_state(&volume.list(run.api()).await?)
                {
                    return Err(holds_data(&volume.mount.claim, &data, "its files were not changed"));
                }
                let state = manifest.part(STATE).ok_or_else(|| Error::internal("a backup without state"))?;
                let restored = RestoredVolumes::new(run, file, state, volume, &half_replaced);
                replace_volumes(manifest, &restored).await?;
                Ok(restored.with_earlier_files())
            };
            let (earlier, applied) =
                stopped_application::while_stopped(run, &target.application, &half_replaced, work).await?;
            Ok((earlier, applied, started))
        })
        .await?;
    let url = await_application(run, &[applied], started).await.map_err(|error| error.fact("note", KEPT))?;
    delete_earlier(run, &earlier).await;
    let message = format!("restored {}", manifest.summary());
    Ok(Finished { url, message, ..Finished::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn question_names_state_and_volumes_of_conversations() {
        for (state, volumes, data) in [
            (None, 0, None),
            (Some("settings"), 0, Some("settings")),
            (None, 1, Some("1 volume of conversations")),
            (Some("settings"), 2, Some("settings and 2 volumes of conversations")),
        ] {
            assert_eq!(replaced_data(state, volumes).as_deref(), data, "{state:?}, {volumes}");
        }
    }
}
