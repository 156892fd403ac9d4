//! A command on a terminal of its own, and what a terminal emulator shows of it.

use std::io::{Read as _, Write};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use portable_pty::{Child, MasterPty, PtySize, native_pty_system};
use rustix::process::{Pid, Signal, kill_process};

use crate::bed::CommandLine;

/// Time limit of each wait, also from a signal to the end of the process. Far below the default `--timeout`.
pub(crate) const WAIT_LIMIT: Duration = Duration::from_secs(60);

/// A command on its own terminal. Dropping the value kills it.
pub(crate) struct Terminal {
    child: Box<dyn Child + Send + Sync>,
    master: Option<Box<dyn MasterPty + Send>>,
    keyboard: Box<dyn Write + Send>,
    output: Receiver<Vec<u8>>,
    pub(crate) screen: vt100::Parser,
    /// Everything that was written, with its escape sequences.
    pub(crate) raw: String,
}

/// A command on a terminal that has ended.
pub(crate) struct EndedCommand {
    pub(crate) code: u32,
    /// The lines of the screen, without empty ones at the end.
    pub(crate) lines: Vec<String>,
    pub(crate) raw: String,
    pub(crate) cursor_is_hidden: bool,
    cursor: (u16, u16),
    /// For each line, whether it continues on the next one.
    pub(crate) wrapped: Vec<bool>,
    pub(crate) screen: vt100::Screen,
}

impl Terminal {
    /// Starts the command. The terminal is so high that no line scrolls away.
    pub(crate) fn start(command: CommandLine, columns: u16) -> Self {
        let rows = 120;
        let size = PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let child = pair.slave.spawn_command(command.into_terminal_command()).unwrap();
        drop(pair.slave);
        let mut reader = pair.master.try_clone_reader().unwrap();
        let keyboard = pair.master.take_writer().unwrap();
        let (sender, output) = mpsc::channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // The end of the command is an end of file, or an error on Linux.
            while let Ok(read @ 1..) = reader.read(&mut buffer) {
                if sender.send(buffer[..read].to_vec()).is_err() {
                    return;
                }
            }
        });
        let screen = vt100::Parser::new(rows.try_into().unwrap(), columns.try_into().unwrap(), 0);
        Self { child, master: Some(pair.master), keyboard, output, screen, raw: String::new() }
    }

    /// Waits until the screen shows this text.
    pub(crate) fn wait_for_text(&mut self, text: &str) {
        self.wait_for(text, |screen| screen.contents().contains(text));
    }

    /// Waits until the screen has a line like this. `what` describes it.
    pub(crate) fn wait_for_line(&mut self, what: &str, is_found: impl Fn(&str) -> bool) {
        self.wait_for(what, |screen| {
            screen.rows(0, screen.size().1.get()).any(|row| is_found(row.trim_end()))
        });
    }

    fn wait_for(&mut self, what: &str, is_shown: impl Fn(&vt100::Screen) -> bool) {
        let until = Instant::now() + WAIT_LIMIT;
        while !is_shown(self.screen.screen()) {
            let left = until.saturating_duration_since(Instant::now());
            match self.output.recv_timeout(left) {
                Ok(bytes) => self.on_bytes(&bytes),
                Err(error) => {
                    panic!("no {what:?}: {error}; the screen:\n{}", self.screen.screen().contents())
                }
            }
        }
    }

    /// Waits until nothing is written for this time: a frame is complete.
    pub(crate) fn wait_until_quiet(&mut self, time: Duration) {
        while let Ok(bytes) = self.output.recv_timeout(time) {
            self.on_bytes(&bytes);
        }
    }

    /// Waits for a further output.
    pub(crate) fn wait_for_bytes(&mut self) {
        let bytes = self.output.recv_timeout(WAIT_LIMIT).unwrap_or_else(|error| panic!("no output: {error}"));
        self.on_bytes(&bytes);
    }

    fn on_bytes(&mut self, bytes: &[u8]) {
        self.screen.process(bytes);
        self.raw += &String::from_utf8_lossy(bytes);
    }

    pub(crate) fn type_keys(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
        self.keyboard.flush().unwrap();
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.process_id().unwrap()).unwrap();
        kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
    }

    /// Reads the terminal to its end and waits for the exit code.
    pub(crate) fn wait_for_end(mut self) -> EndedCommand {
        let begin = Instant::now();
        loop {
            let left = WAIT_LIMIT.saturating_sub(begin.elapsed());
            match self.output.recv_timeout(left) {
                Ok(bytes) => self.on_bytes(&bytes),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    panic!("the command does not end; the screen:\n{}", self.screen.screen().contents())
                }
            }
        }
        let code = self.child.wait().unwrap().exit_code();
        let screen = self.screen.screen();
        let columns = screen.size().1;
        let lines: Vec<String> = screen.rows(0, columns.get()).map(|row| row.trim_end().to_owned()).collect();
        let used = lines.iter().rposition(|line| !line.is_empty()).map_or(0, |last| last + 1);
        EndedCommand {
            code,
            wrapped: (0..used).map(|row| screen.row_wrapped(u16::try_from(row).unwrap())).collect(),
            lines: lines[..used].to_vec(),
            raw: std::mem::take(&mut self.raw),
            cursor_is_hidden: screen.hide_cursor(),
            cursor: screen.cursor_position(),
            screen: screen.clone(),
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _ended_already = self.child.wait();
        self.master = None;
    }
}

impl EndedCommand {
    pub(crate) fn exits(self, code: u32) -> Self {
        assert_eq!(self.code, code, "the screen:\n{}", self.text());
        self
    }

    pub(crate) fn text(&self) -> String {
        self.lines.join("\n")
    }

    /// The number of lines that contain this text.
    pub(crate) fn count(&self, text: &str) -> usize {
        self.lines.iter().filter(|line| line.contains(text)).count()
    }

    /// Panics unless the terminal is restored: a visible cursor on a new line, and no spinner.
    pub(crate) fn assert_restored(&self) {
        assert!(!self.cursor_is_hidden, "the cursor is still hidden");
        assert_eq!(
            self.cursor,
            (u16::try_from(self.lines.len()).unwrap(), 0),
            "the screen:\n{}",
            self.text()
        );
        assert!(!self.text().contains(is_spinner), "a spinner is left:\n{}", self.text());
    }

    /// Panics if the output lacks this text, which may be wrapped at the edge of the screen.
    pub(crate) fn says(&self, text: &str) {
        let unwrapped: String = self
            .lines
            .iter()
            .zip(&self.wrapped)
            .map(|(line, on)| line.clone() + if *on { "" } else { "\n" })
            .collect();
        assert!(unwrapped.contains(text), "no {text:?} in:\n{unwrapped}");
    }
}

pub(crate) fn is_spinner(character: char) -> bool {
    ('\u{2800}'..='\u{28ff}').contains(&character)
}
