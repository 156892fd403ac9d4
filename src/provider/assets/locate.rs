//! Finds or makes every program of a local cluster: an explicit folder, PATH, the cache, a download of the official release,
//! and where that cannot be had a build through the Go module proxy.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::build;
use super::cache::{CacheDir, CacheEntry};
use super::component::Component;
use super::download::{self, NotFetched};
use super::pinned::{Pin, Pinned, module};
use super::program::{Program, ProgramSet};
use super::release::{self, Checksum, Mirror, Platform};
use super::search::{self, ProgramDir};
use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};
use crate::event::{Events, Phase};
use crate::phrase;
use crate::provider::environment::Environment;
use crate::provider::file_lock;

/// Another handsctl may build for this long.
const OTHERS: Duration = Duration::from_secs(3600);

/// Every program, and the version of the Kubernetes ones.
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
    /// The program that a component is.
    pub(crate) fn of(&self, component: Component) -> &PathBuf {
        match component {
            Component::Etcd => &self.etcd,
            Component::KubeApiserver => &self.kube_apiserver,
            Component::KubeControllerManager => &self.kube_controller_manager,
            Component::KubeScheduler => &self.kube_scheduler,
            Component::KwokController => &self.kwok,
        }
    }
}

/// Finds or makes every program. `kubernetes` is the version that the user asks for.
///
/// # Errors
/// `HC2010` where a program cannot be had, naming what was tried; `HC2011` for a download that is not genuine.
pub(crate) async fn locate(
    environment: &Environment,
    kubernetes: Option<&str>,
    events: &Events,
) -> Result<Programs> {
    let pinned = Pinned::read()?;
    let locate = async |set, asked| Locator::new(environment, set, asked, pinned.of(set), events).run().await;
    let etcd = locate(ProgramSet::Etcd, None).await?;
    let control = locate(ProgramSet::Kubernetes, kubernetes).await?;
    let kwok = locate(ProgramSet::Kwok, None).await?;
    let of = |place: &ProgramDir, program: Program| place.folder.join(program.name());
    Ok(Programs {
        etcd: of(&etcd, Program::Etcd),
        kube_apiserver: of(&control, Program::KubeApiserver),
        kube_controller_manager: of(&control, Program::KubeControllerManager),
        kube_scheduler: of(&control, Program::KubeScheduler),
        kubectl: of(&control, Program::Kubectl),
        kwok: of(&kwok, Program::Kwok),
        kwokctl: of(&kwok, Program::Kwokctl),
        kubernetes: control.version,
    })
}

/// Finds or makes `kind`.
///
/// # Errors
/// `HC2010` where it cannot be had, naming what was tried; `HC2011` for a download that is not genuine.
pub(crate) async fn locate_kind(environment: &Environment, events: &Events) -> Result<PathBuf> {
    let pinned = Pinned::read()?;
    let place =
        Locator::new(environment, ProgramSet::Kind, None, pinned.of(ProgramSet::Kind), events).run().await?;
    Ok(place.folder.join(Program::Kind.name()))
}

/// Whether `kind` is on this computer already, in a version that will do: its version, or why it is not.
///
/// # Errors
/// `HC2010` where an explicit folder has one that cannot be asked for its version.
pub(crate) async fn look_for_kind(environment: &Environment) -> Result<Result<String, Vec<String>>> {
    let pinned = Pinned::read()?;
    let pin = pinned.of(ProgramSet::Kind);
    let mut tried = Vec::new();
    if let Some(place) = search::explicit(environment, ProgramSet::Kind, None, &mut tried).await? {
        return Ok(Ok(place.version));
    }
    if let Some(place) = search::path(environment, ProgramSet::Kind, &pin.version, &mut tried).await {
        return Ok(Ok(place.version));
    }
    let shelf = CacheEntry::new(&environment.cache, ProgramSet::Kind, &pin.version, Platform::here());
    Ok(cached(&shelf, ProgramSet::Kind, &pin.version).map(|place| place.version).ok_or(tried))
}

/// What is complete in the cache.
fn cached(shelf: &CacheEntry, set: ProgramSet, version: &str) -> Option<ProgramDir> {
    let whole = |bin: &CacheDir| {
        let whole = search::missing(&bin.0, set).is_none();
        whole.then(|| ProgramDir { folder: bin.0.clone(), version: version.to_owned() })
    };
    [shelf.released(), shelf.built(module(set))].iter().find_map(whole)
}

/// The search for one set. A set comes from one place as a whole.
pub(super) struct Locator<'a> {
    environment: &'a Environment,
    set: ProgramSet,
    /// What the user asks for.
    asked: Option<&'a str>,
    pin: &'a Pin,
    version: &'a str,
    shelf: CacheEntry,
    events: &'a Events,
    /// What did not help, for the error.
    tried: Vec<String>,
}

impl<'a> Locator<'a> {
    pub(super) fn new(
        environment: &'a Environment,
        set: ProgramSet,
        asked: Option<&'a str>,
        pin: &'a Pin,
        events: &'a Events,
    ) -> Self {
        let version = asked.unwrap_or(&pin.version);
        let shelf = CacheEntry::new(&environment.cache, set, version, Platform::here());
        Self { environment, set, asked, pin, version, shelf, events, tried: Vec::new() }
    }

    pub(super) async fn run(mut self) -> Result<ProgramDir> {
        if let Some(place) = search::explicit(self.environment, self.set, self.asked, &mut self.tried).await?
        {
            return Ok(place);
        }
        if let Some(place) = search::path(self.environment, self.set, self.version, &mut self.tried).await {
            return Ok(place);
        }
        if let Some(place) = self.cached() {
            return Ok(place);
        }
        let _lock = file_lock::folder(&self.shelf.folder, OTHERS, async || {
            let message = format!("another handsctl prepares {} {}", self.set, self.version);
            self.events.begin(Phase::Cluster, self.set.name(), message).await;
        })
        .await?;
        // The other one may have finished meanwhile.
        if let Some(place) = self.cached() {
            return Ok(place);
        }
        if let Some(place) = self.download().await? {
            return Ok(place);
        }
        self.build().await
    }

    fn cached(&self) -> Option<ProgramDir> {
        cached(&self.shelf, self.set, self.version)
    }

    fn whole(&self, bin: &CacheDir) -> Option<ProgramDir> {
        let whole = search::missing(&bin.0, self.set).is_none();
        whole.then(|| ProgramDir { folder: bin.0.clone(), version: self.version.to_owned() })
    }

    async fn download(&mut self) -> Result<Option<ProgramDir>> {
        let mirror = Mirror::new(self.environment.releases.as_deref());
        let bin = self.shelf.released();
        bin.make()?;
        for program in self.set.programs().iter().copied().filter(|program| !bin.program(*program).exists()) {
            let release = release::release(&mirror, program, self.version, Platform::here(), self.pin);
            if release.checksum == Checksum::Unknown {
                self.tried
                    .push(format!("download: {} has no published checksum, and none is pinned", release.url));
                return Ok(None);
            }
            self.begin("downloading", program).await;
            match download::fetch(release, bin.incomplete(program)).await {
                Ok(()) => bin.complete(program)?,
                Err(NotFetched::Failed(error)) => return Err(error),
                Err(NotFetched::Unavailable(why)) => {
                    self.tried.push(format!("download: {why}"));
                    return Ok(None);
                }
            }
            self.done(program, "downloaded").await;
        }
        Ok(self.whole(&bin))
    }

    async fn build(mut self) -> Result<ProgramDir> {
        if self.version != self.pin.version {
            self.tried.push(format!("build: the Go module is pinned to {}", self.pin.version));
            return Err(self.missing());
        }
        let Some(go) = build::toolchain(self.environment) else {
            self.tried.push("build: no go on PATH".to_owned());
            return Err(self.missing());
        };
        let bin = self.shelf.built(module(self.set));
        bin.make()?;
        let workspace = build::workspace(&self.shelf, module(self.set))?;
        for program in self.set.programs().iter().copied().filter(|program| !bin.program(*program).exists()) {
            let begin = Instant::now();
            self.begin("building", program).await;
            if let Err(error) = build::build(&go, &workspace, &bin, self.set, program, self.version).await {
                return Err(self.explain(error));
            }
            bin.complete(program)?;
            self.done(program, &format!("built in {}", phrase::span(begin.elapsed()))).await;
        }
        Ok(ProgramDir { folder: bin.0, version: self.version.to_owned() })
    }

    async fn begin(&self, doing: &str, program: Program) {
        let message = format!("{doing} {program} {} ({})", self.version, program.position());
        self.events.begin(Phase::Cluster, program.name(), message).await;
    }

    async fn done(&self, program: Program, how: &str) {
        self.events.done(Phase::Cluster, program.name(), format!("{program} {} {how}", self.version)).await;
    }

    fn missing(&self) -> Error {
        let message = format!("{} {} cannot be had", search::names(self.set), self.version);
        self.explain(Error::new(Id::AssetMissing, Kind::Prerequisite, message))
    }

    /// Adds what was tried and what would help.
    fn explain(&self, error: Error) -> Error {
        let go = module(self.set).go().unwrap_or("1.26.0");
        error
            .fact("tried", self.tried.join("\n"))
            .hint(format!("HANDSCTL_ASSETS=FOLDER names a folder with {}", search::names(self.set)))
            .hint(format!("a Go toolchain on PATH, {go} or newer, builds {}", self.set))
    }
}
