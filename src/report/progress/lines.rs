//! Progress for streams that are not a terminal: a line per transition, with the time since the start.
//! Pure: the time is an argument.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::kept_objects::{KeptObjects, Listing};
use crate::catalogue::Id;
use crate::diagnostic::Diagnostic;
use crate::event::{Action, Event, Finished, Phase, Progress};
use crate::object::ObjectId;
use crate::phrase;
use crate::report::text::diagnostic::{self, Style};
use crate::report::text::format;
use crate::report::text::github::{self, Checkout, END_GROUP};
use crate::report::text::sanitize::one_line;

/// A heartbeat is omitted if a line was written less than this time ago. A bit less than the heartbeat's own interval,
/// so that a heartbeat that arrives slightly early is not omitted.
const HEARTBEAT_SPACING: Duration = Duration::from_secs(29);

/// The form of the lines.
#[derive(Debug, Clone)]
pub(crate) struct LineOptions {
    pub(crate) verbose: bool,
    /// The folders of a GitHub workflow, which gets groups and annotations. None elsewhere.
    pub(crate) github: Option<Checkout>,
    pub(crate) style: Style,
}

/// Turns events into lines.
#[derive(Debug)]
pub(crate) struct LineProgress {
    options: LineOptions,
    started: Option<Timestamp>,
    last: Option<Timestamp>,
    /// The last line about each subject, which is not repeated.
    written: BTreeMap<String, String>,
    /// The objects of the current step, with their actions.
    objects: Vec<(ObjectId, Action, Option<String>)>,
    kept: KeptObjects,
    /// Whether nothing was written since the step began.
    is_silent: bool,
    has_group: bool,
}

impl LineProgress {
    pub(crate) fn new(options: LineOptions) -> Self {
        Self {
            options,
            started: None,
            last: None,
            written: BTreeMap::new(),
            objects: Vec::new(),
            kept: KeptObjects::default(),
            is_silent: true,
            has_group: false,
        }
    }

    /// Formats an event as none, one or several lines, each with its newline.
    pub(crate) fn event(&mut self, event: &Event, now: Timestamp) -> String {
        let started = *self.started.get_or_insert(now);
        let stamp = format::stopwatch(phrase::elapsed(started, now));
        let body = match event {
            Event::Warning { id, message, diagnostic } => {
                return self.warning(*id, message, diagnostic.as_deref(), &stamp);
            }
            Event::Waiting { .. } if self.wrote_recently(now) => return String::new(),
            Event::Planned { phase: Phase::Apply, objects } if self.options.verbose => {
                let planned = objects.iter().map(|object| line("plan", &object.to_string()));
                planned.collect()
            }
            other => self.body(other).into_iter().collect::<Vec<_>>(),
        };
        if !body.is_empty() {
            self.last = Some(now);
            self.is_silent = false;
        }
        let text = format::lines(body.iter().map(|line| format!("{stamp} {line}")));
        self.with_group(event, text)
    }

    fn wrote_recently(&self, now: Timestamp) -> bool {
        self.last.is_some_and(|last| phrase::elapsed(last, now) < HEARTBEAT_SPACING)
    }

    fn body(&mut self, event: &Event) -> Option<String> {
        match event {
            Event::Target { command, target } => Some(line(command, target)),
            Event::Config { message } => Some(line("config", message)),
            Event::Step { phase, name, progress, message } => self.step(*phase, name, *progress, message),
            Event::Object { phase, object, action, message, dry_run } => {
                self.objects.push((object.clone(), *action, message.clone()));
                let reason = message.as_ref().map_or_else(String::new, |message| format!(": {message}"));
                let word = if *dry_run { action.as_conditional() } else { action.as_str() };
                let text = line(format::phase(*phase), &format!("{object} {word}{reason}"));
                if !self.options.verbose {
                    match self.kept.listing(object, *action, message.as_deref()) {
                        Listing::Listed => {}
                        Listing::More(more) => return Some(line(format::phase(*phase), &more)),
                        Listing::Included => return None,
                    }
                }
                (*action != Action::Unchanged || self.options.verbose).then_some(text)
            }
            Event::Rollout { object, message, fails_in, .. } => {
                let fails = fails_in.map_or_else(String::new, |left| format!("; {}", format::fails_in(left)));
                self.unless_repeated(
                    object.to_string(),
                    line("rollout", &format!("{object} {message}{fails}")),
                )
            }
            Event::Finding(finding) => {
                let (id, object) = (finding.id, &finding.object);
                let text = format!("{object} {id} {}: {}", id.title(), finding.message);
                self.unless_repeated(format!("{id} {object}"), line("finding", &text))
            }
            Event::Probe { target, message, .. } => {
                self.unless_repeated(format!("probe {target}"), line("probe", &format!("{target} {message}")))
            }
            Event::Waiting { object, message, left } => {
                let left =
                    left.map_or_else(String::new, |left| format!(" (deadline in {})", format::took(left)));
                Some(line("waiting", &format!("{}{left}", format::waiting_text(object.as_ref(), message))))
            }
            Event::Wire { requests, bytes_in, bytes_out, slowest } if self.options.verbose => {
                Some(line("wire", &format::wire(*requests, *bytes_in, *bytes_out, slowest)))
            }
            Event::Finished(finished) => Some(finished_line(finished)),
            Event::Started { .. }
            | Event::Planned { .. }
            | Event::Check { .. }
            | Event::Wire { .. }
            | Event::Warning { .. }
            | Event::Container(_)
            | Event::KubernetesEvent(_)
            | Event::Changes(_) => None,
        }
    }

    fn step(&mut self, phase: Phase, name: &str, progress: Progress, message: &str) -> Option<String> {
        if format::is_hidden(phase, progress, message) {
            return None;
        }
        if progress == Progress::Started {
            self.objects.clear();
            self.is_silent = true;
            return self.step_started(phase, name, message);
        }
        // Each probe has written its own line.
        if phase == Phase::Probe && progress == Progress::Done && !self.is_silent {
            return None;
        }
        let label = format::phase(phase);
        let summary = format::step_message(message, &self.objects);
        let mut parts: Vec<&str> = Vec::new();
        if name != label {
            parts.push(name);
        }
        if progress != Progress::Done {
            parts.push(progress.as_str());
        }
        if !summary.is_empty() {
            parts.push(&summary);
        }
        if parts.is_empty() && !self.is_silent {
            return None;
        }
        let text = if parts.is_empty() { progress.as_str().to_owned() } else { parts.join(": ") };
        self.unless_repeated(format!("{label} {name}"), line(label, &text))
    }

    /// Writes a line for the start of a step that has a message: it may take long. Heartbeats report its progress.
    fn step_started(&mut self, phase: Phase, name: &str, message: &str) -> Option<String> {
        let label = format::phase(phase);
        let subject = format!("{label} {name}");
        if message.is_empty() || self.written.contains_key(&subject) {
            return None;
        }
        let prefix = if name == label { String::new() } else { format!("{name}: ") };
        self.unless_repeated(subject, line(label, &format!("{prefix}{message}")))
    }

    fn warning(&self, id: Id, message: &str, diagnostic: Option<&Diagnostic>, stamp: &str) -> String {
        let text = match diagnostic {
            Some(diagnostic) => diagnostic::render(diagnostic, self.options.style),
            None => format!("{stamp} {}\n", line("warning", &format!("{id} {message}"))),
        };
        let Some(checkout) = &self.options.github else { return text };
        let annotation = match diagnostic {
            Some(diagnostic) => github::diagnostic(diagnostic, checkout),
            None => github::annotation(github::Level::Warning, id, None, message, checkout),
        };
        github::escape_commands(&text) + &annotation
    }

    /// Returns the line, unless the last line about any subject has the same text.
    fn unless_repeated(&mut self, subject: String, line: String) -> Option<String> {
        let is_repeated = self.written.values().any(|written| *written == line);
        self.written.insert(subject, line.clone());
        (!is_repeated).then_some(line)
    }

    /// Puts the lines of each command of a run into a group, in a GitHub workflow.
    fn with_group(&mut self, event: &Event, text: String) -> String {
        if self.options.github.is_none() {
            return text;
        }
        let text = github::escape_commands(&text);
        match event {
            Event::Target { command, target } => {
                let end = if std::mem::replace(&mut self.has_group, true) { END_GROUP } else { "" };
                format!("{end}{}{text}", github::group(&format!("{command} {target}")))
            }
            Event::Finished(_) if std::mem::take(&mut self.has_group) => format!("{END_GROUP}{text}"),
            _ => text,
        }
    }
}

fn line(label: &str, text: &str) -> String {
    format!("{} {}", format::label(label), one_line(text)).trim_end().to_owned()
}

/// Formats the end of a command: `done      revision 4 · undo: handsctl rollback --to 3`. A failure has only its id,
/// because the error follows.
fn finished_line(finished: &Finished) -> String {
    if let Some(id) = finished.id {
        return line("failed", &format!("{id}, exit {}", finished.exit));
    }
    let mut parts = vec![finished.message.clone()];
    parts.extend(finished.revision.map(|revision| format!("revision {revision}")));
    parts.extend(finished.notes.iter().cloned());
    // On a terminal, several spaces separate a command from a remark.
    let single_spaced = |command: &str| command.split_whitespace().collect::<Vec<_>>().join(" ");
    parts.extend(finished.next.iter().map(|(label, command)| format!("{label}: {}", single_spaced(command))));
    parts.retain(|part| !part.is_empty());
    line(if finished.exit == 0 { "done" } else { "ended" }, &parts.join(" · "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::scenario::{self, Scenario, assert_recorded, timestamp};
    use crate::report::text::style::Palette;

    fn lines(scenario: &Scenario, verbose: bool, github: bool) -> String {
        let style = Style { palette: Palette::NONE, width: 80 };
        let mut line =
            LineProgress::new(LineOptions { verbose, github: github.then(Checkout::default), style });
        scenario.iter().map(|(at, event)| line.event(event, timestamp(*at))).collect()
    }

    #[test]
    fn each_transition_is_one_line() {
        assert_recorded!("line", lines(&scenario::deploy(), false, false));
        assert_recorded!("line-verbose", lines(&scenario::deploy(), true, false));
        assert_recorded!("line-failed", lines(&scenario::up_with_a_bad_image(), false, false));
    }

    #[test]
    fn github_workflow_has_one_group_per_command() {
        assert_recorded!("line-github", lines(&scenario::deploy(), false, true));
        let text = lines(&scenario::up_with_a_bad_image(), false, true);
        assert_eq!(text.matches("::group::").count(), 2);
        assert_eq!(text.matches("::endgroup::").count(), 2);
    }

    #[test]
    fn dry_run_lines_say_would_be() {
        let object = scenario::deployment();
        let event = Event::Object {
            phase: Phase::Apply,
            object,
            action: Action::Created,
            message: None,
            dry_run: true,
        };
        let text = lines(&vec![(0, event)], false, false);
        assert_eq!(text, "00:00.00 apply     deployment.apps/openhands would be created\n");
    }

    #[test]
    fn no_line_is_repeated() {
        for scenario in [scenario::deploy(), scenario::up_with_a_bad_image()] {
            let text = lines(&scenario, true, false);
            let mut bodies: Vec<&str> =
                text.lines().filter_map(|line| line.split_once(' ')).map(|(_, body)| body).collect();
            let all = bodies.len();
            bodies.sort_unstable();
            bodies.dedup();
            assert_eq!(bodies.len(), all, "{text}");
        }
    }

    #[test]
    fn end_of_the_probes_repeats_none_of_them() {
        let step = |progress, message: &str| Event::Step {
            phase: Phase::Probe,
            name: "probe".into(),
            progress,
            message: message.into(),
        };
        let probe = Event::Probe { target: "/alive".into(), healthy: true, message: "200 in 6 ms".into() };
        let answers = "/alive 200 in 6 ms · /api/options/config 200 in 7 ms";
        let events = vec![(0, step(Progress::Started, "")), (1, probe), (2, step(Progress::Done, answers))];
        assert_eq!(lines(&events, false, false), "00:00.00 probe     /alive 200 in 6 ms\n");
        let skipped = vec![(0, step(Progress::Skipped, "--probe never"))];
        assert_eq!(lines(&skipped, false, false), "00:00.00 probe     skipped: --probe never\n");
    }

    #[test]
    fn cluster_text_cannot_forge_lines_or_commands() {
        let message = "ready\n::endgroup::\n00:00.00 done ##[error]x\u{1b}[2J".to_owned();
        let event = Event::Rollout { object: scenario::deployment(), ready: true, message, fails_in: None };
        let text = lines(&vec![(0, event)], false, true);
        assert_eq!(
            text,
            "00:00.00 rollout   deployment.apps/openhands ready ::endgroup:: 00:00.00 done # #[error]x\n"
        );
    }
}
