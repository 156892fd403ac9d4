//! The verdict of a report, with the answers of the application, and its exit code.

use super::read::{Probing, StatusReport, read_status};
use crate::catalogue::Id;
use crate::cluster::app::probe::ProbeResult;
use crate::error::{Kind, Result};
use crate::session::cluster_session::Session;
use crate::status::{Finding, HealthVerdict, Metric};

/// Reads the state of the set, with its verdict.
///
/// # Errors
/// As [`read_status`].
pub(in crate::commands) async fn read_judged(session: &Session, drift: Drift) -> Result<StatusReport> {
    let report = read_status(session, Probing::Measured).await.map(judged)?;
    Ok(match drift {
        Drift::Noted => report,
        Drift::Degrades => degraded_by_drift(report),
    })
}

/// What it means for the verdict that others changed fields of the installation since its deploy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::commands) enum Drift {
    /// Nothing: each object has a note.
    Noted,
    /// The installation is degraded.
    Degrades,
}

/// Whether a note is about fields that others changed.
fn is_drift(note: &Finding) -> bool {
    matches!(note.id, Id::ChangedByOthers | Id::PodChangedByOthers | Id::VariablesChangedByOthers)
}

/// Returns the number of fields that others changed since the deploy. None if no revision tells what was deployed.
pub(super) fn drifted_fields(report: &StatusReport) -> Option<usize> {
    report.revision.as_ref().filter(|_| report.installer.is_none())?;
    let all = report.findings.iter().chain(&report.notes);
    // The message is the first field, and each line of evidence one more.
    Some(all.filter(|note| is_drift(note)).map(|note| 1 + note.evidence.len()).sum())
}

/// Makes findings of the notes about fields that others changed.
fn degraded_by_drift(mut report: StatusReport) -> StatusReport {
    let (drift, notes): (Vec<Finding>, Vec<Finding>) = report.notes.into_iter().partition(is_drift);
    let reasons = drift.iter().map(|finding| format!("{}: {}", finding.object, finding.message)).collect();
    report.health.verdict = report.health.verdict.degraded_by(reasons);
    report.notes = notes;
    report.findings.extend(drift);
    report
}

/// Adds what the probe and the metrics of a healthy application say to its verdict.
pub(super) fn judged(mut report: StatusReport) -> StatusReport {
    let mut reasons: Vec<String> = report.metrics.iter().filter_map(Metric::reason).collect();
    if let Some(ProbeResult::Unreachable(why)) = &report.alive {
        reasons.insert(0, format!("/alive does not answer: {why}"));
    }
    if report.health.verdict == HealthVerdict::Healthy && !reasons.is_empty() {
        report.health.verdict = HealthVerdict::Degraded(reasons);
    }
    report
}

/// Returns the exit code of a verdict.
pub(super) fn exit_code(verdict: &HealthVerdict) -> u8 {
    match verdict {
        HealthVerdict::Healthy => 0,
        HealthVerdict::Degraded(_) => Kind::Degraded.exit_code(),
        HealthVerdict::Down(_) | HealthVerdict::Absent => Kind::Down.exit_code(),
    }
}
