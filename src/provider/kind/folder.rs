//! Where the files of a cluster are.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::Result;
use crate::event::{Events, Phase as Part};
use crate::provider::local_cluster::LocalProvider;
use crate::provider::{file_lock, state_file};

/// How long another handsctl may work on the same cluster.
const OTHERS: Duration = Duration::from_secs(1800);

/// The folder of one cluster.
#[derive(Debug, Clone)]
pub(super) struct KindFolder {
    /// Name of the cluster.
    pub(super) name: String,
    /// The record, the configuration, the kubeconfig.
    pub(super) own: PathBuf,
    /// Where evidence is kept after a failure; outside of what is deleted.
    pub(super) evidence: PathBuf,
}

impl KindFolder {
    pub(super) fn of(state: &Path, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            own: state_file::clusters(state).join(name),
            evidence: state.join("failed").join(format!("{name}.log")),
        }
    }

    /// What kind is told.
    pub(super) fn configuration(&self) -> PathBuf {
        self.own.join("cluster.yaml")
    }

    pub(super) fn kubeconfig(&self) -> PathBuf {
        self.own.join("kubeconfig.yaml")
    }

    /// Waits until no other handsctl, and no kind that one has left behind, works on the cluster.
    pub(super) async fn lock(&self, step: &str, events: &Events) -> Result<file_lock::FileLock> {
        file_lock::folder(&self.own, OTHERS, async || {
            let message = format!("another handsctl works on cluster {}", self.name);
            events.begin(Part::Cluster, step, message).await;
        })
        .await
    }

    /// Nothing was made: an empty folder goes, too. One with a record stays, because its cluster may still be there.
    pub(super) fn discard(&self) {
        let _it_is_not_empty = std::fs::remove_dir(&self.own);
    }

    /// Removes the folder with everything in it.
    pub(super) fn remove(&self) -> Result<()> {
        match std::fs::remove_dir_all(&self.own) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(crate::error::Error::io(format!("cannot remove {}", self.own.display()), error))
            }
            _ => Ok(()),
        }
    }

    /// Removes what is in it; the folder itself is what is locked.
    pub(super) fn empty(&self) -> Result<()> {
        let failed = |error| crate::error::Error::io(format!("cannot empty {}", self.own.display()), error);
        for entry in std::fs::read_dir(&self.own).map_err(failed)? {
            std::fs::remove_file(entry.map_err(failed)?.path()).map_err(failed)?;
        }
        Ok(())
    }
}

/// The context of a cluster of this provider.
pub(super) fn context(name: &str) -> String {
    LocalProvider::Kind.context(name)
}

/// Name of the step that makes or starts the nodes.
pub(super) const NODES: &str = "nodes";
