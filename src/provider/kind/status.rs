//! The status of a kind cluster for `cluster status`.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Serialize;

use super::folder::KindFolder;
use super::inspect::{ClusterOwner, inspect};
use super::spec::{self, KindSpec, KindStateFile};
use crate::error::Result;
use crate::provider::cluster_spec::{ClusterSpec, Ports};
use crate::provider::engine::{self, NoEngine, Patience, Server};
use crate::provider::environment::Environment;
use crate::provider::local_cluster::Condition;
use crate::provider::state_file;

/// Details of a kind cluster for `cluster status`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct KindDetails {
    /// `docker 28.2.2`; None: no engine is usable.
    pub engine: Option<String>,
    /// The spec that it was created from.
    pub spec: Option<KindSpec>,
    /// The nodes of the cluster.
    pub nodes: Vec<NodeStatus>,
}

/// One node of a cluster.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct NodeStatus {
    /// Name of the container and of the node.
    pub name: String,
    /// `control-plane`, `worker`.
    pub role: String,
    /// Whether the container is running.
    pub running: bool,
}

/// The status of a kind cluster.
pub(crate) struct Status {
    pub(crate) condition: Condition,
    pub(crate) reason: Option<String>,
    pub(crate) kubeconfig: PathBuf,
    pub(crate) details: KindDetails,
}

/// Returns the status of the cluster.
pub(crate) async fn status(environment: &Environment, name: &str, patience: Patience<'_>) -> Result<Status> {
    status_on(environment, name, &engine::find(environment, patience).await).await
}

/// Returns the status of the cluster on this engine.
pub(crate) async fn status_on(
    environment: &Environment,
    name: &str,
    engine: &std::result::Result<Server, NoEngine>,
) -> Result<Status> {
    let folder = KindFolder::new(&environment.state, name);
    let record: Option<KindStateFile> = state_file::read(&folder.own)?;
    let spec = record.map(|record| record.state.spec);
    let kubeconfig = folder.kubeconfig();
    let server = match engine {
        Ok(server) => server,
        Err(error) => {
            let details = KindDetails { engine: None, spec, nodes: Vec::new() };
            return Ok(Status {
                condition: Condition::Unknown,
                reason: Some(error.summary()),
                kubeconfig,
                details,
            });
        }
    };
    let cluster = inspect(&folder, &server.client).await?;
    let condition = match cluster.owner {
        ClusterOwner::Nobody => Condition::Absent,
        ClusterOwner::Foreign => Condition::Foreign,
        ClusterOwner::Ours if cluster.is_incomplete() => Condition::Incomplete,
        ClusterOwner::Ours if cluster.is_running() => Condition::Running,
        ClusterOwner::Ours => Condition::Stopped,
    };
    let nodes = cluster.nodes.iter().map(|node| NodeStatus {
        name: node.name.clone(),
        role: node.role.clone(),
        running: node.is_running,
    });
    let details = KindDetails { engine: Some(server.name()), spec, nodes: nodes.collect() };
    Ok(Status { condition, reason: None, kubeconfig, details })
}

/// Lists the differences of the recorded cluster from the desired state. Cheap: reads one file.
pub(crate) fn recorded_differences(environment: &Environment, desired: &ClusterSpec) -> Result<Vec<String>> {
    let record: Option<KindStateFile> =
        state_file::read(&KindFolder::new(&environment.state, &desired.name).own)?;
    Ok(record.map(|record| spec::differences(&record.state.spec, desired, environment)).unwrap_or_default())
}

/// Returns the path of the cluster's own kubeconfig.
pub(crate) fn own_kubeconfig(environment: &Environment, name: &str) -> PathBuf {
    KindFolder::new(&environment.state, name).kubeconfig()
}

/// Returns the ports that forward to the cluster's ingress controller. Cheap: reads one file.
pub(crate) fn recorded_ports(environment: &Environment, name: &str) -> Option<Ports> {
    let record: KindStateFile = state_file::read(&KindFolder::new(&environment.state, name).own).ok()??;
    Some(record.state.spec.ports)
}
