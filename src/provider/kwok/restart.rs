//! Starts the components of a cluster that are not running, and waits until the cluster is ready.
//!
//! A component may be about to exit: all processes got SIGTERM a moment ago, or a component gives up because another one
//! is gone. An API server that shuts down has closed its port and still runs for up to a minute. So the state is read
//! again after each action, until all components run and the API server is ready.

use std::io;
use std::time::{Duration, Instant};

use super::folder::{CONTROL_PLANE, KwokFolder};
use super::kwokctl::{self, Verb};
use super::ports;
use super::processes::{self, KwokProcess};
use super::spec::KwokStateFile;
use super::start::{ready_text, with_evidence};
use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};
use crate::event::{Events, Phase as Part};
use crate::provider::assets::component::ControlPlaneComponent;
use crate::provider::assets::{self, Programs};
use crate::provider::environment::Environment;
use crate::provider::local_cluster::{RECREATE_HINT, START_AGAIN_HINT, StartOutcome};
use crate::provider::readyz::{self, Readiness};

/// How long the system may take to close the ports of an exited process.
const PORT_CLOSE: Duration = Duration::from_secs(5);
/// How long a process may run with a closed port, because it is starting or ending. Then it is killed: it serves
/// nothing, and the data of the cluster is in etcd's files.
const CLOSED_PORT: Duration = Duration::from_secs(20);
/// How often stopped components are started, because others exit meanwhile.
const MOST_STARTS: usize = 6;
/// Interval between two checks of an ending process.
const POLL: Duration = Duration::from_millis(100);

/// Waits until every component runs and the API server is ready. Starts the components that are not running or exit
/// meanwhile.
///
/// # Errors
/// `HC2020` if a component does not start, or if the API server is not ready within a minute after the last start.
pub(super) async fn ensure_running(
    environment: &Environment,
    folder: &KwokFolder,
    record: &KwokStateFile,
    events: &Events,
) -> Result<StartOutcome> {
    let mut restart = Restart { environment, folder, record, events, starts: 0, has_old_leases: false };
    match restart.run().await {
        Ok(()) if restart.starts > 0 => Ok(StartOutcome::Restarted),
        Ok(()) => Ok(StartOutcome::Running),
        Err(error) => {
            if restart.has_old_leases {
                // The next run starts it again, and then deletes the leases of its predecessor.
                let _the_first_error_is_returned =
                    processes::kill_component(folder, ControlPlaneComponent::KwokController).await;
            }
            if error.id() != Id::ClusterCreateFailed {
                return Err(error);
            }
            Err(with_evidence(folder, error).hint(START_AGAIN_HINT).hint(RECREATE_HINT))
        }
    }
}

/// A cluster that is being started.
struct Restart<'a> {
    environment: &'a Environment,
    folder: &'a KwokFolder,
    record: &'a KwokStateFile,
    events: &'a Events,
    /// How often stopped components were started.
    starts: usize,
    /// Whether kwok was started, and its predecessor's node leases may exist.
    has_old_leases: bool,
}

impl Restart<'_> {
    async fn run(&mut self) -> Result<()> {
        let client = readyz::client(&self.folder.kubeconfig()).await?;
        let mut started = Instant::now();
        loop {
            let live = processes::find(self.folder)?;
            if !processes::stopped(&live).is_empty() {
                self.await_closed_ports(&client).await?;
                self.start_stopped(&client).await?;
                started = Instant::now();
                continue;
            }
            match readyz::readiness(&client, readyz::REQUEST_TIMEOUT).await {
                Readiness::Ready if self.has_old_leases => self.replace_node_leases(&client).await?,
                Readiness::Ready => break,
                not_ready if started.elapsed() > readyz::READY => {
                    return Err(readyz::not_ready_error(&self.folder.name, not_ready));
                }
                _ => self.await_closed_ports(&client).await?,
            }
            tokio::time::sleep(readyz::POLL).await;
        }
        let message = match self.starts {
            0 => format!("{} running", self.record.state.spec.kubernetes),
            _ => ready_text(self.record),
        };
        self.events.done(Part::Cluster, CONTROL_PLANE, message).await;
        Ok(())
    }

    /// Waits until each running component has an open port or has exited.
    async fn await_closed_ports(&self, client: &kube::Client) -> Result<()> {
        let begin = Instant::now();
        let mut is_reported = false;
        loop {
            let ending = self.closed_components(client).await?;
            if ending.is_empty() {
                return Ok(());
            }
            if begin.elapsed() > CLOSED_PORT {
                for component in ending {
                    processes::kill_component(self.folder, component).await?;
                }
                return Ok(());
            }
            if !std::mem::replace(&mut is_reported, true) {
                let message = format!("waiting for {}", names(&ending));
                self.events.begin(Part::Cluster, CONTROL_PLANE, message).await;
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Returns the running components that accept no connections, and an API server that shuts down.
    async fn closed_components(&self, client: &kube::Client) -> Result<Vec<ControlPlaneComponent>> {
        let live = processes::find(self.folder)?;
        let mut closed = Vec::new();
        for component in ControlPlaneComponent::ALL {
            if processes::pid(&live, component).is_none() {
                continue;
            }
            let is_closed = !ports::is_open(self.record.state.ports.port(component)).await;
            let is_ending = !is_closed
                && component == ControlPlaneComponent::KubeApiserver
                && readyz::readiness(client, readyz::REQUEST_TIMEOUT).await.is_ending();
            if is_closed || is_ending {
                closed.push(component);
            }
        }
        Ok(closed)
    }

    /// Starts the components that are not running. An error counts only if no other component has ended meanwhile.
    async fn start_stopped(&mut self, client: &kube::Client) -> Result<()> {
        let live = processes::find(self.folder)?;
        let stopped = processes::stopped(&live);
        if stopped.is_empty() {
            return Ok(());
        }
        if self.starts == MOST_STARTS {
            let message =
                format!("{} of the local cluster {} exit again and again", names(&stopped), self.folder.name);
            return Err(Error::new(Id::ClusterCreateFailed, Kind::Prerequisite, message));
        }
        self.starts += 1;
        let kubernetes = &self.record.state.spec.kubernetes;
        let programs = assets::locate(self.environment, Some(kubernetes), self.events).await?;
        self.events.begin(Part::Cluster, CONTROL_PLANE, format!("starting {}", names(&stopped))).await;
        for component in &stopped {
            wait_for_port(self.folder, self.record, *component).await?;
            link(self.folder, *component, &programs)?;
        }
        processes::remove_stale_pid_files(self.folder, &live)?;
        self.has_old_leases |= stopped.contains(&ControlPlaneComponent::KwokController);
        let Err(error) = kwokctl::run(self.environment, self.folder, &programs, Verb::Start).await else {
            return Ok(());
        };
        if self.has_lost_one_of(&live, client).await? { Ok(()) } else { Err(error) }
    }

    /// Whether a component that was running before has exited or accepts no connections any more.
    async fn has_lost_one_of(&self, before: &[KwokProcess], client: &kube::Client) -> Result<bool> {
        let stopped = processes::stopped(&processes::find(self.folder)?);
        let closed = self.closed_components(client).await?;
        Ok(stopped.iter().chain(&closed).any(|component| processes::pid(before, *component).is_some()))
    }

    /// Deletes the node leases of the old kwok. That is possible only while the API server runs and kwok does not.
    async fn replace_node_leases(&mut self, client: &kube::Client) -> Result<()> {
        processes::kill_component(self.folder, ControlPlaneComponent::KwokController).await?;
        readyz::delete_node_leases(client).await?;
        self.start_stopped(client).await?;
        self.has_old_leases = false;
        Ok(())
    }
}

fn names(components: &[ControlPlaneComponent]) -> String {
    components.iter().map(|component| component.name()).collect::<Vec<_>>().join(", ")
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
        .hint(START_AGAIN_HINT)
        .hint(RECREATE_HINT))
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
    replace().map_err(|error| Error::file(format!("cannot link {}", link.display()), error))
}
