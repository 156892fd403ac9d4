//! A text on a terminal that is drawn again when it changes: only its changed lines.

use std::fmt::Write as _;

use console::Term;

use super::streams::{Streams, Written};
use super::text::sanitize::sanitize_colored;
use crate::error::Result;

/// The text that stands above the cursor on stdout, which is a terminal.
pub struct Screen {
    streams: Streams,
    shown: Vec<String>,
    size: (usize, usize),
}

impl Screen {
    /// Starts below what stands on the terminal. None if stdout cannot be redrawn: it is no terminal, its cursor does not
    /// move, or a CI service keeps what is written.
    #[must_use]
    pub fn on_stdout(streams: &Streams) -> Option<Self> {
        let settings = &streams.settings;
        let can_redraw = settings.out.terminal && !settings.ci && !console::is_dumb();
        can_redraw.then(|| Self { streams: streams.clone(), shown: Vec::new(), size: size() })
    }

    /// Shows a text instead of the last one. What has no room is cut off: a longer line at its end, and lines at the end.
    ///
    /// # Errors
    /// Writing fails. A closed terminal is not an error.
    pub fn show(&mut self, text: &str) -> Result<Written> {
        let size = size();
        let lines = fit(&sanitize_colored(&self.streams.hidden(text)), size);
        // After a change of the size nobody knows where the lines stand.
        let repaint = if size == self.size {
            repaint(&self.shown, &lines)
        } else {
            format!("{CLEAR_SCREEN}{}", repaint(&[], &lines))
        };
        (self.shown, self.size) = (lines, size);
        self.streams.write_controls(&repaint)
    }
}

/// Clears the terminal and moves the cursor to its upper left corner.
const CLEAR_SCREEN: &str = "\x1b[2J\x1b[H";
const CLEAR_LINE: &str = "\x1b[2K";
const CLEAR_BELOW: &str = "\x1b[J";

/// Returns the lines and columns of the terminal.
fn size() -> (usize, usize) {
    let (lines, columns) = Term::stdout().size();
    (usize::from(lines), usize::from(columns))
}

/// Returns the lines of a text that have room: the cursor stands below them.
fn fit(text: &str, (lines, columns): (usize, usize)) -> Vec<String> {
    let all: Vec<String> =
        text.lines().map(|line| console::truncate_str(line, columns, "…").into_owned()).collect();
    let room = lines.saturating_sub(1).max(1);
    if all.len() <= room {
        return all;
    }
    let hidden = all.len() - (room - 1);
    let mut shown: Vec<String> = all.into_iter().take(room - 1).collect();
    shown.push(format!("… {hidden} more lines: the terminal is too small"));
    shown
}

/// Returns what turns the old lines above the cursor into the new ones. An unchanged line is not written.
fn repaint(old: &[String], new: &[String]) -> String {
    let first = old.iter().zip(new).take_while(|(old, new)| old == new).count();
    let mut text = String::new();
    if first == old.len() && first == new.len() {
        return text;
    }
    if first < old.len() {
        let _never_fails = write!(text, "\x1b[{}A\r", old.len() - first);
    }
    for (index, line) in new.iter().enumerate().skip(first) {
        match old.get(index) {
            Some(old) if old == line => {}
            Some(_) => text += &format!("{CLEAR_LINE}{line}"),
            None => text += line,
        }
        text.push('\n');
    }
    if old.len() > new.len() {
        text += CLEAR_BELOW;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn only_changed_lines_are_written() {
        assert_eq!(repaint(&[], &lines("a\nb")), "a\nb\n");
        assert_eq!(repaint(&lines("a\nb\nc"), &lines("a\nb\nc")), "");
        assert_eq!(repaint(&lines("a\nb\nc"), &lines("a\nX\nc")), "\x1b[2A\r\x1b[2KX\n\n");
        assert_eq!(repaint(&lines("a\nb"), &lines("a\nb\nc")), "c\n");
        assert_eq!(repaint(&lines("a\nb\nc"), &lines("a")), "\x1b[2A\r\x1b[J");
    }

    #[test]
    fn lines_without_room_are_counted() {
        assert_eq!(fit("one\ntwo", (3, 80)), ["one", "two"]);
        assert_eq!(fit("one\ntwo\nthree", (3, 80)), ["one", "… 2 more lines: the terminal is too small"]);
        assert_eq!(fit("a long line", (3, 6)), ["a lon…"]);
    }
}
