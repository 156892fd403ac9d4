//! Creates a cluster.

use std::time::Duration;

use super::folder::{CONTROL_PLANE, KwokFolder, context};
use super::kwokctl::{self, Verb};
use super::spec::{KwokSpec, KwokState, KwokStateFile};
use super::{config, delete, evidence, ports, processes};
use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};
use crate::event::{Events, Phase as Part};
use crate::provider::assets::{self, Programs};
use crate::provider::cluster_spec::ClusterSpec;
use crate::provider::environment::Environment;
use crate::provider::file_lock;
use crate::provider::kubeconfig::{self, ContextOwner};
use crate::provider::local_cluster::UpOptions;
use crate::provider::state_file::{self, StatePhase};

/// How long to wait for another handsctl that is choosing ports.
const PORT_LOCK_WAIT: Duration = Duration::from_secs(10);

/// Creates the cluster. `delete_old`: deletes the one that it replaces, once the checks have passed.
pub(super) async fn create(
    environment: &Environment,
    folder: &KwokFolder,
    desired: &ClusterSpec,
    options: &UpOptions,
    delete_old: impl AsyncFnOnce() -> Result<()>,
    events: &Events,
) -> Result<KwokStateFile> {
    let programs = match check_kubeconfig(environment, &folder.name, options).await {
        Ok(()) => assets::locate(environment, desired.kubernetes.as_deref(), events).await,
        Err(error) => Err(error),
    };
    let programs = programs.map_err(|error| remove_empty_folder(folder, error))?;
    delete_old().await?;
    events.begin(Part::Cluster, CONTROL_PLANE, format!("starting Kubernetes {}", programs.kubernetes)).await;
    let mut record = reserve_ports(environment, folder, desired, &programs).await?;
    let unfinished = Unfinished(folder);
    if let Err(error) = kwokctl::run(environment, folder, &programs, Verb::Create).await {
        let error = with_evidence(folder, error);
        return Err(match delete::delete(folder).await {
            Ok(()) => error,
            Err(cleanup) => error.fact("cleanup", cleanup.to_string()),
        });
    }
    record.phase = StatePhase::Ready;
    state_file::write(&folder.own, &record)?;
    unfinished.finished();
    events.done(Part::Cluster, CONTROL_PLANE, ready_text(&record)).await;
    Ok(record)
}

pub(super) fn ready_text(record: &KwokStateFile) -> String {
    let KwokState { spec, ports } = &record.state;
    format!("Kubernetes {} at https://127.0.0.1:{}", spec.kubernetes, ports.kube_apiserver)
}

/// Removes the folder if it is empty: nothing was created, and no cluster is replaced.
fn remove_empty_folder(folder: &KwokFolder, error: Error) -> Error {
    match std::fs::remove_dir(&folder.own) {
        Ok(()) => error,
        Err(not_empty) if not_empty.kind() == std::io::ErrorKind::DirectoryNotEmpty => error,
        Err(cleanup) => error.fact("cleanup", format!("{}: {cleanup}", folder.own.display())),
    }
}

/// Checks whether the cluster's context can be merged, because a failure after the creation would come too late.
async fn check_kubeconfig(environment: &Environment, name: &str, options: &UpOptions) -> Result<()> {
    ensure_not_foreign(environment, name, options).await?;
    let file = environment.kubeconfig(options.kubeconfig.as_deref());
    kubeconfig::check(file, &environment.kubeconfigs, &context(name)).await
}

/// Rejects the name if its context was not written by handsctl: it belongs to a cluster of another origin.
async fn ensure_not_foreign(environment: &Environment, name: &str, options: &UpOptions) -> Result<()> {
    let file = environment.kubeconfig(options.kubeconfig.as_deref());
    if kubeconfig::owner(file, &context(name)).await? != ContextOwner::Foreign {
        return Ok(());
    }
    let context = context(name);
    Err(Error::new(
        Id::ClusterNotManaged,
        Kind::Prerequisite,
        format!("{context} exists and was not created by handsctl"),
    )
    .fact("kubeconfig", file.display().to_string())
    .hint("another [cluster] name creates a second cluster")
    .hint(format!("[cluster] provider = \"existing\", context = \"{context}\" uses it")))
}

/// Chooses ports that no other cluster has and writes the record, both under one lock, so that no other handsctl
/// chooses the same ports.
async fn reserve_ports(
    environment: &Environment,
    folder: &KwokFolder,
    desired: &ClusterSpec,
    programs: &Programs,
) -> Result<KwokStateFile> {
    let _lock =
        file_lock::folder(&state_file::clusters(&environment.state), PORT_LOCK_WAIT, async || {}).await?;
    let others = state_file::all::<KwokState>(&environment.state)?;
    let reserved: Vec<u16> = others.iter().flat_map(|other| other.state.ports.to_array()).collect();
    let ports = ports::choose(&reserved)?;
    let spec = KwokSpec { workers: desired.workers, kubernetes: programs.kubernetes.clone() };
    let record = KwokStateFile::new(KwokState { spec, ports });
    state_file::write(&folder.own, &record)?;
    let configuration = config::configuration(folder, &record.state.spec, &ports, programs);
    for (path, text) in [(folder.configuration(), configuration.as_str()), (folder.pod_log(), "")] {
        std::fs::write(&path, text)
            .map_err(|error| Error::file(format!("cannot write {}", path.display()), error))?;
    }
    Ok(record)
}

pub(super) fn with_evidence(folder: &KwokFolder, error: Error) -> Error {
    match evidence::save(folder) {
        Ok(file) => error.fact("logs", file.display().to_string()),
        Err(not_saved) => error.fact("logs", format!("not saved: {not_saved}")),
    }
}

/// A cluster whose creation is not finished. Kills its processes on drop (an interrupt). The phase in its record is
/// `creating`, so the next `up` deletes the rest.
struct Unfinished<'a>(&'a KwokFolder);

impl Unfinished<'_> {
    fn finished(self) {
        std::mem::forget(self);
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        // Twice: before the first pass killed kwokctl, kwokctl may have started another component.
        for _ in 0..2 {
            let Ok(live) = processes::find(self.0) else { return };
            let _the_next_run_tries_again = processes::kill(&live);
        }
    }
}
