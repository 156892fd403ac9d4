//! The part of `deploy` that estimates how many sandboxes fit and warns if their image is missing on nodes.

use crate::catalogue::Id;
use crate::cluster::nodes::capacity::{self, ClusterListing};
use crate::plan::checks::sandbox_capacity::{NodeHosts, SandboxCapacity, SandboxPod};
use crate::provider::{self};
use crate::session::cluster_session::Session;
use crate::session::runner::Run;

/// Estimates how many sandboxes fit; None if the account may not list nodes and pods, or if there are too many of them.
pub(crate) async fn estimate(run: &Run<'_>) -> Option<SandboxCapacity> {
    let ClusterListing { nodes, pods } = capacity::list_nodes_and_pods(run.api()).await;
    let nodes = nodes?;
    let sandbox = SandboxPod::from_settings(run.settings());
    let (mut nodes_without, node_count) = sandbox.nodes_without_image(&nodes);
    if let Some(image) = sandbox.image().filter(|_| !nodes_without.is_empty()) {
        let nodes_with = local_nodes_with_image(run.session, image).await;
        nodes_without.retain(|node| !nodes_with.iter().any(|name| name == node));
    }
    if let (Some(first), Some(image)) = (nodes_without.first(), sandbox.image()) {
        let location = match (nodes_without.len(), node_count) {
            (1, 1) => format!("on node {first}"),
            (missing, all) => format!("on {missing} of {all} nodes"),
        };
        let message = format!(
            "{image} is missing {location}: a pull longer than 300 s fails the first conversation; \
             handsctl image pull pulls it now"
        );
        run.events().warn(Id::SandboxImageAbsent, message).await;
    }
    let hosts = match provider::kind_cluster(&run.session.connection.choice.context) {
        Some(_) => NodeHosts::OneComputer,
        None => NodeHosts::Separate,
    };
    Some(sandbox.estimate(&nodes, &pods?, hosts))
}

/// Returns the kind nodes on this computer that have the image. A node's status lists a new image only after some time.
pub(super) async fn local_nodes_with_image(session: &Session, image: &str) -> Vec<String> {
    match provider::kind_cluster(&session.connection.choice.context) {
        Some(cluster) => provider::nodes_with_image(&session.environment, cluster, image).await,
        None => Vec::new(),
    }
}

/// Returns the estimate as text: `room for 4 sandboxes of 250m cpu, 1Gi`.
pub(crate) fn describe(capacity: Option<&SandboxCapacity>) -> String {
    let Some(capacity) = capacity else {
        return "the room for sandboxes is unknown: cannot list all nodes and pods of the cluster".to_owned();
    };
    match capacity.sandboxes {
        0 => format!("no room for a sandbox of {}: the first conversation would fail", capacity.each),
        1 => format!("room for 1 sandbox of {}", capacity.each),
        count => format!("room for {count} sandboxes of {}", capacity.each),
    }
}
