//! Progress on a terminal: a header per command, a row per step. Pure: what is drawn while the command
//! runs ([`Human::live`]) and what stays ([`Human::event`]) are texts; [`super::bars`] draws them.

use jiff::Timestamp;

use super::heartbeat::Heartbeat;
use crate::catalogue::Id;
use crate::diagnostic::{Diagnostic, Severity};
use crate::event::{Action, Event, Finished, Phase, Progress};
use crate::object::ObjectId;
use crate::phrase;
use crate::report::text::diagnostic::{self, Style};
use crate::report::text::format;
use crate::report::text::sanitize::one_line;
use crate::status::Finding;

/// Columns of a row; on a wider terminal a time at the far right would be hard to follow.
const COLUMNS: usize = 80;
/// Columns that a time takes beside a title, with the blanks before it.
const TIME: usize = 9;

/// A row of the live block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LiveRow {
    /// Stays as it is.
    Still(String),
    /// Has a spinner before its text.
    Spinning(String),
}

/// Turns events into the rows of a block and the text that stays.
#[derive(Debug)]
pub(crate) struct TerminalProgress {
    look: Style,
    verbose: bool,
    section: Option<Section>,
    /// Whether anything stands on the screen already: the next block is set off by an empty line.
    wrote: bool,
}

#[derive(Debug)]
struct Section {
    title: Option<String>,
    /// The rest of a title that is too long for a line.
    below: Option<String>,
    since: Timestamp,
    rows: Vec<ProgressRow>,
    objects: Vec<(ObjectId, Action, Option<String>)>,
}

#[derive(Debug)]
enum ProgressRow {
    Step(StepRow),
    Finding(Box<Finding>),
    /// About an object; shown below its step when the block is finished.
    Note(String),
}

#[derive(Debug)]
struct StepRow {
    phase: Phase,
    name: String,
    progress: Progress,
    message: String,
    since: Timestamp,
    until: Option<Timestamp>,
}

impl TerminalProgress {
    pub(crate) fn new(look: Style, verbose: bool) -> Self {
        Self { look, verbose, section: None, wrote: false }
    }

    /// Takes in an event; what is returned stays on the screen, above the live block.
    pub(crate) fn event(&mut self, event: &Event, now: Timestamp) -> String {
        let text = match event {
            // Whoever typed the command knows its name.
            Event::Started { .. } => String::new(),
            Event::Target { command, target } => {
                let finished = self.finish_section(None, now);
                let label = self.look.paint.strong(&format::label(command));
                self.section = Some(self.titled(&label, &one_line(target), now));
                finished
            }
            Event::Config { message } => {
                format!("{} {}\n", self.look.paint.strong("config   "), one_line(message))
            }
            Event::Warning { id, message, diagnostic } => self.warning(*id, message, diagnostic.as_deref()),
            Event::Wire { requests, bytes_in, bytes_out, slowest } if self.verbose => {
                let text = one_line(&format::wire(*requests, *bytes_in, *bytes_out, slowest));
                self.section(now).rows.push(ProgressRow::Note(text));
                String::new()
            }
            Event::Finished(finished) => {
                let block = self.finish_section(Some(finished), now);
                let ending = self.ending(finished);
                // The error that follows is set off, too.
                let followed = !ending.is_empty() || finished.id.is_some();
                let gap = if block.is_empty() || !followed { "" } else { "\n" };
                format!("{block}{gap}{ending}")
            }
            other => {
                self.row(other, now);
                String::new()
            }
        };
        self.wrote |= !text.is_empty();
        text
    }

    /// Where the line is too short for title and time, what stands in brackets goes below.
    fn titled(&self, label: &str, target: &str, now: Timestamp) -> Section {
        let title = format!("{label} {target}");
        let room = self.columns().saturating_sub(TIME);
        match target.split_once("  (").and_then(|(what, rest)| Some((what, rest.strip_suffix(')')?))) {
            Some((what, rest)) if console::measure_text_width(&title) > room => {
                let below = " ".repeat(console::measure_text_width(label) + 1) + &self.look.paint.faint(rest);
                Section { below: Some(below), ..Section::new(Some(format!("{label} {what}")), now) }
            }
            _ => Section::new(Some(title), now),
        }
    }

    fn section(&mut self, now: Timestamp) -> &mut Section {
        self.section.get_or_insert_with(|| Section::new(None, now))
    }

    fn row(&mut self, event: &Event, now: Timestamp) {
        let (verbose, paint) = (self.verbose, self.look.paint);
        let section = self.section(now);
        match event {
            Event::Step { phase, progress, message, .. } if format::is_hidden(*phase, *progress, message) => {
            }
            Event::Step { phase, name, progress, message } => {
                section.step(*phase, name, *progress, message, now);
            }
            Event::Planned { phase: Phase::Apply, objects } if verbose => {
                section.rows.extend(
                    objects
                        .iter()
                        .map(|object| ProgressRow::Note(paint.faint(&format!("plan       {object}")))),
                );
            }
            Event::Object { object, action, message, .. } => {
                section.objects.push((object.clone(), *action, message.clone()));
                let listed = matches!(action, Action::Failed | Action::Kept);
                if listed || verbose {
                    let reason = message.as_ref().map_or_else(String::new, |message| format!("  {message}"));
                    section.rows.push(ProgressRow::Note(one_line(&format!(
                        "{:<10} {object}{reason}",
                        action.word()
                    ))));
                }
            }
            Event::Finding(finding) => {
                section.forget(finding);
                section.rows.push(ProgressRow::Finding(finding.clone()));
            }
            Event::Probe { target, message, .. } => section.probed(&format!("{target} {message}")),
            _ => {}
        }
    }

    fn warning(&self, id: Id, message: &str, place: Option<&Diagnostic>) -> String {
        match place {
            Some(place) => diagnostic::render(place, self.look),
            None => diagnostic::parts(Severity::Warning, id, message, None, self.look).0,
        }
    }

    /// The rows of the live block.
    pub(crate) fn live(&self, waiting: &Heartbeat, now: Timestamp) -> Vec<LiveRow> {
        let Some(section) = &self.section else { return Vec::new() };
        let header = section.title.iter().map(|title| {
            let time = format::took(phrase::elapsed(section.since, now));
            LiveRow::Still(self.fitted(title, &time))
        });
        let header = header.chain(section.below.iter().map(|below| LiveRow::Still(self.cut(below))));
        let rows = section.rows.iter().filter_map(|row| match row {
            ProgressRow::Step(step) if step.until.is_none() => {
                Some(LiveRow::Spinning(self.spinning(step, waiting, now)))
            }
            ProgressRow::Step(step) => Some(LiveRow::Still(self.cut(&self.still(step, step.progress)))),
            ProgressRow::Finding(finding) => Some(LiveRow::Still(self.cut(&self.finding(finding)))),
            ProgressRow::Note(_) => None,
        });
        // What is drawn stands where it will stay: set off from what is above.
        let gap = self.wrote.then(|| LiveRow::Still(" ".to_owned()));
        gap.into_iter().chain(header).chain(rows).collect()
    }

    /// `rollout   deployment.apps/openhands 0/1: pulling image 12 s · 14 m 48 s left   16.2s`
    fn spinning(&self, step: &StepRow, waiting: &Heartbeat, now: Timestamp) -> String {
        let mut parts = Vec::new();
        if step.phase == Phase::Track {
            parts.extend(waiting.gap(now));
            parts.extend(waiting.left(now).map(|left| format!("{} left", phrase::span(left))));
        }
        if parts.is_empty() {
            parts.push(step.message.clone());
        }
        let text = format!("{:<20} {}", one_line(&step.name), one_line(&parts.join(" · ")));
        // The spinner and its blanks take four columns.
        let time = format::took(phrase::elapsed(step.since, now));
        let room = self.look.width.saturating_sub(5 + time.len() + 2);
        beside(&console::truncate_str(&text, room, "…"), &time, self.columns().saturating_sub(4))
    }

    /// Where times end. The last column stays free: some terminals break the line behind it.
    fn columns(&self) -> usize {
        COLUMNS.min(self.look.width.saturating_sub(1))
    }

    fn fitted(&self, title: &str, time: &str) -> String {
        let room = self.look.width.saturating_sub(time.len() + 3);
        beside(&console::truncate_str(title, room, "…"), time, self.columns())
    }

    fn cut(&self, row: &str) -> String {
        console::truncate_str(row, self.look.width.saturating_sub(1), "…").into_owned()
    }

    /// `  ✓ apply                11 created                                           0.2s`
    fn still(&self, step: &StepRow, progress: Progress) -> String {
        let paint = self.look.paint;
        let sign = match progress {
            Progress::Done => paint.good("✓"),
            Progress::Failed => paint.bad("✗"),
            Progress::Skipped | Progress::Started => paint.faint("-"),
        };
        let text = format!("  {sign} {:<20} {}", one_line(&step.name), one_line(&step.message));
        let took = step.until.map(|until| phrase::elapsed(step.since, until)).unwrap_or_default();
        if took.as_millis() < 50 {
            return text.trim_end().to_owned();
        }
        let time = format::took(took);
        let (used, width) = (console::measure_text_width(&text), self.look.width);
        // Where only the time would go over the edge it is left out: by itself on the next line it says nothing.
        if used < width && used + 2 + time.len() >= width {
            return text.trim_end().to_owned();
        }
        beside(&text, &paint.faint(&time), self.columns())
    }

    fn finding(&self, finding: &Finding) -> String {
        let text = format!("{} {}: {}", finding.object, finding.id.title(), finding.message);
        format!("  {} {} {}", self.look.paint.remark("!"), finding.id, one_line(&text))
    }

    /// The block as it stays. A finding that became the error is left to the error.
    fn finish_section(&mut self, finished: Option<&Finished>, now: Timestamp) -> String {
        let Some(section) = self.section.take() else { return String::new() };
        let failed = finished.is_some_and(|finished| finished.exit != 0);
        let cause = finished.and_then(|finished| finished.id);
        let mut text = String::from(if self.wrote { "\n" } else { "" });
        if let Some(title) = &section.title {
            let time = format::took(phrase::elapsed(section.since, now));
            text.push_str(&beside(title, &self.look.paint.faint(&time), self.columns()));
            text.push('\n');
        }
        text.extend(section.below.iter().map(|below| format!("{below}\n")));
        for row in &section.rows {
            let line = match row {
                ProgressRow::Step(step) if step.until.is_none() && failed => {
                    self.still(step, Progress::Failed)
                }
                ProgressRow::Step(step) => self.still(step, step.progress),
                ProgressRow::Finding(finding) if Some(finding.id) == cause => continue,
                ProgressRow::Finding(finding) => self.finding(finding),
                ProgressRow::Note(note) => format!("  {note}"),
            };
            text.push_str(&line);
            text.push('\n');
        }
        text
    }

    /// What stays when the events end without [`Event::Finished`].
    pub(crate) fn abandon(&mut self, now: Timestamp) -> String {
        self.finish_section(None, now)
    }

    /// What came of it and what to type next; of a failure nothing, because the error follows.
    fn ending(&self, finished: &Finished) -> String {
        if finished.id.is_some() {
            return String::new();
        }
        let revision = finished.revision.map(|revision| format!("   revision {revision}"));
        let message = Some(one_line(&finished.message)).filter(|message| !message.is_empty());
        let message = message.map(|message| message + &self.look.paint.faint(&revision.unwrap_or_default()));
        let notes = finished.notes.iter().map(|note| format!("  {}", one_line(note)));
        let next = finished
            .next
            .iter()
            .map(|(label, command)| format!("  {} {command}", self.look.paint.faint(&format!("{label:<7}"))));
        format::lines(message.into_iter().chain(notes).chain(next))
    }
}

impl Section {
    fn new(title: Option<String>, since: Timestamp) -> Self {
        Self { title, below: None, since, rows: Vec::new(), objects: Vec::new() }
    }

    fn step(&mut self, phase: Phase, name: &str, progress: Progress, message: &str, now: Timestamp) {
        let objects =
            if progress == Progress::Started { Vec::new() } else { std::mem::take(&mut self.objects) };
        let message = if message.is_empty() { format::counts(&objects) } else { message.to_owned() };
        let until = (progress != Progress::Started).then_some(now);
        let Some(step) = self.open_step(phase, name) else {
            let row = StepRow { phase, name: name.to_owned(), progress, message, since: now, until };
            return self.rows.push(ProgressRow::Step(row));
        };
        if !message.is_empty() {
            step.message = message;
        }
        (step.progress, step.until) = (progress, until);
    }

    fn open_step(&mut self, phase: Phase, name: &str) -> Option<&mut StepRow> {
        self.rows.iter_mut().find_map(|row| match row {
            ProgressRow::Step(step) if step.phase == phase && step.name == name && step.until.is_none() => {
                Some(step)
            }
            _ => None,
        })
    }

    /// An answer becomes part of the open probe's row.
    fn probed(&mut self, answer: &str) {
        let open = self.rows.iter_mut().find_map(|row| match row {
            ProgressRow::Step(step) if step.phase == Phase::Probe && step.until.is_none() => Some(step),
            _ => None,
        });
        match open {
            Some(step) if step.message.is_empty() => answer.clone_into(&mut step.message),
            Some(step) if !step.message.contains(answer) => {
                step.message = format!("{} · {answer}", step.message);
            }
            Some(_) => {}
            None => self.rows.push(ProgressRow::Note(one_line(&format!("probe  {answer}")))),
        }
    }

    fn forget(&mut self, finding: &Finding) {
        self.rows.retain(|row| match row {
            ProgressRow::Finding(known) => (known.id, &known.object) != (finding.id, &finding.object),
            _ => true,
        });
    }
}

/// The text, and the time at the right edge of so many columns, or two blanks behind a longer text.
fn beside(text: &str, time: &str, columns: usize) -> String {
    let used = console::measure_text_width(text) + console::measure_text_width(time);
    format!("{text}{}{time}", " ".repeat(columns.saturating_sub(used).max(2)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::scenario::{self, Scenario, assert_recorded, moment};
    use crate::report::text::style::Palette;

    fn look(width: usize) -> Style {
        Style { paint: Palette::NONE, width }
    }

    /// What stays on the screen.
    fn screen(scenario: &Scenario, verbose: bool) -> String {
        let mut human = TerminalProgress::new(look(80), verbose);
        scenario.iter().map(|(at, event)| human.event(event, moment(*at))).collect()
    }

    /// What is drawn at a moment, a `*` for a spinner.
    fn drawn(scenario: &Scenario, at: i64, width: usize) -> String {
        let mut human = TerminalProgress::new(look(width), false);
        let mut waiting = Heartbeat::default();
        for (since, event) in scenario.iter().filter(|(since, _)| *since <= at) {
            waiting.observe(event, moment(*since));
            human.event(event, moment(*since));
        }
        let rows = human.live(&waiting, moment(at));
        let text = rows.iter().map(|row| match row {
            LiveRow::Still(text) => format!("{text}\n"),
            LiveRow::Spinning(text) => format!("  * {text}\n"),
        });
        text.collect()
    }

    #[test]
    fn what_stays() {
        assert_recorded!("human", screen(&scenario::deploy(), false));
        assert_recorded!("human-verbose", screen(&scenario::deploy(), true));
        assert_recorded!("human-failed", screen(&scenario::up_with_a_bad_image(), false));
    }

    #[test]
    fn what_is_drawn_meanwhile() {
        assert_recorded!("human-building", drawn(&scenario::up_with_a_bad_image(), 3_000, 80));
        assert_recorded!("human-pulling", drawn(&scenario::deploy(), 12_400, 100));
    }

    #[test]
    fn a_narrow_terminal_keeps_the_times() {
        let screen = drawn(&scenario::deploy(), 12_400, 42);
        let times: Vec<&str> = screen.lines().filter_map(|line| line.split_whitespace().last()).collect();
        assert_eq!((times[0], times[3]), ("12.4s", "12.1s"), "{screen}");
    }

    #[test]
    fn no_row_is_wider_than_the_terminal() {
        for width in [24, 40, 60, 80, 200] {
            for line in drawn(&scenario::deploy(), 12_400, width).lines() {
                assert!(console::measure_text_width(line) < width, "{width}: {line}");
            }
        }
    }
}
