//! Draws the live block of a terminal.

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::terminal::LiveRow;

/// The rows of the live block on the screen.
pub(crate) struct Bars {
    block: MultiProgress,
    rows: Vec<(ProgressBar, bool)>,
    static_style: ProgressStyle,
    spinner_style: ProgressStyle,
}

impl Bars {
    /// Creates bars that draw to stderr.
    pub(crate) fn on_stderr() -> Self {
        Self::with_target(ProgressDrawTarget::stderr())
    }

    pub(crate) fn with_target(target: ProgressDrawTarget) -> Self {
        let style = |template| {
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
        };
        Self {
            block: MultiProgress::with_draw_target(target),
            rows: Vec::new(),
            static_style: style("{msg}"),
            spinner_style: style("  {spinner} {msg}"),
        }
    }

    /// Draws these rows as the block. Spinners advance with every call.
    pub(crate) fn show(&mut self, rows: &[LiveRow]) {
        for (bar, _) in self.rows.drain(rows.len().min(self.rows.len())..) {
            self.block.remove(&bar);
        }
        for (index, row) in rows.iter().enumerate() {
            if index == self.rows.len() {
                let bar = self.block.add(ProgressBar::no_length().with_style(self.static_style.clone()));
                self.rows.push((bar, false));
            }
            let Some((bar, is_spinning)) = self.rows.get_mut(index) else { continue };
            let (text, spin) = match row {
                LiveRow::Static(text) => (text, false),
                LiveRow::Spinning(text) => (text, true),
            };
            if *is_spinning != spin {
                bar.set_style(if spin { self.spinner_style.clone() } else { self.static_style.clone() });
                *is_spinning = spin;
            }
            bar.set_message(text.clone());
            bar.tick();
        }
    }

    /// Clears the block, writes, and draws the block again. `MultiProgress::suspend` does the same, but panics on a
    /// closed terminal, and the last events must still reach the events file.
    pub(crate) fn write_above(&self, write: impl FnOnce()) {
        let _terminal_is_closed = self.block.clear();
        write();
        // Drawing one row draws the whole block.
        if let Some((row, _)) = self.rows.last() {
            row.force_draw();
        }
    }
}
