//! Makes a cluster, or starts a stopped one.

use std::time::Duration;

use super::folder::{KindFolder, NODES};
use super::inspect::KindCluster;
use super::spec::{self, KindSpec, KindState, KindStateFile};
use super::{config, delete, evidence, failure_reason, preflight, progress};
use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};
use crate::event::{Events, Phase as Part};
use crate::provider::cluster_spec::ClusterSpec;
use crate::provider::command::{ChildCommand, ChildFailure};
use crate::provider::engine::{Client, Container, NoEngine, Server};
use crate::provider::environment::Environment;
use crate::provider::local_cluster::UpOptions;
use crate::provider::state_file::{self, StatePhase};
use crate::provider::{assets, file_lock, readyz};

/// How long kind may take: the node image alone has a gigabyte.
const CREATE: Duration = Duration::from_secs(1500);
/// How long stopped containers may take to be started.
const START: Duration = Duration::from_secs(60);
/// Name of the step that looks at this computer.
const PREFLIGHT: &str = "preflight";

/// What a cluster is made in: its folder, which is locked, and the engine, where one answers.
pub(super) struct CreateContext<'a> {
    pub(super) environment: &'a Environment,
    pub(super) folder: &'a KindFolder,
    pub(super) lock: &'a file_lock::FileLock,
    pub(super) engine: &'a Result<Server, NoEngine>,
}

/// Makes the cluster, in the place of what is there of it.
pub(super) async fn create(
    site: &CreateContext<'_>,
    found: &KindCluster,
    wanted: &ClusterSpec,
    options: &UpOptions,
    events: &Events,
) -> Result<KindStateFile> {
    let CreateContext { environment, folder, lock, engine } = *site;
    let kind = match look(site, &found.nodes, wanted, options, events).await {
        Ok(()) => assets::locate_kind(environment, events).await,
        Err(error) => Err(error),
    };
    let kind = kind.inspect_err(|_| folder.discard())?;
    let server = engine.as_ref().map_err(|none| Error::internal(none.summary()))?;
    let client = &server.client;
    delete::clear(environment, folder, client, found, events).await?;
    let spec = spec::of(wanted, environment);
    let mut record = KindStateFile::begun(KindState { engine: client.engine, nodes: Vec::new(), spec });
    state_file::write(&folder.own, &record)?;
    let made = make(folder, lock, client, &kind, &record.made.spec, events).await;
    if let Err(failure) = made {
        return Err(undo(environment, folder, client, &kind, failure, events).await);
    }
    record.made.nodes = client.nodes(&folder.name).await?.into_iter().map(|node| node.id).collect();
    record.phase = StatePhase::Ready;
    state_file::write(&folder.own, &record)?;
    events.done(Part::Cluster, NODES, format!("made by {}", server.name())).await;
    Ok(record)
}

async fn look(
    site: &CreateContext<'_>,
    own: &[Container],
    wanted: &ClusterSpec,
    options: &UpOptions,
    events: &Events,
) -> Result<()> {
    events.begin(Part::Cluster, PREFLIGHT, "").await;
    match preflight::check(site.environment, site.engine, own, wanted, options, events).await {
        Ok(message) => {
            events.done(Part::Cluster, PREFLIGHT, message).await;
            Ok(())
        }
        Err(error) => {
            events.step(Part::Cluster, PREFLIGHT, crate::event::Progress::Failed, "").await;
            Err(error)
        }
    }
}

/// Runs kind. Its nodes are left where it fails: they are the evidence.
async fn make(
    folder: &KindFolder,
    lock: &file_lock::FileLock,
    client: &Client,
    kind: &std::path::Path,
    spec: &KindSpec,
    events: &Events,
) -> Result<(), Failed> {
    let path = folder.configuration();
    let text = config::configuration(&folder.name, spec).map_err(Failed::Early)?;
    std::fs::write(&path, text)
        .map_err(|error| Failed::Early(Error::io(format!("cannot write {}", path.display()), error)))?;
    events.begin(Part::Cluster, NODES, format!("making them of {}", spec.image)).await;
    let create = ChildCommand::new(kind, CREATE)
        .variable("KIND_EXPERIMENTAL_PROVIDER", client.engine.name())
        .arguments([
            "create",
            "cluster",
            "--retain",
            "--name",
            folder.name.as_str(),
            "--image",
            spec.image.as_str(),
        ])
        .arguments([std::ffi::OsStr::new("--config"), path.as_os_str()])
        .arguments([std::ffi::OsStr::new("--kubeconfig"), folder.kubeconfig().as_os_str()]);
    // A kind that outlives us goes on making the cluster: until it ends, nobody else may begin.
    let _shared = lock.shared_with_children().map_err(Failed::Early)?;
    let tell = async |line: &str| {
        if let Some(step) = progress::begun(line) {
            events.begin(Part::Cluster, NODES, step).await;
        }
    };
    create.run_telling(tell).await.map(drop).map_err(Failed::Kind)
}

/// Why there is no cluster.
enum Failed {
    /// Before kind was run.
    Early(Error),
    /// kind says it.
    Kind(ChildFailure),
}

/// Keeps the evidence, then removes what there is.
async fn undo(
    environment: &Environment,
    folder: &KindFolder,
    client: &Client,
    kind: &std::path::Path,
    failed: Failed,
    events: &Events,
) -> Error {
    events.begin(Part::Cluster, NODES, "keeping the evidence").await;
    let error = match failed {
        Failed::Early(error) => error,
        Failed::Kind(failure) => {
            let names = match client.nodes(&folder.name).await {
                Ok(nodes) => nodes.into_iter().map(|node| node.name).collect(),
                Err(_) => Vec::new(),
            };
            let kept = evidence::keep(folder, client, kind, &names, &failure).await;
            let cause = failure_reason::of(&failure.stderr);
            let message = format!("the local cluster {} could not be made: {}", folder.name, cause.text);
            let error =
                failure.into_error(Id::ClusterCreateFailed, Kind::Prerequisite, message).hint(cause.hint);
            match kept {
                Ok(file) => error.fact("evidence", file.display().to_string()),
                Err(not_kept) => error.fact("evidence", format!("not kept: {not_kept}")),
            }
        }
    };
    match delete::nodes(environment, folder, client, events).await.and_then(|()| folder.remove()) {
        Ok(()) => error,
        Err(left) => error.fact("left", left.to_string()).hint("handsctl cluster down removes what is left"),
    }
}

/// Starts the nodes that do not run.
pub(super) async fn restart(
    folder: &KindFolder,
    server: &Server,
    nodes: &[Container],
    events: &Events,
) -> Result<()> {
    let mut stopped: Vec<&Container> = nodes.iter().filter(|node| !node.runs).collect();
    stopped.sort_by_key(|node| !node.is_control_plane());
    let names: Vec<&str> = stopped.iter().map(|node| node.name.as_str()).collect();
    events.begin(Part::Cluster, NODES, format!("starting {}", names.join(", "))).await;
    let start = server.client.command(START, ["start"].into_iter().chain(names.iter().copied()));
    start.run().await.map_err(|failure| {
        let cause = failure_reason::of(&failure.stderr);
        let message = format!("the local cluster {} could not be started: {}", folder.name, cause.text);
        failure
            .into_error(Id::ClusterCreateFailed, Kind::Prerequisite, message)
            .hint(cause.hint)
            .hint("handsctl cluster up --recreate")
            .hint("handsctl cluster down")
    })?;
    readyz::wait_until_ready(&folder.kubeconfig(), &folder.name).await?;
    let count = names.len();
    events.done(Part::Cluster, NODES, format!("{count} started")).await;
    Ok(())
}
