//! Finds a usable container engine.

use futures::future::join_all;

use super::client::{Client, Server};
use super::fault::NoEngine;
use super::program::Engine;
use crate::provider::environment::Environment;

/// Connects to all engines at once and returns the first usable one in the order of [`Engine::ALL`]. If
/// `KIND_EXPERIMENTAL_PROVIDER`, kind's own setting, is set, only that engine is tried.
pub(crate) async fn find(environment: &Environment) -> Result<Server, NoEngine> {
    let chosen = environment.engine.as_deref();
    let engines = Engine::ALL.into_iter().filter(|engine| chosen.is_none_or(|name| name == engine.name()));
    let clients: Vec<Client> = engines.filter_map(|engine| Client::on_path(environment, engine)).collect();
    let mut faults = Vec::new();
    for result in join_all(clients.into_iter().map(Client::connect)).await {
        match result {
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
    async fn usable_engine_or_reason_is_found() {
        let docker =
            |version: &str| format!("echo '{{\"ServerVersion\":\"{version}\",\"NCPU\":2,\"MemTotal\":3}}'");
        let errors = "echo '{\"ServerErrors\":[\"Cannot connect to the Docker daemon at unix:///x.\"]}'";
        for (engine, script, expected) in [
            ("nothing", String::new(), "no docker, podman or nerdctl on PATH"),
            ("docker", "echo no daemon >&2; exit 1".into(), "docker: no daemon"),
            (
                "docker",
                format!("{errors}; exit 1"),
                "docker: Cannot connect to the Docker daemon at unix:///x.",
            ),
            ("docker", "exec /bin/sleep 30".into(), "docker: no response within 2 s"),
            ("docker", docker("19.03.1"), "docker 19.03.1 is too old: 20.10 or newer is needed"),
            ("docker", docker("28.2.2"), "docker 28.2.2"),
            ("podman", "echo '{\"version\":{\"Version\":\"5.4.1\"}}'".into(), "podman 5.4.1"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let result = find(&environment(folder.path(), engine, &script)).await;
            let summary = result.map_or_else(|none| none.summary(), |server| server.name());
            assert_eq!(summary, expected, "{engine}: {script}");
        }
    }

    #[tokio::test]
    async fn kind_experimental_provider_excludes_other_engines() {
        let folder = tempfile::tempdir().unwrap();
        let script = "echo '{\"ServerVersion\":\"28.2.2\"}'";
        let environment =
            Environment { engine: Some("podman".into()), ..environment(folder.path(), "docker", script) };
        let none = find(&environment).await.unwrap_err();
        assert_eq!(none.summary(), "KIND_EXPERIMENTAL_PROVIDER is podman, which is not on PATH");
    }
}
