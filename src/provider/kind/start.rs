//! Creates a cluster, or starts a stopped one.

use std::time::Duration;

use super::folder::{KindFolder, NODES};
use super::inspect::KindCluster;
use super::spec::{self, KindState, KindStateFile, RecordProof};
use super::{config, delete, evidence, failure_reason, ports, preflight, progress};
use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};
use crate::event::{Events, Phase as Part};
use crate::provider::cluster_spec::ClusterSpec;
use crate::provider::command::{ChildCommand, ChildFailure};
use crate::provider::engine::{Client, Container, NoEngine, Server};
use crate::provider::environment::Environment;
use crate::provider::local_cluster::{RECREATE_HINT, START_AGAIN_HINT, UpOptions};
use crate::provider::state_file::{self, StatePhase};
use crate::provider::{assets, file_lock, process_id, readyz};

/// Timeout of `kind create cluster`: the node image alone has a gigabyte.
const CREATE: Duration = Duration::from_secs(1500);
/// Timeout of starting stopped containers.
const START: Duration = Duration::from_secs(60);
/// Name of the step that checks this computer.
const PREFLIGHT: &str = "preflight";

/// The environment of a creation: the locked folder of the cluster and the engine, or why none is usable.
pub(super) struct CreateContext<'a> {
    pub(super) environment: &'a Environment,
    pub(super) folder: &'a KindFolder,
    pub(super) lock: &'a file_lock::FileLock,
    pub(super) engine: &'a Result<Server, NoEngine>,
}

/// Creates the cluster. An existing one, such as an incomplete one or that of another provider, is deleted once the
/// checks have passed.
pub(super) async fn create(
    context: &CreateContext<'_>,
    existing: &KindCluster,
    desired: &ClusterSpec,
    options: &UpOptions,
    delete_other: impl AsyncFnOnce() -> Result<()>,
    events: &Events,
) -> Result<KindStateFile> {
    let CreateContext { environment, folder, lock, engine } = *context;
    let kind = match run_preflight(context, &existing.nodes, desired, options, events).await {
        Ok(()) => assets::locate_kind(environment, events).await,
        Err(error) => Err(error),
    };
    let kind = kind.inspect_err(|_| folder.remove_if_empty())?;
    let server = engine.as_ref().map_err(|none| Error::internal(none.summary()))?;
    let client = &server.client;
    delete_other().await?;
    delete::delete_existing(environment, folder, client, existing, events).await?;
    let spec = spec::for_new_cluster(desired, environment);
    let api_port =
        ports::free().map_err(|error| Error::file("cannot choose a port for the API server", error))?;
    let (nodes, api_port) = (Vec::new(), Some(api_port));
    let mut record = KindStateFile::new(KindState { engine: client.engine, nodes, api_port, spec });
    state_file::write(&folder.own, &record)?;
    let result = run_kind(folder, lock, client, &kind, &record.state, events).await;
    if let Err(failed) = result {
        let names_image = desired.node_image.is_some();
        let failure = FailedCreation { client, kind: &kind, state: &record.state, names_image, failed };
        return Err(clean_up(environment, folder, failure, events).await);
    }
    record.state.nodes = client.nodes(&folder.name).await?.into_iter().map(|node| node.id).collect();
    record.phase = StatePhase::Ready;
    state_file::write(&folder.own, &record)?;
    events.done(Part::Cluster, NODES, format!("created by {}", server.name())).await;
    Ok(record)
}

async fn run_preflight(
    context: &CreateContext<'_>,
    own: &[Container],
    desired: &ClusterSpec,
    options: &UpOptions,
    events: &Events,
) -> Result<()> {
    events.begin(Part::Cluster, PREFLIGHT, "").await;
    match preflight::check(context.environment, context.engine, own, desired, options, events).await {
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

/// Runs `kind create cluster`. If it fails, the nodes are kept for the evidence.
async fn run_kind(
    folder: &KindFolder,
    lock: &file_lock::FileLock,
    client: &Client,
    kind: &std::path::Path,
    state: &KindState,
    events: &Events,
) -> Result<(), Failed> {
    let (path, spec) = (folder.configuration(), &state.spec);
    let text = config::configuration(&folder.name, &process_id::account(), spec, state.api_port)
        .map_err(Failed::Early)?;
    std::fs::write(&path, text)
        .map_err(|error| Failed::Early(Error::file(format!("cannot write {}", path.display()), error)))?;
    events.begin(Part::Cluster, NODES, format!("creating nodes from {}", spec.image)).await;
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
    // If handsctl is killed, kind may still be creating the cluster: the next handsctl must wait until kind exits.
    let _shared = lock.shared_with_children().map_err(Failed::Early)?;
    let report = async |line: &str| {
        if let Some(step) = progress::started_step(line) {
            events.begin(Part::Cluster, NODES, step).await;
        }
    };
    create.run_with_lines(report).await.map(drop).map_err(Failed::Kind)
}

/// Why the creation failed.
enum Failed {
    /// An error before kind was started.
    Early(Error),
    /// kind failed.
    Kind(ChildFailure),
}

/// A creation that failed, and what it has recorded.
struct FailedCreation<'a> {
    client: &'a Client,
    kind: &'a std::path::Path,
    state: &'a KindState,
    /// Whether the configuration names the node image.
    names_image: bool,
    failed: Failed,
}

/// Saves the evidence, then deletes the failed cluster. Nodes that this creation did not create are neither read nor
/// deleted: somebody else may have created a cluster of the same name.
async fn clean_up(
    environment: &Environment,
    folder: &KindFolder,
    creation: FailedCreation<'_>,
    events: &Events,
) -> Error {
    let FailedCreation { client, kind, state, names_image, failed } = creation;
    events.begin(Part::Cluster, NODES, "saving the evidence").await;
    let nodes = client.nodes(&folder.name).await.unwrap_or_default();
    let is_ours = !nodes.is_empty() && state.prove(&nodes) == RecordProof::Same;
    let error = match failed {
        Failed::Early(error) => error,
        Failed::Kind(mut failure) => {
            let names = nodes.iter().filter(|_| is_ours).map(|node| node.name.clone()).collect::<Vec<_>>();
            let saved = evidence::save(folder, client, kind, &names, &failure).await;
            let mut reason = failure_reason::from_output(client.engine, &failure.stderr);
            if reason.lacks_image {
                let mut images = client.node_images().await;
                images.retain(|image| *image != state.spec.image);
                reason = reason.proposing(client.engine, &images, names_image);
            }
            if saved.is_ok() {
                failure.stderr = reason.without_repetition(&failure.stderr);
            }
            let message = format!("cannot create the local cluster {}: {}", folder.name, reason.text);
            let error =
                reason.add_to(failure.into_error(Id::ClusterCreateFailed, Kind::Prerequisite, message));
            match saved {
                Ok(file) => error.fact("evidence", file.display().to_string()),
                Err(not_saved) => error.fact("evidence", format!("not saved: {not_saved}")),
            }
        }
    };
    let deleted =
        if is_ours { delete::delete_nodes(environment, folder, client, events).await } else { Ok(()) };
    match deleted.and_then(|()| folder.remove()) {
        Ok(()) if is_ours || nodes.is_empty() => error,
        Ok(()) => {
            let names: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
            error.fact("kept", format!("{}: this run did not create them", names.join(", ")))
        }
        Err(cleanup) => {
            error.fact("cleanup", cleanup.to_string()).hint("handsctl cluster down deletes the rest")
        }
    }
}

/// Starts the stopped nodes.
pub(super) async fn restart(
    folder: &KindFolder,
    server: &Server,
    nodes: &[Container],
    events: &Events,
) -> Result<()> {
    let mut stopped: Vec<&Container> = nodes.iter().filter(|node| !node.is_running).collect();
    stopped.sort_by_key(|node| !node.is_control_plane());
    let names: Vec<&str> = stopped.iter().map(|node| node.name.as_str()).collect();
    events.begin(Part::Cluster, NODES, format!("starting {}", names.join(", "))).await;
    let start = server.client.command(START, ["start"].into_iter().chain(names.iter().copied()));
    start.run().await.map_err(|failure| {
        let reason = failure_reason::from_output(server.client.engine, &failure.stderr);
        let message = format!("cannot start the local cluster {}: {}", folder.name, reason.text);
        reason
            .add_to(failure.into_error(Id::ClusterCreateFailed, Kind::Prerequisite, message))
            .hint(START_AGAIN_HINT)
            .hint(RECREATE_HINT)
    })?;
    let ready = readyz::wait_until_ready(&folder.kubeconfig(), &folder.name).await;
    ready.map_err(|error| error.hint(START_AGAIN_HINT).hint(RECREATE_HINT))?;
    let count = names.len();
    events.done(Part::Cluster, NODES, format!("{count} started")).await;
    Ok(())
}
