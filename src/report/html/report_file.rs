//! The file of `--report`: written when the command ends, also after a failure or a signal.

use std::fs::{File, OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::PathBuf;

use super::page;
use super::revision_page::RevisionPage;
use super::run_page;
use super::shared_timeline::SharedTimeline;
use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};

/// The file of `--report`.
pub struct ReportFile {
    path: PathBuf,
    file: File,
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
        Ok(Self { path, file })
    }

    /// Writes the page of the run.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn write_run(self, timeline: &SharedTimeline) -> Result<()> {
        let html = timeline.with(|timeline| page::html(&run_page::content(timeline)))?;
        self.write(&html)
    }

    /// Writes the page of a kept revision.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_revision(self, revision: &RevisionPage<'_>) -> Result<()> {
        let html = page::html(&revision.content())?;
        self.write(&html)
    }

    fn write(mut self, html: &str) -> Result<()> {
        let written = self.file.write_all(html.as_bytes());
        written.map_err(|error| Error::io(format!("cannot write {}", self.path.display()), error))
    }
}
