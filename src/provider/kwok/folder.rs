//! Where the files of a cluster are. Ours and kwokctl's are apart, because kwokctl deletes its folder as it likes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::Result;
use crate::event::{Events, Phase as Part};
use crate::provider::assets::component::Component;
use crate::provider::local_cluster::LocalProvider;
use crate::provider::{file_lock, state_file};

/// The folders of one cluster.
#[derive(Debug, Clone)]
pub(super) struct KwokFolder {
    /// Name of the cluster.
    pub(super) name: String,
    /// Ours: the record, the configuration, the pods' log.
    pub(super) own: PathBuf,
    /// `KWOK_WORKDIR`.
    pub(super) workdir: PathBuf,
    /// kwokctl's, of this cluster.
    pub(super) cluster: PathBuf,
    /// Where evidence is kept after a failure; outside of what is deleted.
    pub(super) evidence: PathBuf,
}

impl KwokFolder {
    pub(super) fn of(state: &Path, name: &str) -> Self {
        let workdir = state.join("kwok");
        Self {
            name: name.to_owned(),
            own: state_file::clusters(state).join(name),
            cluster: workdir.join("clusters").join(name),
            workdir,
            evidence: state.join("failed").join(format!("{name}.log")),
        }
    }

    /// What kwokctl is told.
    pub(super) fn configuration(&self) -> PathBuf {
        self.own.join("kwokctl.yaml")
    }

    /// What `logs` shows for every pod: lines in the CRI format.
    pub(super) fn pod_log(&self) -> PathBuf {
        self.own.join("pods.log")
    }

    pub(super) fn kubeconfig(&self) -> PathBuf {
        self.cluster.join("kubeconfig.yaml")
    }

    pub(super) fn logs(&self) -> PathBuf {
        self.cluster.join("logs")
    }

    /// The link that a component is started by, and so the first word of its command line.
    pub(super) fn binary(&self, component: Component) -> PathBuf {
        self.cluster.join("bin").join(component.name())
    }

    pub(super) fn pid_file(&self, component: Component) -> PathBuf {
        self.cluster.join("pids").join(format!("{}.pid", component.name()))
    }
}

/// The context of a cluster of this provider.
pub(super) fn context(name: &str) -> String {
    LocalProvider::Kwok.context(name)
}

pub(super) async fn lock_cluster(folder: &KwokFolder, events: &Events) -> Result<file_lock::FileLock> {
    file_lock::folder(&folder.own, OTHERS, async || {
        let message = format!("another handsctl works on cluster {}", folder.name);
        events.begin(Part::Cluster, CONTROL_PLANE, message).await;
    })
    .await
}

/// How long another handsctl may work on the same cluster.
const OTHERS: Duration = Duration::from_secs(600);

/// Name of the step that makes or starts the cluster.
pub(super) const CONTROL_PLANE: &str = "control plane";
