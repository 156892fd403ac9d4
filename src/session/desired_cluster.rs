//! The local cluster that the configuration asks for. Pure.

use crate::plan::manifests::ingress_controller::Controller;
use crate::provider::{ClusterSpec, LocalProvider, Ports, ResourceAmount, Workload};
use crate::settings::Settings;
use crate::settings::format::Quantity;
use crate::settings::handsctl::Ingress;

/// Returns the configured cluster, without the load that it must have room for.
pub(crate) fn desired_cluster(settings: &Settings) -> ClusterSpec {
    let cluster = &settings.cluster;
    let text = |text: &dyn ToString| Some(text.to_string());
    let port = |port: u16| Some(port).filter(|port| *port > 0);
    ClusterSpec {
        workers: cluster.workers,
        kubernetes: cluster.kubernetes_version.as_ref().and_then(|version| text(version)),
        node_image: cluster.node_image.as_ref().and_then(|image| text(image)),
        ports: Ports {
            address: cluster.http_address.ip(),
            http: port(cluster.http_port),
            https: port(cluster.https_port),
        },
        ..ClusterSpec::named(cluster.name.to_string())
    }
}

/// Returns the resource requests that must fit: the application as deployed to a local cluster, its ingress controller,
/// and one sandbox.
pub(crate) fn expected_load(settings: &Settings) -> Workload {
    let local = settings.clone().for_local_cluster(true);
    let requests = &local.deploy.resources.requests;
    let kubernetes = &local.openhands.kubernetes;
    let ingress = ingress_requests(settings);
    Workload {
        application: ResourceAmount {
            cpu: requests.cpu.as_ref().map_or(0, Quantity::millis) + ingress.cpu,
            memory: requests.memory.as_ref().map_or(0, Quantity::bytes) + ingress.memory,
        },
        sandbox: if local.edition().has_sandbox_pods() {
            ResourceAmount {
                cpu: kubernetes.resource_cpu_request.millis(),
                memory: kubernetes.resource_memory_request.bytes(),
            }
        } else {
            ResourceAmount::default()
        },
    }
}

/// Returns the configured controller. The default on simulated nodes is none, because no container runs there.
pub(crate) fn configured_controller(settings: &Settings, provider: LocalProvider) -> Option<Controller> {
    let default = match provider {
        LocalProvider::Kind => Ingress::Traefik,
        LocalProvider::Kwok => Ingress::None,
    };
    Controller::for_setting(settings.cluster.ingress.unwrap_or(default))
}

/// Returns the controller's resource requests, for the capacity check before the cluster is created.
fn ingress_requests(settings: &Settings) -> ResourceAmount {
    match configured_controller(settings, LocalProvider::Kind) {
        Some(Controller::Traefik) => ResourceAmount { cpu: 50, memory: 64 << 20 },
        Some(Controller::IngressNginx) => ResourceAmount { cpu: 300, memory: 256 << 20 },
        None => ResourceAmount::default(),
    }
}
