//! The part of `cluster up` that installs the ingress controller and waits until Ingresses can be created.

use super::ready_cluster::ReadyCluster;
use crate::catalogue::Id;
use crate::cluster::nodes::ingress_controller;
use crate::cluster::rollout::finding_error::finding_error;
use crate::cluster::rollout::follow::RolloutResult;
use crate::cluster::rollout::workloads::{self, WorkloadWait};
use crate::error::Result;
use crate::event::Phase;
use crate::plan::manifests::ingress_controller::Controller;
use crate::provider::{LocalProvider, StartOutcome};
use crate::session::desired_cluster::configured_controller;
use crate::session::step::step;

/// Installs the configured controller and removes the others. Without a configured controller it changes nothing.
pub(super) async fn ensure(ready: &ReadyCluster<'_>, provider: LocalProvider) -> Result<()> {
    let Some(controller) = configured_controller(ready.settings, provider) else { return Ok(()) };
    let ReadyCluster { connection, version, deadline, events, .. } = ready;
    let api = &connection.api;
    if controller == Controller::IngressNginx {
        let message = "ingress-nginx was retired in March 2026 and gets no more fixes; [cluster] ingress = \"traefik\" does";
        events.warn(Id::IngressRetired, message).await;
    }
    if controller.has_webhook() && provider == LocalProvider::Kwok {
        let message = "its webhook never answers: it would be a container, and simulated nodes run none";
        events.warn(Id::SimulatedNodes, format!("{}: {message}", controller.name())).await;
    }
    step(events, Phase::Cluster, "ingress", async {
        let existing = ingress_controller::list(api, controller).await?;
        for other in Controller::ALL.into_iter().filter(|other| *other != controller) {
            ingress_controller::remove(api, other, events).await?;
        }
        let ensured = ingress_controller::ensure(api, existing, events).await?;
        let wait = WorkloadWait {
            namespace: controller.name(),
            workloads: &ensured.workloads,
            changed: &ensured.changed,
            restarted: ready.cluster.outcome == StartOutcome::Restarted,
            deadline: deadline.at,
        };
        let message = match workloads::wait_for_workloads(api, version.streams_lists(), wait, events).await? {
            RolloutResult::Ready(workloads) => workloads,
            RolloutResult::Expired(error, _) => return Err(error),
            RolloutResult::Failed(findings) => {
                return Err(finding_error(&findings)
                    .hint("[cluster] ingress = \"none\" continues without an ingress controller"));
            }
        };
        if controller.has_webhook() {
            ingress_controller::await_webhook(api, controller, deadline.at, events).await?;
        }
        Ok(((), message))
    })
    .await
}
