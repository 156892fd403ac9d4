//! The files of a cluster on disk. handsctl's files are not in kwokctl's folder, because kwokctl may delete that.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::Result;
use crate::event::{Events, Phase as Part};
use crate::provider::assets::component::ControlPlaneComponent;
use crate::provider::local_cluster::LocalProvider;
use crate::provider::{file_lock, state_file};

/// The folders of one cluster.
#[derive(Debug, Clone)]
pub(super) struct KwokFolder {
    /// Name of the cluster.
    pub(super) name: String,
    /// handsctl's folder: the record, the configuration and the pods' log.
    pub(super) own: PathBuf,
    /// `KWOK_WORKDIR`.
    pub(super) workdir: PathBuf,
    /// kwokctl's folder of this cluster.
    pub(super) cluster: PathBuf,
    /// File of the evidence of a failure. It is outside of the folders that are deleted after a failure.
    pub(super) evidence: PathBuf,
}

impl KwokFolder {
    pub(super) fn new(state: &Path, name: &str) -> Self {
        let workdir = state.join("kwok");
        Self {
            name: name.to_owned(),
            own: state_file::clusters(state).join(name),
            cluster: workdir.join("clusters").join(name),
            workdir,
            evidence: state_file::failure_log(state, name),
        }
    }

    /// Returns the path of kwokctl's configuration.
    pub(super) fn configuration(&self) -> PathBuf {
        self.own.join("kwokctl.yaml")
    }

    /// Returns the path of the log that every pod has: lines in the CRI format.
    pub(super) fn pod_log(&self) -> PathBuf {
        self.own.join("pods.log")
    }

    pub(super) fn kubeconfig(&self) -> PathBuf {
        self.cluster.join("kubeconfig.yaml")
    }

    pub(super) fn logs(&self) -> PathBuf {
        self.cluster.join("logs")
    }

    /// Returns the link that a component is started by. It is the first word of the component's command line.
    pub(super) fn binary(&self, component: ControlPlaneComponent) -> PathBuf {
        self.cluster.join("bin").join(component.name())
    }

    pub(super) fn pid_file(&self, component: ControlPlaneComponent) -> PathBuf {
        self.cluster.join("pids").join(format!("{}.pid", component.name()))
    }
}

/// Returns the context of a kwok cluster.
pub(super) fn context(name: &str) -> String {
    LocalProvider::Kwok.context(name)
}

pub(super) async fn lock_cluster(folder: &KwokFolder, events: &Events) -> Result<file_lock::FileLock> {
    file_lock::folder(&folder.own, LOCK_WAIT, async || {
        let message = format!("another handsctl is working on cluster {}", folder.name);
        events.begin(Part::Cluster, CONTROL_PLANE, message).await;
    })
    .await
}

/// How long to wait for another handsctl that works on the same cluster.
const LOCK_WAIT: Duration = Duration::from_secs(600);

/// Name of the step that creates or starts the cluster.
pub(super) const CONTROL_PLANE: &str = "control plane";
