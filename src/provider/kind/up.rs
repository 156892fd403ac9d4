//! Creates, starts or reuses a kind cluster.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::folder::{KindFolder, NODES, context};
use super::inspect::{ClusterOwner, KindCluster, inspect};
use super::spec::{self, KindState, KindStateFile};
use super::start::{self, CreateContext};
use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};
use crate::event::Events;
use crate::provider::cluster_spec::ClusterSpec;
use crate::provider::command::ChildCommand;
use crate::provider::engine::{self, Client, Container, Patience, Server};
use crate::provider::environment::Environment;
use crate::provider::kubeconfig::{ContextEntry, contexts};
use crate::provider::local_cluster::{
    LocalCluster, LocalProvider, RECREATE_HINT, START_AGAIN_HINT, StartOutcome, UpOptions,
};
use crate::provider::state_file::{self, StatePhase};
use crate::provider::{assets, readyz};

/// Kubelets have reported long before, so older starts are not waited for.
const RECENT_START: SignedDuration = SignedDuration::from_mins(10);

/// Timeout of `kind export kubeconfig`.
const EXPORT: Duration = Duration::from_secs(20);

/// Creates, starts or reuses the cluster. On success its API server is ready and the user's kubeconfig has its context.
/// `delete_other`: deletes the cluster of another provider that this one replaces, while its folder is locked.
pub(crate) async fn up(
    environment: &Environment,
    desired: &ClusterSpec,
    options: &UpOptions,
    delete_other: impl AsyncFnOnce() -> Result<()>,
    events: &Events,
) -> Result<LocalCluster> {
    let folder = KindFolder::new(&environment.state, &desired.name);
    // Before the lock: a run that waits for the engine holds back no other one, and leaves no folder behind.
    let engine = engine::find(environment, Patience::Told(events)).await;
    let lock = folder.lock(NODES, events).await?;
    let cluster = match &engine {
        Ok(server) => inspect(&folder, &server.client).await?,
        // Preflight reports the missing engine together with its other findings.
        Err(_) => KindCluster { owner: ClusterOwner::Nobody, record: None, nodes: Vec::new() },
    };
    let mut started_nodes = BTreeMap::new();
    let (mut record, outcome) = match (&engine, cluster.owner) {
        (Ok(server), ClusterOwner::Ours)
            if !cluster.is_incomplete() && matches_spec(&cluster, desired, environment, options)? =>
        {
            delete_other().await?;
            started_nodes = started_nodes_at(&cluster.nodes, Timestamp::now());
            reuse(environment, &folder, server, &cluster, events).await?
        }
        (_, ClusterOwner::Foreign) => {
            folder.remove_if_empty();
            return Err(foreign(&desired.name));
        }
        _ => {
            let create_context = CreateContext { environment, folder: &folder, lock: &lock, engine: &engine };
            let record =
                start::create(&create_context, &cluster, desired, options, delete_other, events).await?;
            (record, StartOutcome::Created)
        }
    };
    let entry = ContextEntry::read(&folder.kubeconfig(), &context(&desired.name), LocalProvider::Kind)?;
    let explicit = options.kubeconfig.as_deref();
    contexts::merge_context(environment, &folder.own, &mut record, &entry, explicit, events).await?;
    Ok(LocalCluster {
        context: context(&desired.name),
        kubeconfig: folder.kubeconfig(),
        simulated: false,
        outcome,
        started_nodes,
    })
}

/// Returns the stopped nodes, which start now, and those that somebody else started so recently that their kubelets may
/// not have reported since.
fn started_nodes_at(nodes: &[Container], now: Timestamp) -> BTreeMap<String, Timestamp> {
    let is_recent = |started: &Timestamp| now.duration_since(*started) < RECENT_START;
    let start = |node: &Container| {
        if node.is_running { node.started_at.filter(is_recent) } else { Some(now) }
    };
    nodes.iter().filter_map(|node| Some((node.name.clone(), start(node)?))).collect()
}

/// Uses the existing cluster and starts its stopped nodes.
async fn reuse(
    environment: &Environment,
    folder: &KindFolder,
    server: &Server,
    cluster: &KindCluster,
    events: &Events,
) -> Result<(KindStateFile, StartOutcome)> {
    let record = restore_record(environment, folder, &server.client, cluster, events).await?;
    if cluster.is_running() {
        // The API server may hang although all nodes are running. Starting nodes would not fix that.
        let ready = readyz::wait_until_ready(&folder.kubeconfig(), &folder.name).await;
        ready.map_err(|error| error.hint(START_AGAIN_HINT).hint(RECREATE_HINT))?;
        return Ok((record, StartOutcome::Running));
    }
    start::restart(folder, server, &cluster.nodes, events).await?;
    Ok((record, StartOutcome::Restarted))
}

/// Returns the record. If it or the kubeconfig is lost, restores both from the nodes, whose label marks the cluster as
/// ours.
async fn restore_record(
    environment: &Environment,
    folder: &KindFolder,
    client: &Client,
    cluster: &KindCluster,
    events: &Events,
) -> Result<KindStateFile> {
    if let Some(record) = &cluster.record
        && folder.kubeconfig().exists()
    {
        return Ok(record.clone());
    }
    let nodes = cluster.nodes.iter().map(|node| node.id.clone()).collect();
    let spec = spec::from_containers(&cluster.nodes);
    let mut record = cluster.record.clone().unwrap_or_else(|| {
        let state = KindState { engine: client.engine, nodes, api_port: None, spec };
        let mut record = KindStateFile::new(state);
        record.created = None;
        record
    });
    record.phase = StatePhase::Ready;
    export_kubeconfig(environment, folder, client, events).await?;
    state_file::write(&folder.own, &record)?;
    Ok(record)
}

async fn export_kubeconfig(
    environment: &Environment,
    folder: &KindFolder,
    client: &Client,
    events: &Events,
) -> Result<()> {
    let kind = assets::locate_kind(environment, events).await?;
    let export = ChildCommand::new(kind, EXPORT)
        .variable("KIND_EXPERIMENTAL_PROVIDER", client.engine.name())
        .arguments(["export", "kubeconfig", "--name", folder.name.as_str()])
        .arguments([std::ffi::OsStr::new("--kubeconfig"), folder.kubeconfig().as_os_str()]);
    export.run().await.map(drop).map_err(|failure| {
        let message = format!("kind cannot export the kubeconfig of cluster {}", folder.name);
        failure.into_error(Id::ClusterCreateFailed, Kind::Prerequisite, message)
    })
}

/// Whether the cluster matches its desired state; false: it must be recreated.
fn matches_spec(
    cluster: &KindCluster,
    desired: &ClusterSpec,
    environment: &Environment,
    options: &UpOptions,
) -> Result<bool> {
    let spec = match &cluster.record {
        Some(record) => record.state.spec.clone(),
        None => spec::from_containers(&cluster.nodes),
    };
    let differences = spec::differences(&spec, desired, environment);
    if differences.is_empty() || options.recreate {
        return Ok(differences.is_empty());
    }
    let message = format!("the local cluster {} differs from the configuration", desired.name);
    Err(Error::new(Id::ClusterDiffers, Kind::Differences, message)
        .fact("differs", differences.join("\n"))
        .hint(RECREATE_HINT))
}

fn foreign(name: &str) -> Error {
    let context = context(name);
    Error::new(
        Id::ClusterNotManaged,
        Kind::Prerequisite,
        format!("a kind cluster {name} exists and was not created by handsctl"),
    )
    .hint("another [cluster] name creates a second cluster")
    .hint(format!("to use that cluster:\n[cluster]\nprovider = \"existing\"\ncontext = \"{context}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stopped_and_recently_started_nodes_are_stale() {
        let now = Timestamp::from_second(1_795_880_000).unwrap();
        let node = |name: &str, is_running: bool, seconds_ago: i64| Container {
            id: name.to_owned(),
            name: name.to_owned(),
            role: "worker".to_owned(),
            image: String::new(),
            is_running,
            started_at: Some(now - SignedDuration::from_secs(seconds_ago)),
            ports: Vec::new(),
        };
        let nodes = [node("stopped", false, 7_200), node("recent", true, 20), node("old", true, 7_200)];
        let started = started_nodes_at(&nodes, now);
        let recent = now - SignedDuration::from_secs(20);
        assert_eq!(started, BTreeMap::from([("stopped".to_owned(), now), ("recent".to_owned(), recent)]));
    }
}
