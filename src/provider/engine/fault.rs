//! Why an engine cannot be used, with a hint to fix it. Pure.

use std::time::Duration;

use super::program::Engine;
use super::server_choice::ServerChoice;
use crate::catalogue::Id;
use crate::object::assignment;
use crate::phrase;

/// Why an installed engine cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::provider) struct EngineFault {
    engine: Engine,
    /// The server that the user chose; None: the engine's default one.
    server: Option<ServerChoice>,
    cause: FaultCause,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum FaultCause {
    /// Its server is not running or unreachable.
    Down { message: String },
    /// Its server responds with an error.
    Failing { message: String },
    /// This user is not permitted to connect to it.
    Denied { message: String },
    /// It does not respond in time.
    TimedOut { after: Duration },
    /// It is older than kind requires.
    TooOld { version: String, minimum: String },
}

/// Parts of the messages that only a responding server causes, in lowercase: docker's client quotes its server
/// (`client/request.go` and `client/errors.go` of <https://github.com/moby/moby>); Docker Desktop responds with 500 while
/// it starts (<https://github.com/docker/for-win/issues/15049>).
const RESPONSES: [&str; 3] = ["error response from daemon", "request returned ", "server gave http response"];

impl EngineFault {
    /// Classifies the client's error message by its last line.
    pub(super) fn from_message(engine: Engine, server: Option<ServerChoice>, output: &str) -> Self {
        let output = assignment::masked(output);
        let message =
            output.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default().trim().to_owned();
        let lowercase = message.to_lowercase();
        // ssh to another computer is denied without a key; the group of this computer's socket is no remedy.
        let is_login = server.as_ref().is_some_and(ServerChoice::is_other_computer);
        let cause = if lowercase.contains("permission denied") && !is_login {
            FaultCause::Denied { message }
        } else if RESPONSES.iter().any(|text| lowercase.contains(text)) {
            FaultCause::Failing { message }
        } else {
            FaultCause::Down { message }
        };
        Self { engine, server, cause }
    }

    /// The client reports no version of its server.
    pub(super) fn without_version(engine: Engine, server: Option<ServerChoice>) -> Self {
        let message = "its info has no version".to_owned();
        Self { engine, server, cause: FaultCause::Failing { message } }
    }

    pub(super) fn timed_out(engine: Engine, server: Option<ServerChoice>, after: Duration) -> Self {
        Self { engine, server, cause: FaultCause::TimedOut { after } }
    }

    pub(super) fn too_old(engine: Engine, version: String) -> Self {
        let (major, minor) = engine.minimum_version();
        let minimum = format!("{major}.{minor}");
        Self { engine, server: None, cause: FaultCause::TooOld { version, minimum } }
    }

    /// Whether it is there and this run cannot use it: a server responds or starts, or the user chose the server.
    fn is_present(&self) -> bool {
        self.server.is_some() || !matches!(self.cause, FaultCause::Down { .. })
    }

    /// Returns the error id.
    pub(in crate::provider) fn id(&self) -> Id {
        match self.cause {
            FaultCause::Down { .. } | FaultCause::Failing { .. } | FaultCause::TimedOut { .. } => {
                Id::EngineDown
            }
            FaultCause::Denied { .. } => Id::EngineForbidden,
            FaultCause::TooOld { .. } => Id::EngineTooOld,
        }
    }

    /// `docker: Cannot connect to the Docker daemon at unix:///var/run/docker.sock.`
    pub(in crate::provider) fn summary(&self) -> String {
        let engine = self.engine;
        match &self.cause {
            FaultCause::Down { message }
            | FaultCause::Failing { message }
            | FaultCause::Denied { message } => format!("{engine}: {message}"),
            FaultCause::TimedOut { after } => {
                format!("{engine}: no response within {}", phrase::span(*after))
            }
            FaultCause::TooOld { version, minimum } => {
                format!("{engine} {version} is too old: {minimum} or newer is needed")
            }
        }
    }

    /// Returns a hint to fix it.
    pub(in crate::provider) fn hint(&self) -> String {
        match (&self.cause, &self.server, self.engine) {
            (FaultCause::TooOld { minimum, .. }, _, engine) => format!("install {engine} {minimum} or newer"),
            (FaultCause::Denied { .. }, _, Engine::Docker) => {
                "sudo usermod -aG docker $USER, then log in again (or newgrp docker)".to_owned()
            }
            (FaultCause::Denied { .. }, _, engine) => {
                format!("give this user access to {engine}, or run as root")
            }
            (FaultCause::Down { .. }, Some(server), engine) => server.hint(engine, "start"),
            (FaultCause::Failing { .. } | FaultCause::TimedOut { .. }, Some(server), engine) => {
                server.hint(engine, "restart")
            }
            (FaultCause::Down { .. }, None, engine) => start_hint(engine).to_owned(),
            (FaultCause::Failing { .. } | FaultCause::TimedOut { .. }, None, engine) => {
                restart_hint(engine).to_owned()
            }
        }
    }
}

fn start_hint(engine: Engine) -> &'static str {
    match engine {
        Engine::Docker => "start it: sudo systemctl start docker, or Docker Desktop",
        Engine::Podman => "start it: podman machine start, or systemctl --user start podman.socket",
        Engine::Nerdctl => "start it: sudo systemctl start containerd",
    }
}

fn restart_hint(engine: Engine) -> &'static str {
    match engine {
        Engine::Docker => "restart it: sudo systemctl restart docker, or Docker Desktop",
        Engine::Podman => {
            "restart it: podman machine stop and start, or systemctl --user restart podman.socket"
        }
        Engine::Nerdctl => "restart it: sudo systemctl restart containerd",
    }
}

/// No engine is usable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::provider) struct NoEngine {
    /// The only engine that was tried: `KIND_EXPERIMENTAL_PROVIDER`.
    pub(super) chosen: Option<String>,
    /// One fault for each installed engine.
    pub(in crate::provider) faults: Vec<EngineFault>,
}

impl NoEngine {
    /// Whether an engine is there that this run cannot use, or the user chose one.
    pub(in crate::provider) fn is_present(&self) -> bool {
        self.chosen.is_some() || self.faults.iter().any(EngineFault::is_present)
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

    /// Returns the hint for engines none of which is installed.
    pub(in crate::provider) fn installation_hint(&self) -> String {
        match &self.chosen {
            Some(name) if Engine::ALL.iter().any(|engine| engine.name() == name) => {
                format!("install {name}, or unset KIND_EXPERIMENTAL_PROVIDER")
            }
            Some(_) => "KIND_EXPERIMENTAL_PROVIDER can be docker, podman or nerdctl; without it the first \
                        usable one is chosen"
                .to_owned(),
            None => "install Docker (https://docs.docker.com/engine/install), Podman or nerdctl; \
                     [cluster] provider = \"kwok\" needs no engine and runs no container"
                .to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOWN: &str = "errors pretty printing info\nCannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?\n";
    const DENIED: &str = "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock";
    const SSH: &str = "error during connect: Get \"http://docker.example.com/v1.51/info\": command [ssh -l ana -- build.test docker system dial-stdio] has exited with exit status 255, make sure the URL is valid: stderr=ana@build.test: Permission denied (publickey).";

    fn none(faults: Vec<EngineFault>) -> NoEngine {
        NoEngine { chosen: None, faults }
    }

    fn docker(server: Option<ServerChoice>, message: &str) -> EngineFault {
        EngineFault::from_message(Engine::Docker, server, message)
    }

    fn variable(name: &'static str, value: &str) -> ServerChoice {
        ServerChoice::Variable { name, value: value.to_owned() }
    }

    #[test]
    fn error_message_decides_fault_and_hint() {
        let fault = docker(None, DOWN);
        assert_eq!(fault.id(), Id::EngineDown);
        assert!(fault.summary().starts_with("docker: Cannot connect"), "{fault:?}");
        assert!(fault.hint().contains("systemctl start docker"));
        let host = variable("DOCKER_HOST", "tcp://127.0.0.1:1");
        assert!(docker(Some(host), DOWN).hint().ends_with("unset DOCKER_HOST"));
        let fault = docker(Some(variable("DOCKER_HOST", "unix:///var/run/docker.sock")), DENIED);
        assert_eq!(fault.id(), Id::EngineForbidden);
        assert!(fault.hint().contains("usermod -aG docker"));
    }

    #[test]
    fn responding_server_with_an_error_is_present() {
        for message in [
            "Error response from daemon: Docker Desktop is unable to start",
            "Server:\nrequest returned 500 Internal Server Error for API route and version http://%2Fhome%2Fana%2F.docker%2Fdesktop%2Fdocker.sock/v1.51/info, check if the server supports the requested API version",
            "error during connect: Get \"http://192.0.2.1:2375/info\": http: server gave HTTP response to HTTPS client",
        ] {
            let fault = docker(None, message);
            assert!(none(vec![fault.clone()]).is_present(), "{message}");
            assert_eq!(fault.id(), Id::EngineDown);
            assert!(fault.hint().contains("systemctl restart docker"), "{}", fault.hint());
        }
        assert!(!none(vec![docker(None, DOWN)]).is_present());
    }

    #[test]
    fn unreachable_server_of_another_computer_is_present_with_its_own_hint() {
        let server = ServerChoice::of_address("ssh://ana:planted@build.test");
        let fault = docker(server, SSH);
        assert!(none(vec![fault.clone()]).is_present());
        assert_eq!(fault.id(), Id::EngineDown, "no group of this computer permits it");
        assert_eq!(
            fault.hint(),
            "docker's context leads to ssh://build.test: start the engine there, \
             or docker context use default selects the engine of this computer"
        );
        let missing =
            "Failed to initialize: unable to resolve docker endpoint: context \"x\": context not found";
        let fault = docker(Some(ServerChoice::MissingContext), missing);
        assert!(none(vec![fault.clone()]).is_present());
        assert!(fault.hint().starts_with("docker context ls"), "{}", fault.hint());
    }

    #[test]
    fn only_an_engine_that_is_down_by_default_is_absent() {
        let engine = Engine::Docker;
        let down = || EngineFault::from_message(Engine::Podman, None, "no socket");
        assert!(!none(Vec::new()).is_present() && !none(vec![down()]).is_present());
        for fault in [
            EngineFault::timed_out(engine, None, Duration::from_secs(180)),
            EngineFault::too_old(engine, "19.03".to_owned()),
            EngineFault::without_version(engine, None),
            docker(None, DENIED),
            docker(Some(variable("DOCKER_HOST", "unix:///x.sock")), DOWN),
        ] {
            assert!(none(vec![down(), fault.clone()]).is_present(), "{fault:?}");
        }
    }

    #[test]
    fn chosen_program_is_present_with_its_own_hint() {
        let chosen = |name: &str| NoEngine { chosen: Some(name.to_owned()), faults: Vec::new() };
        assert!(chosen("podman").is_present());
        assert_eq!(
            chosen("podman").installation_hint(),
            "install podman, or unset KIND_EXPERIMENTAL_PROVIDER"
        );
        assert!(chosen("lima").installation_hint().starts_with("KIND_EXPERIMENTAL_PROVIDER can be docker"));
    }
}
