//! The terminal of a remote command: every key goes to the command, none to this process.

use std::fmt;

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

use crate::error::{Error, Result};

/// The terminal on standard input in raw mode, restored when it is dropped, also by a panic.
pub struct RawTerminal {
    before: Termios,
}

impl fmt::Debug for RawTerminal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RawTerminal")
    }
}

impl RawTerminal {
    /// Sets the terminal to raw mode: no echo, no lines, no signals by keys, no conversion of line ends.
    ///
    /// # Errors
    /// Standard input is no terminal.
    pub fn enter() -> Result<Self> {
        let terminal_error =
            |error| Error::io("cannot set the terminal to raw mode", std::io::Error::from(error));
        let before = tcgetattr(std::io::stdin()).map_err(terminal_error)?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(std::io::stdin(), OptionalActions::Flush, &raw).map_err(terminal_error)?;
        Ok(Self { before })
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        // Output that the terminal has not drawn yet is drawn in raw mode.
        let _terminal_is_gone = tcsetattr(std::io::stdin(), OptionalActions::Drain, &self.before);
    }
}

/// Returns the columns and rows of the terminal on standard output. None: it is no terminal, or it has no size, as that of
/// some serial consoles.
#[must_use]
pub fn terminal_size() -> Option<(u16, u16)> {
    let size = tcgetwinsize(std::io::stdout()).ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then_some((size.ws_col, size.ws_row))
}
