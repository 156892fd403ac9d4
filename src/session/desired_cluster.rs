//! The local cluster that the configuration asks for. Pure.

use crate::provider::{ClusterSpec, Ports};
use crate::settings::Settings;

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
