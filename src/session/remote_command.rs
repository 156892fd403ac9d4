//! Runs a command in a container with the streams of this process.

use std::convert::Infallible;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::cluster_session::Session;
use super::long_calls::read_until;
use super::step::Deadline;
use crate::catalogue::Id;
use crate::cluster::app::exec::{
    self, CommandEnd, ExecRequest, NO_PROGRAM, RemoteCommand, StartFailure, TerminalSize,
};
use crate::error::{Error, Kind, Result};
use crate::report::{RawTerminal, Streams, Written, terminal_size};

/// The most bytes of a stream that are read at once.
const CHUNK: usize = 64 * 1024;
/// The size of a terminal that reports none.
const DEFAULT_SIZE: TerminalSize = TerminalSize { columns: 80, rows: 24 };
/// The shell of a container: bash where the image has it. Every image of OpenHands has `sh`.
const SHELL: &[&str] = &["sh", "-c", "command -v bash >/dev/null 2>&1 && exec bash; exec sh"];

/// What of this process the remote command gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Attachment {
    /// Whether it reads standard input.
    pub(crate) stdin: bool,
    /// Whether it runs in a terminal of its own, and the terminal of this process is its window.
    pub(crate) terminal: bool,
}

/// The typed flags, and whether there is a command.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AttachmentFlags {
    /// `-i`.
    pub(crate) stdin: bool,
    /// `-t`.
    pub(crate) terminal: bool,
    /// Whether the command is a shell, because none was typed.
    pub(crate) is_shell: bool,
}

impl Attachment {
    /// Decides by the flags and by the streams of this process. Without a flag the command gets the terminal if there is
    /// one; a script's standard input is passed on only with `-i`, because the next command of a loop may read it. A shell
    /// always reads it.
    pub(crate) fn new(flags: AttachmentFlags, has_terminal: bool) -> Self {
        let terminal = has_terminal && (flags.terminal || !flags.stdin);
        Self { stdin: terminal || flags.stdin || flags.is_shell, terminal }
    }
}

/// Returns the typed command, or the shell of the container.
pub(crate) fn command_or_shell(typed: &[String]) -> Vec<String> {
    if typed.is_empty() { SHELL.iter().map(|&word| word.to_owned()).collect() } else { typed.to_vec() }
}

/// Changes to the folder and executes the command. As in a shell, 126 is the exit code of a command that cannot be executed
/// there.
const IN_FOLDER: &str = "cd -- \"$1\" || exit 126; shift; exec \"$@\"";

/// Returns the command that runs a command in this folder of the container: an exec has no working directory
/// (`PodExecOptions`).
pub(crate) fn in_folder(folder: &str, command: Vec<String>) -> Vec<String> {
    let words = ["sh", "-c", IN_FOLDER, "sh", folder].map(str::to_owned);
    words.into_iter().chain(command).collect()
}

/// A container and a command to run in it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RemoteRun<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) pod: &'a str,
    pub(crate) container: Option<&'a str>,
    pub(crate) command: &'a [String],
    pub(crate) attachment: Attachment,
}

impl RemoteRun<'_> {
    /// Runs the command until its end, and returns its exit code; 0 if the reader of standard output is gone, and as in a
    /// shell 126 or 127 if the container cannot run such a program. The deadline is that of its start.
    ///
    /// # Errors
    /// Exit 8 if the command is not started for another cause, exit 4 if the connection is lost, exit 6 without the right.
    pub(crate) async fn run(self, session: &Session, deadline: Deadline, streams: &Streams) -> Result<i32> {
        let Self { namespace, pod, container, command, attachment } = self;
        let program = command.first().map(String::as_str).unwrap_or_default();
        let action = format!("cannot run `{program}` in pod/{pod} in namespace {namespace}");
        if program.is_empty() {
            return Ok(report(NO_PROGRAM, &action, streams));
        }
        let sizes = attachment.terminal.then(|| watch::channel(current_size()));
        let (size, terminal) = sizes.unzip();
        let request = ExecRequest { namespace, pod, container, command, stdin: attachment.stdin, terminal };
        let starting = exec::start(&session.connection.api, request);
        let mut remote = read_until(deadline, session, streams, starting).await?;
        // Restored when this future ends or is dropped, by a signal or by a panic.
        let raw = attachment.terminal.then(RawTerminal::enter).transpose()?;
        let (stdin, stdout, stderr) = (remote.stdin.take(), remote.stdout.take(), remote.stderr.take());
        let end = tokio::select! {
            end = output(remote, stdout, stderr, streams) => end?,
            never = input(stdin) => match never {},
            never = follow_size(size) => match never {},
            error = quit(attachment) => return Err(error),
        };
        drop(raw);
        let Some(end) = end else { return Ok(0) };
        match end.start_failure(program) {
            Some(failure) => Ok(report(failure, &action, streams)),
            None => end.exit_code(&action),
        }
    }
}

/// Reports that the container cannot run the program, and returns the exit code.
fn report(failure: StartFailure, action: &str, streams: &Streams) -> i32 {
    streams.err(&format!("{action}: {}\n", failure.reason));
    failure.code
}

fn current_size() -> TerminalSize {
    terminal_size().map_or(DEFAULT_SIZE, |(columns, rows)| TerminalSize { columns, rows })
}

/// Writes the output to the streams of this process, and waits for the end. None if the reader of stdout is gone.
async fn output(
    remote: RemoteCommand,
    stdout: Option<DuplexStream>,
    stderr: Option<DuplexStream>,
    streams: &Streams,
) -> Result<Option<CommandEnd>> {
    // stderr ends only with the command, so a reader that is gone ends the wait for both.
    let printed = tokio::try_join!(
        async {
            match pump(stdout, streams, Streams::out_bytes).await {
                Ok(Written::Yes) => Ok(()),
                Ok(Written::Closed) => Err(None),
                Err(error) => Err(Some(error)),
            }
        },
        async { pump(stderr, streams, Streams::err_bytes).await.map(|_closed| ()).map_err(Some) },
    );
    match printed {
        Ok(((), ())) => Ok(Some(remote.end().await)),
        Err(None) => Ok(None),
        Err(Some(error)) => Err(error),
    }
}

/// Copies one stream of the command. Each write is on a thread of its own, because a reader that has stopped must not
/// delay a signal.
async fn pump(
    from: Option<DuplexStream>,
    streams: &Streams,
    write: fn(&Streams, &[u8]) -> Result<Written>,
) -> Result<Written> {
    let Some(mut from) = from else { return Ok(Written::Yes) };
    let mut buffer = vec![0; CHUNK];
    loop {
        let count = from.read(&mut buffer).await.unwrap_or_default();
        if count == 0 {
            return Ok(Written::Yes);
        }
        let (streams, chunk) = (streams.clone(), buffer[..count].to_vec());
        let writing = tokio::task::spawn_blocking(move || write(&streams, &chunk)).await;
        let written = writing.map_err(|error| Error::internal("a write was aborted").caused_by(error))??;
        if written == Written::Closed {
            return Ok(Written::Closed);
        }
    }
}

/// Passes standard input on, and its end.
async fn input(stdin: Option<DuplexStream>) -> Infallible {
    if let Some(mut stdin) = stdin {
        let mut own = BufReader::with_capacity(CHUNK, tokio::io::stdin());
        // An input that cannot be read ends here as well; a command that no longer reads ends by itself.
        let _ended = tokio::io::copy_buf(&mut own, &mut stdin).await;
        let _ended = stdin.shutdown().await;
        drop(stdin);
    }
    std::future::pending().await
}

/// Passes on each change of the terminal's size.
async fn follow_size(size: Option<watch::Sender<TerminalSize>>) -> Infallible {
    if let Some(size) = size
        && let Ok(mut changes) = signal(SignalKind::window_change())
    {
        while changes.recv().await.is_some() {
            size.send_replace(current_size());
        }
    }
    std::future::pending().await
}

/// Waits for SIGQUIT, whose default action would leave the terminal in raw mode.
async fn quit(attachment: Attachment) -> Error {
    if attachment.terminal
        && let Ok(mut quit) = signal(SignalKind::quit())
    {
        quit.recv().await;
        return Error::new(Id::Interrupted, Kind::Terminated, "terminated by SIGQUIT");
    }
    std::future::pending().await
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the command in a folder with the shell of this computer; returns its exit code and its output.
    fn run_in_folder(folder: &str, command: &[&str]) -> (Option<i32>, String) {
        let words = in_folder(folder, command.iter().map(|&word| word.to_owned()).collect());
        let output = std::process::Command::new(&words[0]).args(&words[1..]).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    }

    #[test]
    fn command_runs_in_its_folder_with_its_arguments() {
        assert_eq!(
            run_in_folder("/usr", &["sh", "-c", "pwd; echo \"$1\"", "-", "a  b"]),
            (Some(0), "/usr\na  b\n".into())
        );
        assert_eq!(run_in_folder("/usr", &["sh", "-c", "exit 7"]).0, Some(7));
        assert_eq!(run_in_folder("/absent folder; echo x", &["pwd"]), (Some(126), String::new()));
        assert_eq!(run_in_folder("/usr", &["no-such-program"]).0, Some(127));
    }

    /// Returns whether standard input is passed on, and whether the command has a terminal. The flags: `-i`, `-t`, a shell.
    fn attachment([stdin, terminal, is_shell]: [bool; 3], has_terminal: bool) -> (bool, bool) {
        let attachment = Attachment::new(AttachmentFlags { stdin, terminal, is_shell }, has_terminal);
        (attachment.stdin, attachment.terminal)
    }

    #[test]
    fn terminal_is_used_where_there_is_one_unless_only_input_is_wanted() {
        for flags in [[false, false, false], [false, false, true], [true, true, false], [false, true, false]]
        {
            assert_eq!(attachment(flags, true), (true, true), "{flags:?}");
        }
        assert_eq!(
            attachment([true, false, false], true),
            (true, false),
            "-i alone is no terminal, as with kubectl"
        );
    }

    #[test]
    fn script_keeps_its_input_without_the_flag() {
        assert_eq!(attachment([false, false, false], false), (false, false));
        assert_eq!(attachment([false, true, false], false), (false, false), "-t needs a terminal");
        assert_eq!(attachment([true, true, false], false), (true, false));
        assert_eq!(attachment([false, false, true], false), (true, false), "a shell reads its commands");
    }
}
