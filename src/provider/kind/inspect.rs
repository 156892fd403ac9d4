//! Reads the nodes and the record of a cluster, and determines its owner.

use std::time::Duration;

use super::config::OWNER_LABEL;
use super::folder::KindFolder;
use super::spec::{KindStateFile, RecordProof};
use crate::error::Result;
use crate::provider::engine::{Client, Container};
use crate::provider::process_id;
use crate::provider::state_file::{self, StatePhase};

/// Timeout of reading a node's labels.
const LABELS: Duration = Duration::from_secs(5);

/// Who created a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClusterOwner {
    /// There is no cluster.
    Nobody,
    /// handsctl created it.
    Ours,
    /// Another program or a user created it, or its creator is unknown.
    Foreign,
}

/// A cluster as the record and the engine describe it.
#[derive(Debug, Clone)]
pub(super) struct KindCluster {
    pub(super) owner: ClusterOwner,
    /// The record, if it lists exactly these nodes or the creation was not finished.
    pub(super) record: Option<KindStateFile>,
    pub(super) nodes: Vec<Container>,
}

impl KindCluster {
    /// Whether its creation was interrupted.
    pub(super) fn is_incomplete(&self) -> bool {
        self.record.as_ref().is_some_and(|record| record.phase == StatePhase::Creating)
    }

    /// Whether all of its nodes are running.
    pub(super) fn is_running(&self) -> bool {
        !self.nodes.is_empty() && self.nodes.iter().all(|node| node.is_running)
    }
}

/// Reads the record and lists the containers.
///
/// # Errors
/// `HC9003` if the record cannot be read; `HC2003` if the engine does not respond.
pub(super) async fn inspect(folder: &KindFolder, client: &Client) -> Result<KindCluster> {
    compare(folder, client, state_file::read(&folder.own)?).await
}

/// Lists the containers and compares them with the record.
///
/// # Errors
/// `HC2003` if the engine does not respond.
pub(super) async fn compare(
    folder: &KindFolder,
    client: &Client,
    record: Option<KindStateFile>,
) -> Result<KindCluster> {
    let nodes = client.nodes(&folder.name).await?;
    if nodes.is_empty() {
        return Ok(KindCluster { owner: ClusterOwner::Nobody, record, nodes });
    }
    let proof = record.as_ref().map_or(RecordProof::Unknown, |record| record.state.prove(&nodes));
    let owner = match proof {
        RecordProof::Same => ClusterOwner::Ours,
        RecordProof::Unknown if has_our_label(client, &nodes).await => ClusterOwner::Ours,
        RecordProof::Unknown | RecordProof::Other => ClusterOwner::Foreign,
    };
    // A record of other containers describes an earlier cluster of the same name. An unfinished one has recorded none.
    let is_current = |record: &KindStateFile| {
        let is_unfinished = record.phase == StatePhase::Creating && owner == ClusterOwner::Ours;
        proof == RecordProof::Same || is_unfinished
    };
    let record = record.filter(is_current);
    Ok(KindCluster { owner, record, nodes })
}

/// Whether the first node is running and has the label of this account: the record may be lost.
async fn has_our_label(client: &Client, nodes: &[Container]) -> bool {
    let Some(first) = nodes.iter().find(|node| node.is_control_plane() && node.is_running) else {
        return false;
    };
    let path = format!("jsonpath={{.metadata.labels.{}}}", OWNER_LABEL.replace('.', "\\."));
    let arguments = [
        "exec",
        &first.name,
        "kubectl",
        "--kubeconfig=/etc/kubernetes/admin.conf",
        "get",
        "node",
        &first.name,
        "-o",
        &path,
    ];
    let owner = process_id::account();
    client.command(LABELS, arguments).run().await.is_ok_and(|output| output.stdout.trim() == owner)
}
