//! Determines the state of a cluster from its record and its processes.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Serialize;

use super::folder::KwokFolder;
use super::processes::{self, KwokProcess};
use super::spec::{self, KwokSpec, KwokStateFile};
use crate::error::Result;
use crate::provider::assets::component::ControlPlaneComponent;
use crate::provider::cluster_spec::ClusterSpec;
use crate::provider::environment::Environment;
use crate::provider::local_cluster::Condition;
use crate::provider::state_file::{self, StatePhase};

/// Details of a kwok cluster for `cluster status`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct KwokDetails {
    /// The spec that it was created from.
    pub spec: Option<KwokSpec>,
    /// The folder of the processes' log files.
    pub logs: PathBuf,
    /// The file that is every pod's log: append lines in the CRI format.
    pub pod_log: PathBuf,
    /// The processes of the cluster.
    pub processes: Vec<ProcessStatus>,
}

/// One process of a cluster.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ProcessStatus {
    /// The component.
    pub component: ControlPlaneComponent,
    /// Its PID; None: it is not running.
    pub pid: Option<i32>,
    /// The port of 127.0.0.1 that it listens on.
    pub port: u16,
}

/// A cluster as its record and its processes describe it.
#[derive(Debug)]
pub(super) struct KwokCluster {
    pub(super) condition: Condition,
    pub(super) record: Option<KwokStateFile>,
    pub(super) live: Vec<KwokProcess>,
}

/// Lists the differences of the recorded cluster from the desired state. Cheap: reads one file.
pub(crate) fn recorded_differences(environment: &Environment, desired: &ClusterSpec) -> Result<Vec<String>> {
    let record: Option<KwokStateFile> =
        state_file::read(&KwokFolder::new(&environment.state, &desired.name).own)?;
    Ok(record.map(|record| spec::differences(&record.state.spec, desired)).unwrap_or_default())
}

/// Returns the path of the cluster's own kubeconfig.
pub(crate) fn own_kubeconfig(environment: &Environment, name: &str) -> PathBuf {
    KwokFolder::new(&environment.state, name).kubeconfig()
}

/// Reads the record and lists the processes.
pub(super) fn inspect(folder: &KwokFolder) -> Result<KwokCluster> {
    let record: Option<KwokStateFile> = state_file::read(&folder.own)?;
    let live = processes::find(folder)?;
    let condition = match &record {
        None if live.is_empty() && !folder.cluster.exists() => Condition::Absent,
        None => Condition::Incomplete,
        Some(record) if record.phase == StatePhase::Creating || !folder.kubeconfig().exists() => {
            Condition::Incomplete
        }
        Some(_) if processes::stopped(&live).is_empty() => Condition::Running,
        Some(_) => Condition::Stopped,
    };
    Ok(KwokCluster { condition, record, live })
}

/// Returns the condition and the details for `cluster status`.
pub(super) fn details(folder: &KwokFolder) -> Result<(Condition, KwokDetails)> {
    let cluster = inspect(folder)?;
    let process = |component: ControlPlaneComponent, port| ProcessStatus {
        component,
        pid: processes::pid(&cluster.live, component),
        port,
    };
    let processes = cluster.record.as_ref().map_or_else(Vec::new, |record| {
        ControlPlaneComponent::ALL
            .into_iter()
            .map(|component| process(component, record.state.ports.port(component)))
            .collect()
    });
    let spec = cluster.record.map(|record| record.state.spec);
    let (logs, pod_log) = (folder.logs(), folder.pod_log());
    Ok((cluster.condition, KwokDetails { spec, logs, pod_log, processes }))
}

/// Returns the condition of the cluster, its own kubeconfig and its details.
pub(crate) fn status(environment: &Environment, name: &str) -> Result<(Condition, PathBuf, KwokDetails)> {
    let folder = KwokFolder::new(&environment.state, name);
    let (condition, details) = details(&folder)?;
    Ok((condition, folder.kubeconfig(), details))
}
