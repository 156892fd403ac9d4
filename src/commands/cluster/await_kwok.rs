//! The part of `cluster up` that adds simulated nodes and a storage class to a kwok control plane.

use super::ready_cluster::ReadyCluster;
use crate::cluster::nodes::kwok_nodes;
use crate::error::Result;
use crate::event::Phase;
use crate::provider::kwok::objects;
use crate::session::step::step;

/// Creates the nodes and waits until they are ready.
pub(super) async fn await_ready(ready: &ReadyCluster<'_>) -> Result<()> {
    let ReadyCluster { settings, connection, version, events, .. } = ready;
    step(events, Phase::Cluster, "nodes", async {
        let objects = objects(settings.cluster.name.as_str(), settings.cluster.workers);
        let nodes = kwok_nodes::prepare(&connection.api, &objects, events).await?;
        Ok(((), format!("{nodes}/{nodes} ready (simulated), {}", version.text)))
    })
    .await
}
