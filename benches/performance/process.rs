//! One measured process: its run time and its resource usage.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use wait4::Wait4 as _;

/// The time limit of one run: without it, a tool that waits for ever would stop the bench.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// The resource usage of one run.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Usage {
    /// Time from before its start until its end.
    pub(crate) wall: Duration,
    /// User and system time of the process and of the child processes that it waited for.
    pub(crate) cpu: Duration,
    /// Peak resident set of the largest of them, in bytes.
    pub(crate) rss: u64,
    /// Whether the run did not end within [`LIMIT`], so that the bench ended it.
    pub(crate) is_over: bool,
}

impl Usage {
    /// Adds the usage of the next command.
    pub(crate) fn then(self, next: Self) -> Self {
        Self {
            wall: self.wall + next.wall,
            cpu: self.cpu + next.cpu,
            rss: self.rss.max(next.rss),
            is_over: self.is_over || next.is_over,
        }
    }
}

/// A measured command.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    /// Exit codes that count as success.
    pub(crate) codes: &'static [i32],
}

impl Call {
    pub(crate) fn new<A: Into<String>>(program: &Path, arguments: impl IntoIterator<Item = A>) -> Self {
        Self {
            program: program.to_owned(),
            arguments: arguments.into_iter().map(Into::into).collect(),
            codes: &[0],
        }
    }

    /// Runs the command with exactly this environment.
    ///
    /// On Linux, `exec` keeps the peak memory of the process that called it. Therefore the smallest possible process
    /// starts the command: this program itself, in the part `start`, which does nothing else.
    pub(crate) fn measure(&self, folder: &Path, environment: &[(&str, &Path)]) -> anyhow::Result<Usage> {
        let mut starter = Command::new(std::env::current_exe()?);
        starter.arg("start").arg("--").arg(&self.program).args(&self.arguments).current_dir(folder);
        starter.env_clear().envs(environment.iter().copied());
        starter.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        let output = starter.stdin(Stdio::null()).output().context("cannot start this program again")?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            bail!("cannot start {}: {stderr}", self.program.display());
        }
        let (code, usage): (Option<i32>, Usage) = serde_json::from_slice(&output.stdout)?;
        if usage.is_over {
            return Ok(usage);
        }
        if !code.is_some_and(|code| self.codes.contains(&code)) {
            bail!("{} {}: exit code {code:?}: {stderr}", self.program.display(), self.arguments.join(" "));
        }
        Ok(usage)
    }
}

/// Starts a command and writes its usage to stdout: the part of [`Call::measure`] that runs in a separate process.
pub(crate) fn start(command: &[String]) -> anyhow::Result<()> {
    let [program, arguments @ ..] = command else { bail!("no command") };
    let started = Instant::now();
    let mut child =
        Command::new(program).args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
    let limit = TimeLimit::start(&child);
    let used = child.wait4()?;
    let usage = Usage {
        wall: started.elapsed(),
        cpu: used.rusage.utime + used.rusage.stime,
        rss: used.rusage.maxrss,
        is_over: limit.end()?,
    };
    serde_json::to_writer(std::io::stdout(), &(used.status.code(), usage))?;
    Ok(std::io::stdout().flush()?)
}

/// Kills a process that runs longer than [`LIMIT`].
pub(crate) struct TimeLimit {
    /// Dropped when the process has ended.
    running: Sender<()>,
    timer: JoinHandle<bool>,
}

impl TimeLimit {
    pub(crate) fn start(child: &Child) -> Self {
        let (running, ended) = mpsc::channel::<()>();
        let pid = Pid::from_child(child);
        let timer = std::thread::spawn(move || {
            let is_over = ended.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout);
            if is_over {
                // A process that has ended just now needs no signal.
                let _already_ended = kill_process(pid, Signal::KILL);
            }
            is_over
        });
        Self { running, timer }
    }

    /// Ends the limit, and returns whether the process was killed.
    pub(crate) fn end(self) -> anyhow::Result<bool> {
        drop(self.running);
        self.timer.join().map_err(|_panic| anyhow!("the timer has panicked"))
    }
}
