//! The record of a cluster, in its own folder: that handsctl made it, with what, how far that came and from what.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::local_cluster::LocalProvider;
use crate::error::{Error, Result};

/// The form of the record; another one was written by another version of handsctl.
pub(super) const SCHEMA: u32 = 2;

/// Name of the record in a cluster's own folder.
const RECORD: &str = "handsctl.json";

/// The folder that holds every cluster's own folder.
pub(super) fn clusters(state: &Path) -> PathBuf {
    state.join("clusters")
}

/// How far the making of a cluster came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum StatePhase {
    /// Begun; found in this phase it was abandoned.
    Creating,
    /// It answered once.
    Ready,
}

/// Where the context was merged into.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KubeconfigEntry {
    /// The file.
    pub(super) file: PathBuf,
    /// Whether handsctl made the file: then it goes when nothing else is in it.
    pub(super) made: bool,
}

/// What a provider keeps of its clusters beside what every provider does.
pub(super) trait ProviderState: Serialize + DeserializeOwned {
    /// The provider.
    const MAKER: LocalProvider;
}

/// What is known of a cluster that handsctl made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StateFile<M> {
    schema: u32,
    provider: LocalProvider,
    pub(super) phase: StatePhase,
    /// The kubeconfig files that the context was merged into, so that it is removed from there.
    #[serde(default)]
    pub(super) merged: Vec<KubeconfigEntry>,
    /// What it was made from.
    #[serde(flatten)]
    pub(super) made: M,
}

impl<M: ProviderState> StateFile<M> {
    /// A cluster whose making begins.
    pub(super) fn begun(made: M) -> Self {
        Self { schema: SCHEMA, provider: M::MAKER, phase: StatePhase::Creating, merged: Vec::new(), made }
    }
}

/// What every record has.
#[derive(Debug, Deserialize)]
struct Head {
    schema: u32,
    provider: LocalProvider,
    #[serde(default)]
    merged: Vec<KubeconfigEntry>,
}

/// The record that a folder has of a cluster of this provider; None where there is none.
///
/// # Errors
/// `HC9003` where it cannot be read or was written by another version of handsctl.
pub(super) fn read<M: ProviderState>(own: &Path) -> Result<Option<StateFile<M>>> {
    let path = own.join(RECORD);
    let Some(text) = text(&path)? else { return Ok(None) };
    if head(&path, &text)?.provider != M::MAKER {
        return Ok(None);
    }
    serde_json::from_str(&text).map(Some).map_err(|error| malformed(&path, error.into()))
}

/// What made the cluster of this folder; None where there is none.
///
/// # Errors
/// `HC9003` where the record cannot be read or was written by another version of handsctl.
pub(super) fn maker(own: &Path) -> Result<Option<LocalProvider>> {
    let path = own.join(RECORD);
    match text(&path)? {
        Some(text) => head(&path, &text).map(|head| Some(head.provider)),
        None => Ok(None),
    }
}

/// Whether there is a record, readable or not.
pub(super) fn exists(own: &Path) -> bool {
    own.join(RECORD).exists()
}

/// None where there is no file.
fn text(path: &Path) -> Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        text => text.map(Some).map_err(|error| Error::io(format!("cannot read {}", path.display()), error)),
    }
}

fn head(path: &Path, text: &str) -> Result<Head> {
    let head: Head = serde_json::from_str(text).map_err(|error| malformed(path, error.into()))?;
    if head.schema != SCHEMA {
        return Err(malformed(path, format!("schema {}, not {SCHEMA}", head.schema).into()));
    }
    Ok(head)
}

fn malformed(path: &Path, cause: crate::error::Source) -> Error {
    Error::io(
        format!("{} was not written by this version of handsctl", path.display()),
        io::Error::other(cause),
    )
    .hint("`handsctl cluster down` removes the cluster, `handsctl cluster up` makes it anew")
}

/// Replaces the record in one step, so that an interrupt leaves the old or the new one.
pub(super) fn write<M: ProviderState>(own: &Path, record: &StateFile<M>) -> Result<()> {
    let path = own.join(RECORD);
    let failed = |error| Error::io(format!("cannot write {}", path.display()), error);
    let text = serde_json::to_string_pretty(record).map_err(|error| failed(error.into()))?;
    let replace = || -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(own)?;
        file.write_all(text.as_bytes())?;
        file.persist(&path)?;
        Ok(())
    };
    replace().map_err(failed)
}

/// The records of every cluster that this provider made, running or not.
pub(super) fn all<M: ProviderState>(state: &Path) -> Result<Vec<StateFile<M>>> {
    // One that cannot be read is its own cluster's matter, and tells nothing here.
    Ok(folders(state)?.iter().filter_map(|own| read(own).ok().flatten()).collect())
}

/// Where any cluster's context was merged into.
pub(super) fn all_merged(state: &Path) -> Result<Vec<KubeconfigEntry>> {
    let merged = |own: PathBuf| {
        let path = own.join(RECORD);
        let text = text(&path).ok().flatten()?;
        head(&path, &text).ok().map(|head| head.merged)
    };
    Ok(folders(state)?.into_iter().filter_map(merged).flatten().collect())
}

fn folders(state: &Path) -> Result<Vec<PathBuf>> {
    let folder = clusters(state);
    let failed = |error| Error::io(format!("cannot list {}", folder.display()), error);
    std::fs::read_dir(&folder)
        .map_err(failed)?
        .map(|entry| entry.map(|entry| entry.path()).map_err(failed))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Simulated {
        ports: u16,
    }

    impl ProviderState for Simulated {
        const MAKER: LocalProvider = LocalProvider::Kwok;
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Contained {
        image: String,
    }

    impl ProviderState for Contained {
        const MAKER: LocalProvider = LocalProvider::Kind;
    }

    #[test]
    fn a_record_is_of_one_provider_and_its_contexts_are_everybodys() {
        let state = tempfile::tempdir().unwrap();
        let own = clusters(state.path()).join("a");
        std::fs::create_dir_all(&own).unwrap();
        assert_eq!(maker(&own).unwrap(), None);
        let merged = KubeconfigEntry { file: "config".into(), made: true };
        let record = StateFile { merged: vec![merged.clone()], ..StateFile::begun(Simulated { ports: 7 }) };
        write(&own, &record).unwrap();
        assert_eq!((maker(&own).unwrap(), exists(&own)), (Some(LocalProvider::Kwok), true));
        assert_eq!(read::<Simulated>(&own).unwrap(), Some(record));
        assert_eq!(read::<Contained>(&own).unwrap(), None);
        assert_eq!(all::<Contained>(state.path()).unwrap(), []);
        assert_eq!(all_merged(state.path()).unwrap(), [merged]);
    }

    #[test]
    fn another_versions_record_is_an_error() {
        let own = tempfile::tempdir().unwrap();
        std::fs::write(own.path().join(RECORD), r#"{"schema": 1, "provider": "kwok", "ports": 7}"#).unwrap();
        assert!(read::<Simulated>(own.path()).is_err());
        assert!(maker(own.path()).is_err() && exists(own.path()));
    }
}
