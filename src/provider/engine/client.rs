//! The client of a container engine, and its server.

use std::path::PathBuf;
use std::time::Duration;

use super::fault::EngineFault;
use super::info::{self, Info};
use super::program::Engine;
use super::server_choice::{self, ServerChoice};
use crate::provider::command::{ChildCommand, ChildOutcome};
use crate::provider::environment::Environment;

/// Timeout of `context inspect` and `connection list`, which read a file and take about 50 ms.
const CONTEXT: Duration = Duration::from_secs(10);
/// Timeout of the same after `info` has timed out: the client may hang at every command.
const BRIEF_CONTEXT: Duration = Duration::from_secs(2);

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

    /// Returns the address of docker's current context, which may be `DOCKER_HOST`; None if the client has no contexts.
    async fn context_address(&self, limit: Duration) -> Option<String> {
        let inspect = ["context", "inspect", "--format", "{{.Endpoints.docker.Host}}"];
        let output = self.command(limit, inspect).run().await.ok()?;
        Some(output.stdout.trim().to_owned()).filter(|address| !address.is_empty())
    }

    /// Returns the address of podman's connection: of the one that `CONTAINER_CONNECTION` names, else of the default one.
    async fn connection_address(&self, limit: Duration, environment: &Environment) -> Option<String> {
        let list = ["system", "connection", "list", "--format", "json"];
        let output = self.command(limit, list).run().await.ok()?;
        server_choice::connection_address(&output.stdout, environment.engine_server("CONTAINER_CONNECTION"))
    }

    /// Requests the server's `info`, waits at most `limit` for it, and checks the version.
    pub(crate) async fn connect(
        self,
        environment: &Environment,
        limit: Duration,
    ) -> Result<Server, EngineFault> {
        let engine = self.engine;
        let result = self.command(limit, engine.info_arguments().iter().copied()).run().await;
        let output = match result {
            Ok(output) => output.stdout,
            // docker prints the client's part of `info` to standard output, with the server's errors in it.
            Err(failure) if matches!(failure.outcome, ChildOutcome::Exit(_)) => {
                let message =
                    info::server_errors(&failure.stdout).unwrap_or_else(|| failure.stderr.trim().to_owned());
                return Err(self.fault(environment, &message).await);
            }
            Err(failure) if matches!(failure.outcome, ChildOutcome::Deadline(_)) => {
                let server = self.server_choice(environment, "", BRIEF_CONTEXT).await;
                return Err(EngineFault::timed_out(engine, server, limit));
            }
            Err(failure) => return Err(self.fault(environment, &failure.summary()).await),
        };
        if let Some(message) = info::server_errors(&output) {
            return Err(self.fault(environment, &message).await);
        }
        let Some(info) = Info::read(engine, &output) else {
            let server = self.server_choice(environment, "", CONTEXT).await;
            return Err(EngineFault::without_version(engine, server));
        };
        if info.is_older_than(engine.minimum_version()) {
            return Err(EngineFault::too_old(engine, info.version));
        }
        Ok(Server { client: self, info })
    }

    async fn fault(&self, environment: &Environment, message: &str) -> EngineFault {
        let server = self.server_choice(environment, message, CONTEXT).await;
        EngineFault::from_message(self.engine, server, message)
    }

    /// Returns the server that the user chose; None: the client uses its default one. `message`: the error of the client.
    async fn server_choice(
        &self,
        environment: &Environment,
        message: &str,
        limit: Duration,
    ) -> Option<ServerChoice> {
        let message = message.to_lowercase();
        if self.engine == Engine::Docker && message.contains("context not found") {
            return Some(ServerChoice::MissingContext);
        }
        let variable = ServerChoice::of_variables(self.engine, &environment.engine_servers);
        if variable.is_some() {
            return variable;
        }
        let address = match self.engine {
            Engine::Docker => self.context_address(limit).await?,
            // A client that runs the containers itself ignores its connections.
            Engine::Podman if message.contains("connect to podman") => {
                self.connection_address(limit, environment).await?
            }
            Engine::Podman | Engine::Nerdctl => return None,
        };
        ServerChoice::of_address(&address)
    }
}

/// An engine whose server responds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) client: Client,
    pub(crate) info: Info,
}

impl Server {
    /// Returns the address of the server; None if it is the default.
    pub(in crate::provider) async fn address(&self, environment: &Environment) -> Option<String> {
        let client = &self.client;
        let value = |variable: &str| environment.engine_server(variable).map(str::to_owned);
        match client.engine {
            // A client without contexts has only the variable.
            Engine::Docker => client.context_address(CONTEXT).await.or_else(|| value("DOCKER_HOST")),
            Engine::Podman => match value("CONTAINER_HOST") {
                None if self.info.is_remote => client.connection_address(CONTEXT, environment).await,
                address => address,
            },
            // containerd has no network address.
            Engine::Nerdctl => None,
        }
    }

    /// `docker 28.2.2`.
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.client.engine, self.info.version)
    }
}
