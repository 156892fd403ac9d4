//! The checks for programs: `doctor -o json`, and its events.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use super::examination::Examination;
use crate::doctor::check::{Check, Outcome, exit_code};
use crate::error::Error;
use crate::event::{CheckVerdict, Event};
use crate::report::ErrorObject;

/// The result of `doctor`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct DoctorObject<'a> {
    name: &'a str,
    namespace: &'a str,
    /// The context; null if no cluster was chosen.
    context: Option<&'a str>,
    exit: u8,
    checks: Vec<CheckObject<'a>>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct CheckObject<'a> {
    /// `config`, `computer`, `api`, `rights`, `storage`, `network`, `nodes`, `sandboxes` or `app`.
    category: &'static str,
    name: &'static str,
    /// `passed`, `noted` (it is not there, and nothing needs it), `unknown`, `warning` or `failed`.
    result: &'static str,
    /// How it is, or why it could not be checked; null for a problem.
    detail: Option<&'a str>,
    problem: Option<ErrorObject<'a>>,
}

/// Returns the checks for programs.
pub(super) fn value(examination: &Examination) -> DoctorObject<'_> {
    let deploy = &examination.settings.deploy;
    DoctorObject {
        name: deploy.name.as_str(),
        namespace: deploy.namespace.as_str(),
        context: examination.context.as_deref(),
        exit: exit_code(&examination.checks),
        checks: examination.checks.iter().map(check).collect(),
    }
}

fn check(check: &Check) -> CheckObject<'_> {
    let (verdict, detail, problem) = parts(&check.outcome);
    CheckObject {
        category: check.category.label(),
        name: check.name,
        result: verdict.as_str(),
        detail,
        problem: problem.map(ErrorObject::new),
    }
}

/// Returns the event of a check.
pub(super) fn event(check: &Check) -> Event {
    let (verdict, detail, problem) = parts(&check.outcome);
    Event::Check {
        category: check.category.label(),
        name: check.name,
        verdict,
        detail: detail.unwrap_or_default().to_owned(),
        problem: problem.map(|error| Arc::new(error.map_texts(str::to_owned))),
    }
}

fn parts(outcome: &Outcome) -> (CheckVerdict, Option<&str>, Option<&Error>) {
    match outcome {
        Outcome::Passed(detail) => (CheckVerdict::Passed, Some(detail), None),
        Outcome::Noted(detail) => (CheckVerdict::Noted, Some(detail), None),
        Outcome::Unknown(reason) => (CheckVerdict::Unknown, Some(reason), None),
        Outcome::Warning(error) => (CheckVerdict::Warning, None, Some(error)),
        Outcome::Failed(error) => (CheckVerdict::Failed, None, Some(error)),
    }
}
