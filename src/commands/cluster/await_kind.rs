//! The part of `cluster up` that waits until a cluster of containers can take pods: nodes, DNS, a storage class.

use jiff::Timestamp;

use super::ready_cluster::ReadyCluster;
use crate::cluster::nodes::readiness::{ClusterReadiness, WaitLimits};
use crate::cluster::rollout::finding_error::finding_error;
use crate::cluster::rollout::follow::RolloutResult;
use crate::cluster::rollout::workloads::{self, WorkloadWait};
use crate::error::Result;
use crate::event::Phase;
use crate::object::kind::DEPLOYMENT;
use crate::provider::StartOutcome;
use crate::session::step::step;

/// Where the cluster's own services are.
const SYSTEM: &str = "kube-system";
/// The DNS server that kubeadm installs.
const DNS: &str = "coredns";

/// Waits, all by watch. `begun`: when nodes that were stopped may have been started at the earliest.
pub(super) async fn await_ready(ready: &ReadyCluster<'_>, begun: Timestamp) -> Result<()> {
    let ReadyCluster { connection, version, deadline, events, .. } = ready;
    let api = &connection.api;
    let since = (ready.cluster.outcome == StartOutcome::Restarted).then_some(begun);
    let mut readiness = step(events, Phase::Cluster, "nodes ready", async {
        let limits = WaitLimits { since, deadline: deadline.at };
        let mut readiness = ClusterReadiness::open(api, version.streams_lists(), limits).await?;
        let nodes = readiness.await_nodes(events).await?;
        Ok((readiness, format!("{nodes}/{nodes} ready, {}", version.text)))
    })
    .await?;
    step(events, Phase::Cluster, "cluster services", async {
        let dns = [DEPLOYMENT.id(SYSTEM, DNS)];
        let wanted = WorkloadWait { namespace: SYSTEM, workloads: &dns, changed: &[], deadline: deadline.at };
        let ending = workloads::wait_for_workloads(api, version.streams_lists(), wanted, events).await?;
        if let RolloutResult::Failed(findings) = ending {
            return Err(
                finding_error(&findings).hint("handsctl cluster up --recreate makes the cluster anew")
            );
        }
        let class = readiness.await_storage_class(events).await?;
        Ok(((), format!("dns, default storage class `{class}`")))
    })
    .await
}
