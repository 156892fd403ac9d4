//! Ends a cluster and removes what it left.

use std::path::Path;
use std::time::Duration;

use super::folder::{KindFolder, NODES, context};
use super::inspect::{ClusterOwner, KindCluster, inspect};
use super::spec::KindStateFile;
use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};
use crate::event::{Events, Phase as Part};
use crate::provider::assets;
use crate::provider::command::ChildCommand;
use crate::provider::engine::{self, Client};
use crate::provider::environment::Environment;
use crate::provider::kubeconfig::{self, ContextOwner, contexts};
use crate::provider::local_cluster::DownResult;
use crate::provider::state_file::{self, KubeconfigEntry};

/// How long kind may take; it takes 2 s.
const DELETE: Duration = Duration::from_secs(120);
/// Name of the step that deletes a cluster.
const DELETION: &str = "deletion";

/// Ends and removes the cluster and its context.
pub(in crate::provider) async fn down(
    environment: &Environment,
    name: &str,
    kubeconfig: Option<&Path>,
    events: &Events,
) -> Result<DownResult> {
    let folder = KindFolder::of(&environment.state, name);
    let server = engine::find(environment).await;
    let Ok(server) = server else {
        return down_without_engine(
            environment,
            &folder,
            kubeconfig,
            server.err().map(|none| none.summary()),
        );
    };
    let _lock = folder.lock(DELETION, events).await?;
    let found = inspect(&folder, &server.client).await?;
    match found.whose {
        ClusterOwner::Nobody => {
            forget(environment, &folder, kubeconfig).await?;
            folder.remove()?;
            Ok(DownResult::Absent)
        }
        ClusterOwner::Foreign => {
            folder.discard();
            Err(not_ours(environment, name, kubeconfig))
        }
        ClusterOwner::Ours => {
            let context = context(name);
            events.begin(Part::Cluster, DELETION, format!("deleting {context}")).await;
            forget(environment, &folder, kubeconfig).await?;
            nodes(environment, &folder, &server.client, events).await?;
            // The record goes last: until then another `down` finds everything.
            folder.remove()?;
            events.done(Part::Cluster, DELETION, format!("{context} deleted")).await;
            Ok(DownResult::Deleted)
        }
    }
}

/// Without its engine nobody can say whether the cluster still exists.
fn down_without_engine(
    environment: &Environment,
    folder: &KindFolder,
    kubeconfig: Option<&Path>,
    why: Option<String>,
) -> Result<DownResult> {
    let file = environment.kubeconfig(kubeconfig);
    if !state_file::exists(&folder.own)
        && kubeconfig::owner(file, &context(&folder.name))? == ContextOwner::Nobody
    {
        return Ok(DownResult::Absent);
    }
    let message = format!(
        "cluster {} cannot be deleted: no container engine answers ({})",
        folder.name,
        why.unwrap_or_default()
    );
    Err(Error::new(Id::EngineDown, Kind::Prerequisite, message)
        .hint("start the engine and run the command again"))
}

fn not_ours(environment: &Environment, name: &str, kubeconfig: Option<&Path>) -> Error {
    let message = format!("{} was not made by handsctl", context(name));
    Error::new(Id::ClusterDownRefused, Kind::Prerequisite, message)
        .fact("kubeconfig", environment.kubeconfig(kubeconfig).display().to_string())
        .hint(format!("kind delete cluster --name {name}"))
}

/// Takes the context out of every file that it was put into.
async fn forget(environment: &Environment, folder: &KindFolder, kubeconfig: Option<&Path>) -> Result<()> {
    // A record that cannot be read must not keep the cluster alive; only the places of the context are lost with it.
    let record: Option<KindStateFile> = state_file::read(&folder.own).unwrap_or_default();
    let mut merged = record.map_or_else(Vec::new, |record| record.merged);
    if merged.is_empty() {
        merged.push(KubeconfigEntry { file: environment.kubeconfig(kubeconfig).to_owned(), made: false });
    }
    contexts::remove_context(&merged, &context(&folder.name)).await
}

/// Removes what is there before a cluster is made in its place.
pub(super) async fn clear(
    environment: &Environment,
    folder: &KindFolder,
    client: &Client,
    found: &KindCluster,
    events: &Events,
) -> Result<()> {
    if !found.nodes.is_empty() {
        let which = if found.is_half_made() { "a half-made" } else { "the old" };
        events.begin(Part::Cluster, NODES, format!("removing {which} cluster: {}", folder.name)).await;
    }
    if let Some(record) = &found.record {
        contexts::remove_context(&record.merged, &context(&folder.name)).await?;
    }
    if !found.nodes.is_empty() {
        nodes(environment, folder, client, events).await?;
    }
    folder.empty()
}

/// Has kind delete the nodes.
pub(super) async fn nodes(
    environment: &Environment,
    folder: &KindFolder,
    client: &Client,
    events: &Events,
) -> Result<()> {
    let kind = assets::locate_kind(environment, events).await?;
    ChildCommand::new(kind, DELETE)
        .variable("KIND_EXPERIMENTAL_PROVIDER", client.engine.name())
        .arguments(["delete", "cluster", "--name", folder.name.as_str()])
        // Otherwise it would look for its context in the user's own file.
        .arguments([std::ffi::OsStr::new("--kubeconfig"), folder.kubeconfig().as_os_str()])
        .run()
        .await
        .map(drop)
        .map_err(|failure| {
            let message = format!("the nodes of cluster {} could not be deleted", folder.name);
            failure.into_error(Id::ClusterCreateFailed, Kind::Prerequisite, message)
        })
}
