//! Providers, and the local clusters that they make.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What makes clusters on this computer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LocalProvider {
    /// kind: containers as nodes.
    Kind,
    /// kwok: a control plane as processes, simulated nodes.
    Kwok,
}

impl LocalProvider {
    /// `kind`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Kind => "kind",
            Self::Kwok => "kwok",
        }
    }

    /// The context of a cluster of this name: `kind-NAME`.
    #[must_use]
    pub fn context(self, name: &str) -> String {
        format!("{}-{name}", self.word())
    }
}

/// What makes the cluster, decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProviderChoice {
    /// A local cluster is made.
    Local {
        /// By what.
        maker: LocalProvider,
        /// Why it is not kind, where that was decided by what is there.
        reason: Option<String>,
    },
    /// Nothing is made.
    Existing,
}

/// How `up` goes about it.
#[derive(Debug, Clone, Default)]
pub struct UpOptions {
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
    pub outcome: StartOutcome,
}

/// What it took to have the cluster running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartOutcome {
    /// It was made.
    Created,
    /// Some or all of its parts were started. The nodes may be ready a moment later than the API server.
    Restarted,
    /// Nothing.
    Running,
}

/// What `down` did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DownResult {
    /// The cluster and its context are gone.
    Deleted,
    /// There was none.
    Absent,
}

/// How a cluster is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// handsctl made none of this name.
    Absent,
    /// Its making was interrupted; `up` removes it and makes it anew.
    Incomplete,
    /// It is complete, and at least one of its parts is not running.
    Stopped,
    /// Everything of it runs.
    Running,
    /// There is one of this name, and handsctl did not make it.
    Foreign,
    /// Nobody can say: what runs it does not answer.
    Unknown,
}
