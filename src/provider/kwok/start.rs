//! Makes a cluster, or starts a stopped one.

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
use crate::provider::assets::component::Component;
use crate::provider::assets::{self, Programs};
use crate::provider::cluster_spec::ClusterSpec;
use crate::provider::environment::Environment;
use crate::provider::kubeconfig::{self, ContextOwner};
use crate::provider::local_cluster::UpOptions;
use crate::provider::state_file::{self, StatePhase};
use crate::provider::{file_lock, readyz};

/// How long ports may be chosen by another handsctl.
const CHOOSING: Duration = Duration::from_secs(10);
/// How long the system may take to close the ports of a killed process.
const CLOSING: Duration = Duration::from_secs(5);

pub(super) async fn create(
    environment: &Environment,
    folder: &KwokFolder,
    wanted: &ClusterSpec,
    options: &UpOptions,
    events: &Events,
) -> Result<KwokStateFile> {
    let allowed = refuse_foreign(environment, &folder.name, options);
    let programs = match allowed {
        Ok(()) => assets::locate(environment, wanted.kubernetes.as_deref(), events).await,
        Err(refused) => Err(refused),
    };
    let programs = programs.map_err(|error| discard(folder, error))?;
    events.begin(Part::Cluster, CONTROL_PLANE, format!("starting Kubernetes {}", programs.kubernetes)).await;
    let mut record = reserve(environment, folder, wanted, &programs).await?;
    let unfinished = Unfinished(folder);
    if let Err(error) = kwokctl::run(environment, folder, &programs, Verb::Create).await {
        let error = with_evidence(folder, error);
        return Err(match delete::delete(folder).await {
            Ok(()) => error,
            Err(left) => error.fact("left", left.to_string()),
        });
    }
    record.phase = StatePhase::Ready;
    state_file::write(&folder.own, &record)?;
    unfinished.finished();
    events.done(Part::Cluster, CONTROL_PLANE, ready_text(&record)).await;
    Ok(record)
}

fn ready_text(record: &KwokStateFile) -> String {
    let KwokState { spec, ports } = &record.made;
    format!("Kubernetes {} at https://127.0.0.1:{}", spec.kubernetes, ports.kube_apiserver)
}

/// Nothing was made yet: the empty folder goes too.
fn discard(folder: &KwokFolder, error: Error) -> Error {
    match std::fs::remove_dir(&folder.own) {
        Ok(()) => error,
        Err(left) => error.fact("left", format!("{}: {left}", folder.own.display())),
    }
}

/// A context of that name that handsctl did not write belongs to a cluster that it did not make.
fn refuse_foreign(environment: &Environment, name: &str, options: &UpOptions) -> Result<()> {
    let file = environment.kubeconfig(options.kubeconfig.as_deref());
    if kubeconfig::owner(file, &context(name))? != ContextOwner::Foreign {
        return Ok(());
    }
    let context = context(name);
    Err(Error::new(
        Id::ClusterNotOurs,
        Kind::Prerequisite,
        format!("{context} exists and was not made by handsctl"),
    )
    .fact("kubeconfig", file.display().to_string())
    .hint("another [cluster] name makes a cluster beside it")
    .hint(format!("[cluster] provider = \"existing\", context = \"{context}\" uses it")))
}

/// Chooses ports that no other cluster has and writes down that the making has begun, both under one lock.
async fn reserve(
    environment: &Environment,
    folder: &KwokFolder,
    wanted: &ClusterSpec,
    programs: &Programs,
) -> Result<KwokStateFile> {
    let _lock = file_lock::folder(&state_file::clusters(&environment.state), CHOOSING, async || {}).await?;
    let others = state_file::all::<KwokState>(&environment.state)?;
    let reserved: Vec<u16> = others.iter().flat_map(|other| other.made.ports.to_array()).collect();
    let ports = ports::choose(&reserved)?;
    let spec = KwokSpec { workers: wanted.workers, kubernetes: programs.kubernetes.clone() };
    let record = KwokStateFile::begun(KwokState { spec, ports });
    state_file::write(&folder.own, &record)?;
    let configuration = config::configuration(folder, &record.made.spec, &ports, programs);
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
    found: &KwokCluster,
    events: &Events,
) -> Result<()> {
    let dead = || Component::ALL.into_iter().filter(|it| processes::pid(&found.live, *it).is_none());
    let names: Vec<&str> = dead().map(Component::name).collect();
    let programs = assets::locate(environment, Some(&record.made.spec.kubernetes), events).await?;
    events.begin(Part::Cluster, CONTROL_PLANE, format!("starting {}", names.join(", "))).await;
    for component in dead() {
        await_port(folder, record, component).await?;
        link(folder, component, &programs)?;
    }
    processes::forget_dead(folder, &found.live)?;
    let start = async || start(environment, folder, &programs, found).await;
    start().await?;
    if dead().any(|it| it == Component::KwokController) {
        // Its predecessor's leases can be deleted only while an API server runs and no kwok does.
        processes::end_component(folder, Component::KwokController).await?;
        readyz::delete_node_leases(&readyz::client(&folder.kubeconfig()).await?).await?;
        start().await?;
    }
    events.done(Part::Cluster, CONTROL_PLANE, ready_text(record)).await;
    Ok(())
}

/// Starts what does not run. What lived on at first may die meanwhile of the others' absence; it is started, too.
async fn start(
    environment: &Environment,
    folder: &KwokFolder,
    programs: &Programs,
    found: &KwokCluster,
) -> Result<()> {
    let run = async || kwokctl::run(environment, folder, programs, Verb::Start).await;
    let Err(mut error) = run().await else { return Ok(()) };
    let live = processes::find(folder)?;
    let ran = |live: &[processes::KwokProcess], it| processes::pid(live, it).is_some();
    if Component::ALL.into_iter().any(|it| ran(&found.live, it) && !ran(&live, it)) {
        processes::forget_dead(folder, &live)?;
        match run().await {
            Ok(()) => return Ok(()),
            Err(again) => error = again,
        }
    }
    Err(with_evidence(folder, error).hint("handsctl cluster up --recreate").hint("handsctl cluster down"))
}

/// The port of a dead process: the system closes it a moment after the process is gone.
async fn await_port(folder: &KwokFolder, record: &KwokStateFile, component: Component) -> Result<()> {
    let port = record.made.ports.of(component);
    let begin = Instant::now();
    while begin.elapsed() < CLOSING {
        if ports::is_free(port) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let message = format!("the local cluster {} cannot be started: 127.0.0.1:{port} is taken", folder.name);
    Err(Error::new(Id::ClusterCreateFailed, Kind::Prerequisite, message)
        .fact("needed by", component.name())
        .hint(format!("ss -ltnp 'sport = :{port}'"))
        .hint("handsctl cluster up --recreate"))
}

/// The programs may have moved since the cluster was made: an emptied cache, another folder.
fn link(folder: &KwokFolder, component: Component, programs: &Programs) -> Result<()> {
    let link = folder.binary(component);
    if link.exists() {
        return Ok(());
    }
    let replace = || -> io::Result<()> {
        match std::fs::remove_file(&link) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        std::os::unix::fs::symlink(programs.of(component), &link)
    };
    replace().map_err(|error| Error::io(format!("cannot link {}", link.display()), error))
}

fn with_evidence(folder: &KwokFolder, error: Error) -> Error {
    match evidence::keep(folder) {
        Ok(file) => error.fact("logs", file.display().to_string()),
        Err(failed) => error.fact("logs", format!("not kept: {failed}")),
    }
}

/// While a cluster is being made: on an interrupt its processes end with us. Its record says `creating`, so the next
/// run removes what is left.
struct Unfinished<'a>(&'a KwokFolder);

impl Unfinished<'_> {
    fn finished(self) {
        std::mem::forget(self);
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        // Twice: the kwokctl that was seen and killed first may have started one more meanwhile.
        for _ in 0..2 {
            let Ok(live) = processes::find(self.0) else { return };
            let _the_next_run_tries_again = processes::kill(&live);
        }
    }
}
