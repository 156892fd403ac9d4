//! Why an engine cannot be used, and the sentence that mends it. Pure.

use std::time::Duration;

use super::program::Engine;
use crate::catalogue::Id;
use crate::phrase;

/// Why an engine that is installed cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::provider) enum EngineFault {
    /// Its server does not run, or cannot be reached.
    Down { engine: Engine, said: String },
    /// This user may not talk to it.
    Denied { engine: Engine, said: String },
    /// It says nothing.
    Silent { engine: Engine, after: Duration },
    /// It is older than what kind needs.
    TooOld { engine: Engine, version: String, least: String },
}

impl EngineFault {
    /// What the client's words mean.
    pub(super) fn of(engine: Engine, said: &str) -> Self {
        let said = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default().trim().to_owned();
        if said.to_lowercase().contains("permission denied") {
            Self::Denied { engine, said }
        } else {
            Self::Down { engine, said }
        }
    }

    /// The row of the catalogue.
    pub(in crate::provider) fn id(&self) -> Id {
        match self {
            Self::Down { .. } | Self::Silent { .. } => Id::EngineDown,
            Self::Denied { .. } => Id::EngineDenied,
            Self::TooOld { .. } => Id::EngineTooOld,
        }
    }

    /// `docker: Cannot connect to the Docker daemon at unix:///var/run/docker.sock.`
    pub(in crate::provider) fn summary(&self) -> String {
        match self {
            Self::Down { engine, said } | Self::Denied { engine, said } => format!("{engine}: {said}"),
            Self::Silent { engine, after } => format!("{engine}: no answer within {}", phrase::span(*after)),
            Self::TooOld { engine, version, least } => {
                format!("{engine} {version} is too old: {least} or newer is needed")
            }
        }
    }

    /// What mends it. `host`: where `DOCKER_HOST` or `CONTAINER_HOST` points.
    pub(in crate::provider) fn hint(&self, host: Option<&(String, String)>) -> String {
        match self {
            Self::Down { .. } | Self::Silent { .. } if host.is_some() => {
                let (variable, value) = host.cloned().unwrap_or_default();
                format!("{variable} is {value}: start what should answer there, or unset {variable}")
            }
            Self::Down { engine: Engine::Docker, .. } | Self::Silent { engine: Engine::Docker, .. } => {
                "start it: sudo systemctl start docker, or Docker Desktop".to_owned()
            }
            Self::Down { engine: Engine::Podman, .. } | Self::Silent { engine: Engine::Podman, .. } => {
                "start it: podman machine start, or systemctl --user start podman.socket".to_owned()
            }
            Self::Down { engine: Engine::Nerdctl, .. } | Self::Silent { engine: Engine::Nerdctl, .. } => {
                "start it: sudo systemctl start containerd".to_owned()
            }
            Self::Denied { engine: Engine::Docker, .. } => {
                "sudo usermod -aG docker $USER, then log in again (or newgrp docker)".to_owned()
            }
            Self::Denied { engine, .. } => format!("let this user talk to {engine}, or run as root"),
            Self::TooOld { engine, least, .. } => format!("install {engine} {least} or newer"),
        }
    }
}

/// No engine can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::provider) struct NoEngine {
    /// The only one that was asked.
    pub(super) chosen: Option<String>,
    /// The variable that points to an engine, and its value.
    pub(in crate::provider) host: Option<(String, String)>,
    /// One for each that is installed.
    pub(in crate::provider) faults: Vec<EngineFault>,
}

impl NoEngine {
    /// One line.
    pub(in crate::provider) fn summary(&self) -> String {
        let faults: Vec<String> = self.faults.iter().map(EngineFault::summary).collect();
        match (&self.chosen, faults.is_empty()) {
            (_, false) => faults.join("; "),
            (Some(name), true) => {
                format!("KIND_EXPERIMENTAL_PROVIDER is {name}, which is not on PATH")
            }
            (None, true) => "no docker, podman or nerdctl on PATH".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clients_words_decide_what_mends_it() {
        let down = "errors pretty printing info\nCannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?\n";
        let denied = "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock";
        let host = ("DOCKER_HOST".to_owned(), "tcp://127.0.0.1:1".to_owned());
        let fault = EngineFault::of(Engine::Docker, down);
        assert_eq!(fault.id(), Id::EngineDown);
        assert!(fault.summary().starts_with("docker: Cannot connect"), "{fault:?}");
        assert!(fault.hint(None).contains("systemctl start docker"));
        assert!(fault.hint(Some(&host)).ends_with("unset DOCKER_HOST"));
        let fault = EngineFault::of(Engine::Docker, denied);
        assert_eq!(fault.id(), Id::EngineDenied);
        assert!(fault.hint(Some(&host)).contains("usermod -aG docker"));
    }
}
