//! Runs another program with a deadline, in its own process group, which is killed when the run is dropped. A failure
//! carries the exit status, the output and the command line to run it again by hand.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use std::{fmt, io};

use tokio::io::AsyncReadExt as _;
use tokio::process::{ChildStderr, ChildStdout, Command};

use super::bounded_output::{StderrEnd, StdoutStart};
use crate::catalogue::Id;
use crate::error::{Error, Kind};
use crate::object::assignment;
use crate::phrase;
use crate::process_group::ProcessGroup;
use crate::reason;

/// How many bytes of a pipe are read at once.
const CHUNK: usize = 16 << 10;
/// How many lines of standard error an error carries.
const TAIL: usize = 15;

/// A program with its arguments, environment and deadline.
#[derive(Debug, Clone)]
pub(super) struct ChildCommand {
    program: PathBuf,
    arguments: Vec<OsString>,
    directory: Option<PathBuf>,
    variables: Vec<(String, OsString)>,
    removed_variables: Vec<String>,
    /// Whether the child gets the variables of our environment.
    inherits_environment: bool,
    deadline: Duration,
}

/// The output of a program that succeeded.
#[derive(Debug, Clone)]
pub(super) struct ChildOutput {
    /// Standard output.
    pub(super) stdout: String,
}

impl ChildCommand {
    pub(super) fn new(program: impl AsRef<Path>, deadline: Duration) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            arguments: Vec::new(),
            directory: None,
            variables: Vec::new(),
            removed_variables: Vec::new(),
            inherits_environment: true,
            deadline,
        }
    }

    pub(super) fn arguments<A: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    pub(super) fn directory(mut self, directory: &Path) -> Self {
        self.directory = Some(directory.to_owned());
        self
    }

    pub(super) fn variable(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.variables.push((name.to_owned(), value.into()));
        self
    }

    pub(super) fn variables(mut self, variables: impl IntoIterator<Item = (String, OsString)>) -> Self {
        self.variables.extend(variables);
        self
    }

    /// Removes variables from the child's environment.
    pub(super) fn without_variables(mut self, names: impl IntoIterator<Item = String>) -> Self {
        self.removed_variables.extend(names);
        self
    }

    /// Gives the child only the variables of this command: a process that outlives handsctl must not carry its secrets.
    pub(super) fn without_environment(mut self) -> Self {
        self.inherits_environment = false;
        self
    }

    /// Runs the program until it exits. Dropping the future (an interrupt) kills the whole process group.
    pub(super) async fn run(self) -> Result<ChildOutput, ChildFailure> {
        self.run_with_lines(async |_| {}).await
    }

    /// Like [`ChildCommand::run`], and calls `on_line` for each line of standard error as soon as it arrives.
    pub(super) async fn run_with_lines(
        self,
        mut on_line: impl AsyncFnMut(&str),
    ) -> Result<ChildOutput, ChildFailure> {
        // The texts of a failure become messages, and programs print their environment.
        let hidden = |text: String| assignment::masked(&text).into_owned();
        let failed = |outcome, stdout, stderr: StderrEnd| ChildFailure {
            command: hidden(self.to_string()),
            outcome,
            stdout: hidden(stdout),
            stderr: hidden(stderr.into_text()),
        };
        let not_started =
            |error| failed(ChildOutcome::NotStarted(error), String::new(), StderrEnd::default());
        let mut child = self.command().spawn().map_err(not_started)?;
        let group = ProcessGroup::new(child.id());
        let (mut stdout, mut stderr) = (StdoutStart::default(), StderrEnd::default());
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let completion = tokio::time::timeout(self.deadline, async {
            let (out, err) =
                tokio::join!(read_all(out, &mut stdout), read_lines(err, &mut stderr, &mut on_line));
            out.and(err)?;
            child.wait().await
        });
        match completion.await {
            Err(_elapsed) => Err(failed(ChildOutcome::Deadline(self.deadline), String::new(), stderr)),
            Ok(Err(error)) => Err(failed(ChildOutcome::NotStarted(error), String::new(), stderr)),
            Ok(Ok(status)) => {
                group.disarm();
                let stdout = stdout.into_text();
                if status.success() {
                    Ok(ChildOutput { stdout })
                } else {
                    Err(failed(ChildOutcome::Exit(status), stdout, stderr))
                }
            }
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        if !self.inherits_environment {
            command.env_clear();
        }
        command.args(&self.arguments).envs(self.variables.iter().map(|(name, value)| (name, value)));
        for name in &self.removed_variables {
            command.env_remove(name);
        }
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true);
        command
    }
}

/// Reads a pipe to its end.
async fn read_all(pipe: Option<ChildStdout>, stdout: &mut StdoutStart) -> io::Result<()> {
    let Some(mut pipe) = pipe else { return Ok(()) };
    let mut chunk = vec![0; CHUNK];
    loop {
        match pipe.read(&mut chunk).await? {
            0 => return Ok(()),
            length => stdout.push(&chunk[..length]),
        }
    }
}

/// Reads a pipe to its end and calls `on_line` for each line.
async fn read_lines(
    pipe: Option<ChildStderr>,
    stderr: &mut StderrEnd,
    on_line: &mut impl AsyncFnMut(&str),
) -> io::Result<()> {
    let Some(mut pipe) = pipe else { return Ok(()) };
    let mut chunk = vec![0; CHUNK];
    loop {
        let length = pipe.read(&mut chunk).await?;
        if length == 0 {
            break;
        }
        for line in stderr.push(&chunk[..length]) {
            on_line(line.trim_end()).await;
        }
    }
    if let Some(line) = stderr.finish() {
        on_line(line.trim_end()).await;
    }
    Ok(())
}

/// Formats the command so that it can be pasted into a shell.
impl fmt::Display for ChildCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(directory) = &self.directory {
            write!(f, "cd {} && ", quoted(directory.as_os_str()))?;
        }
        for (name, value) in &self.variables {
            write!(f, "{name}={} ", quoted(value))?;
        }
        f.write_str(&quoted(self.program.as_os_str()))?;
        for argument in &self.arguments {
            write!(f, " {}", quoted(argument))?;
        }
        Ok(())
    }
}

fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.into_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A failed run of a program.
#[derive(Debug)]
pub(super) struct ChildFailure {
    /// The command line, ready to paste into a shell.
    pub(super) command: String,
    /// How the program ended.
    pub(super) outcome: ChildOutcome,
    /// Standard output; empty unless the program exited by itself.
    pub(super) stdout: String,
    /// Standard error up to the end of the run.
    pub(super) stderr: String,
}

/// How a program ended.
#[derive(Debug)]
pub(super) enum ChildOutcome {
    /// The program could not be started or awaited.
    NotStarted(io::Error),
    /// The program was killed after this time.
    Deadline(Duration),
    /// The program exited with a status other than 0.
    Exit(ExitStatus),
}

impl fmt::Display for ChildOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChildOutcome::NotStarted(error) => write!(f, "not started: {}", reason::of_io(error)),
            ChildOutcome::Deadline(after) => write!(f, "timed out after {}", phrase::span(*after)),
            ChildOutcome::Exit(status) => write!(f, "{status}"),
        }
    }
}

impl ChildFailure {
    /// One line: the outcome and the last line of standard error.
    pub(super) fn summary(&self) -> String {
        match self.stderr.lines().rfind(|line| !line.trim().is_empty()) {
            Some(last) => format!("{}: {}", self.outcome, last.trim()),
            None => self.outcome.to_string(),
        }
    }

    /// The last lines of standard error.
    fn tail(&self) -> String {
        let lines: Vec<&str> = self.stderr.lines().collect();
        lines[lines.len().saturating_sub(TAIL)..].join("\n")
    }

    /// Converts the failure into an error with the command, the exit status and the end of standard error.
    pub(super) fn into_error(self, id: Id, kind: Kind, message: impl Into<String>) -> Error {
        let tail = self.tail();
        let error = Error::new(id, kind, message)
            .fact("command", self.command)
            .fact("exit", self.outcome.to_string());
        if tail.is_empty() { error } else { error.fact("stderr", tail) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, deadline: Duration) -> ChildCommand {
        ChildCommand::new("/bin/sh", deadline).arguments(["-c", script])
    }

    #[tokio::test]
    async fn failure_carries_command_status_and_stderr_tail() {
        let script = "for i in $(seq 40); do echo line $i >&2; done; exit 3";
        let failure = shell(script, Duration::from_secs(10)).run().await.unwrap_err();
        assert_eq!(failure.tail().lines().count(), TAIL);
        assert_eq!(failure.summary(), "exit status: 3: line 40");
        assert_eq!(failure.command, format!("/bin/sh -c '{script}'"));
    }

    #[tokio::test]
    async fn deadline_kills_the_whole_process_group() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("late");
        let script = format!("(sleep 1; touch {}) & wait", file.display());
        let failure = shell(&script, Duration::from_millis(100)).run().await.unwrap_err();
        assert!(matches!(failure.outcome, ChildOutcome::Deadline(_)));
        tokio::time::sleep(Duration::from_millis(1300)).await;
        assert!(!file.exists(), "the grandchild kept running");
    }

    #[tokio::test]
    async fn dropped_run_kills_the_process_group() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("late");
        let run =
            shell(&format!("(sleep 1; touch {}) & wait", file.display()), Duration::from_secs(10)).run();
        tokio::select! { _ = run => panic!("it cannot end first"), () = tokio::time::sleep(Duration::from_millis(200)) => {} }
        tokio::time::sleep(Duration::from_millis(1300)).await;
        assert!(!file.exists(), "the grandchild kept running");
    }

    #[tokio::test]
    async fn stderr_lines_are_passed_on_and_kept() {
        let mut lines = Vec::new();
        let run = shell("echo a >&2; echo out; echo b >&2; exit 1", Duration::from_secs(10));
        let failure = run.run_with_lines(async |line: &str| lines.push(line.to_owned())).await.unwrap_err();
        assert_eq!(lines, ["a", "b"]);
        assert_eq!((failure.stdout.as_str(), failure.stderr.as_str()), ("out\n", "a\nb\n"));
    }

    #[tokio::test]
    async fn output_without_end_is_bounded_and_marked() {
        let script =
            "head -c 20000000 /dev/zero; head -c 20000000 /dev/zero >&2; echo >&2; echo last >&2; exit 1";
        let failure = shell(script, Duration::from_secs(60)).run().await.unwrap_err();
        assert!(failure.stdout.len() < 17 << 20 && failure.stdout.ends_with("(cut after 16 MiB)\n"));
        assert!(failure.stderr.len() < 1 << 20 && failure.stderr.ends_with(" … (cut after 64 KiB)\nlast\n"));
        assert_eq!(failure.summary(), "exit status: 1: last");
    }

    #[tokio::test]
    async fn failure_shows_no_password_of_the_program() {
        let script = "echo proxy http://me:planted@p >&2; echo REGISTRY_TOKEN=planted >&2; exit 1";
        let failure =
            shell(script, Duration::from_secs(10)).variable("API_KEY", "planted").run().await.unwrap_err();
        assert_eq!(failure.summary(), "exit status: 1: REGISTRY_TOKEN=(redacted)");
        let error = failure.into_error(Id::ClusterCreateFailed, Kind::Prerequisite, "cannot create");
        assert!(!format!("{error:?}").contains("planted"), "{error:?}");
    }

    #[tokio::test]
    async fn child_without_environment_gets_only_its_variables() {
        let command = ChildCommand::new("/usr/bin/env", Duration::from_secs(10)).without_environment();
        let output = command.variable("A", "b").run().await.unwrap();
        assert_eq!(output.stdout, "A=b\n");
    }

    #[test]
    fn command_line_is_quoted_for_a_shell() {
        let command = ChildCommand::new("/bin/x y", Duration::ZERO).variable("A", "it's").arguments([
            "--kubeconfig=",
            "",
            "-X a=b",
        ]);
        assert_eq!(command.to_string(), r"A='it'\''s' '/bin/x y' --kubeconfig= '' '-X a=b'");
    }
}
