//! The output of `cluster status`.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Serialize;

use super::local_cluster::{Condition, LocalProvider};
use super::{kind, kwok};

/// The status of a local cluster.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ClusterStatus {
    /// Name of the cluster.
    pub name: String,
    /// Name of its context.
    pub context: String,
    /// State of the cluster.
    pub condition: Condition,
    /// Why the condition is unknown, or why the API server is not ready; None: there is no reason to name.
    pub reason: Option<String>,
    /// Path of the cluster's own kubeconfig.
    pub kubeconfig: PathBuf,
    /// The kubeconfig files that have its context.
    pub merged: Vec<PathBuf>,
    /// Details that only the cluster's provider has.
    #[serde(flatten)]
    pub details: Details,
}

/// Details that depend on the provider.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(tag = "provider", rename_all = "lowercase")]
pub enum Details {
    /// A kind cluster: its nodes are containers.
    Kind(kind::KindDetails),
    /// A kwok cluster: its control plane runs as processes, its nodes are simulated.
    Kwok(kwok::KwokDetails),
}

impl Details {
    /// Returns the provider.
    #[must_use]
    pub fn provider(&self) -> LocalProvider {
        match self {
            Self::Kind(_) => LocalProvider::Kind,
            Self::Kwok(_) => LocalProvider::Kwok,
        }
    }
}
