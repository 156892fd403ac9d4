//! Runs kwokctl for one cluster, watching what it starts: a component that dies ends the wait at once, instead of
//! after kwokctl's own two minutes.

use std::env;
use std::ffi::OsString;
use std::time::Duration;

use super::folder::KwokFolder;
use super::{evidence, processes};
use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};
use crate::provider::assets::Programs;
use crate::provider::assets::component::Component;
use crate::provider::command::ChildCommand;
use crate::provider::environment::Environment;
use crate::provider::readyz;

/// How long kwokctl may take: on two busy cores it needs 6 s.
const KWOKCTL: Duration = Duration::from_secs(150);
/// How often the processes are looked at.
const LOOK: Duration = Duration::from_millis(250);
/// Lines of a dead component's log in the error.
const TAIL: usize = 10;

/// What kwokctl is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    /// Make the cluster and start it.
    Create,
    /// Start what is not running.
    Start,
}

/// Runs kwokctl, then waits until every component runs and the API server is ready.
pub(super) async fn run(
    environment: &Environment,
    folder: &KwokFolder,
    programs: &Programs,
    verb: Verb,
) -> Result<()> {
    let invocation = invocation(environment, folder, programs, verb);
    let message = format!("the local cluster {} could not be started", folder.name);
    tokio::select! {
        ended = invocation.run() => {
            ended.map_err(|failure| failure.into_error(Id::ClusterCreateFailed, Kind::Prerequisite, message))?;
        }
        died = death(folder) => return Err(died_error(folder, died?)),
    }
    tokio::select! {
        ready = wait_until_ready(folder) => ready,
        died = death(folder) => Err(died_error(folder, died?)),
    }
}

fn invocation(
    environment: &Environment,
    folder: &KwokFolder,
    programs: &Programs,
    verb: Verb,
) -> ChildCommand {
    let arguments: &[&str] = match verb {
        // Without a kubeconfig the user's own file is left alone; merging is ours.
        Verb::Create => &["create", "cluster", "--kubeconfig="],
        Verb::Start => &["start", "cluster"],
    };
    // kwokctl takes options from KWOK_ variables, and kubectl a proxy even to loopback.
    let foreign = env::vars_os().filter_map(|(name, _)| name.into_string().ok()).filter(|name| {
        name.starts_with("KWOK_")
            || ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"].contains(&name.to_uppercase().as_str())
    });
    ChildCommand::new(&programs.kwokctl, KWOKCTL)
        .without(foreign)
        .variable("KWOK_WORKDIR", folder.workdir.as_os_str())
        .variable("KUBECONFIG", folder.kubeconfig())
        .variable("PATH", search_path(environment, programs))
        .arguments([
            format!("--name={}", folder.name),
            format!("--config={}", folder.configuration().display()),
        ])
        .arguments(arguments.iter().copied())
}

/// kwokctl runs the kubectl that it finds first.
fn search_path(environment: &Environment, programs: &Programs) -> OsString {
    let mut path = programs.kubectl.parent().map(|folder| folder.as_os_str().to_owned()).unwrap_or_default();
    if !environment.path.is_empty() {
        path.push(":");
        path.push(&environment.path);
    }
    path
}

/// Returns when a component that was started is gone.
async fn death(folder: &KwokFolder) -> Result<Component> {
    loop {
        tokio::time::sleep(LOOK).await;
        if let Some(component) = processes::ended(folder)? {
            return Ok(component);
        }
    }
}

fn died_error(folder: &KwokFolder, component: Component) -> Error {
    let message = format!("{} of the local cluster {} ended at once", component.name(), folder.name);
    let error = Error::new(Id::ClusterCreateFailed, Kind::Prerequisite, message);
    match evidence::tail(folder, component, TAIL) {
        Some(log) => error.fact("log", log),
        None => error,
    }
}

/// Waits for `/readyz`.
pub(super) async fn wait_until_ready(folder: &KwokFolder) -> Result<()> {
    let ready = readyz::wait_until_ready(&folder.kubeconfig(), &folder.name).await;
    ready.map_err(|error| error.fact("logs", folder.logs().display().to_string()))
}
