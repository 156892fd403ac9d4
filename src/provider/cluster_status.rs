//! What `cluster status` shows.

use std::path::PathBuf;

use serde::Serialize;

use super::local_cluster::{Condition, LocalProvider};
use super::{kind, kwok};

/// A local cluster, as it is found.
#[derive(Debug, Clone, Serialize)]
pub struct ClusterStatus {
    /// Name of the cluster.
    pub name: String,
    /// Name of its context.
    pub context: String,
    /// How it is.
    pub condition: Condition,
    /// Why it is not known how it is.
    pub reason: Option<String>,
    /// Its own kubeconfig.
    pub kubeconfig: PathBuf,
    /// What its provider knows of it.
    #[serde(flatten)]
    pub details: Details,
}

/// What each provider knows of its clusters.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "provider", rename_all = "lowercase")]
pub enum Details {
    /// Containers as nodes.
    Kind(kind::KindDetails),
    /// Processes, and simulated nodes.
    Kwok(kwok::KwokDetails),
}

impl Details {
    /// The provider.
    #[must_use]
    pub fn maker(&self) -> LocalProvider {
        match self {
            Self::Kind(_) => LocalProvider::Kind,
            Self::Kwok(_) => LocalProvider::Kwok,
        }
    }
}
