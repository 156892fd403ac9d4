//! `backup`: writes the application's state to one file.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;

use super::application_volume::{self, ApplicationVolume};
use super::copy::{Archive, copy};
use super::destination::{self, BackupTarget};
use super::sandbox_volumes;
use super::snapshot::{self, SnapshotRequest};
use super::stopped_application::{self, HalfReplaced, after_backup};
use crate::archive::manifest::{FORMAT, Manifest, Part, STATE};
use crate::archive::write::{ArchiveWriter, PartSource};
use crate::catalogue::Id;
use crate::cluster::access::{access_review, rules};
use crate::cluster::apply::applied::Applied;
use crate::cluster::volume::transfer::MountedVolume;
use crate::command_line::quoted;
use crate::error::{Error, Kind, Result};
use crate::event::{Finished, Phase};
use crate::flags::{Format, Global, LockArgs, parse_duration};
use crate::phrase;
use crate::report::Streams;
use crate::session::cluster_session::Secrets;
use crate::session::runner::{Invocation, Run};
use crate::session::step::step;

/// Write the application's settings and conversations to one file
///
/// In order: find the application and its volume, copy the volume through the API server, write the file's manifest with
/// a checksum for every file. The application keeps running: databases are copied as of one moment, and files that
/// changed meanwhile are named. With --stop it is stopped before the copy and started again, also after an interruption.
/// The file has API keys, so only its owner may read it. `restore` is the way back. With --snapshot the cluster's storage
/// takes a snapshot of the volume instead, and no file is written.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  handsctl backup\n  handsctl backup before-upgrade.tar.gz --stop\n  handsctl backup - > copy.tar.gz\n  handsctl backup --snapshot --stop"
)]
pub struct BackupArgs {
    /// File to write, `-` for stdout [default: openhands-NAME-TIME.tar.gz]
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Also copy the volumes of conversations
    #[arg(long)]
    pub sandboxes: bool,
    /// Stop the application while its volume is copied
    #[arg(long)]
    pub stop: bool,
    /// Take a snapshot of the volume in the cluster instead of writing a file
    #[arg(long, conflicts_with_all = ["file", "sandboxes"])]
    pub snapshot: bool,
    /// Class of the snapshot, where several fit and none is the default
    #[arg(long, requires = "snapshot", value_name = "NAME")]
    pub snapshot_class: Option<String>,
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

/// Runs `backup`.
pub(crate) async fn run(global: &Global, arguments: &BackupArgs, streams: &Streams) -> anyhow::Result<u8> {
    if destination::is_stdout(arguments.file.as_deref()) {
        ensure_free_stdout(global, arguments)?;
    }
    let invocation = Invocation {
        global,
        command: "backup",
        output: arguments.output,
        timeout: arguments.timeout.unwrap_or(TIMEOUT),
        streams,
    };
    let work = async |run: &Run<'_>| {
        run.waiting_for_lock(arguments.lock.lock_wait, async || {
            if arguments.snapshot {
                let class = arguments.snapshot_class.as_deref();
                snapshot::backup(run, SnapshotRequest { stop: arguments.stop, class }).await
            } else {
                backup(run, arguments, streams).await
            }
        })
        .await
    };
    invocation.change_cluster(Secrets::Unneeded, work).await
}

fn ensure_free_stdout(global: &Global, arguments: &BackupArgs) -> Result<()> {
    let events = global.events.as_ref().is_some_and(|path| path.as_os_str() == "-");
    let other = match arguments.output {
        Some(Format::Json | Format::Yaml) => "-o",
        _ if events => "--events -",
        _ => return Ok(()),
    };
    let message = format!("the backup and {other} both write to standard output");
    Err(Error::new(Id::Usage, Kind::Usage, message).hint("name a file for the backup"))
}

async fn backup(run: &Run<'_>, arguments: &BackupArgs, streams: &Streams) -> Result<Finished> {
    let created = Timestamp::from_second(run.api().clock().now().as_second()).unwrap_or_default();
    run.events().target("backup", run.session.target()).await;
    let set = run.session.set();
    let (application, running) = step(run.events(), Phase::Preflight, "preflight", async {
        let (application, running) = application_volume::find(run, "nothing to back up").await?;
        let mut needed = rules::for_exec(&set.namespace);
        if arguments.sandboxes {
            needed.extend(rules::for_sandbox_volumes(run.settings().runtime_namespace(), false));
        }
        access_review::check(run.api(), &needed).await?;
        if !arguments.stop && running.is_none() {
            let message = "the application does not run, so no container has its volume mounted";
            return Err(Error::new(Id::NothingDeployed, Kind::Down, message)
                .hint("handsctl backup --stop mounts it in a pod of its own")
                .hint("handsctl status shows why the application does not run"));
        }
        let message = format!("volume claim {}", application.mount.claim);
        Ok(((application, running), message))
    })
    .await?;
    let revision = application_volume::deployed_revision(run).await;
    let destination = BackupTarget::open(arguments.file.as_deref(), &set.name, created, streams)?;
    let archive = ArchiveWriter::new(destination.writer()?);
    let source = PartSource {
        name: STATE.to_owned(),
        claim: application.mount.claim.clone(),
        size: application.size.clone(),
        is_at_rest: arguments.stop,
    };
    let ((mut archive, state), restarted) = if let (Some(volume), false) = (&running, arguments.stop) {
        (copy(run, volume, source, archive).await?, None)
    } else {
        let (copied, restarted) = copy_stopped(run, &application, source, archive).await?;
        (copied, Some(restarted))
    };
    let mut parts = vec![state];
    if arguments.sandboxes {
        archive = sandbox_volumes::copy_all(run, archive, &mut parts).await?;
    }
    let manifest = Manifest {
        format: FORMAT,
        handsctl: env!("CARGO_PKG_VERSION").to_owned(),
        installation: set.name.clone(),
        namespace: set.namespace.clone(),
        image: application.image.clone(),
        version: application.version.map(|version| version.to_string()),
        revision,
        created,
        stopped: arguments.stop,
        parts,
    };
    let finished = finish(run, archive, manifest, destination).await?;
    after_backup(run, restarted, finished).await
}

/// Copies the volume of the stopped application and starts the application again. Returns the Deployment, and the time
/// before it was stopped.
async fn copy_stopped(
    run: &Run<'_>,
    application: &ApplicationVolume,
    source: PartSource,
    archive: Archive,
) -> Result<((Archive, Part), (Applied, Timestamp))> {
    let set = run.session.set();
    let work = async move |volume: &MountedVolume| copy(run, volume, source, archive).await;
    run.under_lock(&set, async {
        let started = run.api().clock().floor();
        let half_replaced = HalfReplaced::default();
        let (copied, applied) =
            stopped_application::while_stopped(run, application, &half_replaced, work).await?;
        Ok((copied, (applied, started)))
    })
    .await
}

async fn finish(
    run: &Run<'_>,
    archive: Archive,
    manifest: Manifest,
    destination: BackupTarget,
) -> Result<Finished> {
    for part in &manifest.parts {
        let Some(problem) = part.consistency.problem() else { continue };
        let hint = if part.name == STATE { "; handsctl backup --stop makes a consistent copy" } else { "" };
        let message = format!("{}: {problem}{hint}", part.name);
        run.events().warn(Id::BackupIncomplete, message).await;
    }
    for part in &manifest.parts {
        if let Some(omissions) = part.consistency.omissions() {
            run.events().warn(Id::BackupIncomplete, format!("{}: {omissions}", part.name)).await;
        }
    }
    let summary = manifest.summary();
    let privacy = destination.privacy_note().to_owned();
    let notes = consistency_note(&manifest).into_iter().chain([privacy]).collect();
    let written = tokio::task::spawn_blocking(move || -> Result<_> {
        let mut output =
            archive.finish(&manifest).map_err(|error| Error::io("cannot write the backup", error))?;
        output.flush().map_err(|error| Error::io("cannot write the backup", error))?;
        drop(output);
        destination.finish()
    });
    let written = written.await.map_err(|error| Error::internal(error.to_string()))??;
    let (message, next) = match written {
        Some((path, size)) => {
            let path = path.display().to_string();
            (format!("{summary}; written to {path} ({})", phrase::size(size)), restoring_commands(&path))
        }
        None => (format!("{summary}; written to standard output"), Vec::new()),
    };
    Ok(Finished { message, notes, next, ..Finished::default() })
}

/// Returns the commands that read the backup, to copy into a shell.
fn restoring_commands(path: &str) -> Vec<(String, String)> {
    let restore = format!("handsctl restore {}", quoted(path));
    vec![("check".to_owned(), format!("{restore} --dry-run")), ("restore".to_owned(), restore)]
}

/// Returns how consistent the copy is. None if a warning says what is not.
fn consistency_note(manifest: &Manifest) -> Option<String> {
    let parts = &manifest.parts;
    if parts.iter().any(|part| part.consistency.problem().is_some()) {
        return None;
    }
    if parts.iter().all(|part| part.consistency.is_at_rest) {
        return Some("consistent: the application was stopped".to_owned());
    }
    let databases: Vec<&str> =
        parts.iter().flat_map(|part| &part.consistency.databases).map(String::as_str).collect();
    let databases = if databases.is_empty() {
        String::new()
    } else {
        format!(", and {} as of one moment", databases.join(", "))
    };
    let writers = if manifest.stopped { "conversations" } else { "the application" };
    Some(format!(
        "consistent: each file as of one moment{databases}; files may be of different moments, as {writers} ran"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::manifest::Consistency;

    #[test]
    fn file_name_with_a_space_is_one_word_of_the_next_command() {
        let commands = restoring_commands("my backup ü.tar.gz");
        assert_eq!(commands[0].1, "handsctl restore 'my backup ü.tar.gz' --dry-run");
        assert_eq!(commands[1].1, "handsctl restore 'my backup ü.tar.gz'");
        assert_eq!(restoring_commands("a.tar.gz")[1].1, "handsctl restore a.tar.gz");
    }

    #[test]
    fn note_says_what_is_consistent() {
        let part = |consistency| Part {
            name: STATE.into(),
            claim: "c".into(),
            size: None,
            consistency,
            files: Vec::new(),
        };
        let mut manifest = Manifest {
            format: FORMAT,
            handsctl: String::new(),
            installation: "oh".into(),
            namespace: "n".into(),
            image: String::new(),
            version: None,
            revision: None,
            created: Timestamp::UNIX_EPOCH,
            stopped: false,
            parts: vec![part(Consistency {
                is_checked: true,
                databases: vec!["openhands.db".into()],
                ..Consistency::default()
            })],
        };
        let note = consistency_note(&manifest).unwrap();
        assert!(note.contains("openhands.db as of one moment"), "{note}");
        manifest.parts[0].consistency.changed.push("x".into());
        assert_eq!(consistency_note(&manifest), None, "a warning says what is not");
        manifest.stopped = true;
        manifest.parts[0].consistency = Consistency { is_at_rest: true, ..Consistency::default() };
        let stopped = consistency_note(&manifest);
        assert_eq!(stopped.as_deref(), Some("consistent: the application was stopped"));
        manifest.parts.push(part(Consistency { is_checked: true, ..Consistency::default() }));
        let note = consistency_note(&manifest).unwrap();
        assert!(note.ends_with("as conversations ran"), "{note}");
        manifest.parts[1].consistency.changed.push("x".into());
        assert_eq!(
            consistency_note(&manifest),
            None,
            "the application was stopped, and a conversation wrote"
        );
    }
}
