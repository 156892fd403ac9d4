//! Checks this computer before a cluster is created. Reads all facts first, so that all findings are reported at once.

use std::net::IpAddr;
use std::path::Path;

use super::folder::KindFolder;
use super::host_checks::{self, HostFacts, HostReport, Inotify, Port};
use super::inspect::{ClusterOwner, inspect};
use super::ports;
use crate::error::Result;
use crate::event::Events;
use crate::provider::assets;
use crate::provider::cluster_spec::ClusterSpec;
use crate::provider::engine::{self, Client, Container, EngineLocation, NoEngine, Patience, Server};
use crate::provider::environment::Environment;
use crate::provider::kubeconfig::{self, ContextOwner};
use crate::provider::local_cluster::{LocalProvider, UpOptions};

/// Ends the name of a cluster's first node, which publishes its ports.
const FIRST_NODE: &str = "-control-plane";

/// Reads the facts and checks them. Emits findings that do not block the cluster as warnings; returns a summary of the
/// facts. `own`: nodes of the old cluster, which are deleted afterwards: their ports count as free.
///
/// # Errors
/// Exit 14 with all findings that block the cluster.
pub(super) async fn check(
    environment: &Environment,
    engine: &Result<Server, NoEngine>,
    own: &[Container],
    desired: &ClusterSpec,
    options: &UpOptions,
    events: &Events,
) -> Result<String> {
    let facts = read_facts(environment, engine, own, desired, options).await?;
    let findings = host_checks::check(&facts, desired);
    if let Some(error) = host_checks::error(&findings, &desired.name) {
        return Err(error);
    }
    let file = environment.kubeconfig(options.kubeconfig.as_deref());
    // A failure of the merge would come too late: the old cluster is deleted by then.
    kubeconfig::check(file, &environment.kubeconfigs, &LocalProvider::Kind.context(&desired.name)).await?;
    for finding in findings {
        events.warn(finding.id, format!("{} ({})", finding.message, finding.hint)).await;
    }
    Ok(host_checks::summary(&facts, desired))
}

/// Checks this computer for a cluster that is not created now: `doctor`. The ports of an existing cluster of this name count
/// as free.
///
/// # Errors
/// `HC9003` if a file of this computer cannot be read.
pub(in crate::provider) async fn inspect_host(
    environment: &Environment,
    desired: &ClusterSpec,
    options: &UpOptions,
) -> Result<HostReport> {
    let engine = engine::find(environment, Patience::Silent).await;
    let own = match &engine {
        Ok(server) => {
            let folder = KindFolder::new(&environment.state, &desired.name);
            inspect(&folder, &server.client).await?.nodes
        }
        Err(_no_engine) => Vec::new(),
    };
    let facts = read_facts(environment, &engine, &own, desired, options).await?;
    let has_engine = engine.map_or_else(|none| none.is_present(), |_usable| true);
    let findings = host_checks::check(&facts, desired);
    Ok(HostReport { has_engine, summary: host_checks::summary(&facts, desired), findings })
}

async fn read_facts(
    environment: &Environment,
    engine: &Result<Server, NoEngine>,
    own: &[Container],
    desired: &ClusterSpec,
    options: &UpOptions,
) -> Result<HostFacts> {
    let server = engine.as_ref().ok();
    let (kind, location) =
        tokio::join!(assets::find_installed_kind(environment), locate(environment, server));
    let other_computer = match &location {
        Some(EngineLocation::AnotherComputer(address)) => Some(address.clone()),
        _ => None,
    };
    // The ports are those of the engine's computer.
    let ports = match other_computer {
        Some(_) => Vec::new(),
        None => check_ports(environment, server, own, desired).await,
    };
    let is_local = location == Some(EngineLocation::ThisComputer);
    let root = server.and_then(|server| server.info.root.as_deref()).filter(|_| is_local);
    Ok(HostFacts {
        other_computer,
        engine: match engine {
            Ok(server) => Ok((server.client.engine, server.info.clone())),
            Err(none) => Err(none.clone()),
        },
        kind: kind?,
        ports,
        disk: root.and_then(|root| free_bytes(Path::new(root))),
        inotify: if is_local { inotify() } else { None },
        stale_context: if own.is_empty() {
            stale_context(environment, desired, options).await?
        } else {
            None
        },
    })
}

/// Returns the location of the engine; None if none is usable.
async fn locate(environment: &Environment, server: Option<&Server>) -> Option<EngineLocation> {
    let server = server?;
    let address = server.address(environment).await;
    let kernel = rustix::system::uname();
    Some(engine::locate(address.as_deref(), &server.info, &kernel.release().to_string_lossy()))
}

async fn check_ports(
    environment: &Environment,
    server: Option<&Server>,
    own: &[Container],
    desired: &ClusterSpec,
) -> Vec<(u16, Port)> {
    let mut states = Vec::new();
    for port in [desired.ports.http, desired.ports.https].into_iter().flatten() {
        states.push((port, check_port(environment, server, own, desired.ports.address, port).await));
    }
    states
}

/// Checks a port. Names the container that publishes it, because the process that listens is only the engine's proxy.
async fn check_port(
    environment: &Environment,
    server: Option<&Server>,
    own: &[Container],
    address: IpAddr,
    port: u16,
) -> Port {
    match (ports::check(address, port), server) {
        (Port::Busy { by, .. }, Some(server)) => {
            let containers = server.client.publishers(port).await;
            if containers.iter().any(|name| own.iter().any(|node| node.name == *name)) {
                return Port::OfCluster;
            }
            let Some(name) = containers.first() else { return Port::Busy { by, cluster: None } };
            let cluster = own_cluster(environment, &server.client, name).await;
            Port::Busy { by: Some(format!("container {name}")), cluster }
        }
        (port, _) => port,
    }
}

/// Returns the cluster of handsctl whose first node is the container.
async fn own_cluster(environment: &Environment, client: &Client, container: &str) -> Option<String> {
    let name = container.strip_suffix(FIRST_NODE)?;
    // A record that cannot be read only costs the hint.
    let cluster = inspect(&KindFolder::new(&environment.state, name), client).await.ok()?;
    (cluster.owner == ClusterOwner::Ours).then(|| name.to_owned())
}

/// Returns the context of this cluster's name that handsctl did not write, and its file. No such cluster exists, so the
/// context is a leftover.
async fn stale_context(
    environment: &Environment,
    desired: &ClusterSpec,
    options: &UpOptions,
) -> Result<Option<(String, String)>> {
    let file = environment.kubeconfig(options.kubeconfig.as_deref());
    let context = LocalProvider::Kind.context(&desired.name);
    let foreign = kubeconfig::owner(file, &context).await? == ContextOwner::Foreign;
    Ok(foreign.then(|| (context, file.display().to_string())))
}

/// Returns the free bytes on a folder's disk; None: the folder is not on this computer, such as that of Docker
/// Desktop's engine, which runs in a virtual machine.
fn free_bytes(folder: &Path) -> Option<u64> {
    let system = rustix::fs::statvfs(folder).ok()?;
    Some(system.f_bavail * system.f_frsize)
}

/// Reads the kernel's inotify limits; None: the kernel has no such files.
fn inotify() -> Option<Inotify> {
    let read = |name: &str| {
        std::fs::read_to_string(format!("/proc/sys/fs/inotify/{name}")).ok()?.trim().parse().ok()
    };
    Some(Inotify { watches: read("max_user_watches")?, instances: read("max_user_instances")? })
}
