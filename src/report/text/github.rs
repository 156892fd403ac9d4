//! GitHub's workflow commands, job summary and outputs, as text. Pure.
//!
//! The forms follow
//! <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands>;
//! the escaping follows `actions/toolkit` `packages/core/src/command.ts`.

use std::fmt::Write as _;
use std::path::{Component, Path, PathBuf};

use super::error::other_text;
use super::markdown::cell;
use super::sanitize::one_line;
use crate::catalogue::Id;
use crate::diagnostic::{Diagnostic, Location, Severity};
use crate::error::{Error, STATE};
use crate::report::summary::{RunSummary, Summary};
use crate::status::Finding;

/// Returns the command that begins a foldable group of the log.
pub(crate) fn group(name: &str) -> String {
    format!("::group::{}\n", escape_data(name))
}

/// The command that ends a group.
pub(crate) const END_GROUP: &str = "::endgroup::\n";

/// The folders of a run, so that an annotation names a file as the repository does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Checkout {
    /// The repository's top folder. Empty if it is unknown.
    pub(crate) top: PathBuf,
    /// The working directory.
    pub(crate) folder: PathBuf,
}

impl Checkout {
    /// Returns the path from the repository's top folder. A file elsewhere keeps its name.
    fn path(&self, name: &str) -> String {
        let mut path = PathBuf::new();
        for component in self.folder.join(name).components() {
            match component {
                Component::CurDir => {}
                Component::ParentDir => {
                    path.pop();
                }
                other => path.push(other),
            }
        }
        let is_known = self.top != Path::new("");
        let inside = path.strip_prefix(&self.top).ok().filter(|_| is_known);
        inside.map_or_else(|| name.to_owned(), |path| path.display().to_string())
    }
}

/// The level of an annotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    Error,
    Warning,
}

/// Formats an annotation: `::error file=config.toml,line=3,col=9,title=HC4103::message`.
pub(crate) fn annotation(
    level: Level,
    id: Id,
    location: Option<&Location>,
    message: &str,
    checkout: &Checkout,
) -> String {
    let command = match level {
        Level::Error => "error",
        Level::Warning => "warning",
    };
    let mut properties =
        location.and_then(|location| file_properties(location, checkout)).unwrap_or_default();
    let title = format!("{} {}", id.code(), id.title());
    let _infallible = write!(properties, "title={}", escape_property(&title));
    format!("::{command} {properties}::{}\n", escape_data(message))
}

/// Formats an annotation for each diagnostic of an error, or one for an error without diagnostics.
pub(crate) fn error(error: &Error, checkout: &Checkout) -> String {
    if !error.diagnostics().is_empty() {
        return error.diagnostics().iter().map(|it| diagnostic(it, checkout)).collect();
    }
    let mut message = error.message().to_owned();
    for fact in error.facts() {
        let _infallible = write!(message, "\n{}: {}", fact.label, fact.text);
    }
    for cause in error.causes() {
        let _infallible = write!(message, "\ncaused by: {cause}");
    }
    for other in error.others() {
        let _infallible = write!(message, "\nalso: {}", other_text(other));
    }
    for hint in error.hints() {
        let _infallible = write!(message, "\nhint: {hint}");
    }
    annotation(Level::Error, error.id(), error.location(), &message, checkout)
}

/// Formats an annotation at the diagnostic's location.
pub(crate) fn diagnostic(diagnostic: &Diagnostic, checkout: &Checkout) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::Error,
        Severity::Warning => Level::Warning,
    };
    let mut message = diagnostic.message.clone();
    if !diagnostic.label.is_empty() {
        let _infallible = write!(message, "\n{}", diagnostic.label);
    }
    annotation(level, diagnostic.id, diagnostic.location.as_ref(), &message, checkout)
}

/// Formats the properties of a location. None if the location is not in a file.
fn file_properties(location: &Location, checkout: &Checkout) -> Option<String> {
    let name = &location.source.name;
    if name.starts_with("environment variable ") || name.starts_with("--") {
        return None;
    }
    let (line, column) = location.line_column();
    Some(format!("file={},line={line},col={column},", escape_property(&checkout.path(name))))
}

fn escape_data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn escape_property(text: &str) -> String {
    escape_data(text).replace(':', "%3A").replace(',', "%2C")
}

/// Escapes workflow commands in a text. The runner executes `::command::` at the beginning of a line, after any spaces,
/// and `##[command]` anywhere. A container's log must not end the group or hide the next lines.
pub(crate) fn escape_commands(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let indent = line.len() - line.trim_start().len();
        let (spaces, rest) = line.split_at(indent);
        escaped.push_str(spaces);
        match rest.strip_prefix("::") {
            Some(command) => {
                escaped.push_str(": :");
                escaped.push_str(&command.replace("##[", "# #["));
            }
            None => escaped.push_str(&rest.replace("##[", "# #[")),
        }
    }
    escaped
}

/// Formats the outputs for `$GITHUB_OUTPUT`: `url` and `revision`, if the command has them.
pub(crate) fn outputs(summary: &Summary<'_>) -> String {
    let mut text = String::new();
    if let Some(url) = summary.url {
        let _infallible = writeln!(text, "url={}", one_line(url));
    }
    if let Some(revision) = summary.revision {
        let _infallible = writeln!(text, "revision={revision}");
    }
    text
}

/// Formats the summary of a run for `$GITHUB_STEP_SUMMARY` as Markdown.
pub(crate) fn step_summary(run: &RunSummary, summary: &Summary<'_>) -> String {
    let id = summary.id.map_or_else(String::new, |id| format!(", {id}"));
    let mut rows = vec![
        ("result".to_owned(), format!("exit {}{id}", summary.exit)),
        ("message".to_owned(), summary.message.to_owned()),
        ("objects".to_owned(), run.counts_of_command()),
        ("rolled back".to_owned(), run.counts_of_rollback()),
        ("revision".to_owned(), summary.revision.map_or_else(String::new, |revision| revision.to_string())),
        ("url".to_owned(), summary.url.unwrap_or_default().to_owned()),
    ];
    rows.extend(run.findings.iter().map(finding_row));
    let error = run.finished.as_ref().and_then(|finished| finished.error.as_deref());
    rows.extend(error.map(error_rows).into_iter().flatten());
    table(summary.command, summary.target, &rows)
}

/// Formats a step summary: a heading and a table. Rows without a value are left out.
pub(crate) fn table(command: &str, target: &str, rows: &[(String, String)]) -> String {
    let mut text = format!("### handsctl {}\n\n{}\n\n", cell(command), cell(target));
    text.push_str("| | |\n|---|---|\n");
    for (label, value) in rows.iter().filter(|(_, value)| !value.is_empty()) {
        let _infallible = writeln!(text, "| {} | {} |", cell(label), cell(value));
    }
    text.push('\n');
    text
}

/// Returns the row of a finding.
pub(crate) fn finding_row(finding: &Finding) -> (String, String) {
    let text = format!("{}: {}: {}", finding.object, finding.id.title(), finding.message);
    (finding.id.code().to_owned(), text)
}

/// Returns the rows of an error: each mistake of the configuration with its location, the causes and the hints.
pub(crate) fn error_rows(error: &Error) -> Vec<(String, String)> {
    let diagnostics = error.diagnostics().iter().map(|diagnostic| {
        let place = diagnostic.location.as_ref().map_or_else(String::new, |location| format!("{location}: "));
        (diagnostic.id.code().to_owned(), format!("{place}{}", diagnostic.message))
    });
    let state = error.facts().iter().filter(|fact| fact.label == STATE);
    let state = state.map(|fact| (fact.label.to_owned(), fact.text.clone()));
    let causes = error.causes().into_iter().map(|cause| ("caused by".to_owned(), cause));
    let others = error.others().iter().map(|other| ("also".to_owned(), other_text(other)));
    let hints = error.hints().iter().map(|hint| ("hint".to_owned(), hint.clone()));
    diagnostics.chain(state).chain(causes).chain(others).chain(hints).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::diagnostic::SourceText;
    use crate::error::Kind;

    fn location(name: &str) -> Location {
        let source = SourceText { name: name.into(), text: "[deploy]\nimage = \"x:1\"\n".into() };
        Location { source: Arc::new(source), span: 17..22 }
    }

    #[test]
    fn annotation_has_escaped_location_and_message() {
        let error = Error::new(Id::ImageNotFound, Kind::Rollout, "100% gone: a, b")
            .fact("evidence", "line 1\r\nline 2")
            .hint("fix it")
            .at_config(Some(location("my,conf:1.toml")));
        assert_eq!(
            super::error(&error, &Checkout::default()),
            "::error file=my%2Cconf%3A1.toml,line=2,col=9,title=HC4103 the image does not exist\
             ::100%25 gone: a, b%0Aevidence: line 1%0D%0Aline 2%0Ahint: fix it\n"
        );
    }

    #[test]
    fn annotation_outside_of_files_has_no_location() {
        for name in ["environment variable HANDSCTL_DEPLOY_IMAGE", "--set"] {
            let text =
                annotation(Level::Warning, Id::BadValue, Some(&location(name)), "no", &Checkout::default());
            assert_eq!(text, "::warning title=HC0111 bad value::no\n");
        }
    }

    #[test]
    fn annotation_names_the_file_from_the_top_of_the_repository() {
        let checkout = Checkout { top: "/w/repo".into(), folder: "/w/repo/deploy/prod".into() };
        for (name, path) in [
            ("config.toml", "deploy/prod/config.toml"),
            ("./config.toml", "deploy/prod/config.toml"),
            ("../base.toml", "deploy/base.toml"),
            ("/w/repo/x.toml", "x.toml"),
            ("/etc/x.toml", "/etc/x.toml"),
            ("../../../x.toml", "../../../x.toml"),
        ] {
            assert_eq!(checkout.path(name), path, "{name}");
        }
        assert_eq!(Checkout::default().path("../base.toml"), "../base.toml");
        let text = annotation(Level::Error, Id::BadValue, Some(&location("config.toml")), "no", &checkout);
        assert!(text.starts_with("::error file=deploy/prod/config.toml,line=2,col=9,"), "{text}");
    }

    #[test]
    fn workflow_commands_in_text_are_escaped() {
        assert_eq!(
            escape_commands("a\n  ::endgroup::\n::add-mask::x\nb ##[error]c"),
            "a\n  : :endgroup::\n: :add-mask::x\nb # #[error]c"
        );
        assert_eq!(escape_commands("std::vec and 12::30\n"), "std::vec and 12::30\n");
    }
}
