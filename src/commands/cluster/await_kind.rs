//! The part of `cluster up` that waits until a cluster of containers can take pods: nodes, DNS, a storage class.

use jiff::Timestamp;

use super::ready_cluster::Standing;
use crate::cluster::nodes::readiness::{Ground, Patience};
use crate::cluster::rollout::follow::Ending;
use crate::cluster::rollout::workloads::{self, Wanted};
use crate::deploy::rollout;
use crate::error::Result;
use crate::event::Phase;
use crate::object::kind::DEPLOYMENT;
use crate::provider::Started;
use crate::session::step::step;

/// Where the cluster's own services are.
const SYSTEM: &str = "kube-system";
/// The DNS server that kubeadm installs.
const DNS: &str = "coredns";

/// Waits, all by watch. `begun`: when nodes that were stopped may have been started at the earliest.
pub(super) async fn await_ready(standing: &Standing<'_>, begun: Timestamp) -> Result<()> {
    let Standing { connection, version, deadline, events, .. } = standing;
    let api = &connection.api;
    let since = (standing.cluster.outcome == Started::Restarted).then_some(begun);
    let mut ground = step(events, Phase::Cluster, "nodes ready", async {
        let patience = Patience { since, deadline: deadline.at };
        let mut ground = Ground::open(api, version.streams_lists(), patience).await?;
        let nodes = ground.await_nodes(events).await?;
        Ok((ground, format!("{nodes}/{nodes} ready, {}", version.text)))
    })
    .await?;
    step(events, Phase::Cluster, "cluster services", async {
        let dns = [DEPLOYMENT.id(SYSTEM, DNS)];
        let wanted = Wanted { namespace: SYSTEM, workloads: &dns, changed: &[], deadline: deadline.at };
        let ending = workloads::settle(api, version.streams_lists(), wanted, events).await?;
        if let Ending::Failed(findings) = ending {
            return Err(
                rollout::explained(&findings).hint("handsctl cluster up --recreate makes the cluster anew")
            );
        }
        let class = ground.await_storage_class(events).await?;
        Ok(((), format!("dns, default storage class `{class}`")))
    })
    .await
}
