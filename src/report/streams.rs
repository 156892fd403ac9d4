//! The properties of the process' streams, detected once, and the only writes to them.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::borrow::Cow;
use std::fmt::Display;
use std::fs::File;
use std::io::{ErrorKind, IsTerminal as _, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use console::Term;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::text::color::{self, ColorChoice, ColorVariables};
use super::text::github::{self, Checkout};
use super::text::sanitize::{sanitize, sanitize_colored};
use super::text::style::{DEFAULT_WIDTH, Palette};
use super::text::wrap;
use crate::error::{Error, Result};
use crate::object::{Mask, SharedMask, assignment};

/// Whether a stream still has a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a reading command ends without a message, with 0, when its reader is gone"]
pub enum Written {
    /// The text was written.
    Yes,
    /// The reader has closed the stream (`| head`), now or in an earlier write.
    Closed,
}

/// The files for results that GitHub's runner names in `GITHUB_STEP_SUMMARY` and `GITHUB_OUTPUT`.
#[derive(Debug, Clone, Default)]
pub(super) struct GithubFiles {
    /// The folders that annotations need.
    pub(super) checkout: Checkout,
    pub(super) step_summary: Option<PathBuf>,
    pub(super) output: Option<PathBuf>,
}

/// stdout and stderr. Clones write to the same streams.
#[derive(Clone)]
pub struct Streams {
    out: Arc<Mutex<Pipe>>,
    err: Arc<Mutex<Pipe>>,
    /// The secrets that no text shows.
    secrets: SharedMask,
    pub(super) settings: Arc<TerminalSettings>,
}

/// Settings of the streams. They do not change while the process runs.
#[derive(Debug, Clone)]
pub(super) struct TerminalSettings {
    pub(super) quiet: bool,
    pub(super) verbose: u8,
    pub(super) out: StreamInfo,
    pub(super) err: StreamInfo,
    pub(super) stdin_terminal: bool,
    /// Whether a CI service runs the command: no bars and no questions.
    pub(super) ci: bool,
    /// The result files of a GitHub workflow step. None outside of GitHub Actions.
    pub(super) github: Option<GithubFiles>,
    /// The log that stderr goes to.
    pub(super) log: JobLog,
}

/// The log of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JobLog {
    /// Lines.
    Plain,
    /// GitLab's: it has sections that fold.
    Gitlab,
}

/// The properties of one stream.
#[derive(Debug, Clone, Copy)]
pub(super) struct StreamInfo {
    pub(super) terminal: bool,
    pub(super) palette: Palette,
    /// The width in columns.
    pub(super) width: usize,
}

impl Streams {
    /// Creates the process' own streams. Reads the environment once, and passes the colour decision on to `console`.
    #[must_use]
    pub fn from_environment(color: ColorChoice, quiet: bool, verbose: u8) -> Self {
        let variables = ColorVariables {
            no_color: env_variable("NO_COLOR"),
            clicolor_force: env_variable("CLICOLOR_FORCE"),
            clicolor: env_variable("CLICOLOR"),
            term: env_variable("TERM"),
        };
        let stream_info = |terminal: bool, term: &Term| StreamInfo {
            terminal,
            palette: Palette::new(color::is_enabled(color, &variables, terminal)),
            width: term.size_checked().map_or(DEFAULT_WIDTH, |(_, columns)| usize::from(columns)),
        };
        let out = stream_info(std::io::stdout().is_terminal(), &Term::stdout());
        let err = stream_info(std::io::stderr().is_terminal(), &Term::stderr());
        console::set_colors_enabled(out.palette.colored());
        console::set_colors_enabled_stderr(err.palette.colored());
        let settings = TerminalSettings {
            quiet,
            verbose,
            out,
            err,
            stdin_terminal: std::io::stdin().is_terminal(),
            // `CI=false` disables the detection.
            ci: env_variable("CI").is_some_and(|value| !value.is_empty() && value != "false"),
            github: github_files(),
            log: match env_variable("GITLAB_CI").as_deref() {
                Some("true") => JobLog::Gitlab,
                _ => JobLog::Plain,
            },
        };
        Self::with_writers(Box::new(std::io::stdout()), Box::new(std::io::stderr()), settings)
    }

    pub(super) fn with_writers(
        out: Box<dyn Write + Send>,
        err: Box<dyn Write + Send>,
        settings: TerminalSettings,
    ) -> Self {
        let pipe = |writer| Arc::new(Mutex::new(Pipe { writer, closed: false }));
        Self { out: pipe(out), err: pipe(err), secrets: SharedMask::default(), settings: Arc::new(settings) }
    }

    /// Hides secrets in every text that is written from now on.
    pub fn hide(&self, secrets: Mask) {
        self.secrets.extend(secrets);
    }

    /// Returns the secrets that no text shows, to add those that are found later.
    #[must_use]
    pub fn secrets(&self) -> &SharedMask {
        &self.secrets
    }

    /// Replaces the secrets in a text: the known ones, passwords in URLs, and the keys of known services.
    pub(super) fn hidden(&self, text: &str) -> String {
        assignment::without_keys(&self.secrets.text(text)).into_owned()
    }

    /// Writes a document or another text of our own to stdout and flushes it. It is unchanged, unless a terminal would
    /// execute a part of it.
    ///
    /// # Errors
    /// Writing fails, for example because the disk is full. A closed reader is not an error.
    pub fn out(&self, text: &str) -> Result<Written> {
        let text = if self.settings.out.terminal { sanitize_colored(text) } else { Cow::Borrowed(text) };
        lock(&self.out).write(text.as_bytes()).map_err(cannot_write)
    }

    /// Writes complete lines of logs to stdout in one write: without secrets, otherwise byte for byte, unless a terminal or
    /// GitHub's runner would execute a part of them.
    ///
    /// # Errors
    /// As for [`Self::out`].
    pub fn log_lines(&self, lines: &[u8]) -> Result<Written> {
        let lines = self.secrets.lines(lines);
        if self.settings.github.is_some() {
            self.out(&github::escape_commands(&String::from_utf8_lossy(&lines)))
        } else if self.settings.out.terminal {
            self.out(&String::from_utf8_lossy(&lines))
        } else {
            lock(&self.out).write(&lines).map_err(cannot_write)
        }
    }

    /// Writes the output of a command in a container to stdout, unchanged.
    ///
    /// # Errors
    /// As for [`Self::out`].
    pub fn out_bytes(&self, bytes: &[u8]) -> Result<Written> {
        let written = lock(&self.out).write(bytes);
        written.map_err(cannot_write)
    }

    /// Writes the messages of a command in a container to stderr, unchanged.
    ///
    /// # Errors
    /// Writing fails. A closed reader is not an error.
    pub fn err_bytes(&self, bytes: &[u8]) -> Result<Written> {
        let written = lock(&self.err).write(bytes);
        written.map_err(|error| Error::io("cannot write to standard error", error))
    }

    /// Returns a writer of bytes to stdout: a file that a command writes there. A closed reader is an error of it.
    #[must_use]
    pub fn raw_out(&self) -> RawOut {
        RawOut(self.out.clone())
    }

    /// Writes a text for people to stdout that contains words of a cluster or of a program: without secrets, and in a
    /// GitHub workflow without commands for the runner.
    ///
    /// # Errors
    /// As for [`Self::out`].
    pub fn text(&self, text: &str) -> Result<Written> {
        let text = self.hidden(text);
        if self.settings.github.is_some() {
            self.out(&github::escape_commands(&text))
        } else {
            self.out(&text)
        }
    }

    /// Writes a message to stderr, without secrets and without what a terminal would execute. A failure is ignored,
    /// because it cannot be reported anywhere else.
    pub fn err(&self, text: &str) {
        let text = self.hidden(text);
        let _cannot_be_reported = lock(&self.err).write(sanitize_colored(&text).as_bytes());
    }

    /// Reports panics from now on like every message: their text may quote a value of a cluster.
    pub fn report_panics(&self) {
        let streams = self.clone();
        std::panic::set_hook(Box::new(move |panic| {
            let backtrace = Backtrace::capture();
            let trace = match backtrace.status() {
                BacktraceStatus::Captured => format!("{backtrace}"),
                _ => String::new(),
            };
            streams.panicked(panic, &trace);
        }));
    }

    fn panicked(&self, panic: &dyn Display, trace: &str) {
        self.err(&format!("handsctl {panic}\n{trace}"));
    }

    /// Writes the marks of a GitLab section to stderr. They have control characters, and no text of others.
    pub(super) fn section(&self, marks: &str) {
        let _cannot_be_reported = lock(&self.err).write(marks.as_bytes());
    }

    /// Writes a text to stdout that moves the cursor. It is composed by [`super::Screen`], of sanitized lines.
    ///
    /// # Errors
    /// As for [`Self::out`].
    pub(super) fn write_controls(&self, text: &str) -> Result<Written> {
        lock(&self.out).write(text.as_bytes()).map_err(cannot_write)
    }

    /// Appends text to the summary of a GitHub workflow's step, if there is one.
    ///
    /// # Errors
    /// Writing fails.
    pub(super) fn step_summary(&self, text: &str) -> Result<()> {
        let path = self.settings.github.as_ref().and_then(|files| files.step_summary.as_ref());
        path.map_or(Ok(()), |path| append(path, text))
    }

    /// Appends lines to the outputs of a GitHub workflow's step, if there are any.
    ///
    /// # Errors
    /// Writing fails.
    pub(super) fn step_output(&self, text: &str) -> Result<()> {
        let path = self.settings.github.as_ref().and_then(|files| files.output.as_ref());
        path.map_or(Ok(()), |path| append(path, text))
    }

    /// Writes a line about the progress of a command without a reporter to stderr, unless --quiet is set.
    pub fn progress(&self, text: &str) {
        if !self.settings.quiet {
            self.err(text);
        }
    }

    /// Waits until the reader of stdout has closed it. A command that writes nothing would not notice it otherwise. For
    /// a file this never returns.
    pub async fn out_closed(&self) {
        let poll_task = tokio::task::spawn_blocking(|| {
            let stdout = std::io::stdout();
            // `poll` always reports errors and hang-ups. The empty flags request no other events.
            let mut poll_fds = [PollFd::new(&stdout, PollFlags::empty())];
            while poll(&mut poll_fds, None) == Err(Errno::INTR) {}
        });
        let _it_never_panics = poll_task.await;
    }

    /// Waits until stderr or stdout has taken no text for a while: its reader has stopped, and a write to it blocks.
    pub async fn blocked(&self) {
        let mut full = 0;
        while full < FULL_CHECKS {
            tokio::time::sleep(FULL_CHECK).await;
            full = if is_full(&std::io::stderr()) || is_full(&std::io::stdout()) { full + 1 } else { 0 };
        }
    }

    /// Returns text of a cluster or a container, safe for stdout: without control characters if stdout is a terminal.
    #[must_use]
    pub fn sanitized<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if self.settings.out.terminal { sanitize(text) } else { Cow::Borrowed(text) }
    }

    /// Returns whether stdout is a terminal.
    #[must_use]
    pub fn out_is_terminal(&self) -> bool {
        self.settings.out.terminal
    }

    /// Returns whether stdin is a terminal.
    #[must_use]
    pub fn in_is_terminal(&self) -> bool {
        self.settings.stdin_terminal
    }

    /// Returns whether stderr is a terminal.
    #[must_use]
    pub fn err_is_terminal(&self) -> bool {
        self.settings.err.terminal
    }

    /// Returns whether a question can be asked: stdin and stderr are terminals, and no CI service runs the command.
    #[must_use]
    pub fn can_ask(&self) -> bool {
        self.settings.stdin_terminal && self.settings.err.terminal && !self.settings.ci
    }

    /// Wraps a row of columns at the width of stdout, and indents further lines.
    #[must_use]
    pub fn wrapped_row(&self, row: &str, indent: usize) -> String {
        wrap::wrapped_row(row, indent, self.settings.out.width)
    }

    /// Returns the width of stdout in columns.
    #[must_use]
    pub fn width(&self) -> usize {
        self.settings.out.width
    }

    /// Returns whether bars can be drawn: stderr is a terminal with a movable cursor, and no CI service runs the
    /// command.
    pub(super) fn can_draw(&self) -> bool {
        self.settings.err.terminal && !self.settings.ci && !console::is_dumb()
    }
}

fn cannot_write(error: std::io::Error) -> Error {
    Error::io("cannot write to standard output", error)
}

/// How often to check whether a stream takes text.
const FULL_CHECK: Duration = Duration::from_millis(50);
/// A stream that takes no text in so many checks is blocked.
const FULL_CHECKS: u32 = 4;

/// Whether a write to the stream would block. A closed stream does not: the write fails.
fn is_full(stream: &impl AsFd) -> bool {
    let mut poll_fds = [PollFd::new(stream, PollFlags::OUT)];
    let none = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut poll_fds, Some(&none)) == Ok(0)
}

/// Writes bytes to stdout.
pub struct RawOut(Arc<Mutex<Pipe>>);

impl Write for RawOut {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        lock(&self.0).writer.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        lock(&self.0).writer.flush()
    }
}

struct Pipe {
    writer: Box<dyn Write + Send>,
    closed: bool,
}

impl Pipe {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<Written> {
        if self.closed {
            return Ok(Written::Closed);
        }
        match self.writer.write_all(bytes).and_then(|()| self.writer.flush()) {
            Ok(()) => Ok(Written::Yes),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(Written::Closed)
            }
            Err(error) => Err(error),
        }
    }
}

/// Locks a stream. After a panic of another thread during a write, the stream stays usable.
fn lock(pipe: &Mutex<Pipe>) -> MutexGuard<'_, Pipe> {
    pipe.lock().unwrap_or_else(PoisonError::into_inner)
}

fn env_variable(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

fn github_files() -> Option<GithubFiles> {
    let file = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    (env_variable("GITHUB_ACTIONS").as_deref() == Some("true")).then(|| GithubFiles {
        checkout: checkout(),
        step_summary: file("GITHUB_STEP_SUMMARY"),
        output: file("GITHUB_OUTPUT"),
    })
}

/// Returns the working directory, and the top folder of its repository: the nearest one with `.git` in the workspace,
/// because a job may check out several repositories into it; else the workspace.
fn checkout() -> Checkout {
    let folder = std::env::current_dir().unwrap_or_default();
    let workspace = std::env::var_os("GITHUB_WORKSPACE").map(PathBuf::from).unwrap_or_default();
    let workspace = workspace.canonicalize().unwrap_or(workspace);
    let mut inside = folder.ancestors().take_while(|folder| folder.starts_with(&workspace));
    let top = inside.find(|folder| folder.join(".git").exists()).map(Path::to_path_buf);
    Checkout { top: top.unwrap_or(workspace), folder }
}

fn append(path: &Path, text: &str) -> Result<()> {
    let write = || File::options().append(true).create(true).open(path)?.write_all(text.as_bytes());
    write().map_err(|error| Error::io(format!("cannot append to {}", path.display()), error))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The text that was written to a stream of a test.
    #[derive(Clone, Default)]
    pub(crate) struct Captured(Arc<Mutex<Vec<u8>>>);

    impl Captured {
        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    struct Failing(ErrorKind);
    impl Write for Failing {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// Returns settings without colour, terminal and CI.
    pub(crate) fn settings() -> TerminalSettings {
        let stream = StreamInfo { terminal: false, palette: Palette::NONE, width: DEFAULT_WIDTH };
        TerminalSettings {
            quiet: false,
            verbose: 0,
            out: stream,
            err: stream,
            stdin_terminal: false,
            ci: false,
            github: None,
            log: JobLog::Plain,
        }
    }

    /// Returns streams for a test, with the captured stdout and stderr.
    pub(crate) fn captured(settings: TerminalSettings) -> (Streams, Captured, Captured) {
        let (out, err) = (Captured::default(), Captured::default());
        (Streams::with_writers(Box::new(out.clone()), Box::new(err.clone()), settings), out, err)
    }

    #[test]
    fn closed_stdout_is_no_error_and_stays_closed() {
        let streams =
            Streams::with_writers(Box::new(Failing(ErrorKind::BrokenPipe)), Box::new(Vec::new()), settings());
        assert_eq!(streams.out("a\n").unwrap(), Written::Closed);
        assert_eq!(streams.clone().out("b\n").unwrap(), Written::Closed);
    }

    #[test]
    fn full_disk_is_error() {
        let streams = Streams::with_writers(
            Box::new(Failing(ErrorKind::StorageFull)),
            Box::new(Vec::new()),
            settings(),
        );
        assert_eq!(streams.out("a\n").unwrap_err().message(), "cannot write to standard output");
    }

    fn with_secret(settings: TerminalSettings) -> (Streams, Captured, Captured) {
        let captured = captured(settings);
        let mut secrets = Mask::default();
        secrets.add("sk-planted");
        captured.0.hide(secrets);
        captured
    }

    #[test]
    fn text_of_a_panic_is_masked() {
        let (streams, _, err) = with_secret(settings());
        streams.panicked(&"panicked at src/a.rs:1:\na sk-planted \u{1b}[2J b", "");
        let text = err.text();
        assert!(text.starts_with("handsctl panicked at src/a.rs:1:\na (redacted)"), "{text}");
        assert!(text.ends_with(" b\n") && !text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn secret_of_a_text_reaches_no_stream() {
        let (streams, out, err) = with_secret(settings());
        let _written = streams.clone().text("a sk-planted https://me:pass-word@host/?a=b\n").unwrap();
        streams.err("a sk-planted https://me:pass-word@host/?a=b\n");
        let text = "a (redacted) https://me:(redacted)@host/?a=b\n";
        assert_eq!((out.text().as_str(), err.text().as_str()), (text, text));
    }

    #[test]
    fn workflow_command_on_stdout_is_escaped() {
        let mut github = settings();
        github.github = Some(GithubFiles::default());
        let (streams, out, _) = captured(github);
        let _written = streams.text("::stop-commands::x\n##[error]y\n").unwrap();
        assert_eq!(out.text(), ": :stop-commands::x\n# #[error]y\n");
    }

    #[test]
    fn document_on_terminal_has_no_escape_sequences() {
        let mut terminal = settings();
        terminal.out.terminal = true;
        let (streams, out, err) = captured(terminal);
        let _written = streams.out("a\u{9b}2J\x1b[2Jb\n").unwrap();
        streams.err("a\u{9b}2J\x1b]0;x\x07b\n");
        assert_eq!((out.text().as_str(), err.text().as_str()), ("ab\n", "ab\n"));
        let (streams, out, _) = captured(settings());
        let _written = streams.out("a\u{9b}2Jb\n").unwrap();
        assert_eq!(out.text(), "a\u{9b}2Jb\n");
    }

    #[test]
    fn text_is_sanitized_on_terminal_only() {
        let (to_file, ..) = captured(settings());
        assert_eq!(to_file.sanitized("\x1b[31mred"), "\x1b[31mred");
        let mut terminal = settings();
        terminal.out.terminal = true;
        assert_eq!(captured(terminal).0.sanitized("\x1b[31mred"), "red");
    }

    #[test]
    fn ci_cannot_ask() {
        let mut terminal = settings();
        (terminal.stdin_terminal, terminal.err.terminal) = (true, true);
        assert!(captured(terminal.clone()).0.can_ask());
        terminal.ci = true;
        assert!(!captured(terminal).0.can_ask());
    }
}
