//! What the rights that an account lacks mean for a deploy. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::check::{Category, Check};
use crate::catalogue::Id;
use crate::cluster::access::deployer_role::Impact;
use crate::cluster::access::rules::{self, Permission};
use crate::error::{Error, Kind};
use crate::phrase;

const HINT: &str = "handsctl rbac prints the roles that an administrator applies";

/// Reports the permissions of `needed` that are `denied`: those without which nothing can be deployed, and the others.
pub(super) fn checks(needed: &BTreeMap<Permission, Impact>, denied: &[&Permission]) -> Vec<Check> {
    let (category, name) = (Category::Rights, "rules");
    let mut missing: BTreeMap<Impact, BTreeSet<&Permission>> = BTreeMap::new();
    for permission in denied {
        let impact = needed.get(*permission).copied().flatten();
        missing.entry(impact).or_default().insert(permission);
    }
    let mut missing: BTreeMap<Impact, Vec<String>> =
        missing.into_iter().map(|(impact, permissions)| (impact, rules::as_rules(permissions))).collect();
    let all = needed.len();
    let granted = all - denied.len();
    let mut checks = Vec::new();
    if let Some(rules) = missing.remove(&None) {
        let message =
            format!("this account lacks {} that a deploy needs", phrase::count(rules.len(), "rule"));
        let error = Error::new(Id::Forbidden, Kind::Forbidden, message);
        checks.push(Check::failed(category, name, with_rules(error, "missing", rules).hint(HINT)));
    }
    if !missing.is_empty() {
        let count = missing.values().map(Vec::len).sum::<usize>();
        let message =
            format!("this account lacks {} that a deploy can do without", phrase::count(count, "rule"));
        let error = Error::new(Id::Forbidden, Kind::Forbidden, message);
        let error = missing.into_iter().fold(error, |error, (impact, rules)| {
            let error = error.fact("so", impact.unwrap_or_default());
            with_rules(error, "missing", rules)
        });
        checks.push(Check::warning(category, name, error.hint(HINT)));
    }
    if checks.is_empty() {
        checks.push(Check::passed(
            category,
            name,
            format!("{granted} of {all} that this configuration uses"),
        ));
    }
    checks
}

fn with_rules(error: Error, label: &'static str, rules: Vec<String>) -> Error {
    rules.into_iter().fold(error, |error, rule| error.fact(label, rule))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::check::Outcome;
    use crate::object::kind::{DEPLOYMENT, NODE};

    #[test]
    fn missing_rule_fails_unless_a_deploy_can_do_without() {
        let (patch, list) = (Permission::new("n", DEPLOYMENT, "patch"), Permission::new("", NODE, "list"));
        let needed: BTreeMap<Permission, Impact> =
            [(patch.clone(), None), (list.clone(), Some("no room"))].into();
        assert!(
            matches!(&checks(&needed, &[])[0].outcome, Outcome::Passed(text) if text.starts_with("2 of 2"))
        );
        let both = checks(&needed, &[&list, &patch]);
        let [failed, warning] = &both[..] else { panic!("{both:?}") };
        assert!(
            matches!(&failed.outcome, Outcome::Failed(error) if error.evidence_text().contains("deployments"))
        );
        assert!(
            matches!(&warning.outcome, Outcome::Warning(error) if error.evidence_text().contains("no room"))
        );
    }
}
