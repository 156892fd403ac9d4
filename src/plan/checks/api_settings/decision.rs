//! Decides whether to give an application its settings.

use serde_json::Value;

use super::answer::{active_profile, differing_fields, lacks_model_key};
use crate::plan::inventory::given_settings::{GivenSettings, RemovedSettings};
use crate::settings::api_settings::{ApiSettings, DEFAULT_PROFILE};
use crate::settings::handsctl::SeedSettings;

/// What is known about the settings of an application before a run.
#[derive(Debug, Clone, Copy)]
pub struct KnownSettings<'a> {
    /// Its present settings, as it answers them.
    pub current: &'a Value,
    /// Those that it got last.
    pub given: &'a GivenSettings,
    /// Those of them that the configuration no longer has.
    pub removed: &'a RemovedSettings,
    /// The MAC of the configured settings.
    pub mac: &'a str,
}

/// Returns whether the configured settings are to be given. People may change them on the application's page, so equal
/// settings are not given twice, unless `always`, or the model's key is gone.
#[must_use]
pub fn is_to_give(when: SeedSettings, desired: &ApiSettings, known: KnownSettings<'_>) -> bool {
    if desired.is_empty() && known.removed.is_empty() {
        return false;
    }
    let is_new = known.given.mac.as_deref() != Some(known.mac) || lacks_model_key(desired, known.current);
    match when {
        SeedSettings::Never => false,
        SeedSettings::IfMissing => is_new,
        SeedSettings::Always => is_new || is_changed_on_page(desired, known.current),
    }
}

fn is_changed_on_page(desired: &ApiSettings, current: &Value) -> bool {
    let activates = desired.profiles.contains_key(DEFAULT_PROFILE);
    !differing_fields(desired, current).is_empty()
        || (activates && active_profile(current) != Some(DEFAULT_PROFILE))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;
    use crate::plan::checks::api_settings::answer::tests::{answer, desired};

    #[test]
    fn equal_settings_are_given_once() {
        let answer = answer();
        let removed = RemovedSettings::default();
        let gives = |when, given: Option<&str>, current| {
            let given = &GivenSettings { mac: given.map(str::to_owned), ..GivenSettings::default() };
            is_to_give(when, &desired(), KnownSettings { current, given, removed: &removed, mac: "new" })
        };
        assert!(gives(SeedSettings::IfMissing, None, &answer));
        assert!(gives(SeedSettings::IfMissing, Some("old"), &answer));
        assert!(!gives(SeedSettings::IfMissing, Some("new"), &answer));
        let mut changed_on_page = answer.clone();
        changed_on_page["agent_settings"]["llm"]["model"] = json!("b/other");
        assert!(!gives(SeedSettings::IfMissing, Some("new"), &changed_on_page));
        assert!(gives(SeedSettings::Always, Some("new"), &changed_on_page));
        assert!(!gives(SeedSettings::Always, Some("new"), &answer));
        let mut without_key = answer.clone();
        without_key["llm_api_key_is_set"] = json!(false);
        assert!(gives(SeedSettings::IfMissing, Some("new"), &without_key));
        assert!(!gives(SeedSettings::Never, None, &answer));
    }

    #[test]
    fn empty_configuration_only_resets_what_was_given() {
        let (current, given) = (&answer(), &GivenSettings::default());
        let gives = |when, removed| {
            is_to_give(when, &ApiSettings::default(), KnownSettings { current, given, removed, mac: "new" })
        };
        let nothing = RemovedSettings::default();
        let profiles = BTreeSet::from(["fast".to_owned()]);
        let profile = RemovedSettings { profiles, ..RemovedSettings::default() };
        assert!(!gives(SeedSettings::Always, &nothing) && !gives(SeedSettings::Never, &profile));
        assert!(gives(SeedSettings::IfMissing, &profile));
    }

    #[test]
    fn profile_that_people_activate_stays() {
        let mut other = answer();
        other["active_profile"] = json!("local");
        other["llm_api_key_is_set"] = json!(false);
        let given = &GivenSettings { mac: Some("new".to_owned()), ..GivenSettings::default() };
        let removed = &RemovedSettings::default();
        let known = KnownSettings { current: &other, given, removed, mac: "new" };
        let gives = |when| is_to_give(when, &desired(), known);
        assert!(!gives(SeedSettings::IfMissing), "the key that is missing is that of another model");
        assert!(gives(SeedSettings::Always));
    }
}
