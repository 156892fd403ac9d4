//! Runs kwokctl for one cluster and watches the components: if one exits, the run fails at once instead of after
//! kwokctl's own timeout of two minutes.

use std::ffi::OsString;
use std::time::Duration;

use super::folder::KwokFolder;
use super::{evidence, processes};
use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};
use crate::provider::assets::Programs;
use crate::provider::assets::component::ControlPlaneComponent;
use crate::provider::command::ChildCommand;
use crate::provider::environment::{self, Environment};
use crate::provider::readyz;

/// Timeout of kwokctl, which takes 6 s on two busy cores.
const KWOKCTL: Duration = Duration::from_secs(150);
/// Interval between two checks of the processes.
const POLL: Duration = Duration::from_millis(250);
/// How many lines of an exited component's log an error carries.
const TAIL: usize = 10;

/// The operation of kwokctl.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    /// Create the cluster and start it.
    Create,
    /// Start the stopped components.
    Start,
}

/// Runs kwokctl, then waits until every component runs and the API server is ready.
pub(super) async fn run(
    environment: &Environment,
    folder: &KwokFolder,
    programs: &Programs,
    verb: Verb,
) -> Result<()> {
    let command = command(environment, folder, programs, verb);
    let message = format!("cannot start the local cluster {}", folder.name);
    tokio::select! {
        result = command.run() => {
            result.map_err(|failure| failure.into_error(Id::ClusterCreateFailed, Kind::Prerequisite, message))?;
        }
        exited = wait_for_exit(folder) => return Err(exited_error(folder, exited?)),
    }
    tokio::select! {
        ready = wait_until_ready(folder) => ready,
        exited = wait_for_exit(folder) => Err(exited_error(folder, exited?)),
    }
}

fn command(environment: &Environment, folder: &KwokFolder, programs: &Programs, verb: Verb) -> ChildCommand {
    let arguments: &[&str] = match verb {
        // The empty value keeps kwokctl from editing the user's kubeconfig; handsctl merges the context itself.
        Verb::Create => &["create", "cluster", "--kubeconfig="],
        Verb::Start => &["start", "cluster"],
    };
    // The components inherit kwokctl's environment and run for days: they must not carry the user's secrets. kwokctl
    // also reads options from KWOK_ variables, and kubectl would use a proxy even for loopback.
    ChildCommand::new(&programs.kwokctl, KWOKCTL)
        .without_environment()
        .variables(environment::variables(&["HOME", "USER", "TMPDIR", "LANG"]))
        .variable("KWOK_WORKDIR", folder.workdir.as_os_str())
        .variable("KUBECONFIG", folder.kubeconfig())
        .variable("PATH", search_path(environment, programs))
        .arguments([
            format!("--name={}", folder.name),
            format!("--config={}", folder.configuration().display()),
        ])
        .arguments(arguments.iter().copied())
}

/// Returns a PATH with our kubectl's folder first, because kwokctl runs the first kubectl on PATH.
fn search_path(environment: &Environment, programs: &Programs) -> OsString {
    let mut path = programs.kubectl.parent().map(|folder| folder.as_os_str().to_owned()).unwrap_or_default();
    if !environment.path.is_empty() {
        path.push(":");
        path.push(&environment.path);
    }
    path
}

/// Waits until a started component exits, and returns it.
async fn wait_for_exit(folder: &KwokFolder) -> Result<ControlPlaneComponent> {
    loop {
        tokio::time::sleep(POLL).await;
        if let Some(component) = processes::find_exited(folder)? {
            return Ok(component);
        }
    }
}

fn exited_error(folder: &KwokFolder, component: ControlPlaneComponent) -> Error {
    let message =
        format!("{} of the local cluster {} exited during the start", component.name(), folder.name);
    let error = Error::new(Id::ClusterCreateFailed, Kind::Prerequisite, message);
    match evidence::tail(folder, component, TAIL) {
        Some(log) => error.fact("log", log),
        None => error,
    }
}

/// Waits until the API server is ready.
async fn wait_until_ready(folder: &KwokFolder) -> Result<()> {
    let ready = readyz::wait_until_ready(&folder.kubeconfig(), &folder.name).await;
    ready.map_err(|error| error.fact("logs", folder.logs().display().to_string()))
}
