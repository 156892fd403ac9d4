//! Why an engine cannot be used, with a hint to fix it. Pure.

use std::time::Duration;

use super::program::Engine;
use crate::catalogue::Id;
use crate::object::assignment;
use crate::phrase;

/// Why an installed engine cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::provider) enum EngineFault {
    /// Its server is not running or unreachable.
    Down { engine: Engine, message: String },
    /// This user is not permitted to connect to it.
    Denied { engine: Engine, message: String },
    /// It does not respond in time.
    TimedOut { engine: Engine, after: Duration },
    /// It is older than kind requires.
    TooOld { engine: Engine, version: String, minimum: String },
}

impl EngineFault {
    /// Classifies the client's error message by its last line.
    pub(super) fn from_message(engine: Engine, output: &str) -> Self {
        let output = assignment::masked(output);
        let message =
            output.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default().trim().to_owned();
        if message.to_lowercase().contains("permission denied") {
            Self::Denied { engine, message }
        } else {
            Self::Down { engine, message }
        }
    }

    /// Returns the error id.
    pub(in crate::provider) fn id(&self) -> Id {
        match self {
            Self::Down { .. } | Self::TimedOut { .. } => Id::EngineDown,
            Self::Denied { .. } => Id::EngineForbidden,
            Self::TooOld { .. } => Id::EngineTooOld,
        }
    }

    /// `docker: Cannot connect to the Docker daemon at unix:///var/run/docker.sock.`
    pub(in crate::provider) fn summary(&self) -> String {
        match self {
            Self::Down { engine, message } | Self::Denied { engine, message } => {
                format!("{engine}: {message}")
            }
            Self::TimedOut { engine, after } => {
                format!("{engine}: no response within {}", phrase::span(*after))
            }
            Self::TooOld { engine, version, minimum } => {
                format!("{engine} {version} is too old: {minimum} or newer is needed")
            }
        }
    }

    /// Returns a hint to fix it. `host`: `DOCKER_HOST` or `CONTAINER_HOST`, and its value.
    pub(in crate::provider) fn hint(&self, host: Option<&(String, String)>) -> String {
        match self {
            Self::Down { .. } | Self::TimedOut { .. } if host.is_some() => {
                let (variable, value) = host.cloned().unwrap_or_default();
                format!("{variable} is {value}: start the engine at this address, or unset {variable}")
            }
            Self::Down { engine: Engine::Docker, .. } => {
                "start it: sudo systemctl start docker, or Docker Desktop".to_owned()
            }
            Self::Down { engine: Engine::Podman, .. } => {
                "start it: podman machine start, or systemctl --user start podman.socket".to_owned()
            }
            Self::Down { engine: Engine::Nerdctl, .. } => {
                "start it: sudo systemctl start containerd".to_owned()
            }
            Self::TimedOut { engine: Engine::Docker, .. } => {
                "restart it: sudo systemctl restart docker, or Docker Desktop".to_owned()
            }
            Self::TimedOut { engine: Engine::Podman, .. } => {
                "restart it: podman machine stop and start, or systemctl --user restart podman.socket"
                    .to_owned()
            }
            Self::TimedOut { engine: Engine::Nerdctl, .. } => {
                "restart it: sudo systemctl restart containerd".to_owned()
            }
            Self::Denied { engine: Engine::Docker, .. } => {
                "sudo usermod -aG docker $USER, then log in again (or newgrp docker)".to_owned()
            }
            Self::Denied { engine, .. } => format!("give this user access to {engine}, or run as root"),
            Self::TooOld { engine, minimum, .. } => format!("install {engine} {minimum} or newer"),
        }
    }
}

/// No engine is usable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::provider) struct NoEngine {
    /// The only engine that was tried: `KIND_EXPERIMENTAL_PROVIDER`.
    pub(super) chosen: Option<String>,
    /// `DOCKER_HOST` or `CONTAINER_HOST`, and its value.
    pub(in crate::provider) host: Option<(String, String)>,
    /// One fault for each installed engine.
    pub(in crate::provider) faults: Vec<EngineFault>,
}

impl NoEngine {
    /// Whether an engine is there that this run cannot use: it starts, it is too old, or this user may not use it.
    pub(in crate::provider) fn is_present(&self) -> bool {
        self.faults.iter().any(|fault| !matches!(fault, EngineFault::Down { .. }))
    }

    /// Joins the faults to one line.
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
    fn error_message_decides_fault_and_hint() {
        let down = "errors pretty printing info\nCannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?\n";
        let denied = "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock";
        let host = ("DOCKER_HOST".to_owned(), "tcp://127.0.0.1:1".to_owned());
        let fault = EngineFault::from_message(Engine::Docker, down);
        assert_eq!(fault.id(), Id::EngineDown);
        assert!(fault.summary().starts_with("docker: Cannot connect"), "{fault:?}");
        assert!(fault.hint(None).contains("systemctl start docker"));
        assert!(fault.hint(Some(&host)).ends_with("unset DOCKER_HOST"));
        let fault = EngineFault::from_message(Engine::Docker, denied);
        assert_eq!(fault.id(), Id::EngineForbidden);
        assert!(fault.hint(Some(&host)).contains("usermod -aG docker"));
    }

    #[test]
    fn engine_that_is_down_is_not_present() {
        let is_present =
            |faults: Vec<EngineFault>| NoEngine { chosen: None, host: None, faults }.is_present();
        let engine = Engine::Docker;
        let down = || EngineFault::Down { engine: Engine::Podman, message: "no socket".into() };
        let version = || "19.03".to_owned();
        assert!(!is_present(Vec::new()) && !is_present(vec![down()]));
        for fault in [
            EngineFault::TimedOut { engine, after: Duration::from_secs(180) },
            EngineFault::Denied { engine, message: "permission denied".into() },
            EngineFault::TooOld { engine, version: version(), minimum: version() },
        ] {
            assert!(is_present(vec![down(), fault.clone()]), "{fault:?}");
        }
    }
}
