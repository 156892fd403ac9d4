//! Creates a cluster, or starts a stopped one.

use std::io;
use std::time::{Duration, Instant};

use super::folder::{CONTROL_PLANE, KwokFolder, context};
use super::kwokctl::{self, Verb};
use super::spec::{KwokSpec, KwokState, KwokStateFile};
use super::status::KwokCluster;
use super::{config, delete, evidence, ports, processes};
use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};
use crate::event::{Events, Phase as Part};
use crate::provider::assets::component::ControlPlaneComponent;
use crate::provider::assets::{self, Programs};
use crate::provider::cluster_spec::ClusterSpec;
use crate::provider::environment::Environment;
use crate::provider::kubeconfig::{self, ContextOwner};
use crate::provider::local_cluster::UpOptions;
use crate::provider::state_file::{self, StatePhase};
use crate::provider::{file_lock, readyz};

/// How long to wait for another handsctl that is choosing ports.
const PORT_LOCK_WAIT: Duration = Duration::from_secs(10);
/// How long the system may take to close the ports of an exited process.
const PORT_CLOSE: Duration = Duration::from_secs(5);

pub(super) async fn create(
    environment: &Environment,
    folder: &KwokFolder,
    desired: &ClusterSpec,
    options: &UpOptions,
    events: &Events,
) -> Result<KwokStateFile> {
    let ownership = ensure_not_foreign(environment, &folder.name, options);
    let programs = match ownership {
        Ok(()) => assets::locate(environment, desired.kubernetes.as_deref(), events).await,
        Err(error) => Err(error),
    };
    let programs = programs.map_err(|error| remove_empty_folder(folder, error))?;
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

fn ready_text(record: &KwokStateFile) -> String {
    let KwokState { spec, ports } = &record.state;
    format!("Kubernetes {} at https://127.0.0.1:{}", spec.kubernetes, ports.kube_apiserver)
}

/// Removes the folder, which is still empty because nothing was created.
fn remove_empty_folder(folder: &KwokFolder, error: Error) -> Error {
    match std::fs::remove_dir(&folder.own) {
        Ok(()) => error,
        Err(cleanup) => error.fact("cleanup", format!("{}: {cleanup}", folder.own.display())),
    }
}

/// Rejects the name if its context was not written by handsctl: it belongs to a cluster of another origin.
fn ensure_not_foreign(environment: &Environment, name: &str, options: &UpOptions) -> Result<()> {
    let file = environment.kubeconfig(options.kubeconfig.as_deref());
    if kubeconfig::owner(file, &context(name))? != ContextOwner::Foreign {
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
            .map_err(|error| Error::io(format!("cannot write {}", path.display()), error))?;
    }
    Ok(record)
}

pub(super) async fn restart(
    environment: &Environment,
    folder: &KwokFolder,
    record: &KwokStateFile,
    cluster: &KwokCluster,
    events: &Events,
) -> Result<()> {
    let stopped = || {
        ControlPlaneComponent::ALL
            .into_iter()
            .filter(|component| processes::pid(&cluster.live, *component).is_none())
    };
    let names: Vec<&str> = stopped().map(ControlPlaneComponent::name).collect();
    let programs = assets::locate(environment, Some(&record.state.spec.kubernetes), events).await?;
    events.begin(Part::Cluster, CONTROL_PLANE, format!("starting {}", names.join(", "))).await;
    for component in stopped() {
        wait_for_port(folder, record, component).await?;
        link(folder, component, &programs)?;
    }
    processes::remove_stale_pid_files(folder, &cluster.live)?;
    let start = async || start(environment, folder, &programs, cluster).await;
    start().await?;
    if stopped().any(|component| component == ControlPlaneComponent::KwokController) {
        // The old kwok's node leases can be deleted only while the API server runs and kwok does not.
        processes::kill_component(folder, ControlPlaneComponent::KwokController).await?;
        readyz::delete_node_leases(&readyz::client(&folder.kubeconfig()).await?).await?;
        start().await?;
    }
    events.done(Part::Cluster, CONTROL_PLANE, ready_text(record)).await;
    Ok(())
}

/// Starts the stopped components. A component that was still running may exit meanwhile because the others were
/// stopped; then starts it, too.
async fn start(
    environment: &Environment,
    folder: &KwokFolder,
    programs: &Programs,
    cluster: &KwokCluster,
) -> Result<()> {
    let run = async || kwokctl::run(environment, folder, programs, Verb::Start).await;
    let Err(mut error) = run().await else { return Ok(()) };
    let live = processes::find(folder)?;
    let is_running = |live: &[processes::KwokProcess], component| processes::pid(live, component).is_some();
    if ControlPlaneComponent::ALL
        .into_iter()
        .any(|component| is_running(&cluster.live, component) && !is_running(&live, component))
    {
        processes::remove_stale_pid_files(folder, &live)?;
        match run().await {
            Ok(()) => return Ok(()),
            Err(second_error) => error = second_error,
        }
    }
    Err(with_evidence(folder, error).hint("handsctl cluster up --recreate").hint("handsctl cluster down"))
}

/// Waits until a component's port is free: the system closes it shortly after the old process has exited.
async fn wait_for_port(
    folder: &KwokFolder,
    record: &KwokStateFile,
    component: ControlPlaneComponent,
) -> Result<()> {
    let port = record.state.ports.port(component);
    let started = Instant::now();
    while started.elapsed() < PORT_CLOSE {
        if ports::is_free(port) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let message = format!("cannot start the local cluster {}: 127.0.0.1:{port} is in use", folder.name);
    Err(Error::new(Id::ClusterCreateFailed, Kind::Prerequisite, message)
        .fact("needed by", component.name())
        .hint(format!("ss -ltnp 'sport = :{port}'"))
        .hint("handsctl cluster up --recreate"))
}

/// Replaces a broken link to a component's program: the cache may have been cleared, or the program moved.
fn link(folder: &KwokFolder, component: ControlPlaneComponent, programs: &Programs) -> Result<()> {
    let link = folder.binary(component);
    if link.exists() {
        return Ok(());
    }
    let replace = || -> io::Result<()> {
        match std::fs::remove_file(&link) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        std::os::unix::fs::symlink(programs.program(component), &link)
    };
    replace().map_err(|error| Error::io(format!("cannot link {}", link.display()), error))
}

fn with_evidence(folder: &KwokFolder, error: Error) -> Error {
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
