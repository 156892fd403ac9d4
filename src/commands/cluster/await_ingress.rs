//! The part of `cluster up` that makes the ingress controller, and waits until Ingresses can be sent.

use super::ready_cluster::ReadyCluster;
use crate::catalogue::Id;
use crate::cluster::nodes::ingress_controller;
use crate::cluster::rollout::finding_error::finding_error;
use crate::cluster::rollout::follow::RolloutResult;
use crate::cluster::rollout::workloads::{self, WorkloadWait};
use crate::error::Result;
use crate::event::Phase;
use crate::plan::manifests::ingress_controller::Controller;
use crate::provider::{LocalProvider, ResourceAmount};
use crate::session::step::step;
use crate::settings::Settings;
use crate::settings::handsctl::Ingress;

/// Makes the controller that the configuration asks for; where it asks for none, what is there is left alone.
pub(super) async fn ensure(ready: &ReadyCluster<'_>, maker: LocalProvider) -> Result<()> {
    let Some(controller) = wanted(ready.settings, maker) else { return Ok(()) };
    let ReadyCluster { connection, version, deadline, events, .. } = ready;
    let api = &connection.api;
    if controller == Controller::IngressNginx {
        let message = "ingress-nginx was retired in March 2026 and is mended no more; [cluster] ingress = \"traefik\" is";
        events.warn(Id::IngressRetired, message).await;
    }
    if controller.has_webhook() && maker == LocalProvider::Kwok {
        let message = "its webhook is awaited, and would be a container: simulated nodes run none";
        events.warn(Id::SimulatedNodes, format!("{}: {message}", controller.name())).await;
    }
    step(events, Phase::Cluster, "ingress", async {
        let place = ingress_controller::list(api, controller).await?;
        for other in Controller::ALL.into_iter().filter(|other| *other != controller) {
            ingress_controller::remove(api, other, events).await?;
        }
        let ensured = ingress_controller::ensure(api, place, events).await?;
        let wanted = WorkloadWait {
            namespace: controller.name(),
            workloads: &ensured.workloads,
            changed: &ensured.changed,
            deadline: deadline.at,
        };
        let message =
            match workloads::wait_for_workloads(api, version.streams_lists(), wanted, events).await? {
                RolloutResult::Ready(workloads) => workloads,
                RolloutResult::Failed(findings) => {
                    return Err(finding_error(&findings)
                        .hint("[cluster] ingress = \"none\" goes on without an ingress controller"));
                }
            };
        if controller.has_webhook() {
            ingress_controller::await_webhook(api, controller, deadline.at, events).await?;
        }
        Ok(((), message))
    })
    .await
}

/// Simulated nodes have no use for one unless it is asked for.
fn wanted(settings: &Settings, maker: LocalProvider) -> Option<Controller> {
    let otherwise = match maker {
        LocalProvider::Kind => Ingress::Traefik,
        LocalProvider::Kwok => Ingress::None,
    };
    Controller::of(settings.cluster.ingress.unwrap_or(otherwise))
}

/// What the controller asks for, so that it is known before the cluster is made what will fit.
pub(super) fn amount(settings: &Settings) -> ResourceAmount {
    match wanted(settings, LocalProvider::Kind) {
        Some(Controller::Traefik) => ResourceAmount { cpu: 50, memory: 64 << 20 },
        Some(Controller::IngressNginx) => ResourceAmount { cpu: 300, memory: 256 << 20 },
        None => ResourceAmount::default(),
    }
}
