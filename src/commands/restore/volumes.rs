//! Writes the files of a backup to the volumes, and deletes the earlier files.

use std::cell::RefCell;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use super::order::{KEPT, VolumeChanges};
use crate::archive::manifest::{Part, STATE};
use crate::archive::read;
use crate::catalogue::Id;
use crate::cluster::volume::transfer::{MountedVolume, ReadFiles};
use crate::commands::backup::application_volume;
use crate::commands::backup::sandbox_volumes;
use crate::commands::backup::stopped_application::HalfReplaced;
use crate::error::{Error, Result};
use crate::event::Phase;
use crate::phrase;
use crate::provider::transfer::{self, TransferredBytes};
use crate::session::runner::Run;
use crate::session::step::step;
use crate::session::uncut::uncut;

/// Opens a backup.
///
/// # Errors
/// Exit 14 if the file cannot be read.
pub(super) fn open(path: &Path) -> Result<BufReader<File>> {
    let file = File::open(path);
    Ok(BufReader::new(file.map_err(|error| Error::file(format!("cannot read {}", path.display()), error))?))
}

/// The volumes that a restore replaces while the application is stopped.
pub(super) struct RestoredVolumes<'a> {
    run: &'a Run<'a>,
    file: &'a Path,
    state: &'a Part,
    volume: &'a MountedVolume,
    half_replaced: &'a HalfReplaced,
    /// The replaced claims of conversations.
    replaced: RefCell<Vec<ReplacedClaim>>,
}

/// The claim of a conversation whose files are replaced.
#[derive(Clone)]
struct ReplacedClaim {
    name: String,
    /// Whether earlier files are kept on its volume.
    has_earlier_files: bool,
}

impl<'a> RestoredVolumes<'a> {
    pub(super) fn new(
        run: &'a Run<'a>,
        file: &'a Path,
        state: &'a Part,
        volume: &'a MountedVolume,
        half_replaced: &'a HalfReplaced,
    ) -> Self {
        Self { run, file, state, volume, half_replaced, replaced: RefCell::default() }
    }

    /// Returns the claims of conversations whose earlier files are kept.
    pub(super) fn with_earlier_files(self) -> Vec<String> {
        let replaced = self.replaced.into_inner().into_iter();
        replaced.filter(|claim| claim.has_earlier_files).map(|claim| claim.name).collect()
    }
}

impl VolumeChanges for RestoredVolumes<'_> {
    async fn write_state(&self) -> Result<()> {
        write(self.run, self.file, self.state, self.volume).await
    }

    async fn replace_conversation(&self, part: &Part) -> Result<()> {
        let run = self.run;
        let has_earlier_files = sandbox_volumes::prepare(run, part).await?;
        sandbox_volumes::in_own_pod(run, &part.claim, async |volume| {
            write(run, self.file, part, volume).await?;
            replace(run, part, volume, self.half_replaced).await?;
            if has_earlier_files { Ok(()) } else { volume.clean(run.api()).await }
        })
        .await?;
        self.replaced.borrow_mut().push(ReplacedClaim { name: part.claim.clone(), has_earlier_files });
        Ok(())
    }

    async fn discard_state(&self, error: Error) -> Error {
        discard_after(error, async || self.volume.discard(self.run.api()).await).await
    }

    async fn replace_state(&self) -> Result<()> {
        replace(self.run, self.state, self.volume, self.half_replaced).await?;
        // From here on the claims that this run has created are data as any other.
        let replaced = self.replaced.borrow().clone();
        for claim in replaced.iter().filter(|claim| !claim.has_earlier_files) {
            sandbox_volumes::mark_finished(self.run, &claim.name).await?;
        }
        Ok(())
    }
}

/// Writes a part of the backup beside the files of a volume, and compares what the volume has with the backup. After a
/// failure it deletes what it has written: the application starts again, and may need the room.
async fn write(run: &Run<'_>, file: &Path, part: &Part, volume: &MountedVolume) -> Result<()> {
    match write_and_compare(run, file, part, volume).await {
        Ok(()) => Ok(()),
        Err(error) => Err(discard_after(error, async || volume.discard(run.api()).await).await),
    }
}

/// Deletes written files after an error, and adds the failure of that to the error.
async fn discard_after(error: Error, discard: impl AsyncFnOnce() -> Result<()>) -> Error {
    match discard().await {
        Ok(()) => error,
        Err(failure) => {
            let left = "the written files are still on the volume, in .handsctl-restore/new";
            error.fact("left", format!("{left}: {}", failure.with_causes()))
        }
    }
}

async fn write_and_compare(run: &Run<'_>, file: &Path, part: &Part, volume: &MountedVolume) -> Result<()> {
    let (name, bytes) = (format!("write {}", part.name), TransferredBytes::default());
    step(run.events(), Phase::Copy, &name, async {
        let (path, folder, counted) = (file.to_owned(), part.name.clone(), bytes.clone());
        bytes.expect(part.bytes());
        let writing = volume.unpack(run.api(), move |stream| {
            let stream = CountingWriter { stream, counted };
            let copied = read::copy_part(open(&path)?, &folder, stream);
            copied.map_err(|error| Error::io("cannot write the files of the backup", error))
        });
        let place = (Phase::Copy, name.as_str(), "");
        transfer::reported(writing, &bytes, |_counted| {}, place, run.events()).await?;
        Ok(((), format!("{}, {}", phrase::count(part.files.len(), "file"), phrase::size(part.bytes()))))
    })
    .await?;
    let (name, bytes) = (format!("check {}", part.name), TransferredBytes::default());
    step(run.events(), Phase::Copy, &name, async {
        bytes.expect(part.bytes());
        let (expected, counted) = (part.clone(), bytes.clone());
        let comparing = volume.read(run.api(), ReadFiles::Unpacked, move |stream| {
            read::compare_part(stream, &expected, |count| counted.add(count))
        });
        let place = (Phase::Copy, name.as_str(), "");
        transfer::reported(comparing, &bytes, |_counted| {}, place, run.events()).await?;
        Ok(((), "every checksum is right".to_owned()))
    })
    .await
}

/// Replaces the files of a volume. The renames go on when the command is interrupted, and the application does not start
/// between them.
async fn replace(
    run: &Run<'_>,
    part: &Part,
    volume: &MountedVolume,
    half_replaced: &HalfReplaced,
) -> Result<()> {
    step(run.events(), Phase::Copy, &format!("replace {}", part.name), async {
        let (api, volume, flag) = (run.api().without_deadline(), volume.clone(), half_replaced.clone());
        flag.set(true);
        let (swap, end) = uncut(async move {
            volume.swap(&api).await?;
            flag.set(false);
            Ok(())
        });
        let consequence = format!("the files of {} are only partly replaced", part.name);
        run.cleanups().push(Id::ApplicationStopped, consequence, end.reached());
        let result = swap.result().await;
        run.cleanups().forget_last();
        result
            .map_err(|error| error.hint("run handsctl restore again: it completes the replacement first"))?;
        Ok(((), "the restored files have replaced the earlier ones".to_owned()))
    })
    .await
}

/// Deletes the earlier files of the application's volume and of these claims of conversations. A failure is a warning: the
/// restored files are in their place.
pub(super) async fn delete_earlier(run: &Run<'_>, claims: &[String]) {
    if let Err(error) = delete_earlier_state(run).await {
        warn_of_earlier(run, STATE, &error).await;
    }
    for claim in claims {
        let cleaned = sandbox_volumes::in_any_pod(run, claim, async |volume| volume.clean(run.api()).await);
        if let Err(error) = cleaned.await {
            warn_of_earlier(run, claim, &error).await;
        }
    }
}

/// Deletes the earlier files through the running application.
async fn delete_earlier_state(run: &Run<'_>) -> Result<()> {
    let (_, running) = application_volume::find(run, "nothing to clean").await?;
    match running {
        Some(volume) => volume.clean(run.api()).await,
        None => Err(Error::internal("the application does not run")),
    }
}

async fn warn_of_earlier(run: &Run<'_>, volume: &str, error: &Error) {
    let message = format!("{volume}: {KEPT}: {}", error.with_causes());
    run.events().warn(Id::VolumeCommandFailed, message).await;
}

/// Counts what is written.
struct CountingWriter<W> {
    stream: W,
    counted: TransferredBytes,
}

impl<W: std::io::Write> std::io::Write for CountingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = self.stream.write(bytes)?;
        self.counted.add(count as u64);
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.stream.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn failed_deletion_of_written_files_is_added_to_the_error() {
        let error = || Error::internal("the volume is full");
        let discarded = discard_after(error(), async || Ok(())).await;
        assert!(discarded.facts().is_empty());
        let discarded = discard_after(error(), async || Err(Error::internal("the connection is lost"))).await;
        assert_eq!(discarded.message(), error().message());
        let fact = &discarded.facts()[0].text;
        assert!(fact.contains(".handsctl-restore/new") && fact.contains("the connection is lost"), "{fact}");
    }
}
