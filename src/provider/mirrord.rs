//! mirrord runs a program of this computer as if it ran in a pod (<https://metalbear.com/mirrord/docs>).

use std::ffi::OsString;
use std::path::PathBuf;

use super::environment::Environment;
use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};

/// The workload that mirrord attaches to.
#[derive(Debug, Clone)]
pub struct MirrordTarget {
    /// `deployment/ubuntu-dev`.
    pub workload: String,
    /// Namespace of the target.
    pub namespace: String,
    /// Context of the kubeconfig.
    pub context: String,
    /// The kubeconfig; None: the default one.
    pub kubeconfig: Option<PathBuf>,
}

/// Runs a command in a target, attached to this terminal, and returns its exit code.
///
/// # Errors
/// Exit 14 if mirrord is missing or cannot be run.
pub async fn exec(environment: &Environment, target: &MirrordTarget, command: &[OsString]) -> Result<u8> {
    let Some(mirrord) = environment.program("mirrord") else {
        return Err(Error::new(Id::MirrordMissing, Kind::Prerequisite, "mirrord is not on PATH")
            .hint("https://metalbear.com/mirrord/docs/overview/quick-start describes the installation"));
    };
    let mut child = tokio::process::Command::new(&mirrord);
    child
        .args(["exec", "--target", &target.workload, "--target-namespace", &target.namespace, "--"])
        .args(command)
        .env("MIRRORD_KUBE_CONTEXT", &target.context)
        .kill_on_drop(true);
    if let Some(kubeconfig) = &target.kubeconfig {
        child.env("KUBECONFIG", kubeconfig);
    }
    let status = child
        .status()
        .await
        .map_err(|error| Error::io(format!("cannot run {}", mirrord.display()), error))?;
    Ok(exit_code(status))
}

/// Returns the exit code as a shell reports it: 128 plus the number of the signal.
fn exit_code(status: std::process::ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt as _;
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}
