//! The supported engines: docker, podman and nerdctl.

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
    /// All engines, in the order of preference.
    pub(crate) const ALL: [Self; 3] = [Self::Docker, Self::Podman, Self::Nerdctl];

    /// Returns the name of the client program, which kind also uses.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
            Self::Nerdctl => "nerdctl",
        }
    }

    /// Returns the oldest version that can run the nodes of current kind versions
    /// (<https://kind.sigs.k8s.io/docs/user/known-issues/>, <https://kind.sigs.k8s.io/docs/user/rootless/>).
    pub(super) const fn minimum_version(self) -> (u32, u32) {
        match self {
            Self::Docker => (20, 10),
            Self::Podman => (4, 0),
            Self::Nerdctl => (1, 7),
        }
    }

    /// Returns the variables by which the client finds its server. The first one that has a value counts.
    pub(in crate::provider) const fn server_variables(self) -> &'static [&'static str] {
        match self {
            Self::Docker => &["DOCKER_HOST", "DOCKER_CONTEXT"],
            Self::Podman => &["CONTAINER_HOST", "CONTAINER_CONNECTION"],
            Self::Nerdctl => &["CONTAINERD_ADDRESS"],
        }
    }

    /// Returns the client's arguments that print the facts about the server as JSON.
    pub(super) const fn info_arguments(self) -> &'static [&'static str] {
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
