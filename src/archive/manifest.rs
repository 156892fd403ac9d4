//! What a backup contains.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};
use crate::phrase;

/// The version of the file's layout. A reader accepts this one and older ones.
pub const FORMAT: u32 = 1;
/// The name of the manifest in the archive. It is the last entry, because the checksums are computed while the files
/// are written.
pub const MANIFEST: &str = "manifest.json";
/// The name of the part with the application's state.
pub const STATE: &str = "state";
/// The folder of the parts with the volumes of conversations.
pub const SANDBOXES: &str = "sandboxes";

/// The content and the origin of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of the file's layout.
    pub format: u32,
    /// The version of handsctl that wrote the file.
    pub handsctl: String,
    /// The name of the installation.
    pub installation: String,
    /// The namespace of the installation.
    pub namespace: String,
    /// The application's image.
    pub image: String,
    /// The application's version; None if its image's tag is not a version.
    pub version: Option<String>,
    /// The deployed revision; None if the account could not read it.
    pub revision: Option<u64>,
    /// When the backup began.
    pub created: Timestamp,
    /// Whether the application was stopped while its state was copied.
    pub stopped: bool,
    /// The copied volumes.
    pub parts: Vec<Part>,
}

/// A copied volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its folder in the archive: `state`, `sandboxes/openhands-runtime-…-pvc`.
    pub name: String,
    /// The name of its volume claim.
    pub claim: String,
    /// The requested size of the claim: `5Gi`. None if it is not known.
    pub size: Option<String>,
    /// What is consistent in the copy.
    pub consistency: Consistency,
    /// Its regular files.
    pub files: Vec<FileEntry>,
}

/// What is consistent in a copy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consistency {
    /// Whether nothing wrote to the volume during the copy.
    #[serde(default)]
    pub is_at_rest: bool,
    /// Whether changes of files during the copy were noticed. Without Python in the container they are not.
    pub is_checked: bool,
    /// Files that changed while they were read, in every attempt.
    pub changed: Vec<String>,
    /// `SQLite` databases that were copied with `SQLite`'s backup, each as of one moment.
    pub databases: Vec<String>,
    /// `SQLite` databases that were copied byte by byte while they may have been in use.
    pub unsafe_databases: Vec<String>,
    /// Files that were left out.
    pub left_out: Vec<LeftOut>,
}

/// A file that a copy does not have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Its path in the volume.
    pub path: String,
    /// Why: `a socket`.
    pub reason: String,
}

/// A regular file of a volume.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FileEntry {
    /// Its path in the volume.
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256 in hexadecimal digits.
    pub sha256: String,
}

impl Manifest {
    /// Reads the text of a manifest.
    ///
    /// # Errors
    /// Exit 2 if it is not a manifest, or a later handsctl wrote it.
    pub fn parse(text: &[u8]) -> Result<Self> {
        let value: Value = serde_json::from_slice(text).map_err(|error| invalid(&error))?;
        match value["format"].as_u64() {
            Some(format) if format > u64::from(FORMAT) => {
                let message =
                    format!("the backup has format {format}, and this handsctl reads up to format {FORMAT}");
                Err(Error::new(Id::BackupInvalid, Kind::Usage, message)
                    .hint("restore it with a later release of handsctl"))
            }
            _ => serde_json::from_value(value).map_err(|error| invalid(&error)),
        }
    }

    /// Returns the part with this name.
    #[must_use]
    pub fn part(&self, name: &str) -> Option<&Part> {
        self.parts.iter().find(|part| part.name == name)
    }

    /// Returns the parts with the volumes of conversations.
    pub fn sandboxes(&self) -> impl Iterator<Item = &Part> {
        self.parts.iter().filter(|part| part.name != STATE)
    }

    /// Returns the major and the minor number of the application's version.
    #[must_use]
    pub fn app_version(&self) -> Option<(u32, u32)> {
        let (major, minor) = self.version.as_deref()?.split_once('.')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    }

    /// Describes the content: `14 files, 31 KiB, of OpenHands 0.59`.
    #[must_use]
    pub fn summary(&self) -> String {
        let files = self.parts.iter().map(|part| part.files.len()).sum::<usize>();
        let bytes = self.parts.iter().map(Part::bytes).sum();
        let application = match &self.version {
            Some(version) => format!("OpenHands {version}"),
            None => self.image.clone(),
        };
        let sandboxes = self.sandboxes().count();
        let sandboxes = match sandboxes {
            0 => String::new(),
            count => format!(" and {} of conversations", phrase::count(count, "volume")),
        };
        format!(
            "{}, {}, of {application}: its state{sandboxes}",
            phrase::count(files, "file"),
            phrase::size(bytes)
        )
    }
}

impl Part {
    /// Returns the size of all files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }
}

impl Consistency {
    /// Describes what is not consistent; None if everything is.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        let mut problems = Vec::new();
        if !self.changed.is_empty() {
            problems.push(format!(
                "{} changed while being read: {}",
                phrase::count(self.changed.len(), "file"),
                listed(self.changed.iter().map(String::as_str))
            ));
        }
        if !self.unsafe_databases.is_empty() {
            let databases = listed(self.unsafe_databases.iter().map(String::as_str));
            problems.push(format!("copied byte by byte, while it may have been in use: {databases}"));
        }
        if !self.is_checked && !self.is_at_rest {
            problems.push(
                "changes during the copy were not noticed, because the container has no Python".to_owned(),
            );
        }
        (!problems.is_empty()).then(|| problems.join("; "))
    }

    /// Describes the files that were left out; None if there are none.
    #[must_use]
    pub fn omissions(&self) -> Option<String> {
        let files = self.left_out.iter().map(|left| format!("{} ({})", left.path, left.reason));
        let files: Vec<String> = files.collect();
        (!files.is_empty()).then(|| {
            format!(
                "{} left out: {}",
                phrase::count(files.len(), "file"),
                listed(files.iter().map(String::as_str))
            )
        })
    }
}

/// How many files a message names.
const MAX_NAMED: usize = 5;

fn listed<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    phrase::first_few(names, MAX_NAMED)
}

fn invalid(error: &serde_json::Error) -> Error {
    Error::new(Id::BackupInvalid, Kind::Usage, "the backup's manifest is invalid")
        .caused_by(error.to_string())
}

#[cfg(test)]
pub(crate) fn sample() -> Manifest {
    let part = |name: &str, claim: &str| Part {
        name: name.to_owned(),
        claim: claim.to_owned(),
        size: Some("5Gi".to_owned()),
        consistency: Consistency { is_checked: true, ..Consistency::default() },
        files: Vec::new(),
    };
    Manifest {
        format: FORMAT,
        handsctl: "0.1.0".to_owned(),
        installation: "oh".to_owned(),
        namespace: "n".to_owned(),
        image: "a/openhands:0.59".to_owned(),
        version: Some("0.59".to_owned()),
        revision: Some(3),
        created: Timestamp::UNIX_EPOCH,
        stopped: false,
        parts: vec![part(STATE, "oh-state"), part("sandboxes/c-pvc", "c-pvc")],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifest_is_read_as_written() {
        let manifest = sample();
        let text = serde_json::to_vec(&manifest).unwrap();
        assert_eq!(Manifest::parse(&text).unwrap(), manifest);
        assert_eq!(manifest.app_version(), Some((0, 59)));
        let summary = "0 files, 0 B, of OpenHands 0.59: its state and 1 volume of conversations";
        assert_eq!(manifest.summary(), summary);
    }

    #[test]
    fn manifest_of_later_format_is_refused_by_its_number() {
        let error = Manifest::parse(br#"{"format": 2, "else": 1}"#).unwrap_err();
        assert!(error.message().starts_with("the backup has format 2"), "{}", error.message());
        for text in [&b"{}"[..], b"[", b""] {
            let error = Manifest::parse(text).unwrap_err();
            assert_eq!(
                (error.id(), error.message()),
                (Id::BackupInvalid, "the backup's manifest is invalid")
            );
        }
    }

    #[test]
    fn problem_names_what_is_not_consistent() {
        let mut consistency = Consistency { is_checked: true, ..Consistency::default() };
        assert_eq!(consistency.problem(), None);
        consistency.is_checked = false;
        consistency.is_at_rest = true;
        assert_eq!(consistency.problem(), None, "nothing wrote to the volume");
        consistency.is_at_rest = false;
        assert!(consistency.problem().unwrap().contains("no Python"));
        consistency.is_checked = true;
        consistency.changed = (1..8).map(|number| format!("f{number}")).collect();
        let problem = "7 files changed while being read: f1, f2, f3, f4, f5 and 2 more";
        assert_eq!(consistency.problem().as_deref(), Some(problem));
        consistency.changed.clear();
        consistency.unsafe_databases = vec!["openhands.db".to_owned()];
        assert!(consistency.problem().unwrap().ends_with("openhands.db"));
        consistency.left_out = vec![LeftOut { path: "x".to_owned(), reason: "a socket".to_owned() }];
        assert_eq!(consistency.omissions().as_deref(), Some("1 file left out: x (a socket)"));
    }
}
