//! docker, podman or nerdctl.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A container engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Engine {
    Docker,
    Podman,
    Nerdctl,
}

impl Engine {
    /// In the order in which they are preferred.
    pub(crate) const ALL: [Self; 3] = [Self::Docker, Self::Podman, Self::Nerdctl];

    /// Name of its client, and kind's name of it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
            Self::Nerdctl => "nerdctl",
        }
    }

    /// The oldest version whose nodes run what kind makes today
    /// (<https://kind.sigs.k8s.io/docs/user/known-issues/>, <https://kind.sigs.k8s.io/docs/user/rootless/>).
    pub(super) const fn least(self) -> (u32, u32) {
        match self {
            Self::Docker => (20, 10),
            Self::Podman => (4, 0),
            Self::Nerdctl => (1, 7),
        }
    }

    /// What makes its client tell everything about its server.
    pub(super) const fn question(self) -> &'static [&'static str] {
        match self {
            Self::Docker | Self::Nerdctl => &["info", "--format", "{{json .}}"],
            Self::Podman => &["info", "--format", "json"],
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
