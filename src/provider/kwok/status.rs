//! What state a cluster is in, from its record and its processes.

use std::path::PathBuf;

use serde::Serialize;

use super::folder::KwokFolder;
use super::processes::{self, KwokProcess};
use super::spec::{KwokSpec, KwokStateFile};
use crate::error::Result;
use crate::provider::assets::component::Component;
use crate::provider::environment::Environment;
use crate::provider::local_cluster::Condition;
use crate::provider::state_file::{self, StatePhase};

/// What `cluster status` shows of a cluster of this provider.
#[derive(Debug, Clone, Serialize)]
pub struct KwokDetails {
    /// What it was made from.
    pub spec: Option<KwokSpec>,
    /// The log files of its processes.
    pub logs: PathBuf,
    /// The file that `logs` shows for every pod: append lines in the CRI format.
    pub pod_log: PathBuf,
    /// Its processes.
    pub processes: Vec<ProcessStatus>,
}

/// One process of a cluster.
#[derive(Debug, Clone, Serialize)]
pub struct ProcessStatus {
    /// Which.
    pub component: Component,
    /// Its number; None: it does not run.
    pub pid: Option<i32>,
    /// The port of 127.0.0.1 that it serves.
    pub port: u16,
}

/// A cluster as it is found.
#[derive(Debug)]
pub(super) struct KwokCluster {
    pub(super) condition: Condition,
    pub(super) record: Option<KwokStateFile>,
    pub(super) live: Vec<KwokProcess>,
}

/// Looks at the record and the processes.
pub(super) fn inspect(folder: &KwokFolder) -> Result<KwokCluster> {
    let record: Option<KwokStateFile> = state_file::read(&folder.own)?;
    let live = processes::find(folder)?;
    let condition = match &record {
        None if live.is_empty() && !folder.cluster.exists() => Condition::Absent,
        None => Condition::Incomplete,
        Some(record) if record.phase == StatePhase::Creating || !folder.kubeconfig().exists() => {
            Condition::Incomplete
        }
        Some(_) if Component::ALL.iter().all(|it| processes::pid(&live, *it).is_some()) => Condition::Running,
        Some(_) => Condition::Stopped,
    };
    Ok(KwokCluster { condition, record, live })
}

/// What `cluster status` shows.
pub(super) fn details(folder: &KwokFolder) -> Result<(Condition, KwokDetails)> {
    let found = inspect(folder)?;
    let process = |component: Component, port| ProcessStatus {
        component,
        pid: processes::pid(&found.live, component),
        port,
    };
    let processes = found.record.as_ref().map_or_else(Vec::new, |record| {
        Component::ALL.into_iter().map(|it| process(it, record.made.ports.of(it))).collect()
    });
    let spec = found.record.map(|record| record.made.spec);
    let (logs, pod_log) = (folder.logs(), folder.pod_log());
    Ok((found.condition, KwokDetails { spec, logs, pod_log, processes }))
}

/// How the cluster is, and its own kubeconfig.
pub(crate) fn status(environment: &Environment, name: &str) -> Result<(Condition, PathBuf, KwokDetails)> {
    let folder = KwokFolder::of(&environment.state, name);
    let (condition, details) = details(&folder)?;
    Ok((condition, folder.kubeconfig(), details))
}
