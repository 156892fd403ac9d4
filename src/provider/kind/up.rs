//! Creates, starts or reuses a kind cluster.

use std::time::Duration;

use super::folder::{KindFolder, NODES, context};
use super::inspect::{ClusterOwner, KindCluster, inspect};
use super::spec::{self, KindState, KindStateFile};
use super::start::{self, CreateContext};
use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};
use crate::event::Events;
use crate::provider::cluster_spec::ClusterSpec;
use crate::provider::command::ChildCommand;
use crate::provider::engine::{self, Client, Server};
use crate::provider::environment::Environment;
use crate::provider::kubeconfig::{ContextEntry, contexts};
use crate::provider::local_cluster::{LocalCluster, LocalProvider, StartOutcome, UpOptions};
use crate::provider::state_file::{self, StatePhase};
use crate::provider::{assets, readyz};

/// How long kind may take to give out a kubeconfig.
const EXPORT: Duration = Duration::from_secs(20);

/// Makes, starts or leaves the cluster, so that afterwards its API server answers and the user's kubeconfig knows it.
pub(crate) async fn up(
    environment: &Environment,
    wanted: &ClusterSpec,
    options: &UpOptions,
    events: &Events,
) -> Result<LocalCluster> {
    let folder = KindFolder::of(&environment.state, &wanted.name);
    let lock = folder.lock(NODES, events).await?;
    let engine = engine::find(environment).await;
    let found = match &engine {
        Ok(server) => inspect(&folder, &server.client).await?,
        // Preflight says it, together with everything else that is in the way.
        Err(_) => KindCluster { whose: ClusterOwner::Nobody, record: None, nodes: Vec::new() },
    };
    let (mut record, outcome) = match (&engine, found.whose) {
        (Ok(server), ClusterOwner::Ours)
            if !found.is_half_made() && agrees(&found, wanted, environment, options)? =>
        {
            stay(environment, &folder, server, &found, events).await?
        }
        (_, ClusterOwner::Foreign) => {
            folder.discard();
            return Err(foreign(&wanted.name));
        }
        _ => {
            let site = CreateContext { environment, folder: &folder, lock: &lock, engine: &engine };
            (start::create(&site, &found, wanted, options, events).await?, StartOutcome::Created)
        }
    };
    let entry = ContextEntry::read(&folder.kubeconfig(), &context(&wanted.name), LocalProvider::Kind)?;
    let explicit = options.kubeconfig.as_deref();
    contexts::merge_context(environment, &folder.own, &mut record, &entry, explicit, events).await?;
    Ok(LocalCluster {
        context: context(&wanted.name),
        kubeconfig: folder.kubeconfig(),
        simulated: false,
        outcome,
    })
}

/// Leaves the cluster as it is, or starts what does not run.
async fn stay(
    environment: &Environment,
    folder: &KindFolder,
    server: &Server,
    found: &KindCluster,
    events: &Events,
) -> Result<(KindStateFile, StartOutcome)> {
    let record = remember(environment, folder, &server.client, found, events).await?;
    if found.runs() {
        // Its API server may hang: nothing that a start could mend.
        let answers = readyz::wait_until_ready(&folder.kubeconfig(), &folder.name).await;
        answers
            .map_err(|error| error.hint("handsctl cluster up --recreate").hint("handsctl cluster down"))?;
        return Ok((record, StartOutcome::Running));
    }
    start::restart(folder, server, &found.nodes, events).await?;
    Ok((record, StartOutcome::Restarted))
}

/// The record, made anew of what is there where it is lost: the nodes say that the cluster is ours.
async fn remember(
    environment: &Environment,
    folder: &KindFolder,
    client: &Client,
    found: &KindCluster,
    events: &Events,
) -> Result<KindStateFile> {
    if let Some(record) = &found.record
        && folder.kubeconfig().exists()
    {
        return Ok(record.clone());
    }
    let nodes = found.nodes.iter().map(|node| node.id.clone()).collect();
    let spec = spec::of_containers(&found.nodes);
    let mut record = found
        .record
        .clone()
        .unwrap_or_else(|| KindStateFile::begun(KindState { engine: client.engine, nodes, spec }));
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
        let message = format!("kind does not give out the kubeconfig of cluster {}", folder.name);
        failure.into_error(Id::ClusterCreateFailed, Kind::Prerequisite, message)
    })
}

/// Whether the cluster is what is wanted; false: it is to be made anew.
fn agrees(
    found: &KindCluster,
    wanted: &ClusterSpec,
    environment: &Environment,
    options: &UpOptions,
) -> Result<bool> {
    let spec = match &found.record {
        Some(record) => record.made.spec.clone(),
        None => spec::of_containers(&found.nodes),
    };
    let differences = spec::differences(&spec, wanted, environment);
    if differences.is_empty() || options.recreate {
        return Ok(differences.is_empty());
    }
    let message = format!("the local cluster {} differs from what is wanted", wanted.name);
    Err(Error::new(Id::ClusterDiffers, Kind::Differences, message)
        .fact("differs", differences.join("\n"))
        .hint("handsctl cluster up --recreate"))
}

fn foreign(name: &str) -> Error {
    let context = context(name);
    Error::new(
        Id::ClusterNotOurs,
        Kind::Prerequisite,
        format!("a kind cluster {name} exists and was not made by handsctl"),
    )
    .hint("another [cluster] name makes a cluster beside it")
    .hint(format!("to use it as it is:\n[cluster]\nprovider = \"existing\"\ncontext = \"{context}\""))
}
