//! The checks for programs: `doctor -o json`.

use schemars::JsonSchema;
use serde::Serialize;

use super::examination::Examination;
use crate::doctor::check::{Check, Outcome, exit_code};
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
    let (result, detail, problem) = match &check.outcome {
        Outcome::Passed(detail) => ("passed", Some(detail.as_str()), None),
        Outcome::Noted(detail) => ("noted", Some(detail.as_str()), None),
        Outcome::Unknown(reason) => ("unknown", Some(reason.as_str()), None),
        Outcome::Warning(error) => ("warning", None, Some(ErrorObject::new(error))),
        Outcome::Failed(error) => ("failed", None, Some(ErrorObject::new(error))),
    };
    CheckObject { category: check.category.label(), name: check.name, result, detail, problem }
}
