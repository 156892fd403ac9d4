//! The files of a cluster on disk.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::Result;
use crate::event::{Events, Phase as Part};
use crate::provider::local_cluster::LocalProvider;
use crate::provider::{file_lock, state_file};

/// How long to wait for another handsctl that works on the same cluster.
const LOCK_WAIT: Duration = Duration::from_secs(1800);

/// The folder of one cluster.
#[derive(Debug, Clone)]
pub(super) struct KindFolder {
    /// Name of the cluster.
    pub(super) name: String,
    /// Folder of the record, the configuration and the kubeconfig.
    pub(super) own: PathBuf,
    /// File of the evidence of a failure. It is outside of `own`, which is deleted after a failure.
    pub(super) evidence: PathBuf,
}

impl KindFolder {
    pub(super) fn new(state: &Path, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            own: state_file::clusters(state).join(name),
            evidence: state_file::failure_log(state, name),
        }
    }

    /// Returns the path of kind's configuration.
    pub(super) fn configuration(&self) -> PathBuf {
        self.own.join("cluster.yaml")
    }

    pub(super) fn kubeconfig(&self) -> PathBuf {
        self.own.join("kubeconfig.yaml")
    }

    /// Waits until no other handsctl, and no kind process of a killed one, works on the cluster.
    pub(super) async fn lock(&self, step: &str, events: &Events) -> Result<file_lock::FileLock> {
        file_lock::folder(&self.own, LOCK_WAIT, async || {
            let message = format!("another handsctl is working on cluster {}", self.name);
            events.begin(Part::Cluster, step, message).await;
        })
        .await
    }

    /// Removes the folder if it is empty: nothing was created. A folder with a record stays, because its cluster may
    /// exist.
    pub(super) fn remove_if_empty(&self) {
        let _it_has_a_record = std::fs::remove_dir(&self.own);
    }

    /// Removes the folder with everything in it.
    pub(super) fn remove(&self) -> Result<()> {
        match std::fs::remove_dir_all(&self.own) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(crate::error::Error::file(format!("cannot remove {}", self.own.display()), error))
            }
            _ => Ok(()),
        }
    }

    /// Removes the content of the folder. The folder itself stays, because it is locked.
    pub(super) fn empty(&self) -> Result<()> {
        let failed = |error| crate::error::Error::file(format!("cannot empty {}", self.own.display()), error);
        for entry in std::fs::read_dir(&self.own).map_err(failed)? {
            std::fs::remove_file(entry.map_err(failed)?.path()).map_err(failed)?;
        }
        Ok(())
    }
}

/// Returns the context of a kind cluster.
pub(super) fn context(name: &str) -> String {
    LocalProvider::Kind.context(name)
}

/// Name of the step that creates or starts the nodes.
pub(super) const NODES: &str = "nodes";
