//! mirrord: a program of this computer that runs as if it were in a pod (<https://metalbear.com/mirrord/docs>).

use std::ffi::OsString;
use std::path::PathBuf;

use super::environment::Environment;
use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};

/// Where it runs.
#[derive(Debug, Clone)]
pub struct MirrordTarget {
    /// `deployment/ubuntu-dev`.
    pub target: String,
    /// Namespace of the target.
    pub namespace: String,
    /// Context of the kubeconfig.
    pub context: String,
    /// The kubeconfig, where it is not the usual one.
    pub kubeconfig: Option<PathBuf>,
}

/// Runs a command in a target, with this terminal, and gives its exit code.
///
/// # Errors
/// Exit 14 where mirrord is not there, or cannot be run.
pub async fn exec(environment: &Environment, target: &MirrordTarget, command: &[OsString]) -> Result<u8> {
    let Some(mirrord) = environment.program("mirrord") else {
        return Err(Error::new(Id::MirrordMissing, Kind::Prerequisite, "mirrord is not on PATH")
            .hint("https://metalbear.com/mirrord/docs/overview/quick-start says how it is installed"));
    };
    let mut call = tokio::process::Command::new(&mirrord);
    call.args(["exec", "--target", &target.target, "--target-namespace", &target.namespace, "--"])
        .args(command)
        .env("MIRRORD_KUBE_CONTEXT", &target.context)
        .kill_on_drop(true);
    if let Some(kubeconfig) = &target.kubeconfig {
        call.env("KUBECONFIG", kubeconfig);
    }
    let status =
        call.status().await.map_err(|error| Error::io(format!("cannot run {}", mirrord.display()), error))?;
    Ok(code(status))
}

/// As a shell has it: a signal is 128 and its number.
fn code(status: std::process::ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt as _;
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}
