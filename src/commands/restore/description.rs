//! A backup as `restore --dry-run` prints it.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::Serialize;

use crate::archive::manifest::{Manifest, Part};
use crate::phrase;

/// A checked backup.
#[derive(Debug, Serialize, JsonSchema)]
pub struct BackupDescription {
    /// The version of the file's layout.
    format: u32,
    /// The version of handsctl that wrote the file.
    handsctl: String,
    /// The name of the installation.
    installation: String,
    /// The namespace of the installation.
    namespace: String,
    /// The application's image.
    image: String,
    /// The application's version; null if its image's tag is not a version.
    version: Option<String>,
    /// The revision that was deployed; null if it is not known.
    revision: Option<u64>,
    /// When the backup began, RFC 3339.
    created: String,
    /// Whether the application was stopped meanwhile.
    stopped: bool,
    /// The copied volumes.
    volumes: Vec<BackupVolume>,
}

/// A volume of a backup.
#[derive(Debug, Serialize, JsonSchema)]
struct BackupVolume {
    /// `state`, or `sandboxes/` and the claim of a conversation.
    name: String,
    /// The volume claim.
    claim: String,
    /// The requested size of the claim; null if it is not known.
    size: Option<String>,
    /// The number of files.
    files: usize,
    /// The size of all files in bytes.
    bytes: u64,
    /// What is not consistent; null if everything is.
    inconsistent: Option<String>,
    /// What was left out; null if nothing was.
    left_out: Option<String>,
}

impl BackupDescription {
    pub(super) fn new(manifest: &Manifest) -> Self {
        let volume = |part: &Part| BackupVolume {
            name: part.name.clone(),
            claim: part.claim.clone(),
            size: part.size.clone(),
            files: part.files.len(),
            bytes: part.bytes(),
            inconsistent: part.consistency.problem(),
            left_out: part.consistency.omissions(),
        };
        Self {
            format: manifest.format,
            handsctl: manifest.handsctl.clone(),
            installation: manifest.installation.clone(),
            namespace: manifest.namespace.clone(),
            image: manifest.image.clone(),
            version: manifest.version.clone(),
            revision: manifest.revision,
            created: manifest.created.to_string(),
            stopped: manifest.stopped,
            volumes: manifest.parts.iter().map(volume).collect(),
        }
    }

    /// Formats the description as lines.
    pub(super) fn text(&self, manifest: &Manifest) -> String {
        let mut text = String::new();
        let mut line = |label: &str, value: &str| {
            let _infallible = writeln!(text, "{label:<13} {value}");
        };
        line("complete", "every checksum is right");
        line("installation", &format!("{} in namespace {}", self.installation, self.namespace));
        line("application", &self.image);
        let how =
            if self.stopped { "while the application was stopped" } else { "while the application ran" };
        line("created", &format!("{}, {how}", phrase::date_and_time(manifest.created)));
        for volume in &self.volumes {
            let files = phrase::count(volume.files, "file");
            line(&volume.name, &format!("{files}, {}", phrase::size(volume.bytes)));
            for remark in [&volume.inconsistent, &volume.left_out].into_iter().flatten() {
                line("", remark);
            }
        }
        text
    }
}
