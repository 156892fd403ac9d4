//! What state a cluster is in, from its record and its processes.

use std::path::PathBuf;

use serde::Serialize;

use super::folder::Folder;
use super::processes::{self, Process};
use super::spec::{Record, Spec};
use crate::error::Result;
use crate::provider::assets::component::Component;
use crate::provider::environment::Environment;
use crate::provider::local_cluster::Condition;
use crate::provider::state_file::{self, Phase};

/// What `cluster status` shows of a cluster of this provider.
#[derive(Debug, Clone, Serialize)]
pub struct Simulated {
    /// What it was made from.
    pub spec: Option<Spec>,
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
    let record: Option<Record> = state_file::read(&folder.own)?;
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
pub(super) fn details(folder: &Folder) -> Result<(Condition, Simulated)> {
    let found = find(folder)?;
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
    Ok((found.condition, Simulated { spec, logs, pod_log, processes }))
}

/// How the cluster is, and its own kubeconfig.
pub(crate) fn status(environment: &Environment, name: &str) -> Result<(Condition, PathBuf, Simulated)> {
    let folder = Folder::of(&environment.state, name);
    let (condition, details) = details(&folder)?;
    Ok((condition, folder.kubeconfig(), details))
}
