//! The sections of a GitLab job's log: one for each phase of a command, which GitLab folds and times. Pure.
//!
//! The form follows <https://docs.gitlab.com/ci/jobs/job_logs/#custom-collapsible-sections>. Its control characters are
//! removed from every other text, so no text of a cluster can begin or end a section.

use jiff::Timestamp;

use super::format;
use crate::event::{Event, Phase, Progress};

/// The open section of a log.
#[derive(Debug, Default)]
pub(crate) struct Sections {
    open: Option<(Phase, String)>,
    count: usize,
}

impl Sections {
    /// Returns the marks before the lines of an event: a step of another phase ends the section and begins one. The
    /// result of the command is in no section.
    pub(crate) fn before(&mut self, event: &Event, now: Timestamp) -> String {
        let phase = match event {
            Event::Config { .. } => Phase::Config,
            Event::Step { phase, progress: Progress::Started, .. } => *phase,
            Event::Finished(_) => return self.end(now),
            _ => return String::new(),
        };
        if self.open.as_ref().is_some_and(|(open, _)| *open == phase) {
            return String::new();
        }
        let end = self.end(now);
        self.count += 1;
        let seconds = now.as_second();
        let name = format!("handsctl_{}_{seconds}_{}", phase.as_str(), self.count);
        let start = format!("\x1b[0Ksection_start:{seconds}:{name}\r\x1b[0K{}\n", format::phase(phase));
        self.open = Some((phase, name));
        end + &start
    }

    fn end(&mut self, now: Timestamp) -> String {
        let open = self.open.take();
        open.map_or_else(String::new, |(_, name)| {
            format!("\x1b[0Ksection_end:{}:{name}\r\x1b[0K\n", now.as_second())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Finished;
    use crate::report::scenario::{step, timestamp};

    #[test]
    fn a_section_lasts_until_a_step_of_another_phase_begins() {
        let mut sections = Sections::default();
        let mut marks = |event: &Event, at: i64| {
            sections.before(event, timestamp(at)).replace("\x1b[0K", "").replace('\r', "|")
        };
        let first = step(Phase::Lock, "lock", Progress::Started, "");
        assert_eq!(marks(&first, 0), "section_start:1763700000:handsctl_lock_1763700000_1|lock\n");
        assert_eq!(marks(&step(Phase::Lock, "more", Progress::Started, ""), 1_000), "");
        assert_eq!(
            marks(&step(Phase::Apply, "apply", Progress::Started, ""), 2_000),
            "section_end:1763700002:handsctl_lock_1763700000_1|\n\
             section_start:1763700002:handsctl_apply_1763700002_2|apply\n"
        );
        assert_eq!(marks(&step(Phase::Lock, "lock", Progress::Done, ""), 3_000), "", "an end begins none");
        let finished = Event::Finished(Finished::default());
        assert_eq!(marks(&finished, 4_000), "section_end:1763700004:handsctl_apply_1763700002_2|\n");
    }
}
