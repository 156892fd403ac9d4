//! Deletes a cluster with its processes, files and context.

use std::io;
use std::path::Path;

use super::folder::{CONTROL_PLANE, KwokFolder, context, lock_cluster};
use super::processes;
use super::spec::KwokStateFile;
use super::status::{self, KwokCluster};
use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};
use crate::event::{Events, Phase as Part};
use crate::provider::environment::Environment;
use crate::provider::kubeconfig::{self, ContextOwner, contexts};
use crate::provider::local_cluster::{Condition, DownResult};
use crate::provider::state_file::{self, KubeconfigEntry};

/// Name of the step that deletes a cluster.
const DELETION: &str = "deletion";

/// Deletes the cluster and its context.
pub(in crate::provider) async fn down(
    environment: &Environment,
    name: &str,
    kubeconfig: Option<&Path>,
    events: &Events,
) -> Result<DownResult> {
    let folder = KwokFolder::new(&environment.state, name);
    if !folder.own.exists() && !folder.cluster.exists() {
        return down_without_cluster(environment, name, kubeconfig).await;
    }
    let _lock = lock_cluster(&folder, events).await?;
    if status::inspect(&folder).is_ok_and(|cluster| cluster.condition == Condition::Absent) {
        remove(&folder.own)?;
        return down_without_cluster(environment, name, kubeconfig).await;
    }
    let context = context(name);
    events.begin(Part::Cluster, DELETION, format!("deleting {context}")).await;
    // An unreadable record must not prevent the deletion. Only its list of kubeconfigs is lost.
    let record: Option<KwokStateFile> = state_file::read(&folder.own).unwrap_or_default();
    let mut merged = record.map_or_else(Vec::new, |record| record.merged);
    if merged.is_empty() {
        merged.push(KubeconfigEntry { file: environment.kubeconfig(kubeconfig).to_owned(), made: false });
    }
    // The record is removed last, so that another `down` can finish an interrupted one.
    contexts::remove_context(&merged, &context).await?;
    delete(&folder).await?;
    events.done(Part::Cluster, DELETION, format!("{context} deleted")).await;
    Ok(DownResult::Deleted)
}

/// Handles `down` without a cluster: removes a leftover context of ours, rejects one that handsctl did not write.
async fn down_without_cluster(
    environment: &Environment,
    name: &str,
    kubeconfig: Option<&Path>,
) -> Result<DownResult> {
    let context = context(name);
    let file = environment.kubeconfig(kubeconfig);
    if kubeconfig::owner(file, &context).await? == ContextOwner::Foreign {
        let message = format!("{context} was not created by handsctl");
        return Err(Error::new(Id::ClusterDownRejected, Kind::Prerequisite, message)
            .fact("kubeconfig", file.display().to_string())
            .hint(format!("kwokctl delete cluster --name {name}")));
    }
    // A leftover context of a cluster that no longer exists.
    kubeconfig::remove(file, &context, false).await?;
    Ok(DownResult::Absent)
}

/// Deletes the cluster before a cluster of another provider replaces it. Its folder is locked, so it stays, empty.
pub(in crate::provider) async fn delete_replaced(
    environment: &Environment,
    name: &str,
    events: &Events,
) -> Result<()> {
    let folder = KwokFolder::new(&environment.state, name);
    delete_existing(&folder, &status::inspect(&folder)?, events).await
}

/// Deletes the existing cluster, if there is one, before its replacement is created.
pub(super) async fn delete_existing(
    folder: &KwokFolder,
    cluster: &KwokCluster,
    events: &Events,
) -> Result<()> {
    if cluster.condition == Condition::Absent {
        return Ok(());
    }
    let adjective = if cluster.condition == Condition::Incomplete { "incomplete" } else { "old" };
    events
        .begin(Part::Cluster, CONTROL_PLANE, format!("deleting the {adjective} cluster {}", folder.name))
        .await;
    if let Some(record) = &cluster.record {
        contexts::remove_context(&record.merged, &context(&folder.name)).await?;
    }
    delete_files(folder).await
}

/// Kills the processes and removes the files.
pub(super) async fn delete(folder: &KwokFolder) -> Result<()> {
    delete_files(folder).await?;
    remove(&folder.own)
}

/// Like [`delete`], but keeps the empty folder `own`, because it is locked.
async fn delete_files(folder: &KwokFolder) -> Result<()> {
    processes::kill_all(folder).await?;
    remove(&folder.cluster)?;
    let entries = std::fs::read_dir(&folder.own);
    let failed = |error| Error::file(format!("cannot empty {}", folder.own.display()), error);
    for entry in entries.map_err(failed)? {
        remove(&entry.map_err(failed)?.path())?;
    }
    Ok(())
}

fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::file(format!("cannot remove {}", path.display()), error))
        }
        _ => Ok(()),
    }
}
