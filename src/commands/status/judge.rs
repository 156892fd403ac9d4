//! The verdict of a report, with the answers of the application, and its exit code.

use super::read::{Probing, StatusReport, read_status};
use crate::cluster::app::probe::ProbeResult;
use crate::error::{Kind, Result};
use crate::session::cluster_session::Session;
use crate::status::{HealthVerdict, Metric};

/// Reads the state of the set, with its verdict.
///
/// # Errors
/// As [`read_status`].
pub(in crate::commands) async fn read_judged(session: &Session) -> Result<StatusReport> {
    read_status(session, Probing::Measured).await.map(judged)
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
