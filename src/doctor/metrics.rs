//! The metrics API, which `status` and autoscaling read. Pure.

use super::check::{Category, Check};
use crate::catalogue::Id;
use crate::error::{Error, Kind};
use crate::settings::Settings;

/// Checks the API. `is_served`: whether the cluster serves it, or why that is unknown.
pub(super) fn api(is_served: Result<bool, String>, settings: &Settings) -> Check {
    let (category, name) = (Category::Api, "metrics API");
    match is_served {
        Err(reason) => Check::unknown(category, name, reason),
        Ok(true) => Check::passed(category, name, "served"),
        Ok(false) if settings.deploy.autoscaling.is_some() => {
            let message = "the cluster serves no metrics API: the number of pods stays as it is";
            let error = Error::new(Id::MetricsMissing, Kind::Prerequisite, message)
                .with_keys(settings.config_keys(&["deploy.autoscaling".to_owned()]))
                .hint("an administrator installs metrics-server");
            Check::warning(category, name, error)
        }
        Ok(false) => {
            Check::noted(category, name, "not served: handsctl status measures no cpu and no memory")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::check::Outcome;
    use crate::settings::tests::settings_of;

    #[test]
    fn metrics_are_needed_for_autoscaling_only() {
        let plain = settings_of("");
        assert!(matches!(api(Ok(true), &plain).outcome, Outcome::Passed(_)));
        assert!(matches!(api(Ok(false), &plain).outcome, Outcome::Noted(_)));
        assert!(matches!(api(Err("no".to_owned()), &plain).outcome, Outcome::Unknown(_)));
    }
}
