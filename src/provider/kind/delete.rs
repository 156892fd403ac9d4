//! Deletes a cluster with its files and its context.

use std::path::Path;
use std::time::Duration;

use super::folder::{KindFolder, NODES, context};
use super::inspect::{ClusterOwner, KindCluster, compare};
use super::spec::KindStateFile;
use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};
use crate::event::{Events, Phase as Part};
use crate::provider::assets;
use crate::provider::command::ChildCommand;
use crate::provider::engine::{self, Client, NoEngine, Patience};
use crate::provider::environment::Environment;
use crate::provider::kubeconfig::{self, ContextOwner, contexts};
use crate::provider::local_cluster::DownResult;
use crate::provider::state_file::{self, KubeconfigEntry};

/// Timeout of `kind delete cluster`, which takes about 2 s.
const DELETE: Duration = Duration::from_secs(120);
/// Name of the step that deletes a cluster.
const DELETION: &str = "deletion";

/// Deletes the cluster, its files and its context.
pub(in crate::provider) async fn down(
    environment: &Environment,
    name: &str,
    kubeconfig: Option<&Path>,
    events: &Events,
) -> Result<DownResult> {
    let folder = KindFolder::new(&environment.state, name);
    let server = match engine::find(environment, Patience::Told(events)).await {
        Ok(server) => server,
        Err(none) => return down_without_engine(environment, &folder, kubeconfig, &none).await,
    };
    let _lock = folder.lock(DELETION, events).await?;
    // An unreadable record must not prevent the deletion of a cluster that its nodes prove to be ours.
    let record = state_file::read(&folder.own);
    let unreadable = record.as_ref().err().map(ToString::to_string);
    let cluster = compare(&folder, &server.client, record.unwrap_or_default()).await?;
    match cluster.owner {
        ClusterOwner::Nobody => {
            remove_contexts(environment, &folder, kubeconfig).await?;
            folder.remove()?;
            Ok(DownResult::Absent)
        }
        ClusterOwner::Foreign => {
            folder.remove_if_empty();
            let error = not_ours(environment, name, kubeconfig);
            Err(match unreadable {
                Some(reason) => error.fact("record", reason),
                None => error,
            })
        }
        ClusterOwner::Ours => {
            let context = context(name);
            events.begin(Part::Cluster, DELETION, format!("deleting {context}")).await;
            remove_contexts(environment, &folder, kubeconfig).await?;
            delete_nodes(environment, &folder, &server.client, events).await?;
            // The record is removed last, so that another `down` can finish an interrupted one.
            folder.remove()?;
            events.done(Part::Cluster, DELETION, format!("{context} deleted")).await;
            Ok(DownResult::Deleted)
        }
    }
}

/// Handles `down` without a usable engine: whether the cluster still exists is unknown.
async fn down_without_engine(
    environment: &Environment,
    folder: &KindFolder,
    kubeconfig: Option<&Path>,
    none: &NoEngine,
) -> Result<DownResult> {
    let file = environment.kubeconfig(kubeconfig);
    if !state_file::exists(&folder.own)
        && kubeconfig::owner(file, &context(&folder.name)).await? == ContextOwner::Nobody
    {
        return Ok(DownResult::Absent);
    }
    Err(cannot_delete(&folder.name, none))
}

fn cannot_delete(name: &str, none: &NoEngine) -> Error {
    let message = format!("cannot delete cluster {name}: no usable container engine ({})", none.summary());
    Error::new(Id::EngineDown, Kind::Prerequisite, message).hint("start the engine and run the command again")
}

fn not_ours(environment: &Environment, name: &str, kubeconfig: Option<&Path>) -> Error {
    let message = format!("{} was not created by handsctl", context(name));
    Error::new(Id::ClusterDownRejected, Kind::Prerequisite, message)
        .fact("kubeconfig", environment.kubeconfig(kubeconfig).display().to_string())
        .hint(format!("kind delete cluster --name {name}"))
}

/// Removes the context from every file that it was merged into.
async fn remove_contexts(
    environment: &Environment,
    folder: &KindFolder,
    kubeconfig: Option<&Path>,
) -> Result<()> {
    // An unreadable record must not prevent the deletion. Only its list of kubeconfigs is lost.
    let record: Option<KindStateFile> = state_file::read(&folder.own).unwrap_or_default();
    let mut merged = record.map_or_else(Vec::new, |record| record.merged);
    if merged.is_empty() {
        merged.push(KubeconfigEntry { file: environment.kubeconfig(kubeconfig).to_owned(), made: false });
    }
    contexts::remove_context(&merged, &context(&folder.name)).await
}

/// Deletes the cluster before a cluster of another provider replaces it. Its folder is locked, so it stays, empty.
///
/// # Errors
/// `HC2003` if no engine is usable; `HC2023` if handsctl did not create the cluster with this name.
pub(in crate::provider) async fn delete_replaced(
    environment: &Environment,
    name: &str,
    kubeconfig: Option<&Path>,
    events: &Events,
) -> Result<()> {
    let folder = KindFolder::new(&environment.state, name);
    let server = engine::find(environment, Patience::Told(events)).await;
    let server = server.map_err(|none| cannot_delete(name, &none))?;
    let cluster = compare(&folder, &server.client, state_file::read(&folder.own)?).await?;
    if cluster.owner == ClusterOwner::Foreign {
        return Err(not_ours(environment, name, kubeconfig));
    }
    remove_contexts(environment, &folder, kubeconfig).await?;
    delete_existing(environment, &folder, &server.client, &cluster, events).await
}

/// Deletes the existing cluster before its replacement is created.
pub(super) async fn delete_existing(
    environment: &Environment,
    folder: &KindFolder,
    client: &Client,
    cluster: &KindCluster,
    events: &Events,
) -> Result<()> {
    if !cluster.nodes.is_empty() {
        let adjective = if cluster.is_incomplete() { "incomplete" } else { "old" };
        events.begin(Part::Cluster, NODES, format!("deleting the {adjective} cluster {}", folder.name)).await;
    }
    if let Some(record) = &cluster.record {
        contexts::remove_context(&record.merged, &context(&folder.name)).await?;
    }
    if !cluster.nodes.is_empty() {
        delete_nodes(environment, folder, client, events).await?;
    }
    folder.empty()
}

/// Runs `kind delete cluster`.
pub(super) async fn delete_nodes(
    environment: &Environment,
    folder: &KindFolder,
    client: &Client,
    events: &Events,
) -> Result<()> {
    let kind = assets::locate_kind(environment, events).await?;
    ChildCommand::new(kind, DELETE)
        .variable("KIND_EXPERIMENTAL_PROVIDER", client.engine.name())
        .arguments(["delete", "cluster", "--name", folder.name.as_str()])
        // Without this flag kind would search the user's kubeconfig for its context.
        .arguments([std::ffi::OsStr::new("--kubeconfig"), folder.kubeconfig().as_os_str()])
        .run()
        .await
        .map(drop)
        .map_err(|failure| {
            let message = format!("cannot delete the nodes of cluster {}", folder.name);
            failure.into_error(Id::ClusterCreateFailed, Kind::Prerequisite, message)
        })
}
