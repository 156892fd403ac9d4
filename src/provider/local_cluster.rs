//! Providers and the local clusters that they create.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A tool that creates clusters on this computer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LocalProvider {
    /// kind: nodes are containers.
    Kind,
    /// kwok: the control plane runs as processes, nodes are simulated.
    Kwok,
}

impl LocalProvider {
    /// Returns the provider's name: `kind`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kind => "kind",
            Self::Kwok => "kwok",
        }
    }

    /// Returns the context of the cluster with this name: `kind-NAME`.
    #[must_use]
    pub fn context(self, name: &str) -> String {
        format!("{}-{name}", self.name())
    }
}

/// The selected provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProviderChoice {
    /// handsctl creates a local cluster.
    Local {
        /// The provider that creates it.
        provider: LocalProvider,
        /// Why `auto` chose kwok, and how to get a real cluster; None: it did not, or there is no other choice.
        reason: Option<String>,
    },
    /// handsctl creates no cluster and uses an existing one.
    Existing,
}

/// Options of `up`.
#[derive(Debug, Clone, Default)]
pub struct UpOptions {
    /// Delete and recreate a cluster that differs from its desired state.
    pub recreate: bool,
    /// The kubeconfig that the context is merged into, instead of the environment's.
    pub kubeconfig: Option<PathBuf>,
}

/// A running local cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalCluster {
    /// `kwok-NAME`.
    pub context: String,
    /// The cluster's own kubeconfig, with no other cluster in it.
    pub kubeconfig: PathBuf,
    /// Whether its nodes are simulated, so that no container runs.
    pub simulated: bool,
    /// The action that `up` took.
    pub outcome: StartOutcome,
    /// The nodes that `up` or somebody else started a short time ago, each with a time before which its statuses are
    /// stale. Simulated nodes are not started.
    pub started_nodes: BTreeMap<String, Timestamp>,
}

/// The action that `up` took to get the cluster running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartOutcome {
    /// It created the cluster.
    Created,
    /// It started some or all of the cluster's parts. The nodes may become ready a moment after the API server.
    Restarted,
    /// Nothing: the cluster was already running.
    Running,
}

/// The result of `down`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DownResult {
    /// It deleted the cluster and its context.
    Deleted,
    /// There was no cluster.
    Absent,
}

/// State of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// No cluster with this name exists.
    Absent,
    /// Its creation was interrupted; `up` deletes and recreates it.
    Incomplete,
    /// It is complete, but at least one of its parts is not running.
    Stopped,
    /// All of its parts are running.
    Running,
    /// All of its parts are running, but its API server reports that it is not ready yet.
    Starting,
    /// All of its parts are running, but its API server does not respond.
    Unresponsive,
    /// A cluster with this name exists, but handsctl did not create it.
    Foreign,
    /// The container engine is not usable, so the state cannot be read.
    Unknown,
}

/// The hint that recreates a cluster. It names what is lost.
pub const RECREATE_HINT: &str = "handsctl cluster up --recreate deletes everything in the cluster, also the application's data, and creates it again";
/// The first hint after a failed start: a start continues where the last one ended.
pub(super) const START_AGAIN_HINT: &str =
    "handsctl cluster up starts what is not running, and deletes nothing";
