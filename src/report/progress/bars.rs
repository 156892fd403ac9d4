//! Draws the live block of a terminal.

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::terminal::LiveRow;

/// The rows that are on the screen now.
pub(crate) struct Bars {
    block: MultiProgress,
    rows: Vec<(ProgressBar, bool)>,
    still: ProgressStyle,
    spinning: ProgressStyle,
}

impl Bars {
    /// Draws to stderr.
    pub(crate) fn on_stderr() -> Self {
        Self::on(ProgressDrawTarget::stderr())
    }

    pub(crate) fn on(target: ProgressDrawTarget) -> Self {
        let style = |template| {
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
        };
        Self {
            block: MultiProgress::with_draw_target(target),
            rows: Vec::new(),
            still: style("{msg}"),
            spinning: style("  {spinner} {msg}"),
        }
    }

    /// Makes the block look like these rows. Spinners turn with every call.
    pub(crate) fn show(&mut self, rows: &[LiveRow]) {
        for (bar, _) in self.rows.drain(rows.len().min(self.rows.len())..) {
            self.block.remove(&bar);
        }
        for (index, row) in rows.iter().enumerate() {
            if index == self.rows.len() {
                let bar = self.block.add(ProgressBar::no_length().with_style(self.still.clone()));
                self.rows.push((bar, false));
            }
            let Some((bar, turns)) = self.rows.get_mut(index) else { continue };
            let (text, spins) = match row {
                LiveRow::Still(text) => (text, false),
                LiveRow::Spinning(text) => (text, true),
            };
            if *turns != spins {
                bar.set_style(if spins { self.spinning.clone() } else { self.still.clone() });
                *turns = spins;
            }
            bar.set_message(text.clone());
            bar.tick();
        }
    }

    /// Takes the block off the screen, writes, and draws it again. `MultiProgress::suspend` does the same and panics on
    /// a terminal that was closed, where the last words still have to reach the events' file.
    pub(crate) fn above(&self, write: impl FnOnce()) {
        let _nobody_looks = self.block.clear();
        write();
        // One row draws the whole block.
        if let Some((row, _)) = self.rows.last() {
            row.force_draw();
        }
    }
}
