//! An error or a finding in full: what could not be done, the evidence, the place that decides it,
//! what it was caused by and what to type next. Pure.

use serde::Serialize;

use super::diagnostic::{self, SourceSpan, Style};
use super::format;
use super::sanitize::{one_line, sanitize};
use crate::diagnostic::{Location, Severity};
use crate::error::Error;
use crate::status::Finding;

/// The error for people; ends with a newline.
pub(crate) fn render(error: &Error, look: Style) -> String {
    if error.diagnostics().is_empty() { single(error, look) } else { mistakes(error, look) }
}

/// All mistakes of a configuration, then the sum: `config.toml: 2 errors, 1 warning`.
fn mistakes(error: &Error, look: Style) -> String {
    let mut text = String::new();
    for mistake in error.diagnostics() {
        text.push_str(&diagnostic::render(mistake, look));
        text.push('\n');
    }
    text.push_str(&look.paint.strong(&one_line(error.message())));
    text.push('\n');
    text.push_str(&facts(error.facts().iter().map(|fact| (fact.label, fact.text.as_str())), look));
    text.push_str(&tail(&error.causes(), error.hints(), look));
    text
}

fn single(error: &Error, look: Style) -> String {
    let label = error.id().entry().key.map_or_else(String::new, bracketed);
    let place = error.location().map(|location| SourceSpan { location, label: &label, masked: false });
    let (title, snippet) = diagnostic::parts(Severity::Error, error.id(), error.message(), place, look);
    let facts = facts(error.facts().iter().map(|fact| (fact.label, fact.text.as_str())), look);
    format!("{title}{facts}{snippet}{}", tail(&error.causes(), error.hints(), look))
}

/// `deploy.image` as it is written in the file: `[deploy].image`.
fn bracketed(key: &str) -> String {
    key.rsplit_once('.').map_or_else(|| key.to_owned(), |(table, key)| format!("[{table}].{key}"))
}

/// A finding for people, in the form of an error; ends with a newline.
#[must_use]
pub(crate) fn finding(finding: &Finding, severity: Severity, look: Style) -> String {
    let (title, _) = diagnostic::parts(severity, finding.id, finding.id.title(), None, look);
    let object = object_of(finding);
    let log = finding.log.join("\n");
    let mut lines = vec![("object", object.as_str()), ("evidence", finding.message.as_str())];
    lines.extend(finding.evidence.iter().map(|evidence| ("evidence", evidence.as_str())));
    lines.push(("log", &log));
    format!("{title}{}{}", facts(lines.into_iter(), look), tail(&[], &finding.hints, look))
}

/// `pod/openhands-x, container openhands · 5/5 pods`
fn object_of(finding: &Finding) -> String {
    let container =
        finding.container.as_ref().map_or_else(String::new, |container| format!(", container {container}"));
    let affected = match finding.affected {
        Some((some, all)) if all > 1 => format!(" · {some}/{all} pods"),
        _ => String::new(),
    };
    format!("{}{container}{affected}", finding.object)
}

/// Labels in a column; the second line of a text, or the same label again, stands under the first.
fn facts<'a>(lines: impl Iterator<Item = (&'a str, &'a str)>, look: Style) -> String {
    let lines: Vec<(&str, &str)> = lines.filter(|(_, text)| !text.is_empty()).collect();
    let column = lines.iter().map(|(label, _)| label.len()).max().unwrap_or_default().max("evidence".len());
    let mut shown = String::new();
    let mut previous = "";
    for (label, text) in lines {
        let mut first = if label == previous { "" } else { label };
        for line in sanitize(text).lines() {
            let padded = format!("{first:column$}");
            shown.push_str(&fact_line(&look.paint.faint(&padded), line));
            first = "";
        }
        previous = label;
    }
    shown
}

fn fact_line(label: &str, line: &str) -> String {
    format!("  {label}  {}\n", line.trim_end())
}

fn tail(causes: &[String], hints: &[String], look: Style) -> String {
    let causes = causes.iter().map(|cause| ("  caused by:", cause));
    let hints = hints.iter().map(|hint| ("hint:", hint));
    format::lines(causes.chain(hints).map(|(label, text)| {
        let indent = " ".repeat(label.len() + 1);
        let text = sanitize(text).trim_end().replace('\n', &format!("\n{indent}"));
        format!("{} {text}", look.paint.remark(label))
    }))
}

/// The error for programs: `-o json`.
#[derive(Debug, Serialize)]
pub(crate) struct ErrorObject<'a> {
    id: &'static str,
    exit: u8,
    message: &'a str,
    facts: Vec<FactObject<'a>>,
    causes: Vec<String>,
    hints: &'a [String],
    location: Option<Position<'a>>,
    diagnostics: Vec<DiagnosticObject<'a>>,
}

#[derive(Debug, Serialize)]
struct FactObject<'a> {
    label: &'a str,
    text: &'a str,
}

#[derive(Debug, Serialize)]
struct DiagnosticObject<'a> {
    id: &'static str,
    severity: &'static str,
    message: &'a str,
    label: &'a str,
    location: Option<Position<'a>>,
}

/// Where: the file as it was named, line and column from 1.
#[derive(Debug, Serialize)]
pub(crate) struct Position<'a> {
    file: &'a str,
    line: usize,
    column: usize,
}

impl<'a> Position<'a> {
    pub(crate) fn of(location: &'a Location) -> Self {
        let (line, column) = location.line_column();
        Self { file: &location.source.name, line, column }
    }
}

impl<'a> ErrorObject<'a> {
    pub(crate) fn of(error: &'a Error) -> Self {
        Self {
            id: error.id().code(),
            exit: error.kind().exit_code(),
            message: error.message(),
            facts: error
                .facts()
                .iter()
                .map(|fact| FactObject { label: fact.label, text: &fact.text })
                .collect(),
            causes: error.causes(),
            hints: error.hints(),
            location: error.location().map(Position::of),
            diagnostics: error
                .diagnostics()
                .iter()
                .map(|diagnostic| DiagnosticObject {
                    id: diagnostic.id.code(),
                    severity: match diagnostic.severity {
                        Severity::Error => "error",
                        Severity::Warning => "warning",
                    },
                    message: &diagnostic.message,
                    label: &diagnostic.label,
                    location: diagnostic.location.as_ref().map(Position::of),
                })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::catalogue::Id;
    use crate::diagnostic::{Diagnostic, SourceText};
    use crate::error::Kind;
    use crate::object::ObjectId;
    use crate::report::scenario::assert_recorded;
    use crate::report::text::style::Palette;

    const PLAIN: Style = Style { paint: Palette::NONE, width: 80 };

    fn location(text: &str, part: &str) -> Location {
        let start = text.find(part).unwrap();
        let source = SourceText { name: "config.toml".into(), text: text.into() };
        Location { source: Arc::new(source), span: start..start + part.len() }
    }

    #[test]
    fn an_error_in_full() {
        let error = Error::new(Id::ImageNotFound, Kind::Rollout, "the image does not exist")
            .fact("object", "pod/openhands-prepull-x2kqp")
            .fact("evidence", "Failed to pull image \"docker.io/openhands:0.95\": manifest unknown")
            .fact("log", "first\nsecond \x1b[31mred\n")
            .at_config(Some(location(
                "[deploy]\nimage = \"docker.io/openhands:0.95\"\n",
                "\"docker.io/openhands:0.95\"",
            )))
            .caused_by(std::io::Error::other("no route"))
            .hint("mend the tag and run `handsctl deploy`")
            .hint("`handsctl explain HC4103`");
        assert_recorded!("error", render(&error, PLAIN));
        let json = serde_json::to_string_pretty(&ErrorObject::of(&error)).unwrap();
        assert_recorded!("error.json", json);
    }

    #[test]
    fn all_mistakes_then_the_sum() {
        let text = "file_store = \"gcs\"\nmodle = 1\n";
        let mistake = |part: &str, label: &str| Diagnostic {
            id: Id::BadValue,
            severity: Severity::Error,
            message: format!("{part} is wrong"),
            location: Some(location(text, part)),
            label: label.into(),
            masked: false,
        };
        let mistakes = vec![mistake("\"gcs\"", "did you mean \"google_cloud\"?"), mistake("modle", "")];
        assert_recorded!("mistakes", render(&Error::config("config.toml: 2 errors", mistakes), PLAIN));
    }

    #[test]
    fn a_finding_in_the_same_form() {
        let crash = Finding {
            id: Id::CrashLoop,
            object: ObjectId::namespaced("", "Pod", "hands", "openhands-6d5f9c7b9-x2kqp"),
            container: Some("openhands".into()),
            message: "exit code 1".into(),
            evidence: vec!["2 restarts in 14 s".into()],
            log: vec!["ValueError: Invalid kubernetes configuration".into(), "  resource_cpu_request".into()],
            affected: Some((2, 2)),
            lookups: Vec::new(),
            hints: vec!["handsctl logs --previous".into()],
        };
        assert_recorded!("finding", finding(&crash, Severity::Error, PLAIN));
    }
}
