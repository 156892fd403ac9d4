//! Creates, starts or reuses a kind cluster.

use std::time::Duration;

use super::folder::{Folder, NODES, context};
use super::inspect::{Found, Whose, find};
use super::spec::{self, Kept, Record};
use super::start::{self, Site};
use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};
use crate::event::Events;
use crate::provider::cluster_spec::Wanted;
use crate::provider::command::Invocation;
use crate::provider::engine::{self, Client, Server};
use crate::provider::environment::Environment;
use crate::provider::kubeconfig::{Entry, contexts};
use crate::provider::local_cluster::{LocalCluster, Maker, Options, Started};
use crate::provider::state_file::{self, Phase};
use crate::provider::{assets, readyz};

/// How long kind may take to give out a kubeconfig.
const EXPORT: Duration = Duration::from_secs(20);

/// Makes, starts or leaves the cluster, so that afterwards its API server answers and the user's kubeconfig knows it.
pub(crate) async fn up(
    environment: &Environment,
    wanted: &Wanted,
    options: &Options,
    events: &Events,
) -> Result<LocalCluster> {
    let folder = Folder::of(&environment.state, &wanted.name);
    let lock = folder.lock(NODES, events).await?;
    let engine = engine::find(environment).await;
    let found = match &engine {
        Ok(server) => find(&folder, &server.client).await?,
        // Preflight says it, together with everything else that is in the way.
        Err(_) => Found { whose: Whose::Nobody, record: None, nodes: Vec::new() },
    };
    let (mut record, outcome) = match (&engine, found.whose) {
        (Ok(server), Whose::Ours)
            if !found.is_half_made() && agrees(&found, wanted, environment, options)? =>
        {
            stay(environment, &folder, server, &found, events).await?
        }
        (_, Whose::Foreign) => {
            folder.discard();
            return Err(foreign(&wanted.name));
        }
        _ => {
            let site = Site { environment, folder: &folder, lock: &lock, engine: &engine };
            (start::create(&site, &found, wanted, options, events).await?, Started::Created)
        }
    };
    let entry = Entry::read(&folder.kubeconfig(), &context(&wanted.name), Maker::Kind)?;
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
    folder: &Folder,
    server: &Server,
    found: &Found,
    events: &Events,
) -> Result<(Record, Started)> {
    let record = remember(environment, folder, &server.client, found, events).await?;
    if found.runs() {
        // Its API server may hang: nothing that a start could mend.
        let answers = readyz::wait_until_ready(&folder.kubeconfig(), &folder.name).await;
        answers
            .map_err(|error| error.hint("handsctl cluster up --recreate").hint("handsctl cluster down"))?;
        return Ok((record, Started::Running));
    }
    start::restart(folder, server, &found.nodes, events).await?;
    Ok((record, Started::Restarted))
}

/// The record, made anew of what is there where it is lost: the nodes say that the cluster is ours.
async fn remember(
    environment: &Environment,
    folder: &Folder,
    client: &Client,
    found: &Found,
    events: &Events,
) -> Result<Record> {
    if let Some(record) = &found.record
        && folder.kubeconfig().exists()
    {
        return Ok(record.clone());
    }
    let nodes = found.nodes.iter().map(|node| node.id.clone()).collect();
    let spec = spec::of_containers(&found.nodes);
    let mut record =
        found.record.clone().unwrap_or_else(|| Record::begun(Kept { engine: client.engine, nodes, spec }));
    record.phase = Phase::Ready;
    export_kubeconfig(environment, folder, client, events).await?;
    state_file::write(&folder.own, &record)?;
    Ok(record)
}

async fn export_kubeconfig(
    environment: &Environment,
    folder: &Folder,
    client: &Client,
    events: &Events,
) -> Result<()> {
    let kind = assets::locate_kind(environment, events).await?;
    let export = Invocation::new(kind, EXPORT)
        .variable("KIND_EXPERIMENTAL_PROVIDER", client.engine.name())
        .arguments(["export", "kubeconfig", "--name", folder.name.as_str()])
        .arguments([std::ffi::OsStr::new("--kubeconfig"), folder.kubeconfig().as_os_str()]);
    export.run().await.map(drop).map_err(|failure| {
        let message = format!("kind does not give out the kubeconfig of cluster {}", folder.name);
        failure.into_error(Id::ClusterCreateFailed, Kind::Prerequisite, message)
    })
}

/// Whether the cluster is what is wanted; false: it is to be made anew.
fn agrees(found: &Found, wanted: &Wanted, environment: &Environment, options: &Options) -> Result<bool> {
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
