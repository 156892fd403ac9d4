//! The file or the stream that a backup is written to.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};
use crate::provider::NewFile;
use crate::report::Streams;

/// Where a backup goes.
pub(super) enum BackupTarget {
    /// A new file.
    File(NewFile, PathBuf),
    /// Standard output.
    Stdout(Streams),
}

impl BackupTarget {
    /// Creates the file, or checks that standard output takes bytes. Without a name the file is named after the
    /// installation and the time.
    ///
    /// # Errors
    /// Exit 2 if the file exists, or if standard output is a terminal; exit 14 if the file cannot be created.
    pub(super) fn open(
        file: Option<&Path>,
        installation: &str,
        now: Timestamp,
        streams: &Streams,
    ) -> Result<Self> {
        if is_stdout(file) {
            if streams.out_is_terminal() {
                let message = "a backup is not written to a terminal";
                return Err(Error::new(Id::Usage, Kind::Usage, message).hint("handsctl backup - > FILE"));
            }
            return Ok(Self::Stdout(streams.clone()));
        }
        let path = file.map_or_else(|| default_name(installation, now), Path::to_owned);
        match NewFile::create(&path) {
            Ok(file) => Ok(Self::File(file, path)),
            Err(error) => Err(failed(&path, error)),
        }
    }

    /// Returns a writer of the content.
    ///
    /// # Errors
    /// There are too many open files.
    pub(super) fn writer(&self) -> Result<Box<dyn Write + Send>> {
        match self {
            Self::File(file, path) => {
                let writer = file.writer().map_err(|error| failed(path, error))?;
                Ok(Box::new(BufWriter::new(writer)))
            }
            Self::Stdout(streams) => Ok(Box::new(BufWriter::new(streams.raw_out()))),
        }
    }

    /// Returns who may read the backup. The shell chooses the mode of a file that it connects to standard output.
    pub(super) fn privacy_note(&self) -> &'static str {
        match self {
            Self::File(..) => "the file has the API keys of the settings: only its owner may read it",
            Self::Stdout(_) => "the backup has the API keys of the settings: keep it private",
        }
    }

    /// Gives the complete file its name. Returns the path; None for standard output.
    ///
    /// # Errors
    /// Exit 2 if the file exists meanwhile; exit 14 if the disk does not accept it.
    pub(super) fn finish(self) -> Result<Option<(PathBuf, u64)>> {
        match self {
            Self::File(file, path) => match file.finish() {
                Ok(size) => Ok(Some((path, size))),
                Err(error) => Err(failed(&path, error)),
            },
            Self::Stdout(_) => Ok(None),
        }
    }
}

/// Returns whether the backup goes to standard output.
pub(super) fn is_stdout(file: Option<&Path>) -> bool {
    file.is_some_and(|file| file.as_os_str() == "-")
}

fn default_name(installation: &str, now: Timestamp) -> PathBuf {
    PathBuf::from(format!("openhands-{installation}-{}.tar.gz", now.strftime("%Y%m%d-%H%M%S")))
}

fn failed(path: &Path, error: std::io::Error) -> Error {
    if error.kind() == std::io::ErrorKind::AlreadyExists {
        let message = format!("{} exists, and a backup never replaces a file", path.display());
        return Error::new(Id::Usage, Kind::Usage, message).hint("name another file");
    }
    Error::file(format!("cannot write {}", path.display()), error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::ColorChoice;

    #[test]
    fn default_name_has_installation_and_time() {
        let name = default_name("oh", "2026-11-29T18:05:09Z".parse().unwrap());
        assert_eq!(name, Path::new("openhands-oh-20261129-180509.tar.gz"));
        assert!(is_stdout(Some(Path::new("-"))) && !is_stdout(Some(Path::new("./-"))) && !is_stdout(None));
    }

    #[test]
    fn only_a_file_of_handsctl_is_said_to_be_private() {
        let streams = Streams::from_environment(ColorChoice::Never, true, 0);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("b.tar.gz");
        let file = BackupTarget::open(Some(&file), "oh", Timestamp::UNIX_EPOCH, &streams).unwrap();
        assert!(file.privacy_note().ends_with("only its owner may read it"));
        assert!(BackupTarget::Stdout(streams).privacy_note().ends_with("keep it private"));
    }
}
