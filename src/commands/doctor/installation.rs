//! What `status` reports of the installation, as checks. Pure.

use crate::catalogue::Id;
use crate::cluster::rollout::finding_error::finding_error;
use crate::commands::status::StatusReport;
use crate::doctor::check::{Category, Check};
use crate::error::{Error, Kind};
use crate::object::kind::INGRESS;
use crate::plan::inventory::revision::{Revision, RevisionResult};
use crate::status::{Finding, HealthVerdict};

const NAME: &str = "installation";

/// Returns a check for each finding of `status`, or one for an installation without findings, and one for a newest
/// revision that failed.
pub(super) fn checks(report: &StatusReport) -> Vec<Check> {
    let mut checks = of_verdict(&report.health.verdict, &report.findings, report.revision.as_ref());
    // `doctor` has its own checks of what an Ingress depends on.
    let notes = report.notes.iter().filter(|note| note.object.kind != INGRESS.kind);
    checks.extend(notes.map(|note| warning(note_error(note))));
    checks.extend(report.revision.as_ref().and_then(failed_revision));
    checks
}

/// Returns the check of an installation that could not be judged. A server that does not respond has a check of its own.
pub(super) fn unjudged(error: Error) -> Option<Check> {
    match error.kind() {
        Kind::Unreachable | Kind::Unauthenticated => None,
        Kind::Forbidden | Kind::Deadline => Some(Check::unknown(Category::App, NAME, error.with_causes())),
        _ => Some(Check::failed(Category::App, NAME, error)),
    }
}

fn of_verdict(verdict: &HealthVerdict, findings: &[Finding], revision: Option<&Revision>) -> Vec<Check> {
    let (kind, reasons) = match verdict {
        HealthVerdict::Healthy => {
            let number =
                revision.map_or_else(String::new, |revision| format!(", revision {}", revision.number));
            return vec![Check::passed(Category::App, NAME, format!("healthy{number}"))];
        }
        HealthVerdict::Absent => {
            let text = "nothing is deployed: handsctl deploy creates it";
            return vec![Check::noted(Category::App, NAME, text)];
        }
        HealthVerdict::Degraded(reasons) => (Kind::Degraded, reasons),
        HealthVerdict::Down(reasons) => (Kind::Down, reasons),
    };
    let check = |error: Error| {
        if kind == Kind::Down { Check::failed(Category::App, NAME, error) } else { warning(error) }
    };
    if findings.is_empty() {
        let word = if kind == Kind::Down { "down" } else { "degraded" };
        let reasons = if reasons.is_empty() { String::new() } else { format!(": {}", reasons.join(", ")) };
        let error =
            Error::new(Id::InstallationUnhealthy, kind, format!("the installation is {word}{reasons}"))
                .hint("handsctl status");
        return vec![check(error)];
    }
    findings.iter().map(|finding| check(error_of(finding, kind))).collect()
}

fn error_of(finding: &Finding, kind: Kind) -> Error {
    finding_error(std::slice::from_ref(finding)).replace_kind(finding.id, kind)
}

/// A note changes no verdict of `status`; `doctor` warns of it.
fn note_error(note: &Finding) -> Error {
    error_of(note, Kind::Degraded)
}

fn warning(error: Error) -> Check {
    Check::warning(Category::App, NAME, error)
}

/// Returns the check of a revision whose rollout failed: the next deploy of the same configuration fails as well, whatever
/// serves meanwhile.
fn failed_revision(revision: &Revision) -> Option<Check> {
    if revision.result != RevisionResult::Failed {
        return None;
    }
    let number = revision.number;
    let error =
        Error::new(Id::RevisionFailed, Kind::Degraded, format!("revision {number}, the newest one, failed"))
            .hint(format!("handsctl history {number} shows what it changed"))
            .hint("handsctl deploy tries it again");
    Some(Check::warning(Category::App, "revision", error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::check::{Outcome, exit_code};
    use crate::object::kind::SERVICE;

    fn finding() -> Finding {
        Finding::new(Id::MemberMissing, SERVICE.id("n", "oh"), "revision 1 has it")
            .hint("handsctl deploy creates it")
    }

    #[test]
    fn verdict_of_status_decides_about_the_exit_code() {
        let reasons = || vec!["service/oh is missing".to_owned()];
        let exit = |verdict, findings: &[Finding]| exit_code(&of_verdict(&verdict, findings, None));
        assert_eq!(exit(HealthVerdict::Healthy, &[]), 0);
        assert_eq!(exit(HealthVerdict::Absent, &[]), 0);
        assert_eq!(exit(HealthVerdict::Degraded(reasons()), &[finding()]), 11);
        assert_eq!(exit(HealthVerdict::Down(reasons()), &[finding()]), 12);
        assert_eq!(exit(HealthVerdict::Down(reasons()), &[]), 12, "a verdict without a finding counts too");
    }

    #[test]
    fn finding_keeps_its_id_its_object_and_its_command() {
        let checks = of_verdict(&HealthVerdict::Degraded(Vec::new()), &[finding()], None);
        let [Check { outcome: Outcome::Warning(error), .. }] = &checks[..] else { panic!("{checks:?}") };
        assert_eq!(error.id(), Id::MemberMissing);
        assert!(
            error.evidence_text().contains("service/oh")
                && error.evidence_text().contains("revision 1 has it")
        );
        assert_eq!(error.hints(), ["handsctl deploy creates it"]);
    }

    #[test]
    fn installation_that_may_not_be_read_is_not_checked() {
        let of = |kind| unjudged(Error::new(Id::Forbidden, kind, "no right")).map(|check| check.outcome);
        assert!(matches!(of(Kind::Forbidden), Some(Outcome::Unknown(_))));
        assert!(matches!(of(Kind::Ownership), Some(Outcome::Failed(_))));
        assert!(of(Kind::Unreachable).is_none(), "the connection has its own check");
    }
}
