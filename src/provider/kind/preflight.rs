//! Looks at this computer before a cluster is made or started: everything at once, so that everything is told at once.

use std::net::IpAddr;
use std::path::Path;

use super::host_checks::{self, HostFacts, Inotify, Port};
use super::ports;
use crate::error::Result;
use crate::event::Events;
use crate::provider::assets;
use crate::provider::cluster_spec::ClusterSpec;
use crate::provider::engine::{Container, NoEngine, Server};
use crate::provider::environment::Environment;
use crate::provider::kubeconfig::{self, ContextOwner};
use crate::provider::local_cluster::{LocalProvider, UpOptions};

/// Looks and judges. What is in the way but stops nothing is told as a warning; the text is what is there. `own`: nodes
/// that go before the cluster is made, or are started; their ports are free for it.
///
/// # Errors
/// Exit 14 with everything that stops the cluster.
pub(super) async fn check(
    environment: &Environment,
    engine: &Result<Server, NoEngine>,
    own: &[Container],
    wanted: &ClusterSpec,
    options: &UpOptions,
    events: &Events,
) -> Result<String> {
    let facts = gather(environment, engine, own, wanted, options).await?;
    let findings = host_checks::check(&facts, wanted);
    if let Some(error) = host_checks::error(&findings, &wanted.name) {
        return Err(error);
    }
    for finding in findings {
        events.warn(finding.id, format!("{} ({})", finding.message, finding.hint)).await;
    }
    Ok(host_checks::summary(&facts, wanted))
}

async fn gather(
    environment: &Environment,
    engine: &Result<Server, NoEngine>,
    own: &[Container],
    wanted: &ClusterSpec,
    options: &UpOptions,
) -> Result<HostFacts> {
    let server = engine.as_ref().ok();
    let (kind, ports) = tokio::join!(assets::look_for_kind(environment), look_at_ports(server, own, wanted));
    let here = server.is_some() && environment.engine_host.is_none();
    let root = server.and_then(|server| server.info.root.as_deref()).filter(|_| here);
    Ok(HostFacts {
        engine: match engine {
            Ok(server) => Ok((server.name(), server.info.clone())),
            Err(none) => Err(none.clone()),
        },
        kind: kind?,
        ports,
        disk: root.and_then(|root| free_bytes(Path::new(root))),
        inotify: if here { inotify() } else { None },
        stale_context: if own.is_empty() { stale_context(environment, wanted, options)? } else { None },
    })
}

async fn look_at_ports(server: Option<&Server>, own: &[Container], wanted: &ClusterSpec) -> Vec<(u16, Port)> {
    let mut looked = Vec::new();
    for port in [wanted.ports.http, wanted.ports.https].into_iter().flatten() {
        looked.push((port, look_at_port(server, own, wanted.ports.address, port).await));
    }
    looked
}

/// A container's port is held by the engine's own process, which says less than the container's name.
async fn look_at_port(server: Option<&Server>, own: &[Container], address: IpAddr, port: u16) -> Port {
    match (ports::look(address, port), server) {
        (Port::Busy { by }, Some(server)) => {
            let containers = server.client.publishers(port).await;
            if containers.iter().any(|name| own.iter().any(|node| node.name == *name)) {
                return Port::Free;
            }
            Port::Busy { by: containers.first().map(|name| format!("container {name}")).or(by) }
        }
        (port, _) => port,
    }
}

/// Asked where no cluster of this name is there: a context of its name that somebody else wrote is a leftover.
fn stale_context(
    environment: &Environment,
    wanted: &ClusterSpec,
    options: &UpOptions,
) -> Result<Option<(String, String)>> {
    let file = environment.kubeconfig(options.kubeconfig.as_deref());
    let context = LocalProvider::Kind.context(&wanted.name);
    let foreign = kubeconfig::owner(file, &context)? == ContextOwner::Foreign;
    Ok(foreign.then(|| (context, file.display().to_string())))
}

/// None where that folder is not on this computer: Docker Desktop's engine runs on a virtual one.
fn free_bytes(folder: &Path) -> Option<u64> {
    let system = rustix::fs::statvfs(folder).ok()?;
    Some(system.f_bavail * system.f_frsize)
}

/// None where the kernel has no such files.
fn inotify() -> Option<Inotify> {
    let read = |name: &str| {
        std::fs::read_to_string(format!("/proc/sys/fs/inotify/{name}")).ok()?.trim().parse().ok()
    };
    Some(Inotify { watches: read("max_user_watches")?, instances: read("max_user_instances")? })
}
