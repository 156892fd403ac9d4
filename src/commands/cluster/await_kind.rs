//! The part of `cluster up` that waits until a kind cluster can run pods: nodes, DNS, a default storage class.

use super::ready_cluster::ReadyCluster;
use crate::cluster::nodes::readiness::{ClusterReadiness, WaitLimits};
use crate::cluster::rollout::finding_error::finding_error;
use crate::cluster::rollout::follow::RolloutResult;
use crate::cluster::rollout::workloads::{self, WorkloadWait};
use crate::error::Result;
use crate::event::Phase;
use crate::object::kind::DEPLOYMENT;
use crate::session::step::step;

/// The namespace of the cluster's own services.
const SYSTEM: &str = "kube-system";
/// The DNS server that kubeadm installs.
const DNS: &str = "coredns";

/// Waits by watch until the cluster is ready.
pub(super) async fn await_ready(ready: &ReadyCluster<'_>) -> Result<()> {
    let ReadyCluster { connection, version, deadline, events, .. } = ready;
    let api = &connection.api;
    let started = &ready.cluster.started_nodes;
    let mut readiness = step(events, Phase::Cluster, "nodes ready", async {
        let limits = WaitLimits { started: started.clone(), deadline: deadline.at };
        let mut readiness = ClusterReadiness::open(api, version.streams_lists(), limits).await?;
        let nodes = readiness.await_nodes(events).await?;
        Ok((readiness, format!("{nodes}/{nodes} ready, {}", version.text)))
    })
    .await?;
    step(events, Phase::Cluster, "cluster services", async {
        let dns = [DEPLOYMENT.id(SYSTEM, DNS)];
        let wait = WorkloadWait {
            namespace: SYSTEM,
            workloads: &dns,
            changed: &[],
            restarted: !started.is_empty(),
            deadline: deadline.at,
        };
        let result = workloads::wait_for_workloads(api, version.streams_lists(), wait, events).await?;
        if let RolloutResult::Failed(findings) = result {
            return Err(finding_error(&findings).hint(
                "handsctl cluster up --recreate deletes everything in the cluster, and creates it again",
            ));
        }
        let class = readiness.await_storage_class(events).await?;
        Ok(((), format!("dns, default storage class `{class}`")))
    })
    .await
}
