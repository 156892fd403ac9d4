//! What the process' streams are, resolved once, and the only writes to them.

use std::borrow::Cow;
use std::io::{ErrorKind, IsTerminal as _, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use console::Term;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use super::text::color::{self, ColorChoice, ColorVariables};
use super::text::sanitize::sanitize;
use super::text::style::Palette;
use crate::error::{Error, Result};

/// Whether anybody still reads a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a reading command ends quietly, with 0, when nobody reads any more"]
pub enum Written {
    /// The text was taken.
    Yes,
    /// The other end is closed (`| head`): now, or in an earlier write.
    Closed,
}

/// Where GitHub's runner wants results; set by the runner in `GITHUB_STEP_SUMMARY` and `GITHUB_OUTPUT`.
#[derive(Debug, Clone, Default)]
pub(super) struct GithubFiles {
    pub(super) step_summary: Option<PathBuf>,
    pub(super) output: Option<PathBuf>,
}

/// stdout and stderr. Clones write to the same streams.
#[derive(Clone)]
pub struct Streams {
    out: Arc<Mutex<Pipe>>,
    err: Arc<Mutex<Pipe>>,
    pub(super) setting: Arc<TerminalSettings>,
}

/// What does not change while the process runs.
#[derive(Debug, Clone)]
pub(super) struct TerminalSettings {
    pub(super) quiet: bool,
    pub(super) verbose: u8,
    pub(super) out: StreamInfo,
    pub(super) err: StreamInfo,
    pub(super) stdin_terminal: bool,
    /// Somebody else's machine runs this: no bars and no questions.
    pub(super) ci: bool,
    /// A step of a GitHub workflow.
    pub(super) github: Option<GithubFiles>,
}

/// What one stream is.
#[derive(Debug, Clone, Copy)]
pub(super) struct StreamInfo {
    pub(super) terminal: bool,
    pub(super) paint: Palette,
    /// Columns of the terminal.
    pub(super) width: usize,
}

/// Columns that text is laid out for where the stream has none of its own; as rustc does.
pub(super) const DEFAULT_WIDTH: usize = 140;

impl Streams {
    /// The process' own streams. Reads the environment, once, and tells `console` what was decided.
    #[must_use]
    pub fn from_environment(color: ColorChoice, quiet: bool, verbose: u8) -> Self {
        let variables = ColorVariables {
            no_color: variable("NO_COLOR"),
            clicolor_force: variable("CLICOLOR_FORCE"),
            clicolor: variable("CLICOLOR"),
            term: variable("TERM"),
        };
        let side = |terminal: bool, term: &Term| StreamInfo {
            terminal,
            paint: Palette::new(color::wanted(color, &variables, terminal)),
            width: term.size_checked().map_or(DEFAULT_WIDTH, |(_, columns)| usize::from(columns)),
        };
        let out = side(std::io::stdout().is_terminal(), &Term::stdout());
        let err = side(std::io::stderr().is_terminal(), &Term::stderr());
        console::set_colors_enabled(out.paint.colored());
        console::set_colors_enabled_stderr(err.paint.colored());
        let setting = TerminalSettings {
            quiet,
            verbose,
            out,
            err,
            stdin_terminal: std::io::stdin().is_terminal(),
            // `CI=false` is how people switch such detection off.
            ci: variable("CI").is_some_and(|value| !value.is_empty() && value != "false"),
            github: github_files(),
        };
        Self::over(Box::new(std::io::stdout()), Box::new(std::io::stderr()), setting)
    }

    pub(super) fn over(
        out: Box<dyn Write + Send>,
        err: Box<dyn Write + Send>,
        setting: TerminalSettings,
    ) -> Self {
        let pipe = |writer| Arc::new(Mutex::new(Pipe { writer, closed: false }));
        Self { out: pipe(out), err: pipe(err), setting: Arc::new(setting) }
    }

    /// Writes a part of the result to stdout, as it is, and flushes it.
    ///
    /// # Errors
    /// The stream fails for another reason than a reader that went away: a full disk.
    pub fn out(&self, text: &str) -> Result<Written> {
        lock(&self.out).write(text).map_err(|error| Error::io("cannot write to standard output", error))
    }

    /// Writes a remark to stderr. There is no other place to tell that this failed.
    pub fn err(&self, text: &str) {
        let _nobody_reads = lock(&self.err).write(text);
    }

    /// Waits until nobody reads stdout any more. A file never comes to that, and a command that has nothing to
    /// write would not notice otherwise.
    pub async fn out_closed(&self) {
        let waiting = tokio::task::spawn_blocking(|| {
            let stdout = std::io::stdout();
            // Errors and hang-ups are reported without being asked for, and nothing else is.
            let mut asked = [PollFd::new(&stdout, PollFlags::empty())];
            while poll(&mut asked, None) == Err(Errno::INTR) {}
        });
        let _it_never_panics = waiting.await;
    }

    /// Text that a cluster or a container wrote, fit for stdout: on a terminal without control characters.
    #[must_use]
    pub fn sanitized<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if self.setting.out.terminal { sanitize(text) } else { Cow::Borrowed(text) }
    }

    /// Whether stdout is a terminal.
    #[must_use]
    pub fn out_is_terminal(&self) -> bool {
        self.setting.out.terminal
    }

    /// Whether somebody can be asked: there is a terminal at both ends and it is not a CI job's.
    #[must_use]
    pub fn can_ask(&self) -> bool {
        self.setting.stdin_terminal && self.setting.err.terminal && !self.setting.ci
    }

    /// Whether bars can be drawn: stderr is a terminal that can move its cursor, outside CI.
    pub(super) fn can_draw(&self) -> bool {
        self.setting.err.terminal && !self.setting.ci && !console::is_dumb()
    }
}

struct Pipe {
    writer: Box<dyn Write + Send>,
    closed: bool,
}

impl Pipe {
    fn write(&mut self, text: &str) -> std::io::Result<Written> {
        if self.closed {
            return Ok(Written::Closed);
        }
        match self.writer.write_all(text.as_bytes()).and_then(|()| self.writer.flush()) {
            Ok(()) => Ok(Written::Yes),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(Written::Closed)
            }
            Err(error) => Err(error),
        }
    }
}

/// A panic of another thread in the middle of a write leaves the stream usable.
fn lock(pipe: &Mutex<Pipe>) -> MutexGuard<'_, Pipe> {
    pipe.lock().unwrap_or_else(PoisonError::into_inner)
}

fn variable(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

fn github_files() -> Option<GithubFiles> {
    let file = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    (variable("GITHUB_ACTIONS").as_deref() == Some("true"))
        .then(|| GithubFiles { step_summary: file("GITHUB_STEP_SUMMARY"), output: file("GITHUB_OUTPUT") })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// What was written to a stream of a test.
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

    /// No colour, no terminal, no CI.
    pub(crate) fn setting() -> TerminalSettings {
        let side = StreamInfo { terminal: false, paint: Palette::NONE, width: DEFAULT_WIDTH };
        TerminalSettings {
            quiet: false,
            verbose: 0,
            out: side,
            err: side,
            stdin_terminal: false,
            ci: false,
            github: None,
        }
    }

    /// Streams of a test, what is written to stdout, and to stderr.
    pub(crate) fn captured(setting: TerminalSettings) -> (Streams, Captured, Captured) {
        let (out, err) = (Captured::default(), Captured::default());
        (Streams::over(Box::new(out.clone()), Box::new(err.clone()), setting), out, err)
    }

    #[test]
    fn a_closed_stdout_is_no_error_and_stays_closed() {
        let streams =
            Streams::over(Box::new(Failing(ErrorKind::BrokenPipe)), Box::new(Vec::new()), setting());
        assert_eq!(streams.out("a\n").unwrap(), Written::Closed);
        assert_eq!(streams.clone().out("b\n").unwrap(), Written::Closed);
    }

    #[test]
    fn a_full_disk_is_an_error() {
        let streams =
            Streams::over(Box::new(Failing(ErrorKind::StorageFull)), Box::new(Vec::new()), setting());
        assert_eq!(streams.out("a\n").unwrap_err().message(), "cannot write to standard output");
    }

    #[test]
    fn foreign_text_is_stripped_on_a_terminal_only() {
        let (to_file, ..) = captured(setting());
        assert_eq!(to_file.sanitized("\x1b[31mred"), "\x1b[31mred");
        let mut terminal = setting();
        terminal.out.terminal = true;
        assert_eq!(captured(terminal).0.sanitized("\x1b[31mred"), "red");
    }

    #[test]
    fn nobody_is_asked_in_ci() {
        let mut terminal = setting();
        (terminal.stdin_terminal, terminal.err.terminal) = (true, true);
        assert!(captured(terminal.clone()).0.can_ask());
        terminal.ci = true;
        assert!(!captured(terminal).0.can_ask());
    }
}
