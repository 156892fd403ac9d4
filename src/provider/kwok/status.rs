//! What state a cluster is in, from its record and its processes.

use std::path::PathBuf;

use serde::Serialize;

use super::component::Component;
use super::folder::Folder;
use super::processes::{self, Process};
use super::record;
use super::spec::{Phase, Record, Spec};
use crate::error::Result;

/// How a cluster is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Condition {
    /// handsctl made none of this name.
    Absent,
    /// Its making was interrupted; `up` removes it and makes it anew.
    HalfMade,
    /// It is complete, and at least one of its processes is not running.
    Stopped,
    /// Every process runs.
    Running,
}

/// What `cluster status` shows.
#[derive(Debug, Clone, Serialize)]
pub struct ClusterStatus {
    /// Name of the cluster.
    pub name: String,
    /// Name of its context.
    pub context: String,
    /// How it is.
    pub condition: Condition,
    /// What it was made from.
    pub spec: Option<Spec>,
    /// Its own kubeconfig.
    pub kubeconfig: PathBuf,
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
pub(super) struct Found {
    pub(super) condition: Condition,
    pub(super) record: Option<Record>,
    pub(super) live: Vec<Process>,
}

/// Looks at the record and the processes.
pub(super) fn find(folder: &Folder) -> Result<Found> {
    let record = record::read(folder)?;
    let live = processes::find(folder)?;
    let condition = match &record {
        None if live.is_empty() && !folder.cluster.exists() => Condition::Absent,
        None => Condition::HalfMade,
        Some(record) if record.phase == Phase::Creating || !folder.kubeconfig().exists() => {
            Condition::HalfMade
        }
        Some(_) if Component::ALL.iter().all(|it| processes::pid(&live, *it).is_some()) => Condition::Running,
        Some(_) => Condition::Stopped,
    };
    Ok(Found { condition, record, live })
}

/// What `cluster status` shows.
pub(super) fn status(folder: &Folder) -> Result<ClusterStatus> {
    let found = find(folder)?;
    let process = |component: Component, port| ProcessStatus {
        component,
        pid: processes::pid(&found.live, component),
        port,
    };
    let processes = found.record.as_ref().map_or_else(Vec::new, |record| {
        Component::ALL.into_iter().map(|it| process(it, record.ports.of(it))).collect()
    });
    Ok(ClusterStatus {
        name: folder.name.clone(),
        context: super::context(&folder.name),
        condition: found.condition,
        spec: found.record.map(|record| record.spec),
        kubeconfig: folder.kubeconfig(),
        logs: folder.logs(),
        pod_log: folder.pod_log(),
        processes,
    })
}
