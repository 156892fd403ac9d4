//! Findings of a failed rollout → the error with object, evidence and hints.

use crate::error::{Error, Kind};
use crate::status::Finding;

/// Returns the error for these findings. The first one is the root cause.
#[must_use]
pub fn finding_error(findings: &[Finding]) -> Error {
    let Some(first) = findings.first() else {
        return Error::internal("the rollout failed without a finding");
    };
    explained(Error::new(first.id, Kind::Rollout, first.id.title()), findings)
}

/// Adds findings to an error: everything about the first one, which is the root cause, and a line for each other.
#[must_use]
pub(super) fn explained(mut error: Error, findings: &[Finding]) -> Error {
    let Some((first, others)) = findings.split_first() else { return error };
    let object = match &first.container {
        Some(container) => format!("{}, container {container}", first.object),
        None => first.object.to_string(),
    };
    error = error.fact("object", object);
    if let Some((count, total)) = first.affected.filter(|(_, total)| *total > 1) {
        error = error.fact("affected", format!("{count}/{total} pods"));
    }
    error = error.fact("evidence", first.message.clone());
    for line in &first.evidence {
        error = error.fact("evidence", line.clone());
    }
    if !first.log.is_empty() {
        error = error.fact("log", first.log.join("\n"));
    }
    for other in others {
        let title = if other.id == error.id() { String::new() } else { format!("{}: ", other.id.title()) };
        error = error.fact("also", format!("{}: {title}{}", other.object, other.message));
    }
    for hint in &first.hints {
        error = error.hint(hint.clone());
    }
    error.with_keys(first.keys.clone()).with_claims(first.claims.clone())
}
