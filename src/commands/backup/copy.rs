//! Copies the files of a volume into a backup.

use std::io::Write;

use crate::archive::manifest::Part;
use crate::archive::write::{ArchiveWriter, PartSource};
use crate::cluster::volume::transfer::{MountedVolume, ReadFiles};
use crate::error::{Error, Result};
use crate::event::Phase;
use crate::phrase;
use crate::provider::transfer::{self, TransferredBytes};
use crate::session::runner::Run;
use crate::session::step::step;

/// A backup that is being written.
pub(super) type Archive = ArchiveWriter<Box<dyn Write + Send>>;

/// Copies the files of a volume into the archive.
pub(super) async fn copy(
    run: &Run<'_>,
    volume: &MountedVolume,
    source: PartSource,
    mut archive: Archive,
) -> Result<(Archive, Part)> {
    let bytes = TransferredBytes::default();
    let counted = bytes.clone();
    let name = format!("copy {}", source.name);
    step(run.events(), Phase::Copy, &name, async {
        let reading = volume.read(run.api(), ReadFiles::Current, move |stream| {
            let part = archive.add_part(source, stream, |count| counted.add(count));
            let part = part.map_err(|error| Error::io("cannot write the backup", error))?;
            Ok((archive, part))
        });
        let place = (Phase::Copy, name.as_str(), "");
        let copied = transfer::reported(reading, &bytes, |_counted| {}, place, run.events()).await?;
        let files = phrase::count(copied.1.files.len(), "file");
        let message = format!("{files}, {}", phrase::size(copied.1.bytes()));
        Ok((copied, message))
    })
    .await
}
