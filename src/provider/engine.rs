//! Whether a container engine answers on this computer.

use std::time::Duration;

use futures::future::join_all;

use super::environment::Environment;
use super::process::{Invocation, Outcome};

/// An engine that does not answer within this time is none.
const ANSWER: Duration = Duration::from_secs(2);

/// What makes each engine's client ask its server.
const QUESTIONS: [(&str, &[&str]); 3] = [
    ("docker", &["version", "--format", "{{.Server.Version}}"]),
    ("podman", &["info", "--format", "{{.Version.Version}}"]),
    ("nerdctl", &["info", "--format", "{{.ServerVersion}}"]),
];

/// Asks all at once: `docker 28.2.2`, or why none answers.
pub(super) async fn ask(environment: &Environment) -> Result<String, String> {
    let answers =
        join_all(QUESTIONS.map(|(engine, arguments)| ask_one(environment, engine, arguments))).await;
    if let Some(answer) = answers.iter().flatten().find_map(|answer| answer.as_ref().ok()) {
        return Ok(answer.clone());
    }
    let reasons: Vec<&str> =
        answers.iter().flatten().filter_map(|answer| answer.as_ref().err()).map(String::as_str).collect();
    Err(if reasons.is_empty() {
        "no docker, podman or nerdctl on PATH".to_owned()
    } else {
        reasons.join("; ")
    })
}

/// None: it is not installed.
async fn ask_one(
    environment: &Environment,
    engine: &str,
    arguments: &[&str],
) -> Option<Result<String, String>> {
    let program =
        std::env::split_paths(&environment.path).map(|folder| folder.join(engine)).find(|it| it.is_file())?;
    let answer = Invocation::new(program, ANSWER).arguments(arguments.iter().copied()).run().await;
    Some(match answer {
        Ok(output) => Ok(format!("{engine} {}", output.stdout.trim())),
        Err(failure) if matches!(failure.outcome, Outcome::Deadline(_)) => {
            Err(format!("{engine}: no answer within {} s", ANSWER.as_secs()))
        }
        Err(failure) => Err(format!("{engine}: {}", failure.summary())),
    })
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
        Environment {
            state: folder.to_owned(),
            cache: folder.to_owned(),
            assets: Vec::new(),
            path: folder.as_os_str().to_owned(),
            kubeconfigs: vec![folder.join("config")],
            releases: None,
        }
    }

    #[tokio::test]
    async fn an_engine_answers_refuses_hangs_or_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        for (engine, script, answer) in [
            ("nothing", "", Err("no docker, podman or nerdctl on PATH".to_owned())),
            ("docker", "echo no daemon >&2; exit 1", Err("docker: exit status: 1: no daemon".to_owned())),
            ("docker", "exec /bin/sleep 30", Err("docker: no answer within 2 s".to_owned())),
            ("podman", "echo 5.4.1", Ok("podman 5.4.1".to_owned())),
        ] {
            assert_eq!(ask(&environment(folder.path(), engine, script)).await, answer, "{engine}: {script}");
        }
    }
}
