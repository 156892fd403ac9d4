//! The client of a container engine, and its server.

use std::path::PathBuf;
use std::time::Duration;

use super::fault::EngineFault;
use super::info::{self, Info};
use super::program::Engine;
use crate::provider::command::{ChildCommand, ChildOutcome};
use crate::provider::environment::Environment;

/// Timeout of `context inspect`, which reads a file and takes about 50 ms.
const CONTEXT: Duration = Duration::from_secs(10);

/// The client program of an engine. Its server may be unreachable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Client {
    pub(crate) engine: Engine,
    program: PathBuf,
}

impl Client {
    /// Returns the client of an engine, if it is on PATH.
    pub(crate) fn on_path(environment: &Environment, engine: Engine) -> Option<Self> {
        Some(Self { engine, program: environment.program(engine.name())? })
    }

    /// Returns a command of the client.
    pub(crate) fn command<'a>(
        &self,
        deadline: Duration,
        arguments: impl IntoIterator<Item = &'a str>,
    ) -> ChildCommand {
        ChildCommand::new(&self.program, deadline).arguments(arguments)
    }

    /// Returns the address of the server: that of docker's current context, which may be `DOCKER_HOST`, or else the
    /// variable's value. None if it is the default.
    pub(in crate::provider) async fn address(&self, environment: &Environment) -> Option<String> {
        let variable = match self.engine {
            Engine::Docker => "DOCKER_HOST",
            Engine::Podman => "CONTAINER_HOST",
            // containerd has no network address.
            Engine::Nerdctl => return None,
        };
        if self.engine == Engine::Docker {
            let inspect = ["context", "inspect", "--format", "{{.Endpoints.docker.Host}}"];
            // A client without contexts has only the variable.
            if let Ok(output) = self.command(CONTEXT, inspect).run().await
                && let Some(address) = Some(output.stdout.trim()).filter(|address| !address.is_empty())
            {
                return Some(address.to_owned());
            }
        }
        environment.engine_host.as_ref().filter(|(name, _)| name == variable).map(|(_, value)| value.clone())
    }

    /// Requests the server's `info`, waits at most `limit` for it, and checks the version.
    pub(crate) async fn connect(self, limit: Duration) -> Result<Server, EngineFault> {
        let engine = self.engine;
        let result = self.command(limit, engine.info_arguments().iter().copied()).run().await;
        let output = match result {
            Ok(output) => output.stdout,
            // docker prints the client's part of `info` to standard output, with the server's errors in it.
            Err(failure) if matches!(failure.outcome, ChildOutcome::Exit(_)) => {
                let message =
                    info::server_errors(&failure.stdout).unwrap_or_else(|| failure.stderr.trim().to_owned());
                return Err(EngineFault::from_message(engine, &message));
            }
            Err(failure) if matches!(failure.outcome, ChildOutcome::Deadline(_)) => {
                return Err(EngineFault::TimedOut { engine, after: limit });
            }
            Err(failure) => return Err(EngineFault::from_message(engine, &failure.summary())),
        };
        if let Some(message) = info::server_errors(&output) {
            return Err(EngineFault::from_message(engine, &message));
        }
        let info = Info::read(engine, &output)
            .ok_or_else(|| EngineFault::from_message(engine, "its info has no version"))?;
        if info.is_older_than(engine.minimum_version()) {
            let (major, minor) = engine.minimum_version();
            return Err(EngineFault::TooOld {
                engine,
                version: info.version,
                minimum: format!("{major}.{minor}"),
            });
        }
        Ok(Server { client: self, info })
    }
}

/// An engine whose server responds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) client: Client,
    pub(crate) info: Info,
}

impl Server {
    /// `docker 28.2.2`.
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.client.engine, self.info.version)
    }
}
