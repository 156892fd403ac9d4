//! Progress where there is no terminal: a line per transition, with the time since the beginning.
//! Pure: the time is an argument.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::catalogue::Id;
use crate::diagnostic::Diagnostic;
use crate::event::{Action, Event, Finished, Phase, Progress};
use crate::object::ObjectId;
use crate::phrase;
use crate::report::text::diagnostic::{self, Style};
use crate::report::text::format;
use crate::report::text::github::{self, END_GROUP};
use crate::report::text::sanitize::one_line;

/// A heartbeat is left out when a line was written shortly before. A bit less than the
/// heartbeat's own interval, so that one which comes early is not lost.
const SPACING: Duration = Duration::from_secs(29);

/// Where the lines go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LineOptions {
    pub(crate) verbose: bool,
    /// A GitHub workflow: groups and annotations.
    pub(crate) github: bool,
    pub(crate) look: Style,
}

/// Turns events into lines.
#[derive(Debug)]
pub(crate) struct LineProgress {
    options: LineOptions,
    begun: Option<Timestamp>,
    last: Option<Timestamp>,
    /// The last line about each thing: it is not written again.
    said: BTreeMap<String, String>,
    /// What was done in the current step.
    objects: Vec<(ObjectId, Action, Option<String>)>,
    /// Nothing was written since the step began.
    silent: bool,
    grouped: bool,
}

impl LineProgress {
    pub(crate) fn new(options: LineOptions) -> Self {
        Self {
            options,
            begun: None,
            last: None,
            said: BTreeMap::new(),
            objects: Vec::new(),
            silent: true,
            grouped: false,
        }
    }

    /// The lines that an event is worth: none, one or several, each with its newline.
    pub(crate) fn event(&mut self, event: &Event, now: Timestamp) -> String {
        let begun = *self.begun.get_or_insert(now);
        let stamp = format::stopwatch(phrase::elapsed(begun, now));
        let body = match event {
            Event::Warning { id, message, diagnostic } => {
                return self.warning(*id, message, diagnostic.as_deref(), &stamp);
            }
            Event::Waiting { .. } if self.spoke_recently(now) => return String::new(),
            Event::Planned { phase: Phase::Apply, objects } if self.options.verbose => {
                let planned = objects.iter().map(|object| line("plan", &object.to_string()));
                planned.collect()
            }
            other => self.body(other).into_iter().collect::<Vec<_>>(),
        };
        if !body.is_empty() {
            self.last = Some(now);
            self.silent = false;
        }
        let text = format::lines(body.iter().map(|line| format!("{stamp} {line}")));
        self.grouping(event, text)
    }

    fn spoke_recently(&self, now: Timestamp) -> bool {
        self.last.is_some_and(|last| phrase::elapsed(last, now) < SPACING)
    }

    fn body(&mut self, event: &Event) -> Option<String> {
        match event {
            Event::Target { command, target } => Some(line(command, target)),
            Event::Config { message } => Some(line("config", message)),
            Event::Step { phase, name, progress, message } => self.step(*phase, name, *progress, message),
            Event::Object { phase, object, action, message } => {
                self.objects.push((object.clone(), *action, message.clone()));
                let reason = message.as_ref().map_or_else(String::new, |message| format!(": {message}"));
                let text = line(format::phase(*phase), &format!("{object} {}{reason}", action.word()));
                (*action != Action::Unchanged || self.options.verbose).then_some(text)
            }
            Event::Rollout { object, message, .. } => {
                self.once(object.to_string(), line("rollout", &format!("{object} {message}")))
            }
            Event::Finding(finding) => {
                let (id, object) = (finding.id, &finding.object);
                let text = format!("{object} {id} {}: {}", id.title(), finding.message);
                self.once(format!("{id} {object}"), line("finding", &text))
            }
            Event::Probe { target, message, .. } => {
                self.once(format!("probe {target}"), line("probe", &format!("{target} {message}")))
            }
            Event::Waiting { object, message, left } => {
                let left =
                    left.map_or_else(String::new, |left| format!(" (deadline in {})", format::took(left)));
                Some(line("waiting", &format!("{}{left}", format::gap(object.as_ref(), message))))
            }
            Event::Wire { requests, bytes_in, bytes_out, slowest } if self.options.verbose => {
                Some(line("wire", &format::wire(*requests, *bytes_in, *bytes_out, slowest)))
            }
            Event::Finished(finished) => Some(ending(finished)),
            Event::Started { .. } | Event::Planned { .. } | Event::Wire { .. } | Event::Warning { .. } => {
                None
            }
        }
    }

    fn step(&mut self, phase: Phase, name: &str, progress: Progress, message: &str) -> Option<String> {
        if format::is_hidden(phase, progress, message) {
            return None;
        }
        if progress == Progress::Started {
            self.objects.clear();
            self.silent = true;
            return self.beginning(phase, name, message);
        }
        let label = format::phase(phase);
        let said = if message.is_empty() { format::counts(&self.objects) } else { message.to_owned() };
        let mut parts: Vec<&str> = Vec::new();
        if name != label {
            parts.push(name);
        }
        if progress != Progress::Done {
            parts.push(progress.word());
        }
        if !said.is_empty() {
            parts.push(&said);
        }
        if parts.is_empty() && !self.silent {
            return None;
        }
        let text = if parts.is_empty() { progress.word().to_owned() } else { parts.join(": ") };
        self.once(format!("{label} {name}"), line(label, &text))
    }

    /// A step that says what it sets out to do may take long; how far it is comes with the heartbeat.
    fn beginning(&mut self, phase: Phase, name: &str, message: &str) -> Option<String> {
        let label = format::phase(phase);
        let about = format!("{label} {name}");
        if message.is_empty() || self.said.contains_key(&about) {
            return None;
        }
        let subject = if name == label { String::new() } else { format!("{name}: ") };
        self.once(about, line(label, &format!("{subject}{message}")))
    }

    fn warning(&self, id: Id, message: &str, place: Option<&Diagnostic>, stamp: &str) -> String {
        let (shown, annotation) = match place {
            Some(place) => (diagnostic::render(place, self.options.look), github::diagnostic(place)),
            None => (
                format!("{stamp} {}\n", line("warning", &format!("{id} {message}"))),
                github::annotation(github::Level::Warning, id, None, message),
            ),
        };
        if self.options.github { github::defuse(&shown) + &annotation } else { shown }
    }

    /// The line, unless it is what stands there already: about this thing, or in the same words about another.
    fn once(&mut self, about: String, line: String) -> Option<String> {
        let again = self.said.values().any(|said| *said == line);
        self.said.insert(about, line.clone());
        (!again).then_some(line)
    }

    /// In a GitHub workflow each command of a run is a group.
    fn grouping(&mut self, event: &Event, text: String) -> String {
        if !self.options.github {
            return text;
        }
        let text = github::defuse(&text);
        match event {
            Event::Target { command, target } => {
                let end = if std::mem::replace(&mut self.grouped, true) { END_GROUP } else { "" };
                format!("{end}{}{text}", github::group(&format!("{command} {target}")))
            }
            Event::Finished(_) if std::mem::take(&mut self.grouped) => format!("{END_GROUP}{text}"),
            _ => text,
        }
    }
}

fn line(label: &str, text: &str) -> String {
    format!("{} {}", format::label(label), one_line(text)).trim_end().to_owned()
}

/// `done      revision 4 · undo: handsctl rollback --to 3`; of a failure only the id, because the error follows.
fn ending(finished: &Finished) -> String {
    if let Some(id) = finished.id {
        return line("failed", &format!("{id}, exit {}", finished.exit));
    }
    let mut parts = vec![finished.message.clone()];
    parts.extend(finished.revision.map(|revision| format!("revision {revision}")));
    parts.extend(finished.notes.iter().cloned());
    // A remark behind a command is set apart by spaces, for the screen.
    let words = |command: &str| command.split_whitespace().collect::<Vec<_>>().join(" ");
    parts.extend(finished.next.iter().map(|(label, command)| format!("{label}: {}", words(command))));
    parts.retain(|part| !part.is_empty());
    line(if finished.exit == 0 { "done" } else { "ended" }, &parts.join(" · "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::scenario::{self, Scenario, assert_recorded, moment};
    use crate::report::text::style::Palette;

    fn lines(scenario: &Scenario, verbose: bool, github: bool) -> String {
        let look = Style { paint: Palette::NONE, width: 80 };
        let mut line = LineProgress::new(LineOptions { verbose, github, look });
        scenario.iter().map(|(at, event)| line.event(event, moment(*at))).collect()
    }

    #[test]
    fn a_line_per_transition() {
        assert_recorded!("line", lines(&scenario::deploy(), false, false));
        assert_recorded!("line-verbose", lines(&scenario::deploy(), true, false));
        assert_recorded!("line-failed", lines(&scenario::up_with_a_bad_image(), false, false));
    }

    #[test]
    fn in_a_github_workflow() {
        assert_recorded!("line-github", lines(&scenario::deploy(), false, true));
        let text = lines(&scenario::up_with_a_bad_image(), false, true);
        assert_eq!(text.matches("::group::").count(), 2);
        assert_eq!(text.matches("::endgroup::").count(), 2);
    }

    #[test]
    fn never_the_same_line_twice() {
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
    fn the_cluster_cannot_forge_lines_or_commands() {
        let message = "ready\n::endgroup::\n00:00.00 done ##[error]x\u{1b}[2J".to_owned();
        let event = Event::Rollout { object: scenario::deployment(), ready: true, message };
        let text = lines(&vec![(0, event)], false, true);
        assert_eq!(
            text,
            "00:00.00 rollout   deployment.apps/openhands ready ::endgroup:: 00:00.00 done # #[error]x\n"
        );
    }
}
