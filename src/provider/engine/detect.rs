//! Finds a usable container engine.

use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::time::Instant;

use super::client::{Client, Server};
use super::fault::{EngineFault, NoEngine};
use super::program::Engine;
use crate::event::{Events, Phase, Progress};
use crate::phrase;
use crate::provider::environment::Environment;

/// How long to wait for engines that do not respond.
#[derive(Clone, Copy)]
pub(crate) enum Patience<'a> {
    /// A few seconds: the engine only adds detail to a result.
    Brief,
    /// As long as a command that only reads may take.
    Silent,
    /// As long as an engine takes to start, and reports the wait: `docker info` in WSL2 responds when Docker Desktop
    /// has started.
    Told(&'a Events),
}

/// The time limits of a search.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// After this time the first engine that responds is used, also if one that is preferred has not responded yet.
    preference: Duration,
    /// When the wait is reported for the first time.
    report: Duration,
    /// How often the wait is reported then.
    interval: Duration,
    brief: Duration,
    silent: Duration,
    told: Duration,
}

const LIMITS: Limits = Limits {
    preference: Duration::from_secs(5),
    report: Duration::from_secs(2),
    interval: Duration::from_secs(10),
    brief: Duration::from_secs(5),
    silent: Duration::from_secs(20),
    told: Duration::from_secs(180),
};

/// Name of the step that reports the wait.
const STEP: &str = "engine";

/// Connects to all engines at once and returns the first usable one in the order of [`Engine::ALL`]. If
/// `KIND_EXPERIMENTAL_PROVIDER`, kind's own setting, is set, only that engine is tried.
pub(crate) async fn find(environment: &Environment, patience: Patience<'_>) -> Result<Server, NoEngine> {
    find_within(environment, patience, LIMITS).await
}

async fn find_within(
    environment: &Environment,
    patience: Patience<'_>,
    limits: Limits,
) -> Result<Server, NoEngine> {
    let chosen = environment.engine.as_deref();
    let engines = Engine::ALL.into_iter().filter(|engine| chosen.is_none_or(|name| name == engine.name()));
    let clients: Vec<Client> = engines.filter_map(|engine| Client::on_path(environment, engine)).collect();
    match connect(environment, clients, patience, limits).await {
        Ok(server) => Ok(server),
        Err(faults) => Err(NoEngine { chosen: chosen.map(str::to_owned), faults }),
    }
}

/// Connects to the first usable one of these engines, else returns the fault of each.
async fn connect(
    environment: &Environment,
    clients: Vec<Client>,
    patience: Patience<'_>,
    limits: Limits,
) -> Result<Server, Vec<EngineFault>> {
    let (limit, events) = match patience {
        Patience::Brief => (limits.brief, None),
        Patience::Silent => (limits.silent, None),
        Patience::Told(events) => (limits.told, Some(events)),
    };
    let engines: Vec<Engine> = clients.iter().map(|client| client.engine).collect();
    let mut results: Vec<Option<Result<Server, EngineFault>>> = engines.iter().map(|_| None).collect();
    let connections = clients.into_iter().enumerate();
    let mut pending: FuturesUnordered<_> =
        connections.map(async |(index, client)| (index, client.connect(environment, limit).await)).collect();
    let began = Instant::now();
    let mut wait = EngineWait { events, began, next: began + limits.report, is_told: false };
    let outcome = loop {
        let skips_pending = began.elapsed() >= limits.preference;
        if let Some(server) = first_usable(&results, skips_pending) {
            break Ok(server.clone());
        }
        let preference = (!skips_pending).then(|| began + limits.preference);
        tokio::select! {
            response = pending.next() => match response {
                Some((index, result)) => results[index] = Some(result),
                None => break Err(results.into_iter().flatten().filter_map(Result::err).collect()),
            },
            () = tokio::time::sleep_until(preference.unwrap_or(wait.next).min(wait.next)) => {
                let unanswered = engines.iter().zip(&results).find(|(_, result)| result.is_none());
                if let Some((engine, _)) = unanswered && Instant::now() >= wait.next {
                    wait.report(*engine).await;
                    wait.next = Instant::now() + limits.interval;
                }
            }
        }
    };
    wait.end(&outcome).await;
    outcome
}

/// Returns the first usable engine in the order of preference; None while a preferred one has not responded.
fn first_usable(results: &[Option<Result<Server, EngineFault>>], skips_pending: bool) -> Option<&Server> {
    for result in results {
        match result {
            Some(Ok(server)) => return Some(server),
            Some(Err(_)) => {}
            None if skips_pending => {}
            None => return None,
        }
    }
    None
}

/// The wait for engines, as the user is told about it.
struct EngineWait<'a> {
    events: Option<&'a Events>,
    began: Instant,
    /// When it is reported next.
    next: Instant,
    is_told: bool,
}

impl EngineWait<'_> {
    async fn report(&mut self, engine: Engine) {
        let Some(events) = self.events else { return };
        self.is_told = true;
        let waited = phrase::span(self.began.elapsed());
        let message = format!("{engine} has not responded for {waited}; it may still start");
        events.begin(Phase::Cluster, STEP, message).await;
    }

    async fn end(&self, outcome: &Result<Server, Vec<EngineFault>>) {
        let Some(events) = self.events.filter(|_| self.is_told) else { return };
        match outcome {
            Ok(server) => {
                let waited = phrase::span(self.began.elapsed());
                events
                    .done(Phase::Cluster, STEP, format!("{} responded after {waited}", server.name()))
                    .await;
            }
            Err(_) => events.step(Phase::Cluster, STEP, Progress::Failed, "").await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use super::*;
    use crate::event::Event;

    const DOCKER: &str = "echo '{\"ServerVersion\":\"28.2.2\",\"NCPU\":2,\"MemTotal\":3}'";
    const PODMAN: &str = "echo '{\"version\":{\"Version\":\"5.4.1\"}}'";

    fn install(folder: &Path, engine: &str, script: &str) -> Environment {
        let program = folder.join(engine);
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        Environment::for_tests(folder)
    }

    /// Limits for engines that take a second to respond, or do not respond.
    fn limits() -> Limits {
        Limits {
            preference: Duration::from_millis(300),
            report: Duration::from_millis(100),
            interval: Duration::from_millis(200),
            brief: Duration::from_millis(300),
            silent: Duration::from_secs(30),
            told: Duration::from_secs(30),
        }
    }

    fn summary(result: Result<Server, NoEngine>) -> String {
        result.map_or_else(|none| none.summary(), |server| server.name())
    }

    #[tokio::test]
    async fn usable_engine_or_reason_is_found() {
        let docker = |version: &str| DOCKER.replace("28.2.2", version);
        let errors = "echo '{\"ServerErrors\":[\"Cannot connect to the Docker daemon at unix:///x.\"]}'";
        for (engine, script, expected) in [
            ("nothing", String::new(), "no docker, podman or nerdctl on PATH"),
            ("docker", "echo no daemon >&2; exit 1".into(), "docker: no daemon"),
            (
                "docker",
                format!("{errors}; exit 1"),
                "docker: Cannot connect to the Docker daemon at unix:///x.",
            ),
            ("docker", docker("19.03.1"), "docker 19.03.1 is too old: 20.10 or newer is needed"),
            ("docker", docker("28.2.2"), "docker 28.2.2"),
            ("podman", PODMAN.into(), "podman 5.4.1"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let result = find(&install(folder.path(), engine, &script), Patience::Silent).await;
            assert_eq!(summary(result), expected, "{engine}: {script}");
        }
    }

    #[tokio::test]
    async fn slow_docker_info_is_waited_for_and_told() {
        let folder = tempfile::tempdir().unwrap();
        let environment = install(folder.path(), "docker", &format!("/bin/sleep 1; {DOCKER}"));
        let brief = find_within(&environment, Patience::Brief, limits()).await;
        assert!(brief.unwrap_err().summary().starts_with("docker: no response within "));
        let (events, mut receiver) = Events::channel();
        let result = find_within(&environment, Patience::Told(&events), limits()).await;
        assert_eq!(summary(result), "docker 28.2.2");
        let mut steps = Vec::new();
        while let Some(event) = receiver.try_recv() {
            if let Event::Step { name, progress, message, .. } = event {
                assert_eq!(name, STEP);
                steps.push((progress, message));
            }
        }
        let (last, waits) = steps.split_last().unwrap();
        assert!(waits.len() >= 2 && waits[0].1.starts_with("docker has not responded for "), "{steps:?}");
        assert!(last.0 == Progress::Done && last.1.starts_with("docker 28.2.2 responded after "), "{last:?}");
    }

    #[tokio::test]
    async fn hanging_docker_info_ends_at_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        let environment = install(folder.path(), "docker", "exec /bin/sleep 60");
        let (events, _receiver) = Events::channel();
        let short = Limits { told: Duration::from_secs(1), ..limits() };
        let none = find_within(&environment, Patience::Told(&events), short).await.unwrap_err();
        assert_eq!(none.summary(), "docker: no response within 1 s");
        assert!(none.is_present());
        assert_eq!(events.unfinished_step().as_deref(), Some(STEP));
    }

    #[tokio::test]
    async fn hanging_docker_does_not_delay_usable_podman() {
        let folder = tempfile::tempdir().unwrap();
        install(folder.path(), "docker", "exec /bin/sleep 60");
        let environment = install(folder.path(), "podman", PODMAN);
        let result = find_within(&environment, Patience::Silent, limits()).await;
        assert_eq!(summary(result), "podman 5.4.1");
    }

    #[tokio::test]
    async fn slower_docker_is_preferred_to_podman() {
        let folder = tempfile::tempdir().unwrap();
        install(folder.path(), "docker", &format!("/bin/sleep 1; {DOCKER}"));
        let environment = install(folder.path(), "podman", PODMAN);
        let patient = Limits { preference: Duration::from_secs(30), ..limits() };
        assert_eq!(summary(find_within(&environment, Patience::Silent, patient).await), "docker 28.2.2");
    }

    #[tokio::test]
    async fn kind_experimental_provider_excludes_other_engines() {
        let folder = tempfile::tempdir().unwrap();
        let environment =
            Environment { engine: Some("podman".into()), ..install(folder.path(), "docker", DOCKER) };
        let none = find(&environment, Patience::Silent).await.unwrap_err();
        assert_eq!(none.summary(), "KIND_EXPERIMENTAL_PROVIDER is podman, which is not on PATH");
    }
}
