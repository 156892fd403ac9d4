//! The folder of `--evidence`: a folder for each finding, with the objects, their Events, and the container's log.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::text::diagnostic::Style;
use super::text::error;
use super::text::sanitize::sanitize;
use super::text::style::{DEFAULT_WIDTH, Palette};
use crate::catalogue::Id;
use crate::diagnostic::Severity;
use crate::error::{Error, Kind, Result};
use crate::object::assignment;
use crate::object::{ObjectId, yaml};
use crate::status::{Exhibit, Finding};

/// A file has no colour.
const PLAIN: Style = Style { palette: Palette::NONE, width: DEFAULT_WIDTH };

/// The folder of `--evidence`.
#[derive(Debug)]
pub struct EvidenceFolder {
    path: PathBuf,
    /// The folders of the findings that this run has written.
    written: BTreeSet<String>,
}

impl EvidenceFolder {
    /// Creates the folder, before the command has changed anything. What an earlier run wrote into it stays, unless this
    /// run has the same finding.
    ///
    /// # Errors
    /// Exit 2 if the folder cannot be created.
    pub fn create(path: PathBuf) -> Result<Self> {
        let action = || format!("cannot create the folder {}", path.display());
        fs::create_dir_all(&path)
            .map_err(|error| Error::file(action(), error).replace_kind(Id::Usage, Kind::Usage))?;
        Ok(Self { path, written: BTreeSet::new() })
    }

    /// Writes a finding once.
    ///
    /// # Errors
    /// A file cannot be written.
    pub(crate) fn write(&mut self, finding: &Finding) -> Result<()> {
        let name = folder_name(finding);
        if !self.written.insert(name.clone()) {
            return Ok(());
        }
        let folder = self.path.join(name);
        let failed = |error| Error::file(format!("cannot write the evidence to {}", folder.display()), error);
        write_files(&folder, finding).map_err(failed)
    }
}

/// Names the folder of a finding: `HC4201-hands-pod-openhands-6d5f9c7b9-x2kqp-openhands`, with namespace and container.
fn folder_name(finding: &Finding) -> String {
    let namespace = finding.object.namespace.iter().map(String::as_str);
    let object = object_name(&finding.object);
    let parts = [finding.id.code()].into_iter().chain(namespace).chain([object.as_str()]);
    plain(&parts.chain(finding.container.as_deref()).collect::<Vec<_>>().join("-"))
}

fn object_name(object: &ObjectId) -> String {
    plain(&format!("{}-{}", object.kind.to_lowercase(), object.name))
}

/// Replaces what is no letter of a name in Kubernetes. No server decides on a path of this computer.
fn plain(name: &str) -> String {
    let plain =
        |letter: char| if letter.is_ascii_alphanumeric() || "-._".contains(letter) { letter } else { '_' };
    name.chars().map(plain).collect()
}

fn write_files(folder: &Path, finding: &Finding) -> io::Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    // Logs contain conversations.
    DirBuilder::new().mode(0o700).create(folder)?;
    write_text(&folder.join("finding.txt"), &error::finding(finding, Severity::Error, PLAIN))?;
    if !finding.log.is_empty() {
        write_text(&folder.join("log.txt"), &(finding.log.join("\n") + "\n"))?;
    }
    for Exhibit { object, events } in &finding.exhibits {
        let Some(id) = ObjectId::from_object(object) else { continue };
        let name = object_name(&id);
        let text = yaml::write(object).map_err(io::Error::other)?;
        write_text(&folder.join(format!("{name}.yaml")), &text)?;
        if !events.is_empty() {
            write_text(&folder.join(format!("{name}.events.txt")), &(events.join("\n") + "\n"))?;
        }
    }
    Ok(())
}

/// Writes a file that only its owner can read, without the values of secret names and what a terminal would execute.
fn write_text(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(sanitize(&assignment::masked(text)).as_bytes())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use serde_json::json;

    use super::*;
    use crate::report::scenario::image_missing;

    #[test]
    fn finding_is_a_folder_with_objects_events_and_log() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        let mut evidence = EvidenceFolder::create(path.clone()).unwrap();
        let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "oh-1", "namespace": "n" },
                "spec": { "a": "\u{1b}[2J\u{202e}" } });
        let exhibit = Exhibit { object: pod, events: vec!["now  1x  Failed  why\u{1b}[2J".to_owned()] };
        let finding = Finding {
            log: vec!["\u{1b}]0;title\u{7}last\u{9b}".to_owned(), "API_KEY=sk-unknown".to_owned()],
            exhibits: vec![exhibit],
            ..image_missing()
        };
        evidence.write(&finding).unwrap();
        let own = path.join("HC4103-hands-pod-openhands-6d5f9c7b9-x2kqp-openhands");
        let read = |name: &str| fs::read_to_string(own.join(name)).unwrap();
        assert!(read("finding.txt").starts_with("error[HC4103]: the image does not exist\n"));
        assert!(read("log.txt").starts_with("last\n") && !read("log.txt").contains("sk-unknown"));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&own), mode(&own.join("log.txt"))), (0o700, 0o600));
        assert!(read("pod-oh-1.yaml").contains("name: oh-1"));
        assert_eq!(read("pod-oh-1.events.txt"), "now  1x  Failed  why\n");
        assert!(!read("pod-oh-1.yaml").contains(['\u{1b}', '\u{202e}']), "{}", read("pod-oh-1.yaml"));

        let mut hostile = image_missing();
        hostile.object.namespace = Some("../../n".to_owned());
        evidence.write(&hostile).unwrap();
        assert!(path.join("HC4103-.._.._n-pod-openhands-6d5f9c7b9-x2kqp-openhands").exists());

        fs::remove_dir_all(&own).unwrap();
        evidence.write(&finding).unwrap();
        assert!(!own.exists(), "a finding is written once");
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        assert_eq!(EvidenceFolder::create(file).unwrap_err().kind().exit_code(), 2);
    }
}
