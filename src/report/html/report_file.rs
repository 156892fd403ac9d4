//! The file of `--report`: written when the command ends, also after a failure or a signal.

use std::fs::{File, OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::PathBuf;

use jiff::Timestamp;

use super::page;
use super::timeline::Timeline;
use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};
use crate::event::Event;

/// The file of `--report`, and what it will say.
pub struct ReportFile {
    path: PathBuf,
    file: File,
    timeline: Timeline,
}

impl ReportFile {
    /// Creates the file, before the command has changed anything. An existing file is truncated.
    ///
    /// # Errors
    /// Exit 2 if the file cannot be created.
    pub fn create(path: PathBuf) -> Result<Self> {
        let action = || format!("cannot create the report {}", path.display());
        let mut options = OpenOptions::new();
        // Logs contain conversations.
        let file = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            // An existing file keeps its mode when it is opened.
            .and_then(|file| file.set_permissions(Permissions::from_mode(0o600)).map(|()| file))
            .map_err(|error| Error::io(action(), error).replace_kind(Id::Usage, Kind::Usage))?;
        Ok(Self { path, file, timeline: Timeline::default() })
    }

    /// Adds what an event says.
    pub(crate) fn observe(&mut self, event: &Event, now: Timestamp) {
        self.timeline.observe(event, now);
    }

    /// Writes the page.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn write(mut self) -> Result<()> {
        let page = page::html(&self.timeline)?;
        let written = self.file.write_all(page.as_bytes());
        written.map_err(|error| Error::io(format!("cannot write {}", self.path.display()), error))
    }
}
