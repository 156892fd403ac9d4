//! The values of a key that nobody sets: its default, or what handsctl, a local cluster or a profile sets instead.

use crate::error::Result;
use crate::settings::handsctl::Profile;
use crate::settings::load::layer;
use crate::settings::load::schema::schema_shape;
use crate::settings::resolved::{KeyOrigin, ResolvedSecrets, Settings, chosen_edition};
use crate::settings::secrets::extract;

/// A value of a key that nobody sets, as TOML, and when the key has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsetValue {
    /// When the key has this value; None: always, as its default.
    pub condition: Option<String>,
    /// The value as TOML.
    pub value: String,
}

/// Returns the values of a key that nobody sets, the usual one first. Empty: it has none then.
///
/// # Errors
/// The schema cannot be read.
pub fn unset_values(key: &str) -> Result<Vec<UnsetValue>> {
    let usual = unset(Profile::App)?;
    let mut values: Vec<UnsetValue> = Vec::new();
    if let Some((value, origin)) = value_of(&usual, key) {
        let condition = (origin == KeyOrigin::Handsctl).then(|| "handsctl sets it".to_owned());
        values.push(UnsetValue { condition, value });
    }
    let mut add = |condition: &str, value: String| {
        if values.first().is_none_or(|usual| usual.value != value) {
            values.push(UnsetValue { condition: Some(condition.to_owned()), value });
        }
    };
    if let Some((value, _)) = value_of(&usual.for_local_cluster(true), key) {
        add("on local clusters", value);
    }
    for profile in Profile::ALL {
        if let Some((value, KeyOrigin::Profile(name))) = value_of(&unset(*profile)?, key) {
            add(&format!("profile {name}"), value);
        }
    }
    Ok(values)
}

/// The settings of a configuration that sets nothing but the profile.
fn unset(profile: Profile) -> Result<Settings> {
    let schema = schema_shape()?;
    let mut tree = layer::set(&schema, &format!("deploy.profile={}", profile.name())).table;
    let configuration = chosen_edition(&tree).configuration;
    let extracted = extract::extract(&schema, &mut tree, configuration);
    Settings::assemble(&schema, tree, ResolvedSecrets::default(), extracted.plain)
}

fn value_of(settings: &Settings, key: &str) -> Option<(String, KeyOrigin)> {
    let found = settings.origins().into_iter().find(|known| known.key == key);
    found.map(|known| (known.value, known.origin))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(key: &str) -> Vec<String> {
        let values = unset_values(key).unwrap();
        let text = |it: UnsetValue| format!("{} {}", it.condition.unwrap_or_default(), it.value);
        values.into_iter().map(text).collect()
    }

    #[test]
    fn values_of_handsctl_clusters_and_profiles_are_named() {
        assert_eq!(described("deploy.resources.requests.cpu"), [" \"500m\"", "on local clusters \"250m\""]);
        assert_eq!(described("deploy.resources.limits.memory"), [" \"4Gi\""]);
        assert_eq!(
            described("deploy.expose"),
            [
                " \"ingress\"",
                "profile dev \"none\"",
                "profile openshift \"route\"",
                "profile gke \"loadbalancer\""
            ]
        );
        assert_eq!(described("core.runtime"), ["handsctl sets it \"kubernetes\""]);
        assert_eq!(described("deploy.storage_class"), Vec::<String>::new());
    }
}
