//! The container engines that kind can use, asked through their own clients.

mod container;
mod fault;
mod image;
mod info;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use futures::future::join_all;
use serde::{Deserialize, Serialize};

use super::environment::Environment;
use super::process::{Invocation, Outcome};

pub(super) use container::Container;
pub(super) use fault::{Fault, NoEngine};
pub(super) use image::Image;
pub(super) use info::Info;

/// An engine that does not answer within this time is none.
const ANSWER: Duration = Duration::from_secs(2);

/// A container engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Engine {
    Docker,
    Podman,
    Nerdctl,
}

impl Engine {
    /// In the order in which they are preferred.
    pub(super) const ALL: [Self; 3] = [Self::Docker, Self::Podman, Self::Nerdctl];

    /// Name of its client, and kind's name of it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
            Self::Nerdctl => "nerdctl",
        }
    }

    /// The oldest version whose nodes run what kind makes today
    /// (<https://kind.sigs.k8s.io/docs/user/known-issues/>, <https://kind.sigs.k8s.io/docs/user/rootless/>).
    const fn least(self) -> (u32, u32) {
        match self {
            Self::Docker => (20, 10),
            Self::Podman => (4, 0),
            Self::Nerdctl => (1, 7),
        }
    }

    /// What makes its client tell everything about its server.
    const fn question(self) -> &'static [&'static str] {
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

/// An engine's client, which may or may not reach its server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Client {
    pub(super) engine: Engine,
    program: PathBuf,
}

/// An engine that answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) client: Client,
    pub(super) info: Info,
}

impl Client {
    /// The client of an engine, where it is on PATH.
    pub(super) fn on_path(environment: &Environment, engine: Engine) -> Option<Self> {
        Some(Self { engine, program: environment.program(engine.name())? })
    }

    /// A command of the client.
    pub(super) fn command<'a>(
        &self,
        deadline: Duration,
        arguments: impl IntoIterator<Item = &'a str>,
    ) -> Invocation {
        Invocation::new(&self.program, deadline).arguments(arguments)
    }

    /// Asks its server how it is.
    pub(super) async fn ask(self) -> Result<Server, Fault> {
        let engine = self.engine;
        let answer = self.command(ANSWER, engine.question().iter().copied()).run().await;
        let text = match answer {
            Ok(output) => output.stdout,
            // docker tells what it knows of itself, and in it why its server does not answer.
            Err(failure) if matches!(failure.outcome, Outcome::Exit(_)) => {
                let said =
                    info::server_errors(&failure.stdout).unwrap_or_else(|| failure.stderr.trim().to_owned());
                return Err(Fault::of(engine, &said));
            }
            Err(failure) if matches!(failure.outcome, Outcome::Deadline(_)) => {
                return Err(Fault::Silent { engine, after: ANSWER });
            }
            Err(failure) => return Err(Fault::of(engine, &failure.summary())),
        };
        if let Some(said) = info::server_errors(&text) {
            return Err(Fault::of(engine, &said));
        }
        let info =
            Info::read(engine, &text).ok_or_else(|| Fault::of(engine, "its answer has no version in it"))?;
        if info.is_older_than(engine.least()) {
            let (major, minor) = engine.least();
            return Err(Fault::TooOld { engine, version: info.version, least: format!("{major}.{minor}") });
        }
        Ok(Server { client: self, info })
    }
}

impl Server {
    /// `docker 28.2.2`.
    pub(super) fn name(&self) -> String {
        format!("{} {}", self.client.engine, self.info.version)
    }
}

/// Asks all engines at once; the first that answers. `KIND_EXPERIMENTAL_PROVIDER`, kind's own choice, is the only one
/// that is asked where it is set.
pub(super) async fn find(environment: &Environment) -> Result<Server, NoEngine> {
    let chosen = environment.engine.as_deref();
    let engines = Engine::ALL.into_iter().filter(|engine| chosen.is_none_or(|name| name == engine.name()));
    let clients: Vec<Client> = engines.filter_map(|engine| Client::on_path(environment, engine)).collect();
    let mut faults = Vec::new();
    for answer in join_all(clients.into_iter().map(Client::ask)).await {
        match answer {
            Ok(server) => return Ok(server),
            Err(fault) => faults.push(fault),
        }
    }
    Err(NoEngine { chosen: chosen.map(str::to_owned), host: environment.engine_host.clone(), faults })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use super::*;

    fn environment(folder: &Path, engine: &str, script: &str) -> Environment {
        let program = folder.join(engine);
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        Environment::for_tests(folder)
    }

    #[tokio::test]
    async fn an_engine_answers_refuses_hangs_is_too_old_or_is_not_there() {
        let docker =
            |version: &str| format!("echo '{{\"ServerVersion\":\"{version}\",\"NCPU\":2,\"MemTotal\":3}}'");
        let errors = "echo '{\"ServerErrors\":[\"Cannot connect to the Docker daemon at unix:///x.\"]}'";
        for (engine, script, answer) in [
            ("nothing", String::new(), "no docker, podman or nerdctl on PATH"),
            ("docker", "echo no daemon >&2; exit 1".into(), "docker: no daemon"),
            (
                "docker",
                format!("{errors}; exit 1"),
                "docker: Cannot connect to the Docker daemon at unix:///x.",
            ),
            ("docker", "exec /bin/sleep 30".into(), "docker: no answer within 2 s"),
            ("docker", docker("19.03.1"), "docker 19.03.1 is too old: 20.10 or newer is needed"),
            ("docker", docker("28.2.2"), "docker 28.2.2"),
            ("podman", "echo '{\"version\":{\"Version\":\"5.4.1\"}}'".into(), "podman 5.4.1"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let found = find(&environment(folder.path(), engine, &script)).await;
            let said = found.map_or_else(|none| none.summary(), |server| server.name());
            assert_eq!(said, answer, "{engine}: {script}");
        }
    }

    #[tokio::test]
    async fn kinds_own_choice_is_the_only_one_that_is_asked() {
        let folder = tempfile::tempdir().unwrap();
        let script = "echo '{\"ServerVersion\":\"28.2.2\"}'";
        let environment =
            Environment { engine: Some("podman".into()), ..environment(folder.path(), "docker", script) };
        let none = find(&environment).await.unwrap_err();
        assert_eq!(none.summary(), "KIND_EXPERIMENTAL_PROVIDER is podman, which is not on PATH");
    }
}
