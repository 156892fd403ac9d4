//! The record of a cluster in the cluster's folder: its provider, its spec, and how far its creation got.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::local_cluster::LocalProvider;
use crate::error::{Error, Result};

/// Version of the record's format. A record with another number was written by another version of handsctl.
pub(super) const SCHEMA: u32 = 2;

/// File name of the record in the cluster's folder.
const RECORD: &str = "handsctl.json";

/// Returns the folder that contains the folders of all clusters.
pub(super) fn clusters(state: &Path) -> PathBuf {
    state.join("clusters")
}

/// How far the creation of a cluster got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum StatePhase {
    /// The creation has started. If a later run reads this phase, the creation was interrupted.
    Creating,
    /// The cluster was ready once.
    Ready,
}

/// A kubeconfig file that the context was merged into.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KubeconfigEntry {
    /// Path of the file.
    pub(super) file: PathBuf,
    /// Whether handsctl created the file: then handsctl deletes it once it has no other entry.
    pub(super) made: bool,
}

/// The part of a record that depends on the provider.
pub(super) trait ProviderState: Serialize + DeserializeOwned {
    /// The provider.
    const PROVIDER: LocalProvider;
}

/// The record of a cluster that handsctl created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StateFile<S> {
    schema: u32,
    provider: LocalProvider,
    pub(super) phase: StatePhase,
    /// When the creation started; None: an earlier version of handsctl did not record it, or the record was lost.
    #[serde(default)]
    pub(super) created: Option<Timestamp>,
    /// The kubeconfig files that the context was merged into; `down` removes it from them.
    #[serde(default)]
    pub(super) merged: Vec<KubeconfigEntry>,
    /// The part that depends on the provider.
    #[serde(flatten)]
    pub(super) state: S,
}

impl<S: ProviderState> StateFile<S> {
    /// A record of a cluster whose creation starts now.
    pub(super) fn new(state: S) -> Self {
        Self {
            schema: SCHEMA,
            provider: S::PROVIDER,
            phase: StatePhase::Creating,
            created: Some(Timestamp::now()),
            merged: Vec::new(),
            state,
        }
    }
}

/// The part that records of all versions have.
#[derive(Debug, Deserialize)]
struct Version {
    schema: u32,
}

/// The part that all records of this version have.
#[derive(Debug, Deserialize)]
struct Head {
    provider: LocalProvider,
    #[serde(default)]
    created: Option<Timestamp>,
    #[serde(default)]
    merged: Vec<KubeconfigEntry>,
}

/// Reads the record in a folder; None: there is none, or it belongs to another provider.
///
/// # Errors
/// `HC9003` if it cannot be read or was written by another version of handsctl.
pub(super) fn read<S: ProviderState>(own: &Path) -> Result<Option<StateFile<S>>> {
    let path = own.join(RECORD);
    let Some(text) = text(&path)? else { return Ok(None) };
    if head(&path, &text)?.provider != S::PROVIDER {
        return Ok(None);
    }
    serde_json::from_str(&text).map(Some).map_err(|error| malformed(&path, error.into()))
}

/// Returns the provider of the cluster in a folder; None: there is no record.
///
/// # Errors
/// `HC9003` if the record cannot be read or was written by another version of handsctl.
pub(super) fn provider(own: &Path) -> Result<Option<LocalProvider>> {
    let path = own.join(RECORD);
    match text(&path)? {
        Some(text) => head(&path, &text).map(|head| Some(head.provider)),
        None => Ok(None),
    }
}

/// Returns when the creation of the cluster in a folder started; None: it is not recorded.
///
/// # Errors
/// `HC9003` if the record cannot be read or was written by another version of handsctl.
pub(super) fn created(own: &Path) -> Result<Option<Timestamp>> {
    let path = own.join(RECORD);
    match text(&path)? {
        Some(text) => head(&path, &text).map(|head| head.created),
        None => Ok(None),
    }
}

/// Whether the folder has a record, readable or not.
pub(super) fn exists(own: &Path) -> bool {
    own.join(RECORD).exists()
}

/// Reads a record; None: it does not exist.
fn text(path: &Path) -> Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            ensure_folder(path.parent().unwrap_or(path)).map(|()| None)
        }
        Ok(text) => Ok(Some(text)),
        Err(error) => {
            ensure_folder(path.parent().unwrap_or(path))?;
            let error = Error::file(format!("cannot read {}", path.display()), error);
            Err(if path.is_dir() { error.hint(removal(path)) } else { error })
        }
    }
}

/// Checks that what has the name of a cluster's folder is a folder.
///
/// # Errors
/// `HC9003` with the command that removes a file, or a symbolic link that leads to no folder.
fn ensure_folder(own: &Path) -> Result<()> {
    let Ok(metadata) = std::fs::symlink_metadata(own) else { return Ok(()) };
    if own.is_dir() {
        return Ok(());
    }
    let cause = match std::fs::read_link(own) {
        Ok(target) => format!("it is a symbolic link to {}, which is not a folder", target.display()),
        Err(_) if metadata.is_file() => "it is a file".to_owned(),
        Err(_) => "it is neither a file nor a folder".to_owned(),
    };
    let message = format!("cannot read the folder of a local cluster: {}", own.display());
    Err(Error::file(message, io::Error::other(cause)).hint(removal(own)))
}

/// Returns the command that moves a file of no use away. Nothing is lost by it.
fn removal(path: &Path) -> String {
    format!(
        "mv '{}' '{}.old' makes room; handsctl cluster up then creates the cluster",
        path.display(),
        path.display()
    )
}

fn head(path: &Path, text: &str) -> Result<Head> {
    let version: Version = serde_json::from_str(text).map_err(|error| malformed(path, error.into()))?;
    match version.schema {
        SCHEMA => serde_json::from_str(text).map_err(|error| malformed(path, error.into())),
        newer if newer > SCHEMA => {
            let message = format!("{} was written by a newer version of handsctl", path.display());
            let cause = format!("schema {newer}; this version reads {SCHEMA}");
            Err(Error::file(message, io::Error::other(cause))
                .hint("use that version of handsctl, or give the new cluster another name: [cluster] name"))
        }
        older => Err(malformed(path, format!("schema {older}, not {SCHEMA}").into())),
    }
}

/// Returns the provider that a record of any version names, as far as it can be read.
pub(super) fn provider_of_any_version(own: &Path) -> Option<LocalProvider> {
    #[derive(Deserialize)]
    struct AnyVersion {
        provider: LocalProvider,
    }
    let text = text(&own.join(RECORD)).ok()??;
    serde_json::from_str::<AnyVersion>(&text).ok().map(|record| record.provider)
}

fn malformed(path: &Path, cause: crate::error::Source) -> Error {
    let message = format!("{} was not written by this version of handsctl", path.display());
    let error = Error::file(message, io::Error::other(cause));
    // Without another file there is no cluster whose processes or nodes could be found.
    if path.parent().is_some_and(|own| likely_provider(own).is_some()) {
        error
            .hint("handsctl cluster down deletes the cluster with everything in it; handsctl cluster up creates it again")
    } else {
        error.hint(removal(path))
    }
}

/// The files beside the record by which the provider of a cluster with an unreadable record is known.
const FILES: &[(&str, LocalProvider)] =
    &[("kwokctl.yaml", LocalProvider::Kwok), ("cluster.yaml", LocalProvider::Kind)];

/// Returns the provider of a cluster whose record cannot be read: the record may still name it, else its files tell.
pub(super) fn likely_provider(own: &Path) -> Option<LocalProvider> {
    let by_files = || FILES.iter().find(|(file, _)| own.join(file).exists()).map(|(_, provider)| *provider);
    provider_of_any_version(own).or_else(by_files)
}

/// Replaces the record atomically, so that an interrupt leaves the old or the new one.
pub(super) fn write<S: ProviderState>(own: &Path, record: &StateFile<S>) -> Result<()> {
    let path = own.join(RECORD);
    let failed = |error| Error::file(format!("cannot write {}", path.display()), error);
    let text = serde_json::to_string_pretty(record).map_err(|error| failed(error.into()))?;
    let replace = || -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(own)?;
        file.write_all(text.as_bytes())?;
        file.persist(&path)?;
        Ok(())
    };
    replace().map_err(failed)
}

/// Reads the records of all clusters of this provider, running or not.
pub(super) fn all<S: ProviderState>(state: &Path) -> Result<Vec<StateFile<S>>> {
    // An unreadable record must not block the other clusters; the commands on its own cluster report it.
    Ok(folders(state)?.iter().filter_map(|own| read(own).ok().flatten()).collect())
}

/// Returns the kubeconfig entries of all clusters of all providers.
pub(super) fn all_merged(state: &Path) -> Result<Vec<KubeconfigEntry>> {
    Ok(folders(state)?.iter().flat_map(|own| merged(own)).collect())
}

/// Returns the kubeconfig files that have the context of the cluster with this name; none if its record cannot be read.
pub(super) fn merged_files(state: &Path, name: &str) -> Vec<PathBuf> {
    merged(&clusters(state).join(name)).into_iter().map(|entry| entry.file).collect()
}

fn merged(own: &Path) -> Vec<KubeconfigEntry> {
    let path = own.join(RECORD);
    let head = || head(&path, &text(&path).ok().flatten()?).ok();
    head().map(|head| head.merged).unwrap_or_default()
}

/// Returns the path of the log of the last failed creation or start of the cluster with this name. It is outside of the
/// folders that are deleted after a failure.
pub(super) fn failure_log(state: &Path, name: &str) -> PathBuf {
    state.join("failed").join(format!("{name}.log"))
}

/// Returns the names of all clusters that have a folder.
pub(super) fn names(state: &Path) -> Result<Vec<String>> {
    if !clusters(state).exists() {
        return Ok(Vec::new());
    }
    let name = |own: PathBuf| Some(own.file_name()?.to_str()?.to_owned());
    Ok(folders(state)?.into_iter().filter_map(name).collect())
}

fn folders(state: &Path) -> Result<Vec<PathBuf>> {
    let folder = clusters(state);
    let failed = |error| Error::file(format!("cannot list {}", folder.display()), error);
    std::fs::read_dir(&folder)
        .map_err(failed)?
        .map(|entry| entry.map(|entry| entry.path()).map_err(failed))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct KwokLike {
        ports: u16,
    }

    impl ProviderState for KwokLike {
        const PROVIDER: LocalProvider = LocalProvider::Kwok;
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct KindLike {
        image: String,
    }

    impl ProviderState for KindLike {
        const PROVIDER: LocalProvider = LocalProvider::Kind;
    }

    #[test]
    fn record_is_read_by_its_own_provider_only() {
        let state = tempfile::tempdir().unwrap();
        let own = clusters(state.path()).join("a");
        std::fs::create_dir_all(&own).unwrap();
        assert_eq!(provider(&own).unwrap(), None);
        let merged = KubeconfigEntry { file: "config".into(), made: true };
        let record = StateFile { merged: vec![merged.clone()], ..StateFile::new(KwokLike { ports: 7 }) };
        write(&own, &record).unwrap();
        assert_eq!((provider(&own).unwrap(), exists(&own)), (Some(LocalProvider::Kwok), true));
        assert_eq!(created(&own).unwrap(), record.created);
        assert_eq!(read::<KwokLike>(&own).unwrap(), Some(record));
        assert_eq!(read::<KindLike>(&own).unwrap(), None);
        assert_eq!(all::<KindLike>(state.path()).unwrap(), []);
        assert_eq!(all_merged(state.path()).unwrap(), [merged]);
    }

    #[test]
    fn record_of_another_schema_is_an_error() {
        let own = tempfile::tempdir().unwrap();
        std::fs::write(own.path().join(RECORD), r#"{"schema": 1, "provider": "kwok", "ports": 7}"#).unwrap();
        assert!(read::<KwokLike>(own.path()).is_err());
        assert!(provider(own.path()).is_err() && exists(own.path()));
        assert_eq!(provider_of_any_version(own.path()), Some(LocalProvider::Kwok));
    }

    #[test]
    fn broken_record_has_a_way_out_that_leads_on() {
        let state = tempfile::tempdir().unwrap();
        let own = clusters(state.path()).join("a");
        std::fs::create_dir_all(&own).unwrap();
        std::fs::write(own.join(RECORD), "{").unwrap();
        let error = provider(&own).unwrap_err();
        assert_eq!(error.kind().exit_code(), 14);
        assert!(error.hints()[0].starts_with("mv "), "nothing else is left: {error:?}");
        assert_eq!(likely_provider(&own), None);
        for (file, expected) in [("kwokctl.yaml", LocalProvider::Kwok), ("cluster.yaml", LocalProvider::Kind)]
        {
            std::fs::write(own.join(file), "").unwrap();
            assert_eq!(likely_provider(&own), Some(expected));
            let hint = provider(&own).unwrap_err().hints()[0].clone();
            assert!(hint.starts_with("handsctl cluster down deletes"), "{hint}");
            std::fs::remove_file(own.join(file)).unwrap();
        }
        std::fs::remove_file(own.join(RECORD)).unwrap();
        std::fs::create_dir(own.join(RECORD)).unwrap();
        let error = provider(&own).unwrap_err();
        assert!(error.hints()[0].starts_with("mv ") && error.kind().exit_code() == 14, "{error:?}");
    }

    #[test]
    fn link_or_file_instead_of_a_folder_is_named() {
        let state = tempfile::tempdir().unwrap();
        let folder = clusters(state.path());
        std::fs::create_dir_all(folder.join("real")).unwrap();
        std::os::unix::fs::symlink("/nonexistent", folder.join("dangling")).unwrap();
        std::os::unix::fs::symlink("loop", folder.join("loop")).unwrap();
        std::os::unix::fs::symlink("real", folder.join("moved")).unwrap();
        std::fs::write(folder.join("file"), "").unwrap();
        for (name, cause) in [
            ("dangling", "it is a symbolic link to /nonexistent, which is not a folder"),
            ("loop", "it is a symbolic link to loop, which is not a folder"),
            ("file", "it is a file"),
        ] {
            let error = provider(&folder.join(name)).unwrap_err();
            assert_eq!((error.causes(), error.kind().exit_code()), (vec![cause.to_owned()], 14));
        }
        assert_eq!(provider(&folder.join("moved")).unwrap(), None, "a folder on another disk");
        assert_eq!(provider(&folder.join("new")).unwrap(), None);
    }

    #[test]
    fn newer_record_is_an_error_even_with_unknown_fields() {
        let own = tempfile::tempdir().unwrap();
        std::fs::write(own.path().join(RECORD), r#"{"schema": 99, "provider": "vm", "merged": {"a": 1}}"#)
            .unwrap();
        let error = provider(own.path()).unwrap_err();
        assert!(error.to_string().ends_with("was written by a newer version of handsctl"), "{error}");
        assert_eq!(provider_of_any_version(own.path()), None);
    }

    #[test]
    fn unreadable_record_is_an_error() {
        let own = tempfile::tempdir().unwrap();
        for text in ["", "{", "null", r#"{"provider": "kwok"}"#] {
            std::fs::write(own.path().join(RECORD), text).unwrap();
            assert!(provider(own.path()).is_err(), "{text}");
        }
        std::fs::remove_file(own.path().join(RECORD)).unwrap();
        std::fs::create_dir(own.path().join(RECORD)).unwrap();
        assert!(provider(own.path()).is_err());
    }
}
