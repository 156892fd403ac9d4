//! The part of `deploy` that says how many sandboxes fit, and whether their image is where they will run.

use crate::catalogue::Id;
use crate::cluster::nodes::capacity::{self, ClusterListing};
use crate::plan::checks::sandbox_capacity::{SandboxCapacity, SandboxPod};
use crate::provider::{self, Environment};
use crate::session::cluster_session::Session;
use crate::session::runner::Run;

/// Looks at the nodes; None where this account may not, or where they are too many.
pub(crate) async fn estimate(run: &Run<'_>) -> Option<SandboxCapacity> {
    let ClusterListing { nodes, pods } = capacity::list_nodes_and_pods(run.api()).await;
    let nodes = nodes?;
    let sandbox = SandboxPod::from_settings(run.settings());
    let (mut without, of) = sandbox.nodes_without_image(&nodes);
    if let Some(image) = sandbox.image().filter(|_| !without.is_empty()) {
        let have = those_that_have(run.session, image).await;
        without.retain(|node| !have.iter().any(|name| name == node));
    }
    if let (Some(first), Some(image)) = (without.first(), sandbox.image()) {
        let place = match (without.len(), of) {
            (1, 1) => format!("on node {first}"),
            (without, of) => format!("on {without} of {of} nodes"),
        };
        let message = format!(
            "{image} is not {place} yet: a pull longer than 300 s fails the first conversation; \
             handsctl image pull does it now"
        );
        run.events().warn(Id::SandboxImageAbsent, message).await;
    }
    Some(sandbox.estimate(&nodes, &pods?))
}

/// Nodes of this computer that have an image and do not say it yet.
async fn those_that_have(session: &Session, image: &str) -> Vec<String> {
    match (provider::kind_cluster(&session.connection.choice.context), Environment::read()) {
        (Some(cluster), Ok(environment)) => provider::nodes_with_image(&environment, cluster, image).await,
        _ => Vec::new(),
    }
}

/// `room for 4 sandboxes of 250m cpu, 1Gi`.
pub(crate) fn words(room: Option<&SandboxCapacity>) -> String {
    let Some(room) = room else {
        return "how many sandboxes fit is not known: nodes and pods of the cluster cannot all be listed"
            .to_owned();
    };
    match room.sandboxes {
        0 => format!("no room for a sandbox of {}: the first conversation would wait in vain", room.each),
        1 => format!("room for 1 sandbox of {}", room.each),
        count => format!("room for {count} sandboxes of {}", room.each),
    }
}
