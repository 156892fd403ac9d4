//! The live processes of a cluster, found by their command lines. kwokctl trusts its pid files: after a restart of the
//! computer such a number may belong to anybody, and kwokctl would believe it is running, or kill it.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::folder::KwokFolder;
use crate::error::{Error, Result};
use crate::provider::assets::component::Component;

/// How long killed processes may take to be gone.
const DEADLINE: Duration = Duration::from_secs(10);

/// What a process is to a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ProcessRole {
    /// The kwokctl that is making or starting it.
    Kwokctl,
    /// A part of it.
    Component(Component),
}

/// A live process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KwokProcess {
    /// Its number.
    pub(super) pid: i32,
    /// What it is.
    pub(super) role: ProcessRole,
}

/// The number of a component's process, where it runs.
pub(super) fn pid(live: &[KwokProcess], component: Component) -> Option<i32> {
    live.iter().find(|process| process.role == ProcessRole::Component(component)).map(|process| process.pid)
}

/// The cluster's processes.
pub(super) fn find(folder: &KwokFolder) -> Result<Vec<KwokProcess>> {
    let lines =
        command_lines().map_err(|error| Error::io("cannot list the processes of this computer", error))?;
    Ok(lines
        .iter()
        .filter_map(|(pid, words)| Some(KwokProcess { pid: *pid, role: role(folder, words)? }))
        .collect())
}

/// What a command line is to the cluster, if anything.
fn role(folder: &KwokFolder, words: &[String]) -> Option<ProcessRole> {
    let (program, arguments) = words.split_first()?;
    let program = Path::new(program);
    if let Ok(name) = program.strip_prefix(folder.cluster.join("bin")) {
        return Component::from_name(name.to_str()?).map(ProcessRole::Component);
    }
    let ours = format!("--config={}", folder.configuration().display());
    (program.file_name()? == "kwokctl" && arguments.contains(&ours)).then_some(ProcessRole::Kwokctl)
}

/// Whether a component that was started is no longer there.
pub(super) fn ended(folder: &KwokFolder) -> Result<Option<Component>> {
    // The files are read first: a process that starts in between is no death.
    let started: Vec<Component> =
        Component::ALL.into_iter().filter(|it| folder.pid_file(*it).exists()).collect();
    let live = find(folder)?;
    Ok(started.into_iter().find(|it| pid(&live, *it).is_none()))
}

/// Sends SIGKILL to all, as kwokctl does, and does not wait.
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

/// Ends every process of the cluster and waits until they are gone. kwokctl goes first: it starts the others.
pub(super) async fn end(folder: &KwokFolder) -> Result<()> {
    end_those(folder, |_| true).await
}

/// Ends one component, and has kwokctl forget it.
pub(super) async fn end_component(folder: &KwokFolder, component: Component) -> Result<()> {
    end_those(folder, |process| process.role == ProcessRole::Component(component)).await?;
    forget_dead(folder, &find(folder)?)
}

async fn end_those(folder: &KwokFolder, chosen: impl Fn(&KwokProcess) -> bool) -> Result<()> {
    let begin = Instant::now();
    loop {
        let mut live = find(folder)?;
        live.retain(&chosen);
        let Some(first) = live.first() else { return Ok(()) };
        let pid = first.pid;
        live.sort_by_key(|process| process.role);
        kill(&live).map_err(|error| {
            Error::io(format!("cannot end the processes of cluster {}", folder.name), error)
        })?;
        if begin.elapsed() > DEADLINE {
            let text = format!("process {pid} does not end");
            return Err(Error::io(format!("cannot end cluster {}", folder.name), io::Error::other(text)));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Removes the pid files of components that are not running, which kwokctl would believe.
pub(super) fn forget_dead(folder: &KwokFolder, live: &[KwokProcess]) -> Result<()> {
    for component in Component::ALL {
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

/// Every process that may be seen, with its command line. A zombie has none.
#[cfg(target_os = "linux")]
fn command_lines() -> io::Result<Vec<(i32, Vec<String>)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let entry = entry?;
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // It may have ended since, or belong to somebody else.
        let Ok(line) = std::fs::read(entry.path().join("cmdline")) else { continue };
        let words = line.split(|byte| *byte == 0).filter(|word| !word.is_empty());
        found.push((pid, words.map(|word| String::from_utf8_lossy(word).into_owned()).collect()));
    }
    Ok(found)
}

/// Every process that may be seen, with its command line. The paths of a cluster with a space in them are not recognised.
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
    fn only_the_clusters_own_processes_are_recognised() {
        let folder = KwokFolder::of(Path::new("/s"), "a");
        let role = |line: &str| role(&folder, &words(line));
        assert_eq!(
            role("/s/kwok/clusters/a/bin/etcd --name=node0"),
            Some(ProcessRole::Component(Component::Etcd))
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
