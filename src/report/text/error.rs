//! Errors and findings as text: the message, the evidence, the location in the configuration, the causes and the hints.
//! Pure.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::diagnostic::{self, SourceSpan, Style};
use super::format;
use super::json_objects::{KeyObject, ObjectRef, Position};
use super::sanitize::{one_line, sanitize};
use super::wrap::{wrapped, wrapped_hint};
use crate::diagnostic::{ConfigKey, Severity};
use crate::error::{ConflictingField, ConflictingValues, Error};
use crate::report::versioned::VERSION;
use crate::status::Finding;

/// Renders an error for people. Ends with a newline.
pub(crate) fn render(error: &Error, style: Style) -> String {
    if error.diagnostics().is_empty() {
        problem(error, Severity::Error, style)
    } else {
        config_errors(error, style)
    }
}

/// Renders all diagnostics of a configuration, then their number: `config.toml: 2 errors, 1 warning`.
fn config_errors(error: &Error, style: Style) -> String {
    let mut text = String::new();
    for diagnostic in error.diagnostics() {
        text.push_str(&diagnostic::render(diagnostic, style));
        text.push('\n');
    }
    text.push_str(&style.palette.bold(&one_line(error.message())));
    text.push('\n');
    text.push_str(&facts(error.facts().iter().map(|fact| (fact.label, fact.text.as_str())), style));
    text.push_str(&causes_and_hints(&error.causes(), error.hints(), style));
    text
}

/// Renders an error about one thing with this severity. Ends with a newline.
#[must_use]
pub(crate) fn problem(error: &Error, severity: Severity, style: Style) -> String {
    let shown = located_key(error.keys());
    let key = shown.map(|key| key.key.as_str()).or(error.id().entry().key);
    let label = key.map_or_else(String::new, bracketed);
    let span = error.location().map(|location| SourceSpan { location, label: &label, masked: false });
    let (title, snippet) = diagnostic::parts(severity, error.id(), error.message(), span, style);
    let settings = settings(error.keys(), shown);
    let lines = error.facts().iter().map(|fact| (fact.label, fact.text.as_str()));
    let lines = lines.chain(settings.iter().map(|setting| ("setting", setting.as_str())));
    let others: Vec<String> = error.others().iter().map(other_text).collect();
    let facts = facts(lines.chain(others.iter().map(|other| ("also", other.as_str()))), style);
    format!("{title}{facts}{snippet}{}", causes_and_hints(&error.causes(), error.hints(), style))
}

/// Formats a further error of the same check: what failed, why, and the keys that cause it. Its hints are those of the
/// whole error.
pub(super) fn other_text(error: &Error) -> String {
    let facts = error.facts().iter().map(|fact| {
        if fact.text.contains('\n') { fact.text.clone() } else { format!("{} {}", fact.label, fact.text) }
    });
    let keys = settings(error.keys(), None).into_iter().map(|setting| format!("setting {setting}"));
    let lines = std::iter::once(format!("{} [{}]", error.message(), error.id()));
    lines.chain(error.causes()).chain(facts).chain(keys).collect::<Vec<_>>().join("\n")
}

/// Returns the first key that the user set: its line is shown.
fn located_key(keys: &[ConfigKey]) -> Option<&ConfigKey> {
    keys.iter().find(|key| key.location.is_some())
}

/// Formats the other keys that cause a failure: `[deploy].storage_class = "gold" (config.toml:3:17)`.
fn settings(keys: &[ConfigKey], shown: Option<&ConfigKey>) -> Vec<String> {
    let others = keys.iter().filter(|key| shown.is_none_or(|shown| shown != *key));
    let describe = |key: &ConfigKey| {
        let value = key.value.as_ref().map_or_else(String::new, |value| format!(" = {value}"));
        let origin = match &key.location {
            Some(location) => location.to_string(),
            None => key.preset.clone().unwrap_or_else(|| "not set".to_owned()),
        };
        format!("{}{value} ({origin})", bracketed(&key.key))
    };
    others.map(describe).collect()
}

/// Formats a key as in config.toml: `[deploy].image` for `deploy.image`.
fn bracketed(key: &str) -> String {
    key.rsplit_once('.').map_or_else(|| key.to_owned(), |(table, key)| format!("[{table}].{key}"))
}

/// Renders a finding for people, in the form of an error. Ends with a newline.
#[must_use]
pub(crate) fn finding(finding: &Finding, severity: Severity, style: Style) -> String {
    let shown = located_key(&finding.keys);
    let label = shown.map_or_else(String::new, |key| bracketed(&key.key));
    let span = shown.and_then(|key| key.location.as_ref());
    let span = span.map(|location| SourceSpan { location, label: &label, masked: false });
    let (title, snippet) = diagnostic::parts(severity, finding.id, finding.id.title(), span, style);
    let (object, settings) = (object_text(finding), settings(&finding.keys, shown));
    let log = finding.log.join("\n");
    let mut lines = vec![("object", object.as_str()), ("evidence", finding.message.as_str())];
    lines.extend(finding.evidence.iter().map(|evidence| ("evidence", evidence.as_str())));
    lines.push(("log", &log));
    lines.extend(settings.iter().map(|setting| ("setting", setting.as_str())));
    let facts = facts(lines.into_iter(), style);
    format!("{title}{facts}{snippet}{}", causes_and_hints(&[], &finding.hints, style))
}

/// Formats the affected object: `pod/openhands-x, container openhands · 5/5 pods`.
fn object_text(finding: &Finding) -> String {
    let container =
        finding.container.as_ref().map_or_else(String::new, |container| format!(", container {container}"));
    let affected = match finding.affected {
        Some((affected, all)) if all > 1 => format!(" · {affected}/{all} pods"),
        _ => String::new(),
    };
    format!("{}{container}{affected}", finding.object)
}

/// Formats labelled lines. The labels form a column; further lines of a text, and further texts with the same label,
/// have no label.
fn facts<'a>(lines: impl Iterator<Item = (&'a str, &'a str)>, style: Style) -> String {
    let lines: Vec<(&str, &str)> = lines.filter(|(_, text)| !text.is_empty()).collect();
    let column = lines.iter().map(|(label, _)| label.len()).max().unwrap_or_default().max("evidence".len());
    let indent = column + 4;
    let mut output = String::new();
    let mut previous = "";
    for (label, text) in lines {
        let mut first = if label == previous { "" } else { label };
        for line in sanitize(text).lines() {
            let padded = format!("{first:column$}");
            let line = wrapped(line.trim_end(), indent, indent, style.width);
            output.push_str(&fact_line(&style.palette.dim(&padded), &line));
            first = "";
        }
        previous = label;
    }
    output
}

fn fact_line(label: &str, line: &str) -> String {
    format!("  {label}  {}\n", line.trim_end())
}

fn causes_and_hints(causes: &[String], hints: &[String], style: Style) -> String {
    let causes = causes.iter().map(|cause| ("  caused by:", cause));
    let hints = hints.iter().map(|hint| ("hint:", hint));
    format::lines(causes.chain(hints).map(|(label, text)| {
        let column = label.len() + 1;
        let wrap = |line: &str| match label {
            "hint:" => wrapped_hint(line, column, column, style.width),
            _ => wrapped(line, column, column, style.width),
        };
        let lines: Vec<String> = sanitize(text).trim_end().split('\n').map(wrap).collect();
        let text = lines.join(&format!("\n{}", " ".repeat(column)));
        format!("{} {text}", style.palette.warning(label))
    }))
}

/// Renders what a library reported, for `-v`.
pub(crate) fn raw_causes(error: &Error, style: Style) -> String {
    let lines = error
        .raw_causes()
        .iter()
        .map(|cause| format!("{} {}", style.palette.dim("  reported:"), one_line(cause)));
    format::lines(lines)
}

/// The result of a command that failed before it had one, for programs: `{"v": 1, "error": {…}}`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct FailureObject<'a> {
    /// The version of the schema. A version may get additional fields.
    v: u8,
    error: ErrorObject<'a>,
}

impl<'a> FailureObject<'a> {
    pub(crate) fn new(error: &'a Error) -> Self {
        Self { v: VERSION, error: ErrorObject::new(error) }
    }
}

/// An error for programs: in the result of `-o json`, and in the event `finished`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ErrorObject<'a> {
    id: &'static str,
    exit: u8,
    message: &'a str,
    /// The rejected object; null if the error is about no single object.
    object: Option<ObjectRef<'a>>,
    facts: Vec<FactObject<'a>>,
    causes: Vec<String>,
    hints: &'a [String],
    location: Option<Position<'a>>,
    keys: Vec<KeyObject<'a>>,
    diagnostics: Vec<DiagnosticObject<'a>>,
    conflicts: Vec<ConflictObject<'a>>,
    /// The further errors of the same check. Their hints are among `hints`.
    also: Vec<OtherError<'a>>,
}

/// A further error of the same check: the server rejects several objects.
#[derive(Debug, Serialize, JsonSchema)]
struct OtherError<'a> {
    id: &'static str,
    exit: u8,
    message: &'a str,
    object: Option<ObjectRef<'a>>,
    facts: Vec<FactObject<'a>>,
    causes: Vec<String>,
    keys: Vec<KeyObject<'a>>,
}

impl<'a> OtherError<'a> {
    fn new(error: &'a Error) -> Self {
        Self {
            id: error.id().code(),
            exit: error.kind().exit_code(),
            message: error.message(),
            object: error.rejected().map(ObjectRef::of_rejected),
            facts: FactObject::all(error),
            causes: error.causes(),
            keys: error.keys().iter().map(KeyObject::new).collect(),
        }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
struct FactObject<'a> {
    label: &'a str,
    text: &'a str,
}

impl<'a> FactObject<'a> {
    fn all(error: &'a Error) -> Vec<Self> {
        error.facts().iter().map(|fact| Self { label: fact.label, text: &fact.text }).collect()
    }
}

#[derive(Debug, Serialize, JsonSchema)]
struct DiagnosticObject<'a> {
    id: &'static str,
    severity: &'static str,
    message: &'a str,
    label: &'a str,
    location: Option<Position<'a>>,
}

/// A field of the plan that other managers own. The data of a Secret is hidden.
#[derive(Debug, Serialize, JsonSchema)]
struct ConflictObject<'a> {
    object: ObjectRef<'a>,
    field: &'a str,
    managers: Vec<ManagerObject<'a>>,
    live: Option<&'a Value>,
    planned: Option<&'a Value>,
    hidden: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
struct ManagerObject<'a> {
    name: &'a str,
    subresource: Option<&'a str>,
    since: Option<String>,
}

impl<'a> ConflictObject<'a> {
    fn new(conflict: &'a ConflictingField) -> Self {
        let (live, planned) = match &conflict.values {
            ConflictingValues::Hidden => (None, None),
            ConflictingValues::Shown { live, planned } => (live.as_ref(), planned.as_ref()),
        };
        let managers = conflict.managers.iter().map(|manager| ManagerObject {
            name: &manager.name,
            subresource: manager.subresource.as_deref(),
            since: manager.since.map(|since| since.to_string()),
        });
        Self {
            object: ObjectRef::of_conflict(conflict),
            field: &conflict.field,
            managers: managers.collect(),
            live,
            planned,
            hidden: conflict.values == ConflictingValues::Hidden,
        }
    }
}

impl<'a> ErrorObject<'a> {
    pub(crate) fn new(error: &'a Error) -> Self {
        Self {
            id: error.id().code(),
            exit: error.kind().exit_code(),
            message: error.message(),
            object: error.rejected().map(ObjectRef::of_rejected),
            facts: FactObject::all(error),
            causes: error.causes(),
            hints: error.hints(),
            location: error.location().map(Position::new),
            keys: error.keys().iter().map(KeyObject::new).collect(),
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
                    location: diagnostic.location.as_ref().map(Position::new),
                })
                .collect(),
            conflicts: error.conflicts().iter().map(ConflictObject::new).collect(),
            also: error.others().iter().map(OtherError::new).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::catalogue::Id;
    use crate::diagnostic::{Diagnostic, Location, SourceText};
    use crate::error::Kind;
    use crate::object::ObjectId;
    use crate::report::scenario::assert_recorded;
    use crate::report::text::style::Palette;

    const PLAIN: Style = Style { palette: Palette::NONE, width: 80 };

    fn location(text: &str, part: &str) -> Location {
        let start = text.find(part).unwrap();
        let source = SourceText { name: "config.toml".into(), text: text.into() };
        Location { source: Arc::new(source), span: start..start + part.len() }
    }

    #[test]
    fn error_is_as_recorded_in_both_forms() {
        let error = Error::new(Id::ImageNotFound, Kind::Rollout, "the image does not exist")
            .fact("object", "pod/openhands-prepull-x2kqp")
            .fact("evidence", "Failed to pull image \"docker.io/openhands:0.95\": manifest unknown")
            .fact("log", "first\nsecond \x1b[31mred\n")
            .at_config(Some(location(
                "[deploy]\nimage = \"docker.io/openhands:0.95\"\n",
                "\"docker.io/openhands:0.95\"",
            )))
            .caused_by(std::io::Error::other("no route"))
            .hint("fix the tag and run `handsctl deploy`")
            .hint("`handsctl explain HC4103`");
        assert_recorded!("error", render(&error, PLAIN));
        let json = serde_json::to_string_pretty(&ErrorObject::new(&error)).unwrap();
        assert_recorded!("error.json", json);
    }

    #[test]
    fn all_diagnostics_are_printed_before_their_number() {
        let text = "file_store = \"gcs\"\nmodle = 1\n";
        let diagnostic = |part: &str, label: &str| Diagnostic {
            id: Id::BadValue,
            severity: Severity::Error,
            message: format!("{part} is wrong"),
            location: Some(location(text, part)),
            label: label.into(),
            masked: false,
        };
        let diagnostics =
            vec![diagnostic("\"gcs\"", "did you mean \"google_cloud\"?"), diagnostic("modle", "")];
        assert_recorded!("mistakes", render(&Error::config("config.toml: 2 errors", diagnostics), PLAIN));
    }

    fn key_in_file(key: &str, value: &str) -> ConfigKey {
        let text = "[deploy.tolerate]\ncrash_restarts = 0\n".to_owned();
        let span = text.len() - 2..text.len() - 1;
        let source = Arc::new(SourceText { name: "config.toml".into(), text });
        let location = Some(Location { source, span });
        ConfigKey { key: key.into(), value: Some(value.into()), location, preset: None }
    }

    #[test]
    fn finding_has_form_of_error() {
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
            member: None,
            keys: vec![
                key_in_file("deploy.tolerate.crash_restarts", "0"),
                ConfigKey {
                    key: "deploy.resources.requests.cpu".into(),
                    value: Some("\"500m\"".into()),
                    location: None,
                    preset: Some("set by handsctl".into()),
                },
            ],
            claims: Vec::new(),
            taints: Vec::new(),
            exhibits: Vec::new(),
        };
        assert_recorded!("finding", finding(&crash, Severity::Error, PLAIN));
    }
}
