//! What there is of a cluster, and whose it is.

use std::time::Duration;

use super::config::MADE_BY;
use super::folder::KindFolder;
use super::spec::KindStateFile;
use crate::error::Result;
use crate::provider::engine::{Client, Container};
use crate::provider::state_file::{self, StatePhase};

/// How long a node may take to say its labels.
const LABELS: Duration = Duration::from_secs(5);

/// Whose a cluster is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClusterOwner {
    /// There is none.
    Nobody,
    /// handsctl made it.
    Ours,
    /// Somebody else made it, or nobody can say who.
    Foreign,
}

/// A cluster as it is found.
#[derive(Debug, Clone)]
pub(super) struct KindCluster {
    pub(super) whose: ClusterOwner,
    /// Of exactly these nodes, or of nodes that are not there yet.
    pub(super) record: Option<KindStateFile>,
    pub(super) nodes: Vec<Container>,
}

impl KindCluster {
    /// Whether its making was interrupted.
    pub(super) fn is_half_made(&self) -> bool {
        self.record.as_ref().is_some_and(|record| record.phase == StatePhase::Creating)
    }

    /// Whether every node runs.
    pub(super) fn runs(&self) -> bool {
        !self.nodes.is_empty() && self.nodes.iter().all(|node| node.runs)
    }
}

/// Looks at the record and the containers.
///
/// # Errors
/// Where the record cannot be read, or the engine does not answer.
pub(super) async fn inspect(folder: &KindFolder, client: &Client) -> Result<KindCluster> {
    let record: Option<KindStateFile> = state_file::read(&folder.own)?;
    let nodes = client.nodes(&folder.name).await?;
    let whose = match &record {
        _ if nodes.is_empty() => ClusterOwner::Nobody,
        Some(record) if record.phase == StatePhase::Creating => ClusterOwner::Ours,
        Some(record) if nodes.iter().all(|node| record.made.nodes.contains(&node.id)) => ClusterOwner::Ours,
        _ if says_ours(client, &nodes).await => ClusterOwner::Ours,
        _ => ClusterOwner::Foreign,
    };
    // Of a cluster that was made anew by other means the record tells nothing.
    let known = |record: &KindStateFile| {
        record.phase == StatePhase::Creating || nodes.iter().all(|node| record.made.nodes.contains(&node.id))
    };
    let record = record.filter(known);
    Ok(KindCluster { whose, record, nodes })
}

/// Whether a running first node carries our label: the record may be another user's, or lost.
async fn says_ours(client: &Client, nodes: &[Container]) -> bool {
    let Some(first) = nodes.iter().find(|node| node.is_control_plane() && node.runs) else { return false };
    let (key, value) = MADE_BY;
    let path = format!("jsonpath={{.metadata.labels.{}}}", key.replace('.', "\\."));
    let ask = [
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
    client.command(LABELS, ask).run().await.is_ok_and(|answer| answer.stdout.trim() == value)
}
