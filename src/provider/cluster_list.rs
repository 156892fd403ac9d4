//! Lists the local clusters that handsctl created for this user, from their records on this computer.

use futures::future::join_all;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::cluster_spec::Ports;
use super::engine::{self, NoEngine, Patience, Server};
use super::environment::Environment;
use super::local_cluster::{Condition, LocalProvider};
use super::{kind, kubeconfig, kwok, state_file};
use crate::error::{Error, Result};

/// A local cluster that handsctl created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ListedCluster {
    /// Name of the cluster.
    pub name: String,
    /// The tool that created it; null: its record cannot be read.
    pub provider: Option<LocalProvider>,
    /// Whether its nodes are simulated, so that no container runs; null: its record cannot be read.
    pub simulated: Option<bool>,
    /// Name of its context; null: its record cannot be read.
    pub context: Option<String>,
    /// State of the cluster.
    pub condition: ListedCondition,
    /// Why the condition is unknown.
    pub reason: Option<String>,
    /// URL of its API server; null: it has none yet.
    pub server: Option<String>,
    /// Ports of this computer that forward to its ingress controller; null: none, as in a simulated cluster.
    pub ports: Option<Ports>,
    /// When its creation started; null: that is not recorded.
    #[schemars(with = "Option<String>")]
    pub created: Option<Timestamp>,
}

/// Returns the names of the local clusters that handsctl created for this user, in order.
///
/// # Errors
/// The records cannot be listed.
pub fn names(environment: &Environment) -> Result<Vec<String>> {
    let mut names = state_file::names(&environment.state)?;
    names.sort_unstable();
    Ok(names)
}

/// State of a listed cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ListedCondition {
    /// All of its parts are running.
    Running,
    /// It is complete, but at least one of its parts is not running.
    Stopped,
    /// Its creation was interrupted.
    Incomplete,
    /// Its containers were deleted by another program; the record is left.
    Gone,
    /// Containers of this name exist that handsctl did not create.
    Foreign,
    /// Its record cannot be read, or no container engine is usable.
    Unknown,
}

impl ListedCondition {
    /// Returns the name: `running`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Incomplete => "incomplete",
            Self::Gone => "gone",
            Self::Foreign => "foreign",
            Self::Unknown => "unknown",
        }
    }

    /// Returns the state of a cluster with a record. No API server was asked.
    const fn of(condition: Condition) -> Self {
        match condition {
            Condition::Absent => Self::Gone,
            Condition::Foreign => Self::Foreign,
            Condition::Incomplete => Self::Incomplete,
            Condition::Stopped => Self::Stopped,
            Condition::Running | Condition::Starting | Condition::Unresponsive => Self::Running,
            Condition::Unknown => Self::Unknown,
        }
    }
}

/// The local clusters of this user.
#[derive(Debug)]
pub struct ClusterList {
    /// The clusters, by name.
    pub clusters: Vec<ListedCluster>,
    /// Why no container engine is usable, if the state of a cluster depends on one.
    pub no_engine: Option<Error>,
}

/// Lists the clusters. Reads records, processes and containers, and sends no request to an API server. A cluster whose
/// record cannot be read is listed, too.
///
/// # Errors
/// `HC9003` if the home folder is unknown or the folder of the records cannot be read.
pub async fn list(environment: &Environment) -> Result<ClusterList> {
    environment.ensure_folders()?;
    let mut names = state_file::names(&environment.state)?;
    names.sort();
    let is_kind = |name: &String| {
        let own = state_file::clusters(&environment.state).join(name);
        state_file::provider(&own).ok().flatten() == Some(LocalProvider::Kind)
    };
    let engine =
        if names.iter().any(is_kind) { Some(engine::find(environment, Patience::Brief).await) } else { None };
    let read = names.iter().map(|name| read(environment, name, engine.as_ref()));
    let clusters = join_all(read).await.into_iter().flatten().collect();
    let no_engine = engine.and_then(std::result::Result::err);
    Ok(ClusterList { clusters, no_engine: no_engine.map(|none| kind::no_engine_error(&none)) })
}

/// Reads one cluster; None: the folder has no cluster, as after a creation that failed early.
async fn read(
    environment: &Environment,
    name: &str,
    engine: Option<&std::result::Result<Server, NoEngine>>,
) -> Option<ListedCluster> {
    match read_recorded(environment, name, engine).await {
        Ok(cluster) => cluster,
        Err(error) => {
            let own = state_file::clusters(&environment.state).join(name);
            let provider = state_file::provider_of_any_version(&own);
            Some(unknown(name, provider, error.with_causes()))
        }
    }
}

async fn read_recorded(
    environment: &Environment,
    name: &str,
    engine: Option<&std::result::Result<Server, NoEngine>>,
) -> Result<Option<ListedCluster>> {
    let own = state_file::clusters(&environment.state).join(name);
    let recorded = state_file::provider(&own)?;
    let (condition, reason, file, ports) = match (recorded, engine) {
        (Some(LocalProvider::Kind), Some(engine)) => {
            let status = kind::status_on(environment, name, engine).await?;
            (status.condition, status.reason, status.kubeconfig, kind::recorded_ports(environment, name))
        }
        // The record was written after the search for an engine.
        (Some(LocalProvider::Kind), None) => return Ok(None),
        (Some(LocalProvider::Kwok) | None, _) => {
            let (condition, file, _) = kwok::status(environment, name)?;
            (condition, None, file, None)
        }
    };
    if recorded.is_none() && condition == Condition::Absent {
        return Ok(None);
    }
    let provider = recorded.unwrap_or(LocalProvider::Kwok);
    Ok(Some(ListedCluster {
        condition: ListedCondition::of(condition),
        reason,
        server: kubeconfig::server(&file)?,
        ports: ports.filter(|ports| ports.http.or(ports.https).is_some()),
        created: state_file::created(&own)?,
        ..unknown(name, Some(provider), String::new())
    }))
}

/// Returns a cluster of which only the name and the provider are known.
fn unknown(name: &str, provider: Option<LocalProvider>, reason: String) -> ListedCluster {
    ListedCluster {
        name: name.to_owned(),
        provider,
        simulated: provider.map(|provider| provider == LocalProvider::Kwok),
        context: provider.map(|provider| provider.context(name)),
        condition: ListedCondition::Unknown,
        reason: Some(reason),
        server: None,
        ports: None,
        created: None,
    }
}
