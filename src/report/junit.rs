//! The result of a command as JUnit XML, as GitLab and Jenkins read it: `--junit FILE`. Pure.
//!
//! One test suite for the command; a case for each step, each object, each watched workload, each finding and each
//! mistake of the configuration, and one for the command itself, which has the error.

use std::time::Duration;

use jiff::Timestamp;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::text::diagnostic::Style;
use super::text::error;
use super::text::sanitize::{one_line, sanitize};
use super::text::style::{DEFAULT_WIDTH, Palette};
use crate::diagnostic::{Diagnostic, Severity};
use crate::error::{Error, Result};
use crate::event::{Action, CheckVerdict, Event, Finished, Phase, Progress};
use crate::object::ObjectId;
use crate::phrase;
use crate::status::Finding;

/// A file has no colour.
const PLAIN: Style = Style { palette: Palette::NONE, width: DEFAULT_WIDTH };

/// The result of checking a configuration.
#[derive(Debug, Clone, Copy)]
pub struct ConfigCheck<'a> {
    /// The files with the number of their keys or mistakes.
    pub summary: &'a str,
    /// All mistakes and warnings.
    pub diagnostics: &'a [Diagnostic],
    /// Whether a deploy would accept it.
    pub is_valid: bool,
}

/// The cases of one run.
#[derive(Debug, Default)]
pub(crate) struct Junit {
    command: String,
    /// The part of the command that runs: `deploy`, or the automatic `rollback` after it.
    part: String,
    started: Option<Timestamp>,
    ended: Option<Timestamp>,
    cases: Vec<Case>,
    /// The steps that have not ended, with their start.
    open: Vec<(Phase, String, Timestamp)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Case {
    class: String,
    name: String,
    time: Option<Duration>,
    outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    Passed,
    Skipped(String),
    Failed { kind: String, message: String, text: String },
}

impl Junit {
    /// Adds what an event says.
    pub(crate) fn observe(&mut self, event: &Event, now: Timestamp) {
        self.started.get_or_insert(now);
        self.ended = Some(now);
        match event {
            Event::Started { command } => {
                self.command.clone_from(command);
                self.part.clone_from(command);
            }
            Event::Target { command, .. } => self.part.clone_from(command),
            Event::Step { phase, name, progress, message } => {
                self.step(*phase, name, *progress, message, now);
            }
            Event::Object { object, action, message, .. } => self.object(object, *action, message.as_deref()),
            Event::Rollout { object, ready, message, .. } => {
                let outcome = if *ready { Outcome::Passed } else { failed("not ready", message, message) };
                self.put("rollout", object_name(object), None, outcome);
            }
            Event::Finding(finding) => self.finding(finding),
            Event::Check { category, name, verdict, detail, problem } => {
                let name = self.numbered(category, name);
                self.put(category, name, None, check(*verdict, detail, problem.as_deref()));
            }
            Event::Finished(finished) => self.finish(finished),
            _ => {}
        }
    }

    fn step(&mut self, phase: Phase, name: &str, progress: Progress, message: &str, now: Timestamp) {
        let is_same =
            |(other, other_name, _): &(Phase, String, Timestamp)| *other == phase && other_name == name;
        let open = self.open.iter().position(is_same);
        if progress == Progress::Started {
            if open.is_none() {
                self.open.push((phase, name.to_owned(), now));
            }
            return;
        }
        let since = open.map(|index| self.open.remove(index).2);
        let time = since.map(|since| phrase::elapsed(since, now));
        let outcome = match progress {
            Progress::Skipped => Outcome::Skipped(message.to_owned()),
            Progress::Failed => {
                failed("step", if message.is_empty() { "the step failed" } else { message }, "")
            }
            Progress::Started | Progress::Done => Outcome::Passed,
        };
        self.put(phase.as_str(), name.to_owned(), time, outcome);
    }

    fn object(&mut self, object: &ObjectId, action: Action, message: Option<&str>) {
        let outcome = match action {
            Action::Failed => failed("object", message.unwrap_or("the request failed"), ""),
            Action::Skipped => Outcome::Skipped(message.unwrap_or_default().to_owned()),
            _ => Outcome::Passed,
        };
        self.put("object", object_name(object), None, outcome);
    }

    fn finding(&mut self, finding: &Finding) {
        let lines = [&finding.evidence[..], &finding.log, &finding.hints].concat().join("\n");
        let message = format!("{}: {}", finding.id.title(), finding.message);
        let name = format!("{} {}", finding.id, object_name(&finding.object));
        self.put("finding", name, None, failed(finding.id.code(), &message, &lines));
    }

    fn finish(&mut self, finished: &Finished) {
        let time = self.started.zip(self.ended).map(|(from, to)| phrase::elapsed(from, to));
        let outcome = match &finished.error {
            Some(error) => failed(error.id().code(), error.message(), &error::render(error, PLAIN)),
            None if finished.exit == 0 => Outcome::Passed,
            None => failed(&format!("exit {}", finished.exit), &finished.message, &finished.message),
        };
        self.part.clone_from(&self.command);
        let name = format!("handsctl {}", self.command);
        self.put("command", name, time, outcome);
    }

    /// Returns the name of a check; `name 2` if there is one of the name already: a check may find several problems.
    fn numbered(&self, category: &str, name: &str) -> String {
        let class = self.class(category);
        let is_same = |case: &&Case| {
            case.class == class && (case.name == name || case.name.starts_with(&format!("{name} ")))
        };
        match self.cases.iter().filter(is_same).count() {
            0 => name.to_owned(),
            earlier => format!("{name} {}", earlier + 1),
        }
    }

    fn class(&self, kind: &str) -> String {
        format!("handsctl.{}.{kind}", self.part.replace(' ', "-"))
    }

    /// Adds a case, or replaces the one of the same name: the last state counts.
    fn put(&mut self, kind: &str, name: String, time: Option<Duration>, outcome: Outcome) {
        let case = Case { class: self.class(kind), name, time, outcome };
        match self.cases.iter_mut().find(|other| other.class == case.class && other.name == case.name) {
            Some(other) => *other = case,
            None => self.cases.push(case),
        }
    }

    /// Returns the XML.
    ///
    /// # Errors
    /// The XML cannot be written.
    pub(crate) fn xml(&self) -> Result<String> {
        let mut suite = TestSuite::new(xml_line(&format!("handsctl {}", self.command)));
        if let Some((from, to)) = self.started.zip(self.ended) {
            suite.set_time(phrase::elapsed(from, to));
        }
        suite.add_test_cases(self.cases.iter().map(Case::to_junit));
        let mut report = Report::new("handsctl");
        report.add_test_suite(suite);
        let xml = report.to_string();
        xml.map_err(|error| Error::internal("cannot write the result as JUnit XML").caused_by(error))
    }
}

impl Case {
    fn to_junit(&self) -> TestCase {
        let status = match &self.outcome {
            Outcome::Passed => TestCaseStatus::success(),
            Outcome::Skipped(message) => {
                let mut status = TestCaseStatus::skipped();
                status.set_message(xml_line(message));
                status
            }
            Outcome::Failed { kind, message, text } => {
                let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                status.set_type(xml_line(kind)).set_message(xml_line(message));
                if !text.is_empty() {
                    status.set_description(xml_text(text));
                }
                status
            }
        };
        let mut case = TestCase::new(xml_line(&self.name), status);
        case.set_classname(xml_line(&self.class));
        if let Some(time) = self.time {
            case.set_time(time);
        }
        case
    }
}

/// Returns the XML of a configuration: a case for each mistake and each warning, and one for the whole.
///
/// # Errors
/// The XML cannot be written.
pub(crate) fn of_configuration(check: &ConfigCheck<'_>) -> Result<String> {
    let ConfigCheck { summary, diagnostics, is_valid } = *check;
    let mut junit = Junit { command: "config check".into(), part: "config check".into(), ..Junit::default() };
    for diagnostic in diagnostics {
        let place = diagnostic.location.as_ref().map_or_else(String::new, |location| format!(" {location}"));
        let outcome = match diagnostic.severity {
            Severity::Error => failed(diagnostic.id.code(), &diagnostic.message, &diagnostic.label),
            Severity::Warning => Outcome::Skipped(format!("warning: {}", diagnostic.message)),
        };
        junit.put("diagnostic", format!("{}{place}: {}", diagnostic.id, diagnostic.message), None, outcome);
    }
    let outcome = if is_valid { Outcome::Passed } else { failed("configuration", summary, summary) };
    junit.put("command", "handsctl config check".to_owned(), None, outcome);
    junit.xml()
}

/// Returns the outcome of a check. JUnit has no warnings: they are skipped, as those of a configuration.
fn check(verdict: CheckVerdict, detail: &str, problem: Option<&Error>) -> Outcome {
    match (verdict, problem) {
        (CheckVerdict::Passed | CheckVerdict::Noted, _) => Outcome::Passed,
        (CheckVerdict::Unknown, _) => Outcome::Skipped(format!("not checked: {detail}")),
        (CheckVerdict::Warning, problem) => {
            let message = problem.map_or(detail, Error::message);
            Outcome::Skipped(format!("warning: {message}"))
        }
        (CheckVerdict::Failed, Some(problem)) => {
            failed(problem.id().code(), problem.message(), &error::render(problem, PLAIN))
        }
        (CheckVerdict::Failed, None) => failed("check", detail, ""),
    }
}

fn failed(kind: &str, message: &str, text: &str) -> Outcome {
    Outcome::Failed { kind: kind.to_owned(), message: message.to_owned(), text: text.to_owned() }
}

/// Returns text that XML can have. The writer removes control characters, and no other characters that XML forbids.
fn xml_text(text: &str) -> String {
    sanitize(text).chars().filter(|character| !matches!(character, '\u{fffe}' | '\u{ffff}')).collect()
}

/// Returns such text on one line.
fn xml_line(text: &str) -> String {
    xml_text(&one_line(text))
}

/// Formats an object with its namespace, because a run may have two of the same name.
fn object_name(object: &ObjectId) -> String {
    match &object.namespace {
        Some(namespace) => format!("{object} in {namespace}"),
        None => object.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::catalogue::Id;
    use crate::error::Kind;
    use crate::report::scenario::{self, Scenario, timestamp};

    fn xml(scenario: &Scenario) -> String {
        let mut junit = Junit::default();
        for (at, event) in scenario {
            junit.observe(event, timestamp(*at));
        }
        junit.xml().unwrap()
    }

    /// The names of the cases with an element of this tag.
    fn cases_with(xml: &str, tag: &str) -> Vec<String> {
        let document = roxmltree::Document::parse(xml).unwrap_or_else(|error| panic!("{error}: {xml}"));
        let cases = document.descendants().filter(|node| node.has_tag_name("testcase"));
        let with_tag = cases.filter(|case| case.children().any(|child| child.has_tag_name(tag)));
        with_tag.map(|case| case.attribute("name").unwrap().to_owned()).collect()
    }

    #[test]
    fn success_has_cases_for_steps_and_objects_and_no_failure() {
        let xml = xml(&scenario::deploy());
        assert_eq!(cases_with(&xml, "failure"), [""; 0]);
        let document = roxmltree::Document::parse(&xml).unwrap();
        let classes: Vec<&str> =
            document.descendants().filter_map(|node| node.attribute("classname")).collect();
        for class in ["handsctl.deploy.apply", "handsctl.deploy.object", "handsctl.deploy.command"] {
            assert!(classes.contains(&class), "{classes:?}");
        }
        let suite = document.descendants().find(|node| node.has_tag_name("testsuite")).unwrap();
        assert_eq!(suite.attribute("time"), Some("41.200"));
    }

    #[test]
    fn each_problem_of_a_check_is_a_case() {
        let mut junit = Junit::default();
        for verdict in [CheckVerdict::Failed, CheckVerdict::Failed, CheckVerdict::Noted] {
            let problem = Arc::new(Error::new(Id::InstallationUnhealthy, Kind::Down, "it is down"));
            let problem = (verdict == CheckVerdict::Failed).then_some(problem);
            let check = Event::Check {
                category: "app",
                name: "installation",
                verdict,
                detail: String::new(),
                problem,
            };
            junit.observe(&check, timestamp(0));
        }
        let xml = junit.xml().unwrap();
        assert_eq!(cases_with(&xml, "failure"), ["installation", "installation 2"]);
    }

    #[test]
    fn failed_run_has_step_finding_and_command_as_failures() {
        let xml = xml(&scenario::up_with_a_bad_image());
        let failures = cases_with(&xml, "failure");
        assert_eq!(
            failures,
            ["HC4103 pod/openhands-6d5f9c7b9-x2kqp in hands", "rollout", "handsctl up"],
            "each once: {xml}"
        );
    }

    #[test]
    fn failed_check_is_a_failure_and_a_warning_is_skipped() {
        let xml = xml(&scenario::checks());
        assert_eq!(cases_with(&xml, "failure"), ["volume", "handsctl doctor"], "{xml}");
        assert_eq!(cases_with(&xml, "skipped"), ["quota", "room"], "{xml}");
        assert!(
            xml.contains("classname=\"handsctl.doctor.storage\"") && xml.contains("warning: 1Gi is left"),
            "{xml}"
        );
    }

    #[test]
    fn hostile_text_is_valid_xml() {
        let hostile =
            "]]> </failure> & \" ' \u{0}\u{1}\u{b}\u{1b}[31m \u{fffe}\u{ffff} <![CDATA[ <!-- ü \u{1f600}";
        let error = Error::new(Id::Rejected, Kind::Rejected, hostile).fact("log", hostile).hint(hostile);
        let finished = Finished { exit: 8, error: Some(Arc::new(error)), ..Finished::default() };
        let mut object = scenario::deployment();
        object.name = hostile.into();
        let scenario = vec![
            (0, Event::Started { command: hostile.into() }),
            (1, scenario::object(Action::Failed, object.clone(), Some(hostile))),
            (2, Event::Rollout { object, ready: false, message: hostile.into(), fails_in: None }),
            (3, Event::Finished(finished)),
        ];
        let xml = xml(&scenario);
        assert_eq!(cases_with(&xml, "failure").len(), 3, "{xml}");
        assert!(xml.contains('ü') && xml.contains('\u{1f600}'), "other text stays: {xml}");
    }

    #[test]
    fn each_mistake_of_the_configuration_is_a_failure() {
        let diagnostic = |id, severity| Diagnostic {
            id,
            severity,
            message: "wrong".into(),
            location: None,
            label: "did you mean <x>?".into(),
            masked: false,
        };
        let diagnostics =
            [diagnostic(Id::BadValue, Severity::Error), diagnostic(Id::LiteralSecret, Severity::Warning)];
        let summary = "config.toml: 1 error, 1 warning";
        let check = ConfigCheck { summary, diagnostics: &diagnostics, is_valid: false };
        let xml = of_configuration(&check).unwrap();
        assert_eq!(cases_with(&xml, "failure"), ["HC0111: wrong", "handsctl config check"], "{xml}");
        assert_eq!(cases_with(&xml, "skipped").len(), 1, "a warning fails no pipeline: {xml}");
    }
}
