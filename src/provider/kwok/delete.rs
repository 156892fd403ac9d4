//! Ends a cluster and removes what it left.

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

/// Ends and removes the cluster and its context.
pub(in crate::provider) async fn down(
    environment: &Environment,
    name: &str,
    kubeconfig: Option<&Path>,
    events: &Events,
) -> Result<DownResult> {
    let folder = KwokFolder::of(&environment.state, name);
    if !folder.own.exists() && !folder.cluster.exists() {
        return absent(environment, name, kubeconfig).await;
    }
    let _lock = lock_cluster(&folder, events).await?;
    if status::inspect(&folder).is_ok_and(|found| found.condition == Condition::Absent) {
        remove(&folder.own)?;
        return absent(environment, name, kubeconfig).await;
    }
    let context = context(name);
    events.begin(Part::Cluster, DELETION, format!("deleting {context}")).await;
    // A record that cannot be read must not keep the cluster alive; only the places of the context are lost with it.
    let record: Option<KwokStateFile> = state_file::read(&folder.own).unwrap_or_default();
    let mut merged = record.map_or_else(Vec::new, |record| record.merged);
    if merged.is_empty() {
        merged.push(KubeconfigEntry { file: environment.kubeconfig(kubeconfig).to_owned(), made: false });
    }
    // The record goes last: until then another `down` finds everything.
    contexts::remove_context(&merged, &context).await?;
    delete(&folder).await?;
    events.done(Part::Cluster, DELETION, format!("{context} deleted")).await;
    Ok(DownResult::Deleted)
}

/// There is no cluster; a context of its name is somebody else's.
async fn absent(environment: &Environment, name: &str, kubeconfig: Option<&Path>) -> Result<DownResult> {
    let context = context(name);
    let file = environment.kubeconfig(kubeconfig);
    if kubeconfig::owner(file, &context)? == ContextOwner::Foreign {
        let message = format!("{context} was not made by handsctl");
        return Err(Error::new(Id::ClusterDownRefused, Kind::Prerequisite, message)
            .fact("kubeconfig", file.display().to_string())
            .hint(format!("kwokctl delete cluster --name {name}")));
    }
    // A context that outlived its cluster.
    kubeconfig::remove(file, &context, false).await?;
    Ok(DownResult::Absent)
}

/// Removes what is there, saying why.
pub(super) async fn clear(folder: &KwokFolder, found: &KwokCluster, events: &Events) -> Result<()> {
    let why = if found.condition == Condition::Incomplete {
        "removing a half-made cluster"
    } else {
        "removing the old cluster"
    };
    events.begin(Part::Cluster, CONTROL_PLANE, format!("{why}: {}", folder.name)).await;
    if let Some(record) = &found.record {
        contexts::remove_context(&record.merged, &context(&folder.name)).await?;
    }
    delete_files(folder).await
}

/// Ends the processes and removes the files.
pub(super) async fn delete(folder: &KwokFolder) -> Result<()> {
    delete_files(folder).await?;
    remove(&folder.own)
}

/// As [`delete`], but our own folder stays: it is what is locked.
async fn delete_files(folder: &KwokFolder) -> Result<()> {
    processes::end(folder).await?;
    remove(&folder.cluster)?;
    let list = std::fs::read_dir(&folder.own);
    let failed = |error| Error::io(format!("cannot empty {}", folder.own.display()), error);
    for entry in list.map_err(failed)? {
        remove(&entry.map_err(failed)?.path())?;
    }
    Ok(())
}

fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::io(format!("cannot remove {}", path.display()), error))
        }
        _ => Ok(()),
    }
}
