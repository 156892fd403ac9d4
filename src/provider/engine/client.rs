//! A container engine's client and its server.

use std::path::PathBuf;
use std::time::Duration;

use super::fault::EngineFault;
use super::info::{self, Info};
use super::program::Engine;
use crate::provider::command::{ChildCommand, ChildOutcome};
use crate::provider::environment::Environment;

/// An engine that does not answer within this time is none.
const ANSWER: Duration = Duration::from_secs(2);

/// An engine's client, which may or may not reach its server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Client {
    pub(crate) engine: Engine,
    program: PathBuf,
}

impl Client {
    /// The client of an engine, where it is on PATH.
    pub(crate) fn on_path(environment: &Environment, engine: Engine) -> Option<Self> {
        Some(Self { engine, program: environment.program(engine.name())? })
    }

    /// A command of the client.
    pub(crate) fn command<'a>(
        &self,
        deadline: Duration,
        arguments: impl IntoIterator<Item = &'a str>,
    ) -> ChildCommand {
        ChildCommand::new(&self.program, deadline).arguments(arguments)
    }

    /// Asks its server how it is.
    pub(crate) async fn ask(self) -> Result<Server, EngineFault> {
        let engine = self.engine;
        let answer = self.command(ANSWER, engine.question().iter().copied()).run().await;
        let text = match answer {
            Ok(output) => output.stdout,
            // docker tells what it knows of itself, and in it why its server does not answer.
            Err(failure) if matches!(failure.outcome, ChildOutcome::Exit(_)) => {
                let said =
                    info::server_errors(&failure.stdout).unwrap_or_else(|| failure.stderr.trim().to_owned());
                return Err(EngineFault::of(engine, &said));
            }
            Err(failure) if matches!(failure.outcome, ChildOutcome::Deadline(_)) => {
                return Err(EngineFault::Silent { engine, after: ANSWER });
            }
            Err(failure) => return Err(EngineFault::of(engine, &failure.summary())),
        };
        if let Some(said) = info::server_errors(&text) {
            return Err(EngineFault::of(engine, &said));
        }
        let info = Info::read(engine, &text)
            .ok_or_else(|| EngineFault::of(engine, "its answer has no version in it"))?;
        if info.is_older_than(engine.least()) {
            let (major, minor) = engine.least();
            return Err(EngineFault::TooOld {
                engine,
                version: info.version,
                least: format!("{major}.{minor}"),
            });
        }
        Ok(Server { client: self, info })
    }
}

/// An engine that answers.
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
