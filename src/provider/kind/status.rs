//! What `cluster status` shows of a kind cluster.

use std::path::PathBuf;

use serde::Serialize;

use super::folder::KindFolder;
use super::inspect::{ClusterOwner, inspect};
use super::spec::{KindSpec, KindStateFile};
use crate::error::Result;
use crate::provider::cluster_spec::Ports;
use crate::provider::environment::Environment;
use crate::provider::local_cluster::Condition;
use crate::provider::{engine, state_file};

/// What `cluster status` shows of a cluster of this provider.
#[derive(Debug, Clone, Serialize)]
pub struct KindDetails {
    /// `docker 28.2.2`; None: none answers.
    pub engine: Option<String>,
    /// What it was made from.
    pub spec: Option<KindSpec>,
    /// Its nodes.
    pub nodes: Vec<NodeStatus>,
}

/// One node of a cluster.
#[derive(Debug, Clone, Serialize)]
pub struct NodeStatus {
    /// Name of the container and of the node.
    pub name: String,
    /// `control-plane`, `worker`.
    pub role: String,
    /// Whether the container runs.
    pub running: bool,
}

/// A cluster of this provider as `cluster status` finds it.
pub(crate) struct Status {
    pub(crate) condition: Condition,
    pub(crate) reason: Option<String>,
    pub(crate) kubeconfig: PathBuf,
    pub(crate) details: KindDetails,
}

/// How the cluster is.
pub(crate) async fn status(environment: &Environment, name: &str) -> Result<Status> {
    let folder = KindFolder::of(&environment.state, name);
    let record: Option<KindStateFile> = state_file::read(&folder.own)?;
    let spec = record.map(|record| record.made.spec);
    let kubeconfig = folder.kubeconfig();
    let server = match engine::find(environment).await {
        Ok(server) => server,
        Err(none) => {
            let details = KindDetails { engine: None, spec, nodes: Vec::new() };
            return Ok(Status {
                condition: Condition::Unknown,
                reason: Some(none.summary()),
                kubeconfig,
                details,
            });
        }
    };
    let found = inspect(&folder, &server.client).await?;
    let condition = match found.whose {
        ClusterOwner::Nobody => Condition::Absent,
        ClusterOwner::Foreign => Condition::Foreign,
        ClusterOwner::Ours if found.is_half_made() => Condition::Incomplete,
        ClusterOwner::Ours if found.runs() => Condition::Running,
        ClusterOwner::Ours => Condition::Stopped,
    };
    let nodes = found.nodes.iter().map(|node| NodeStatus {
        name: node.name.clone(),
        role: node.role.clone(),
        running: node.runs,
    });
    let details = KindDetails { engine: Some(server.name()), spec, nodes: nodes.collect() };
    Ok(Status { condition, reason: None, kubeconfig, details })
}

/// Where the ingress of a cluster of this provider is reached. Cheap: one look at a file.
pub(crate) fn made_ports(environment: &Environment, name: &str) -> Option<Ports> {
    let record: KindStateFile = state_file::read(&KindFolder::of(&environment.state, name).own).ok()??;
    Some(record.made.spec.ports)
}
