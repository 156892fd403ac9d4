//! Progress on a terminal: a header per command, a row per step. Pure: the live block ([`TerminalProgress::live`]) and
//! the permanent text ([`TerminalProgress::event`]) are returned as text; [`super::bars`] draws them.

use jiff::Timestamp;

use super::heartbeat::{Heartbeat, WaitText};
use super::kept_objects::{KeptObjects, Listing};
use crate::catalogue::Id;
use crate::diagnostic::{Diagnostic, Severity};
use crate::event::{Action, Event, Finished, Phase, Progress};
use crate::object::ObjectId;
use crate::phrase;
use crate::report::text::diagnostic::{self, Style};
use crate::report::text::format;
use crate::report::text::sanitize::one_line;
use crate::report::text::wrap::{wrapped, wrapped_hint};
use crate::status::Finding;

/// The width of a row in columns. On a wider terminal, a time at the right edge would be too far from its text.
const COLUMNS: usize = 80;
/// The column at which the text of a finding begins: `  ! HC4103 `.
const FINDING_INDENT: usize = 11;
/// The column at which the object of a remark begins.
const NOTE_INDENT: usize = 13;
/// Columns of a time after a title, including the spaces before it.
const TIME_COLUMNS: usize = 9;

/// A row of the live block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LiveRow {
    /// A row without a spinner.
    Static(String),
    /// A row with a spinner before its text.
    Spinning(String),
}

/// Turns events into the rows of the live block and the permanent text.
#[derive(Debug)]
pub(crate) struct TerminalProgress {
    style: Style,
    verbose: bool,
    section: Option<Section>,
    /// Whether there is text on the screen already, from which an empty line separates the next block.
    has_output: bool,
}

#[derive(Debug)]
struct Section {
    title: Option<String>,
    /// The second part of a title that is too long for one line.
    below: Option<String>,
    since: Timestamp,
    rows: Vec<ProgressRow>,
    objects: Vec<(ObjectId, Action, Option<String>)>,
    kept: KeptObjects,
}

#[derive(Debug)]
enum ProgressRow {
    Step(StepRow),
    Finding(Box<Finding>),
    /// A remark about an object. It is shown below its step when the block is finished.
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
    pub(crate) fn new(style: Style, verbose: bool) -> Self {
        Self { style, verbose, section: None, has_output: false }
    }

    /// Processes an event. The returned text is permanent and is written above the live block.
    pub(crate) fn event(&mut self, event: &Event, now: Timestamp) -> String {
        let text = match event {
            // The user typed the command, so its name is not repeated.
            Event::Started { .. } => String::new(),
            Event::Target { command, target } => {
                let finished = self.finish_section(None, now);
                let label = self.style.palette.bold(&format::label(command));
                self.section = Some(self.new_section(&label, &one_line(target), now));
                finished
            }
            Event::Config { message } => {
                format!("{} {}\n", self.style.palette.bold("config   "), one_line(message))
            }
            Event::Warning { id, message, diagnostic } => self.warning(*id, message, diagnostic.as_deref()),
            Event::Wire { requests, bytes_in, bytes_out, slowest } if self.verbose => {
                let text = one_line(&format::wire(*requests, *bytes_in, *bytes_out, slowest));
                self.section(now).rows.push(ProgressRow::Note(text));
                String::new()
            }
            Event::Finished(finished) => {
                let block = self.finish_section(Some(finished), now);
                let result = self.result(finished);
                // An empty line also separates the error that follows.
                let is_followed = !result.is_empty() || finished.id.is_some();
                let separator = if block.is_empty() || !is_followed { "" } else { "\n" };
                format!("{block}{separator}{result}")
            }
            other => {
                self.row(other, now);
                String::new()
            }
        };
        self.has_output |= !text.is_empty();
        text
    }

    /// Creates a section. If title and time do not fit on one line, the part in brackets moves to the next line.
    fn new_section(&self, label: &str, target: &str, now: Timestamp) -> Section {
        let title = format!("{label} {target}");
        let room = self.columns().saturating_sub(TIME_COLUMNS);
        match target.split_once("  (").and_then(|(name, rest)| Some((name, rest.strip_suffix(')')?))) {
            Some((name, rest)) if console::measure_text_width(&title) > room => {
                let below =
                    " ".repeat(console::measure_text_width(label) + 1) + &self.style.palette.dim(rest);
                Section { below: Some(below), ..Section::new(Some(format!("{label} {name}")), now) }
            }
            _ => Section::new(Some(title), now),
        }
    }

    fn section(&mut self, now: Timestamp) -> &mut Section {
        self.section.get_or_insert_with(|| Section::new(None, now))
    }

    fn row(&mut self, event: &Event, now: Timestamp) {
        let (verbose, palette) = (self.verbose, self.style.palette);
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
                        .map(|object| ProgressRow::Note(palette.dim(&format!("plan       {object}")))),
                );
            }
            Event::Object { object, action, message, dry_run, .. } => {
                section.objects.push((object.clone(), *action, message.clone()));
                let is_listed = matches!(action, Action::Failed | Action::Kept);
                let listing = section.kept.listing(object, *action, message.as_deref());
                if let (Listing::More(more), false) = (&listing, verbose) {
                    section.rows.push(ProgressRow::Note(more.clone()));
                }
                if (is_listed && listing == Listing::Listed) || verbose {
                    let reason = message.as_ref().map_or_else(String::new, |message| format!("  {message}"));
                    let word = if *dry_run { action.as_conditional() } else { action.as_str() };
                    let note = one_line(&format!("{word:<10} {object}{reason}"));
                    section.rows.push(ProgressRow::Note(note));
                }
            }
            Event::Finding(finding) => {
                section.remove_finding(finding);
                section.rows.push(ProgressRow::Finding(finding.clone()));
            }
            Event::Probe { target, message, .. } => section.add_probe_result(&format!("{target} {message}")),
            _ => {}
        }
    }

    fn warning(&self, id: Id, message: &str, diagnostic: Option<&Diagnostic>) -> String {
        match diagnostic {
            Some(diagnostic) => diagnostic::render(diagnostic, self.style),
            None => diagnostic::parts(Severity::Warning, id, message, None, self.style).0,
        }
    }

    /// Returns the rows of the live block.
    pub(crate) fn live(&self, heartbeat: &Heartbeat, now: Timestamp) -> Vec<LiveRow> {
        let Some(section) = &self.section else { return Vec::new() };
        let header = section.title.iter().map(|title| {
            let time = format::took(phrase::elapsed(section.since, now));
            LiveRow::Static(self.title_row(title, &time))
        });
        let header = header.chain(section.below.iter().map(|below| LiveRow::Static(self.truncate(below))));
        let rows = section.rows.iter().filter_map(|row| match row {
            ProgressRow::Step(step) if step.until.is_none() => {
                Some(LiveRow::Spinning(self.spinner_row(step, heartbeat, now)))
            }
            ProgressRow::Step(step) => {
                Some(LiveRow::Static(self.truncate(&self.step_line(step, step.progress))))
            }
            ProgressRow::Finding(finding) => Some(LiveRow::Static(self.live_finding(finding))),
            ProgressRow::Note(_) => None,
        });
        // The live block is separated from the text above, as the finished block will be.
        let separator = self.has_output.then(|| LiveRow::Static(" ".to_owned()));
        separator.into_iter().chain(header).chain(rows).collect()
    }

    /// Formats a running step: `rollout   deployment.apps/openhands 0/1: pulling image 12 s · 14 m 48 s left   16.2s`.
    fn spinner_row(&self, step: &StepRow, heartbeat: &Heartbeat, now: Timestamp) -> String {
        // The spinner and the spaces around it take four columns.
        let time = format::took(phrase::elapsed(step.since, now));
        let room = self.style.width.saturating_sub(5 + time.len() + 2);
        let wait = heartbeat.wait(now).and_then(|wait| match step.phase {
            Phase::Track => Some(wait),
            // The image says more than the pod that pulls it.
            Phase::Preflight if !step.message.is_empty() => {
                Some(WaitText { object: step.message.clone(), ..wait })
            }
            _ => None,
        });
        let text = if let Some(wait) = wait {
            wait_row(&one_line(&step.name), &wait, room)
        } else {
            let left = heartbeat.left(now).filter(|_| step.phase == Phase::Track);
            let left = left.map(|left| format!("{} left", phrase::span(left)));
            format!("{:<20} {}", one_line(&step.name), one_line(left.as_ref().unwrap_or(&step.message)))
        };
        with_time(&console::truncate_str(&text, room, "…"), &time, self.columns().saturating_sub(4))
    }

    /// Returns the column at which times end. The last column stays free, because some terminals wrap the line after
    /// it.
    fn columns(&self) -> usize {
        COLUMNS.min(self.style.width.saturating_sub(1))
    }

    fn title_row(&self, title: &str, time: &str) -> String {
        let room = self.style.width.saturating_sub(time.len() + 3);
        with_time(&console::truncate_str(title, room, "…"), time, self.columns())
    }

    fn truncate(&self, row: &str) -> String {
        console::truncate_str(row, self.style.width.saturating_sub(1), "…").into_owned()
    }

    /// Formats a finished step. On a narrow terminal its message continues below itself.
    fn step_row(&self, step: &StepRow, progress: Progress) -> String {
        let line = self.step_line(step, progress);
        if console::measure_text_width(&line) <= self.style.width {
            return line;
        }
        let name = one_line(&step.name);
        let prefix = format!("  {} {name:<20} ", self.sign(progress));
        let used = console::measure_text_width(&prefix);
        prefix + &wrapped(&one_line(&step.message), used, used, self.style.width)
    }

    fn sign(&self, progress: Progress) -> String {
        let palette = self.style.palette;
        match progress {
            Progress::Done => palette.success("✓"),
            Progress::Failed => palette.failure("✗"),
            Progress::Skipped | Progress::Started => palette.dim("-"),
        }
    }

    /// Formats a step: `  ✓ apply                11 created                                           0.2s`.
    fn step_line(&self, step: &StepRow, progress: Progress) -> String {
        let (palette, sign) = (self.style.palette, self.sign(progress));
        let text = format!("  {sign} {:<20} {}", one_line(&step.name), one_line(&step.message));
        let took = step.until.map(|until| phrase::elapsed(step.since, until)).unwrap_or_default();
        if took.as_millis() < 50 {
            return text.trim_end().to_owned();
        }
        let time = format::took(took);
        let (used, width) = (console::measure_text_width(&text), self.style.width);
        // If only the time exceeds the width, it is omitted: alone on the next line it would be meaningless.
        if used <= width && used + 2 + time.len() >= width {
            return text.trim_end().to_owned();
        }
        with_time(&text, &palette.dim(&time), self.columns())
    }

    fn finding_row(&self, finding: &Finding) -> String {
        let text = format!("{} {}: {}", finding.object, finding.id.title(), finding.message);
        self.finding_line(
            finding,
            &wrapped(&one_line(&text), FINDING_INDENT, FINDING_INDENT, self.style.width),
        )
    }

    /// Formats a finding in one row. Where room is short, the object's name goes: the reason is worth more.
    fn live_finding(&self, finding: &Finding) -> String {
        let reason = one_line(&format!("{}: {}", finding.id.title(), finding.message));
        let full = self.finding_line(finding, &format!("{} {reason}", finding.object));
        if console::measure_text_width(&full) < self.style.width {
            return full;
        }
        self.truncate(&self.finding_line(finding, &reason))
    }

    fn finding_line(&self, finding: &Finding, text: &str) -> String {
        format!("  {} {} {text}", self.style.palette.warning("!"), finding.id)
    }

    /// Formats a remark. Its reason, after the object, continues below the object where room is short.
    fn note_row(&self, note: &str) -> String {
        let width = self.style.width;
        match note.rsplit_once("  ") {
            Some((head, reason))
                if console::measure_text_width(note) + 2 > width && !head.trim().is_empty() =>
            {
                let indent = " ".repeat(NOTE_INDENT);
                format!("  {head}\n{indent}{}", wrapped(reason, NOTE_INDENT, NOTE_INDENT, width))
            }
            _ => format!("  {}", wrapped(note, 2, NOTE_INDENT, width)),
        }
    }

    /// Returns the section as permanent text. Findings with the error's id are omitted, because the error repeats them.
    fn finish_section(&mut self, finished: Option<&Finished>, now: Timestamp) -> String {
        let Some(section) = self.section.take() else { return String::new() };
        let failed = finished.is_some_and(|finished| finished.exit != 0);
        let error_id = finished.and_then(|finished| finished.id);
        let mut text = String::from(if self.has_output { "\n" } else { "" });
        if let Some(title) = &section.title {
            let time = format::took(phrase::elapsed(section.since, now));
            text.push_str(&with_time(title, &self.style.palette.dim(&time), self.columns()));
            text.push('\n');
        }
        text.extend(section.below.iter().map(|below| format!("{below}\n")));
        for row in &section.rows {
            let line = match row {
                ProgressRow::Step(step) if step.until.is_none() && failed => {
                    self.step_row(step, Progress::Failed)
                }
                ProgressRow::Step(step) => self.step_row(step, step.progress),
                ProgressRow::Finding(finding) if Some(finding.id) == error_id => continue,
                ProgressRow::Finding(finding) => self.finding_row(finding),
                ProgressRow::Note(note) => self.note_row(note),
            };
            text.push_str(&line);
            text.push('\n');
        }
        text
    }

    /// Returns the permanent text of the open section, if the events end without [`Event::Finished`].
    pub(crate) fn abandon(&mut self, now: Timestamp) -> String {
        self.finish_section(None, now)
    }

    /// Formats the result and the next commands. A failure has no text, because the error follows.
    fn result(&self, finished: &Finished) -> String {
        if finished.id.is_some() {
            return String::new();
        }
        let revision = finished.revision.map(|revision| format!("   revision {revision}"));
        let message = Some(one_line(&finished.message)).filter(|message| !message.is_empty());
        let message = message.map(|message| wrapped(&message, 0, 2, self.style.width));
        let message = message.map(|message| message + &self.style.palette.dim(&revision.unwrap_or_default()));
        let notes = finished.notes.iter().map(|note| one_line(note));
        let notes = notes.map(|note| format!("  {}", wrapped_hint(&note, 2, 4, self.style.width)));
        // A label that is longer than the usual ones keeps a gap of two columns.
        let longest = finished.next.iter().map(|(label, _)| label.len() + 1).filter(|length| *length > 8);
        let column = longest.max().unwrap_or(7);
        let next = finished.next.iter().map(|(label, command)| {
            let label = self.style.palette.dim(&format!("{label:<column$}"));
            let indent = column + 3;
            format!("  {label} {}", wrapped_hint(command, indent, indent, self.style.width))
        });
        format::lines(message.into_iter().chain(notes).chain(next))
    }
}

impl Section {
    fn new(title: Option<String>, since: Timestamp) -> Self {
        Self {
            title,
            below: None,
            since,
            rows: Vec::new(),
            objects: Vec::new(),
            kept: KeptObjects::default(),
        }
    }

    fn step(&mut self, phase: Phase, name: &str, progress: Progress, message: &str, now: Timestamp) {
        let objects =
            if progress == Progress::Started { Vec::new() } else { std::mem::take(&mut self.objects) };
        let message = format::step_message(message, &objects);
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

    /// Adds a probe result to the row of the running probe.
    fn add_probe_result(&mut self, result: &str) {
        let running = self.rows.iter_mut().find_map(|row| match row {
            ProgressRow::Step(step) if step.phase == Phase::Probe && step.until.is_none() => Some(step),
            _ => None,
        });
        match running {
            Some(step) if step.message.is_empty() => result.clone_into(&mut step.message),
            Some(step) if !step.message.contains(result) => {
                step.message = format!("{} · {result}", step.message);
            }
            Some(_) => {}
            None => self.rows.push(ProgressRow::Note(one_line(&format!("probe  {result}")))),
        }
    }

    fn remove_finding(&mut self, finding: &Finding) {
        self.rows.retain(|row| match row {
            ProgressRow::Finding(other) => (other.id, &other.object) != (finding.id, &finding.object),
            _ => true,
        });
    }
}

/// The fewest columns in which a cut name still tells objects apart.
const NAME_COLUMNS: usize = 8;

/// Formats what a step waits for. Where room is short, the object's name is cut first, then the step's name and the
/// remarks go; the reason is cut last.
fn wait_row(step: &str, wait: &WaitText, room: usize) -> String {
    let width = console::measure_text_width;
    let (object, reason) = (one_line(&wait.object), one_line(&wait.reason));
    let (end, short_end) = match (wait.fails_in, wait.left) {
        (Some(left), _) => {
            (format!(" · {}", format::fails_in(left)), format!(" · fails in {}", phrase::span(left)))
        }
        (None, Some(left)) => {
            let end = format!(" · {} left", phrase::span(left));
            (end.clone(), end)
        }
        (None, None) => (String::new(), String::new()),
    };
    let full = format!("{step:<20} {object} {reason}{end}");
    if width(&full) <= room {
        return full;
    }
    let short_reason = wait.short_reason.as_deref().map(one_line);
    let reasons = || [Some(&reason), short_reason.as_ref()].into_iter().flatten();
    for reason in reasons() {
        for end in [&end, &short_end] {
            let others = width(&format!("{step}  {reason}{end}"));
            if others + NAME_COLUMNS <= room {
                let object = console::truncate_str(&object, room - others, "…").into_owned();
                return format!("{step} {object} {reason}{end}");
            }
        }
    }
    let mut shorter = reasons().flat_map(|reason| {
        [
            format!("{step} {reason}{short_end}"),
            format!("{reason}{short_end}"),
            format!("{step} {reason}"),
            reason.clone(),
        ]
    });
    shorter
        .find(|text| width(text) <= room)
        .unwrap_or_else(|| short_reason.as_ref().unwrap_or(&reason).clone())
}

/// Appends the time to the text, right-aligned to `columns`, or after two spaces if the text is longer.
fn with_time(text: &str, time: &str, columns: usize) -> String {
    let used = console::measure_text_width(text) + console::measure_text_width(time);
    format!("{text}{}{time}", " ".repeat(columns.saturating_sub(used).max(2)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::report::scenario::{self, Scenario, assert_recorded, timestamp};
    use crate::report::text::style::Palette;

    fn style(width: usize) -> Style {
        Style { palette: Palette::NONE, width }
    }

    /// Returns the permanent text of a scenario.
    fn permanent_text(scenario: &Scenario, verbose: bool) -> String {
        let mut progress = TerminalProgress::new(style(80), verbose);
        scenario.iter().map(|(at, event)| progress.event(event, timestamp(*at))).collect()
    }

    /// Returns the live block at a time, with a `*` for a spinner.
    fn live_block(scenario: &Scenario, at: i64, width: usize) -> String {
        let mut progress = TerminalProgress::new(style(width), false);
        let mut heartbeat = Heartbeat::default();
        for (since, event) in scenario.iter().filter(|(since, _)| *since <= at) {
            heartbeat.observe(event, timestamp(*since));
            progress.event(event, timestamp(*since));
        }
        let rows = progress.live(&heartbeat, timestamp(at));
        let text = rows.iter().map(|row| match row {
            LiveRow::Static(text) => format!("{text}\n"),
            LiveRow::Spinning(text) => format!("  * {text}\n"),
        });
        text.collect()
    }

    #[test]
    fn permanent_text_is_as_recorded() {
        assert_recorded!("human", permanent_text(&scenario::deploy(), false));
        assert_recorded!("human-verbose", permanent_text(&scenario::deploy(), true));
        assert_recorded!("human-failed", permanent_text(&scenario::up_with_a_bad_image(), false));
    }

    #[test]
    fn live_block_is_as_recorded() {
        assert_recorded!("human-building", live_block(&scenario::up_with_a_bad_image(), 3_000, 80));
        assert_recorded!("human-pulling", live_block(&scenario::deploy(), 12_400, 100));
    }

    #[test]
    fn narrow_terminal_keeps_times() {
        let block = live_block(&scenario::deploy(), 12_400, 42);
        let times: Vec<&str> = block.lines().filter_map(|line| line.split_whitespace().last()).collect();
        assert_eq!((times[0], times[3]), ("12.4s", "12.1s"), "{block}");
    }

    #[test]
    fn narrow_terminal_cuts_the_name_not_the_reason() {
        let wait = WaitText {
            object: "deployment.apps/openhands".to_owned(),
            reason: "0/1: no node matches its selector".to_owned(),
            short_reason: None,
            fails_in: Some(Duration::from_secs(40)),
            left: Some(Duration::from_secs(600)),
        };
        let row = |room| wait_row("rollout", &wait, room);
        assert_eq!(
            row(120),
            "rollout              deployment.apps/openhands 0/1: no node matches its selector · fails in 40 s unless it recovers"
        );
        assert_eq!(
            row(90),
            "rollout deployment.a… 0/1: no node matches its selector · fails in 40 s unless it recovers"
        );
        assert_eq!(row(70), "rollout deployment.… 0/1: no node matches its selector · fails in 40 s");
        assert_eq!(row(49), "0/1: no node matches its selector · fails in 40 s");
        assert_eq!(row(34), "0/1: no node matches its selector");
        assert_eq!(row(20), "0/1: no node matches its selector", "the caller cuts its end");
        let waiting = WaitText { fails_in: None, ..wait };
        assert!(wait_row("rollout", &waiting, 200).ends_with("selector · 10 m left"));
    }

    #[test]
    fn pull_before_the_rollout_names_the_image_and_its_wait() {
        let pod = ObjectId::namespaced("", "Pod", "hands", "openhands-6d5f9c7b9-x2kqp");
        let message = "0/1: pulling image".to_owned();
        let scenario = vec![
            (0, scenario::step(Phase::Preflight, "prepull", Progress::Started, "acme/oh:2")),
            (1, Event::Rollout { object: pod, ready: false, message, fails_in: None }),
            (1_000, scenario::container(crate::timeline::SpanState::Pulling, "pulling image", 0, Some(60))),
        ];
        let block = live_block(&scenario, 41_000, 100);
        let row = block.lines().last().unwrap();
        assert!(
            row.contains("prepull              acme/oh:2 0/1 available, 1 pulling image 40 s of about 1 m"),
            "{block}"
        );
    }

    #[test]
    fn narrow_terminal_keeps_the_gap() {
        let wait = WaitText {
            object: "deployment.apps/openhands".to_owned(),
            reason: "1/2 available, 1 pulling image 40 s of about 1 m".to_owned(),
            short_reason: Some("1/2, 1 pulling image 40 s of about 1 m".to_owned()),
            fails_in: None,
            left: Some(Duration::from_secs(888)),
        };
        let row = |room| wait_row("rollout", &wait, room);
        assert_eq!(
            row(120),
            "rollout              deployment.apps/openhands 1/2 available, 1 pulling image 40 s of about 1 m · 14 m 48 s left"
        );
        assert_eq!(
            row(88),
            "rollout deployment.ap… 1/2 available, 1 pulling image 40 s of about 1 m · 14 m 48 s left"
        );
        assert_eq!(
            row(68),
            "1/2 available, 1 pulling image 40 s of about 1 m · 14 m 48 s left",
            "80 columns"
        );
        assert_eq!(row(48), "1/2 available, 1 pulling image 40 s of about 1 m", "60 columns");
        assert_eq!(row(40), "1/2, 1 pulling image 40 s of about 1 m");
    }

    #[test]
    fn permanent_text_is_wrapped_at_words() {
        for width in [60, 80] {
            for scenario in [scenario::deploy(), scenario::up_with_a_bad_image()] {
                let mut progress = TerminalProgress::new(style(width), true);
                let text: String =
                    scenario.iter().map(|(at, event)| progress.event(event, timestamp(*at))).collect();
                for line in text.lines() {
                    let one_word = line.split_whitespace().count() < 4 || line.contains("handsctl ");
                    assert!(
                        console::measure_text_width(line) <= width || one_word,
                        "{width}: {line}\n{text}"
                    );
                }
            }
        }
    }

    #[test]
    fn narrow_live_finding_keeps_the_reason() {
        let scenario = scenario::up_with_a_bad_image();
        let mut findings = scenario.iter().filter_map(|(_, event)| match event {
            Event::Finding(finding) => Some(finding.clone()),
            _ => None,
        });
        let finding = findings.next_back().expect("a finding");
        let row = TerminalProgress::new(style(60), false).live_finding(&finding);
        assert!(row.contains(finding.id.title()), "{row}");
        assert!(!row.contains(&finding.object.to_string()), "{row}");
    }

    #[test]
    fn no_row_is_wider_than_the_terminal() {
        for width in [24, 40, 60, 80, 200] {
            for line in live_block(&scenario::deploy(), 12_400, width).lines() {
                assert!(console::measure_text_width(line) < width, "{width}: {line}");
            }
        }
    }
}
