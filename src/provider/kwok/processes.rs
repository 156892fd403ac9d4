//! Finds and kills the processes of a cluster by their command lines. kwokctl trusts its pid files, but after a restart
//! of the computer a PID may belong to another program, which kwokctl would take for the component, or kill.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::folder::KwokFolder;
use crate::error::{Error, Result};
use crate::phrase;
use crate::provider::assets::component::ControlPlaneComponent;

/// How long killed processes may take to exit.
const DEADLINE: Duration = Duration::from_secs(10);

/// The role of a process in a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ProcessRole {
    /// The kwokctl that is creating or starting the cluster.
    Kwokctl,
    /// A component of the cluster.
    Component(ControlPlaneComponent),
}

/// A running process of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KwokProcess {
    /// Its PID.
    pub(super) pid: i32,
    /// Its role.
    pub(super) role: ProcessRole,
}

/// Returns the PID of a component; None: it is not running.
pub(super) fn pid(live: &[KwokProcess], component: ControlPlaneComponent) -> Option<i32> {
    live.iter().find(|process| process.role == ProcessRole::Component(component)).map(|process| process.pid)
}

/// Returns the components that are not running.
pub(super) fn stopped(live: &[KwokProcess]) -> Vec<ControlPlaneComponent> {
    ControlPlaneComponent::ALL.into_iter().filter(|component| pid(live, *component).is_none()).collect()
}

/// Lists the running processes of the cluster.
pub(super) fn find(folder: &KwokFolder) -> Result<Vec<KwokProcess>> {
    let lines =
        command_lines().map_err(|error| Error::io("cannot list the processes of this computer", error))?;
    Ok(lines
        .iter()
        .filter_map(|(pid, words)| Some(KwokProcess { pid: *pid, role: role(folder, words)? }))
        .collect())
}

/// Returns the role of a process by its command line; None: it does not belong to the cluster.
fn role(folder: &KwokFolder, words: &[String]) -> Option<ProcessRole> {
    let (program, arguments) = words.split_first()?;
    let program = Path::new(program);
    if let Ok(name) = program.strip_prefix(folder.cluster.join("bin")) {
        return ControlPlaneComponent::from_name(name.to_str()?).map(ProcessRole::Component);
    }
    let our_config = format!("--config={}", folder.configuration().display());
    (program.file_name()? == "kwokctl" && arguments.contains(&our_config)).then_some(ProcessRole::Kwokctl)
}

/// Returns a component that was started but is no longer running.
pub(super) fn find_exited(folder: &KwokFolder) -> Result<Option<ControlPlaneComponent>> {
    // The pid files are read before the processes, so that a component that starts in between does not count as exited.
    let started: Vec<ControlPlaneComponent> = ControlPlaneComponent::ALL
        .into_iter()
        .filter(|component| folder.pid_file(*component).exists())
        .collect();
    let live = find(folder)?;
    Ok(started.into_iter().find(|component| pid(&live, *component).is_none()))
}

/// Sends SIGKILL to all processes, as kwokctl does, without waiting for their exit.
pub(super) fn kill(processes: &[KwokProcess]) -> io::Result<()> {
    for process in processes {
        let Some(pid) = Pid::from_raw(process.pid) else { continue };
        match kill_process(pid, Signal::KILL) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Kills all processes of the cluster and waits until they have exited. kwokctl is killed first, because it starts the
/// others.
pub(super) async fn kill_all(folder: &KwokFolder) -> Result<()> {
    kill_matching(folder, |_| true).await
}

/// Kills one component and removes its pid file.
pub(super) async fn kill_component(folder: &KwokFolder, component: ControlPlaneComponent) -> Result<()> {
    kill_matching(folder, |process| process.role == ProcessRole::Component(component)).await?;
    remove_stale_pid_files(folder, &find(folder)?)
}

async fn kill_matching(folder: &KwokFolder, predicate: impl Fn(&KwokProcess) -> bool) -> Result<()> {
    let started = Instant::now();
    loop {
        let mut live = find(folder)?;
        live.retain(&predicate);
        let Some(first) = live.first() else { return Ok(()) };
        let pid = first.pid;
        live.sort_by_key(|process| process.role);
        kill(&live).map_err(|error| {
            Error::io(format!("cannot kill the processes of cluster {}", folder.name), error)
        })?;
        if started.elapsed() > DEADLINE {
            let text = format!("process {pid} has not exited after {}", phrase::span(DEADLINE));
            return Err(Error::io(
                format!("cannot kill the processes of cluster {}", folder.name),
                io::Error::other(text),
            ));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Removes the pid files of components that are not running: kwokctl would trust them.
pub(super) fn remove_stale_pid_files(folder: &KwokFolder, live: &[KwokProcess]) -> Result<()> {
    for component in ControlPlaneComponent::ALL {
        if pid(live, component).is_some() {
            continue;
        }
        let file = folder.pid_file(component);
        match std::fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::io(format!("cannot remove {}", file.display()), error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Lists the PID and the command line of every visible process. A zombie has an empty command line.
#[cfg(target_os = "linux")]
fn command_lines() -> io::Result<Vec<(i32, Vec<String>)>> {
    let mut lines = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let entry = entry?;
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // The process may have exited meanwhile, or belong to another user.
        let Ok(line) = std::fs::read(entry.path().join("cmdline")) else { continue };
        let words = line.split(|byte| *byte == 0).filter(|word| !word.is_empty());
        lines.push((pid, words.map(|word| String::from_utf8_lossy(word).into_owned()).collect()));
    }
    Ok(lines)
}

/// Lists the PID and the command line of every visible process. Paths with a space are split, so the processes of such
/// a cluster are not recognized.
#[cfg(not(target_os = "linux"))]
fn command_lines() -> io::Result<Vec<(i32, Vec<String>)>> {
    let output = std::process::Command::new("ps").args(["-axwwo", "pid=,command="]).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        Some((words.next()?.parse().ok()?, words.map(str::to_owned).collect()))
    };
    Ok(text.lines().filter_map(line).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn only_processes_of_the_cluster_have_a_role() {
        let folder = KwokFolder::new(Path::new("/s"), "a");
        let role = |line: &str| role(&folder, &words(line));
        assert_eq!(
            role("/s/kwok/clusters/a/bin/etcd --name=node0"),
            Some(ProcessRole::Component(ControlPlaneComponent::Etcd))
        );
        assert_eq!(
            role("/bin/kwokctl --config=/s/clusters/a/kwokctl.yaml create"),
            Some(ProcessRole::Kwokctl)
        );
        assert_eq!(role("/s/kwok/clusters/ab/bin/etcd"), None);
        assert_eq!(role("/bin/kwokctl --config=/s/clusters/ab/kwokctl.yaml"), None);
        assert_eq!(role("tail -f /s/kwok/clusters/a/logs/etcd.log"), None);
        assert_eq!(role("kubectl --kubeconfig /s/kwok/clusters/a/kubeconfig.yaml"), None);
    }
}
