//! Whether another Ingress has the host of the installation's Ingress. Pure.

use serde_json::Value;

use super::check::{Category, Check, Listed};
use crate::catalogue::Id;
use crate::error::{Error, Kind};
use crate::plan::checks::shared_host;
use crate::settings::Settings;

/// Checks that no other Ingress claims host and path of a planned one. `unlisted` says why those of other namespaces are
/// not in the list.
pub(super) fn unshared(
    planned: &[&Value],
    others: &Listed,
    unlisted: Option<&str>,
    settings: &Settings,
) -> Vec<Check> {
    let (category, name) = (Category::Network, "host");
    if planned.is_empty() {
        return Vec::new();
    }
    let others = match others {
        Ok(others) => others,
        Err(reason) => return vec![Check::unknown(category, name, reason.as_str())],
    };
    let warnings = shared_host::warnings(planned, others);
    if warnings.is_empty() {
        let host = &settings.deploy.host;
        let text = match unlisted {
            None => format!("no other Ingress has {host}"),
            Some(reason) => format!("no other Ingress of the namespace has {host}; {reason}"),
        };
        return vec![Check::passed(category, name, text)];
    }
    let check = |message: String| {
        let keys = ["deploy.host".to_owned(), "deploy.ingress_class".to_owned()];
        let error = Error::new(Id::HostShared, Kind::Prerequisite, message)
            .with_keys(settings.config_keys(&keys))
            .hint("handsctl config set deploy.host=NAME chooses another host");
        Check::warning(category, name, error)
    };
    warnings.into_iter().map(check).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::check::Outcome;
    use crate::settings::tests::settings_of;
    use serde_json::json;

    #[test]
    fn host_of_another_ingress_is_a_warning_with_its_key() {
        let ingress = |namespace: &str, host: &str| {
            json!({
                "metadata": { "name": "oh", "namespace": namespace },
                "spec": { "rules": [{ "host": host, "http": { "paths": [{ "path": "/" }] } }] },
            })
        };
        let settings = settings_of("[deploy]\nhost = \"x.org\"\nexposure = \"acknowledged\"\n");
        let planned = ingress("a", "x.org");
        let checks = |others: Listed, unlisted| unshared(&[&planned], &others, unlisted, &settings);
        let taken = checks(Ok(vec![ingress("b", "x.org"), planned.clone()]), None);
        let [Check { outcome: Outcome::Warning(error), .. }] = &taken[..] else { panic!("{taken:?}") };
        assert!(error.message().starts_with("ingress/oh in namespace b"), "{}", error.message());
        assert_eq!(error.location().map(|at| at.line_column().0), Some(2));
        let free = checks(Ok(vec![ingress("b", "y.org")]), Some("no right"));
        assert!(matches!(&free[0].outcome, Outcome::Passed(text) if text.ends_with("has x.org; no right")));
        assert!(matches!(checks(Err("no".to_owned()), None)[0].outcome, Outcome::Unknown(_)));
        assert!(unshared(&[], &Ok(Vec::new()), None, &settings).is_empty());
    }
}
