//! Local clusters: thin adapters over existing tools. Everything here ends at a kubeconfig; nodes, storage classes and
//! ingresses are objects, which `commands` has applied and awaited like any other.

mod assets;
mod engine;
mod environment;
mod kubeconfig;
mod kwok;
mod lock;
mod process;
mod this_process;

use std::path::PathBuf;

use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};
use crate::event::Events;

pub use crate::settings::ours::Provider;
pub use environment::{Environment, ExplicitFolder};
pub use kwok::{ClusterStatus, Component, Condition, ProcessStatus, Spec, Wanted, objects};
pub use this_process::{Process, is_gone};

/// What makes the cluster, decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// A real control plane, simulated nodes.
    Kwok {
        /// Why it is not kind, where that was decided by what is there.
        reason: Option<String>,
    },
    /// Nothing is made.
    Existing,
}

/// How `up` goes about it.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// A cluster that differs from what is wanted is deleted and made anew.
    pub recreate: bool,
    /// The kubeconfig that the context is merged into, instead of the environment's.
    pub kubeconfig: Option<PathBuf>,
}

/// A local cluster that answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalCluster {
    /// `kwok-NAME`.
    pub context: String,
    /// The cluster's own kubeconfig, with nothing else in it.
    pub kubeconfig: PathBuf,
    /// Whether its nodes are simulated: no container runs.
    pub simulated: bool,
    /// What it took.
    pub outcome: Started,
}

/// What it took to have the cluster running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Started {
    /// It was made.
    Created,
    /// Some or all of its processes were started. The nodes may be ready a moment later than the API server.
    Restarted,
    /// Nothing.
    Running,
}

/// What `down` did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removed {
    /// The cluster and its context are gone.
    Deleted,
    /// There was none.
    Absent,
}

/// Decides what makes the cluster: one that handsctl made under this name, else what the provider says; `auto` without an
/// engine, and in this version also with one, is kwok.
///
/// # Errors
/// `HC2002` for kind, which this version does not support.
pub async fn choose(environment: &Environment, provider: Provider, name: &str) -> Result<Choice> {
    match provider {
        Provider::Existing => Ok(Choice::Existing),
        Provider::Kwok => Ok(Choice::Kwok { reason: None }),
        Provider::Kind => {
            Err(Error::new(Id::ProviderNotBuilt, Kind::Prerequisite, "this version of handsctl cannot make kind clusters")
                .hint("[cluster] provider = \"kwok\" makes one with simulated nodes")
                .hint(format!(
                    "`kind create cluster --name {name}`, then [cluster] provider = \"existing\", context = \"kind-{name}\""
                )))
        }
        Provider::Auto if kwok::made(environment, name) => Ok(Choice::Kwok { reason: None }),
        Provider::Auto => {
            let reason = match engine::ask(environment).await {
                Ok(engine) => format!("{engine} answers, but kind is not supported by this version yet"),
                Err(why) => format!("no container engine answers ({why})"),
            };
            Ok(Choice::Kwok { reason: Some(reason) })
        }
    }
}

/// Makes, starts or leaves the cluster; afterwards its API server is ready and the user's kubeconfig has its context.
/// `existing` has nothing to make: the caller uses its context.
///
/// # Errors
/// `HC2010`, `HC2011` for programs that cannot be had; `HC2020` where it cannot be made or started; `HC2021` where it
/// differs and `recreate` is not asked for; `HC2022` where a cluster of this name is somebody else's.
pub async fn up(
    environment: &Environment,
    wanted: &Wanted,
    options: &Options,
    events: &Events,
) -> Result<LocalCluster> {
    kwok::up(environment, wanted, options, events).await
}

/// Ends the cluster and removes its files and its context. `kubeconfig` is where the context is looked for when the
/// cluster does not know.
///
/// # Errors
/// `HC2023` where the cluster of this name was not made by handsctl.
pub async fn down(
    environment: &Environment,
    name: &str,
    kubeconfig: Option<&std::path::Path>,
    events: &Events,
) -> Result<Removed> {
    kwok::down(environment, name, kubeconfig, events).await
}

/// How the cluster is, without changing anything or asking its API server.
pub fn status(environment: &Environment, name: &str) -> Result<ClusterStatus> {
    kwok::status(environment, name)
}

/// The context of the cluster that handsctl made under this name. Cheap: one look at a file.
#[must_use]
pub fn made_context(environment: &Environment, name: &str) -> Option<String> {
    kwok::made(environment, name).then(|| kwok::context(name))
}
