//! This computer as the host of the local cluster. Pure.

use super::check::{Category, Check};
use crate::error::{Error, Kind};
use crate::provider::kind::HostReport;
use crate::settings::handsctl::Provider;

/// Returns the checks of this computer. Without any engine, `up` simulates a cluster, unless the configuration asks for
/// kind.
pub(super) fn checks(report: HostReport, provider: Provider) -> Vec<Check> {
    let (category, name) = (Category::Computer, "engine");
    if !report.has_engine && provider != Provider::Kind {
        let text = "there is none: handsctl up simulates a cluster, in which no container runs";
        return vec![Check::noted(category, name, text)];
    }
    let mut checks: Vec<Check> = report
        .findings
        .into_iter()
        .map(|finding| {
            let error = Error::new(finding.id, Kind::Prerequisite, finding.message);
            let error = finding.hint.lines().fold(error, Error::hint);
            if finding.blocks {
                Check::failed(category, name, error)
            } else {
                Check::warning(category, name, error)
            }
        })
        .collect();
    if !report.summary.is_empty() {
        checks.insert(0, Check::passed(category, name, report.summary));
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Id;
    use crate::doctor::check::Outcome;
    use crate::provider::kind::HostFinding;

    fn report(has_engine: bool) -> HostReport {
        let finding = HostFinding {
            id: Id::EngineMissing,
            blocks: true,
            message: "no engine".to_owned(),
            hint: "install one".to_owned(),
        };
        HostReport { has_engine, summary: String::new(), findings: vec![finding] }
    }

    #[test]
    fn missing_engine_fails_only_where_kind_is_asked_for() {
        let outcome = |report, provider| checks(report, provider).remove(0).outcome;
        assert!(matches!(outcome(report(false), Provider::Auto), Outcome::Noted(_)));
        assert!(matches!(outcome(report(false), Provider::Kind), Outcome::Failed(_)));
        assert!(
            matches!(outcome(report(true), Provider::Auto), Outcome::Failed(_)),
            "it is there and unusable"
        );
    }
}
