//! Locates every program of a local cluster in an explicit folder, on PATH or in the cache; else downloads the official
//! release, and if that is unavailable, builds the program with modules from the Go module proxy.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::build;
use super::cache::{self, CacheDir, CacheEntry};
use super::component::ControlPlaneComponent;
use super::download::{self, NotFetched};
use super::pinned::{Pin, Pinned, module};
use super::program::{Program, ProgramSet};
use super::release::{self, Checksum, Mirror, Platform};
use super::search::{self, ProgramDir};
use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};
use crate::event::{Events, Phase, Progress};
use crate::phrase;
use crate::provider::environment::Environment;
use crate::provider::file_lock;
use crate::provider::transfer::{self, TransferredBytes};

/// How long to wait for another handsctl, which may be building.
const LOCK_WAIT: Duration = Duration::from_secs(3600);

/// The paths of all programs of a kwok cluster, and the version of the Kubernetes ones.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    pub(crate) kubernetes: String,
    pub(crate) etcd: PathBuf,
    pub(crate) kube_apiserver: PathBuf,
    pub(crate) kube_controller_manager: PathBuf,
    pub(crate) kube_scheduler: PathBuf,
    pub(crate) kubectl: PathBuf,
    pub(crate) kwok: PathBuf,
    pub(crate) kwokctl: PathBuf,
}

impl Programs {
    /// Returns the program of a component.
    pub(crate) fn program(&self, component: ControlPlaneComponent) -> &PathBuf {
        match component {
            ControlPlaneComponent::Etcd => &self.etcd,
            ControlPlaneComponent::KubeApiserver => &self.kube_apiserver,
            ControlPlaneComponent::KubeControllerManager => &self.kube_controller_manager,
            ControlPlaneComponent::KubeScheduler => &self.kube_scheduler,
            ControlPlaneComponent::KwokController => &self.kwok,
        }
    }
}

/// Locates, downloads or builds every program. `kubernetes` is the requested version; None: the tested one, or any in
/// an explicit folder.
///
/// # Errors
/// `HC2010` if a program is unavailable, with every attempt; `HC2011` if a download does not match its checksum.
pub(crate) async fn locate(
    environment: &Environment,
    kubernetes: Option<&str>,
    events: &Events,
) -> Result<Programs> {
    let pinned = Pinned::read()?;
    let locate =
        async |set, version| Locator::new(environment, set, version, pinned.pin(set), events).run().await;
    let etcd = locate(ProgramSet::Etcd, None).await?;
    let control_plane = locate(ProgramSet::Kubernetes, kubernetes).await?;
    let kwok = locate(ProgramSet::Kwok, None).await?;
    let path = |dir: &ProgramDir, program: Program| dir.folder.join(program.name());
    Ok(Programs {
        etcd: path(&etcd, Program::Etcd),
        kube_apiserver: path(&control_plane, Program::KubeApiserver),
        kube_controller_manager: path(&control_plane, Program::KubeControllerManager),
        kube_scheduler: path(&control_plane, Program::KubeScheduler),
        kubectl: path(&control_plane, Program::Kubectl),
        kwok: path(&kwok, Program::Kwok),
        kwokctl: path(&kwok, Program::Kwokctl),
        kubernetes: control_plane.version,
    })
}

/// Locates, downloads or builds `kind`.
///
/// # Errors
/// `HC2010` if it is unavailable, with every attempt; `HC2011` if the download does not match its checksum.
pub(crate) async fn locate_kind(environment: &Environment, events: &Events) -> Result<PathBuf> {
    let pinned = Pinned::read()?;
    let dir =
        Locator::new(environment, ProgramSet::Kind, None, pinned.pin(ProgramSet::Kind), events).run().await?;
    Ok(dir.folder.join(Program::Kind.name()))
}

/// Returns the version of a suitable `kind` that is already on this computer, else the places that do not have one.
///
/// # Errors
/// `HC2010` if the kind in an explicit folder does not print its version.
pub(crate) async fn find_installed_kind(environment: &Environment) -> Result<Result<String, Vec<String>>> {
    let pinned = Pinned::read()?;
    let pin = pinned.pin(ProgramSet::Kind);
    let mut attempts = Vec::new();
    if let Some(dir) = search::explicit(environment, ProgramSet::Kind, None, &mut attempts).await? {
        return Ok(Ok(dir.version));
    }
    if let Some(dir) = search::path(environment, ProgramSet::Kind, &pin.version, &mut attempts).await {
        return Ok(Ok(dir.version));
    }
    let entry = CacheEntry::new(&environment.cache, ProgramSet::Kind, &pin.version, Platform::current());
    Ok(cached(&entry, ProgramSet::Kind, &pin.version).map(|dir| dir.version).ok_or(attempts))
}

/// Returns the set from the cache, if it is complete there.
fn cached(entry: &CacheEntry, set: ProgramSet, version: &str) -> Option<ProgramDir> {
    let complete = |dir: &CacheDir| {
        let is_complete = search::missing(&dir.0, set).is_none();
        is_complete.then(|| ProgramDir { folder: dir.0.clone(), version: version.to_owned() })
    };
    [entry.released(), entry.built(module(set))].iter().find_map(complete)
}

/// The search for one set. All programs of a set come from the same folder.
pub(super) struct Locator<'a> {
    environment: &'a Environment,
    set: ProgramSet,
    /// The version that the user requests.
    requested: Option<&'a str>,
    pin: &'a Pin,
    version: &'a str,
    entry: CacheEntry,
    events: &'a Events,
    /// The failed attempts, for the error.
    attempts: Vec<String>,
}

impl<'a> Locator<'a> {
    pub(super) fn new(
        environment: &'a Environment,
        set: ProgramSet,
        requested: Option<&'a str>,
        pin: &'a Pin,
        events: &'a Events,
    ) -> Self {
        let version = requested.unwrap_or(&pin.version);
        let entry = CacheEntry::new(&environment.cache, set, version, Platform::current());
        Self { environment, set, requested, pin, version, entry, events, attempts: Vec::new() }
    }

    pub(super) async fn run(mut self) -> Result<ProgramDir> {
        if let Some(dir) =
            search::explicit(self.environment, self.set, self.requested, &mut self.attempts).await?
        {
            return Ok(dir);
        }
        if let Some(dir) = search::path(self.environment, self.set, self.version, &mut self.attempts).await {
            return Ok(dir);
        }
        if let Some(dir) = self.cached() {
            cache::ensure_unchanged(&dir.folder, self.set)?;
            return Ok(dir);
        }
        let _lock = file_lock::folder(&self.entry.folder, LOCK_WAIT, async || {
            let message = format!("another handsctl is preparing {} {}", self.set, self.version);
            self.events.begin(Phase::Cluster, self.set.name(), message).await;
        })
        .await?;
        // The other handsctl may have finished the set while this one waited.
        if let Some(dir) = self.cached() {
            cache::ensure_unchanged(&dir.folder, self.set)?;
            return Ok(dir);
        }
        if let Some(dir) = self.download().await? {
            return Ok(dir);
        }
        self.build().await
    }

    fn cached(&self) -> Option<ProgramDir> {
        cached(&self.entry, self.set, self.version)
    }

    fn complete(&self, dir: &CacheDir) -> Option<ProgramDir> {
        let is_complete = search::missing(&dir.0, self.set).is_none();
        is_complete.then(|| ProgramDir { folder: dir.0.clone(), version: self.version.to_owned() })
    }

    async fn download(&mut self) -> Result<Option<ProgramDir>> {
        let mirror = Mirror::new(self.environment.releases.as_deref());
        let dir = self.entry.released();
        dir.create()?;
        for program in self.set.programs().iter().copied().filter(|program| !dir.program(*program).exists()) {
            let release = release::release(&mirror, program, self.version, Platform::current(), self.pin);
            if release.checksum == Checksum::Unknown {
                self.attempts
                    .push(format!("download: {} has no published checksum, and none is pinned", release.url));
                return Ok(None);
            }
            self.begin("downloading", program).await;
            let (bytes, message) = (TransferredBytes::default(), self.message("downloading", program));
            let fetched = transfer::reported(
                download::fetch(release, dir.incomplete(program), &bytes, &self.environment.proxies),
                &bytes,
                |_the_download_counts_them| {},
                (Phase::Cluster, program.name(), &message),
                self.events,
            );
            match fetched.await {
                Ok(()) => dir.complete(program)?,
                Err(NotFetched::Failed(error)) => return Err(error),
                Err(NotFetched::Unavailable(why)) => {
                    self.events
                        .step(
                            Phase::Cluster,
                            program.name(),
                            Progress::Skipped,
                            format!("not downloaded: {why}"),
                        )
                        .await;
                    self.attempts.push(format!("download: {why}"));
                    return Ok(None);
                }
            }
            self.done(program, "downloaded").await;
        }
        Ok(self.complete(&dir))
    }

    async fn build(mut self) -> Result<ProgramDir> {
        if self.version != self.pin.version {
            self.attempts.push(format!("build: the Go module is pinned to {}", self.pin.version));
            return Err(self.unavailable());
        }
        let Some(go) = build::toolchain(self.environment) else {
            self.attempts.push("build: no go on PATH".to_owned());
            return Err(self.unavailable());
        };
        let dir = self.entry.built(module(self.set));
        dir.create()?;
        let workspace = build::workspace(&self.entry, module(self.set))?;
        for program in self.set.programs().iter().copied().filter(|program| !dir.program(*program).exists()) {
            let started = Instant::now();
            self.begin_build(program).await;
            if let Err(error) = build::build(&go, &workspace, &dir, self.set, program, self.version).await {
                return Err(self.with_attempts(error));
            }
            dir.complete(program)?;
            self.done(program, &format!("built in {}", phrase::span(started.elapsed()))).await;
        }
        Ok(ProgramDir { folder: dir.0, version: self.version.to_owned() })
    }

    async fn begin(&self, action: &str, program: Program) {
        self.events.begin(Phase::Cluster, program.name(), self.message(action, program)).await;
    }

    /// Reports that a build begins, why, and that it takes long: nobody expects a compiler here.
    async fn begin_build(&self, program: Program) {
        let building = self.message("building", program);
        let message = format!("{building} with Go, as there is no download: takes minutes");
        self.events.begin(Phase::Cluster, program.name(), message).await;
    }

    fn message(&self, action: &str, program: Program) -> String {
        format!("{action} {program} {} ({})", self.version, program.position())
    }

    async fn done(&self, program: Program, how: &str) {
        self.events.done(Phase::Cluster, program.name(), format!("{program} {} {how}", self.version)).await;
    }

    fn unavailable(&self) -> Error {
        let message = format!("cannot get {} {}", search::names(self.set), self.version);
        self.with_attempts(Error::new(Id::AssetMissing, Kind::Prerequisite, message))
    }

    /// Adds the failed attempts and the ways to provide the program.
    fn with_attempts(&self, error: Error) -> Error {
        let go = module(self.set).go().unwrap_or("1.26.0");
        error
            .fact("tried", self.attempts.join("\n"))
            .hint(format!("HANDSCTL_ASSETS=FOLDER names a folder with {}", search::names(self.set)))
            .hint(format!("a Go toolchain on PATH, {go} or newer, builds {}", self.set))
    }
}
