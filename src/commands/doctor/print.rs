//! The checks as text.

use std::time::Duration;

use super::examination::Examination;
use crate::diagnostic::Severity;
use crate::doctor::check::{Category, Check, Outcome};
use crate::phrase;
use crate::report::{Mark, Streams};

/// The column of the marks.
const LABEL_WIDTH: usize = 10;
/// The column of further lines of a check: after the mark.
const DETAIL_COLUMN: usize = LABEL_WIDTH + 3;

/// Returns a line for each check, then each problem, then how many there are.
pub(super) fn text(examination: &Examination, streams: &Streams) -> String {
    let target = examination.target.as_deref().unwrap_or("no cluster was chosen");
    let mut text = streams.wrapped_row(target, 2) + "\n";
    for category in Category::ALL {
        let mut label = category.label();
        for check in examination.checks.iter().filter(|check| check.category == *category) {
            let row = format!("{label:LABEL_WIDTH$} {}", line(check, streams));
            text += &(streams.wrapped_row(&row, DETAIL_COLUMN) + "\n");
            label = "";
        }
    }
    for check in &examination.checks {
        match &check.outcome {
            Outcome::Warning(error) => text += &format!("\n{}", streams.problem(error, Severity::Warning)),
            Outcome::Failed(error) => text += &format!("\n{}", streams.problem(error, Severity::Error)),
            Outcome::Passed(_) | Outcome::Noted(_) | Outcome::Unknown(_) => {}
        }
    }
    text += &format!("\n{}  {}\n", totals(&examination.checks), took(examination.took));
    streams.sanitized(&text).into_owned()
}

fn line(check: &Check, streams: &Streams) -> String {
    let (mark, detail) = match &check.outcome {
        Outcome::Passed(detail) => (Mark::Passed, detail.clone()),
        Outcome::Noted(detail) => (Mark::Noted, detail.clone()),
        Outcome::Unknown(reason) => (Mark::Unknown, format!("not checked: {reason}")),
        Outcome::Warning(error) => (Mark::Warning, format!("{}, see below", error.id())),
        Outcome::Failed(error) => (Mark::Failed, format!("{}, see below", error.id())),
    };
    format!("{} {}: {detail}", streams.mark(mark), check.name)
}

/// Returns `420 ms`, or whole seconds.
fn took(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        format!("{} ms", duration.as_millis())
    } else {
        phrase::span(duration)
    }
}

/// Returns `2 errors, 1 warning, 12 passed, 1 not checked`.
pub(super) fn totals(checks: &[Check]) -> String {
    let count = |is: fn(&Outcome) -> bool| checks.iter().filter(|check| is(&check.outcome)).count();
    let errors = count(|outcome| matches!(outcome, Outcome::Failed(_)));
    let warnings = count(|outcome| matches!(outcome, Outcome::Warning(_)));
    let passed = count(|outcome| matches!(outcome, Outcome::Passed(_) | Outcome::Noted(_)));
    let unknown = count(|outcome| matches!(outcome, Outcome::Unknown(_)));
    let mut parts = Vec::new();
    if errors > 0 {
        parts.push(phrase::count(errors, "error"));
    }
    if warnings > 0 {
        parts.push(phrase::count(warnings, "warning"));
    }
    parts.push(format!("{passed} passed"));
    if unknown > 0 {
        parts.push(format!("{unknown} not checked"));
    }
    parts.join(", ")
}
