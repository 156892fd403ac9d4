//! What changes beside the code when the application's release changes. Pure.

use serde_json::Value;

use crate::plan::manifests::image_pull_pod::image_of;
use crate::settings::AppVersion;
use crate::settings::format::ImageRef;

/// Another release than the one that is deployed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionChange {
    from: AppVersion,
    to: AppVersion,
    details: Vec<String>,
}

/// A Deployment and the configuration that it mounts, live or planned.
#[derive(Debug, Clone, Copy)]
pub struct Deployed<'a> {
    /// The Deployment.
    pub deployment: &'a Value,
    /// Its `ConfigMap`.
    pub configuration: Option<&'a Value>,
}

/// None where the release stays, or a tag does not say which it is.
#[must_use]
pub fn detect(live: Deployed<'_>, planned: Deployed<'_>) -> Option<VersionChange> {
    let (before, after) = (image(live.deployment)?, image(planned.deployment)?);
    let (from, to) = (AppVersion::of(&before), AppVersion::of(&after));
    if from.assumed || to.assumed || (from.major, from.minor) == (to.major, to.minor) {
        return None;
    }
    let details = [
        moved("registry", registry(before.as_str()), registry(after.as_str())),
        moved("the sandboxes' image", runtime_image(live), runtime_image(planned)),
        moved("OH_PERSISTENCE_DIR", persistence(live), persistence(planned)),
    ];
    Some(VersionChange { from, to, details: details.into_iter().flatten().collect() })
}

impl VersionChange {
    /// Whether the release becomes an older one.
    #[must_use]
    pub fn is_downgrade(&self) -> bool {
        (self.to.major, self.to.minor) < (self.from.major, self.from.minor)
    }

    /// One sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let Self { from, to, details } = self;
        let mut parts = vec![if self.is_downgrade() {
            format!(
                "OpenHands {from} → {to}, a step back: {to} may not understand what {from} has written to the volume"
            )
        } else {
            format!("OpenHands {from} → {to}")
        }];
        parts.extend(details.iter().cloned());
        parts.join("; ")
    }
}

fn image(deployment: &Value) -> Option<ImageRef> {
    ImageRef::parse(image_of(deployment)?).ok()
}

/// `docker.all-hands.dev/all-hands-ai`, without the name that stays the same.
fn registry(image: &str) -> Option<String> {
    image.rsplit_once('/').map(|(registry, _)| registry.to_owned())
}

fn runtime_image(side: Deployed<'_>) -> Option<String> {
    let files = side.configuration?["data"].as_object()?;
    files.values().filter_map(Value::as_str).find_map(|text| {
        let file: toml::Table = text.parse().ok()?;
        Some(file.get("sandbox")?.get("runtime_container_image")?.as_str()?.to_owned())
    })
}

/// Where the application keeps its database; 0.60 and later have one.
fn persistence(side: Deployed<'_>) -> Option<String> {
    let containers = side.deployment["spec"]["template"]["spec"]["containers"].as_array()?;
    let mut variables = containers.first()?["env"].as_array()?.iter();
    let variable = variables.find(|variable| variable["name"] == "OH_PERSISTENCE_DIR")?;
    variable["value"].as_str().map(str::to_owned)
}

fn moved(what: &str, before: Option<String>, after: Option<String>) -> Option<String> {
    match (before, after) {
        (before, after) if before == after => None,
        (Some(before), Some(after)) => Some(format!("{what} {before} → {after}")),
        (None, Some(after)) => Some(format!("{what} {after} is new")),
        (Some(before), None) => Some(format!("{what} {before} is gone")),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn side(image: &str, runtime: &str, persistence: Option<&str>) -> (Value, Value) {
        let env: Vec<Value> =
            persistence.iter().map(|value| json!({ "name": "OH_PERSISTENCE_DIR", "value": value })).collect();
        (
            json!({ "spec": { "template": { "spec": { "containers": [{ "image": image, "env": env }] } } } }),
            json!({ "data": { "config.toml": format!("[sandbox]\nruntime_container_image = \"{runtime}\"\n") } }),
        )
    }

    fn words(before: &(Value, Value), after: &(Value, Value)) -> Option<(bool, String)> {
        let of = |pair| {
            let (deployment, configuration): &(Value, Value) = pair;
            change_side(deployment, configuration)
        };
        detect(of(before), of(after)).map(|change| (change.is_downgrade(), change.sentence()))
    }

    fn change_side<'a>(deployment: &'a Value, configuration: &'a Value) -> Deployed<'a> {
        Deployed { deployment, configuration: Some(configuration) }
    }

    #[test]
    fn an_upgrade_names_each_thing_that_moves_and_a_downgrade_the_danger() {
        let old = side("docker.all-hands.dev/all-hands-ai/openhands:0.59", "a/runtime:0.59-nikolaik", None);
        let new = side(
            "docker.openhands.dev/openhands/openhands:1.6.0",
            "b/runtime:1.6-nikolaik",
            Some("/.openhands"),
        );
        let details = |from: &str, to: &str| format!("{from} → {to}");
        let (downgrade, text) = words(&old, &new).unwrap();
        assert!(!downgrade && text.starts_with("OpenHands 0.59 → 1.6; registry "), "{text}");
        assert!(text.contains(&details("a/runtime:0.59-nikolaik", "b/runtime:1.6-nikolaik")), "{text}");
        assert!(text.ends_with("OH_PERSISTENCE_DIR /.openhands is new"), "{text}");
        let (downgrade, text) = words(&new, &old).unwrap();
        assert!(downgrade && text.contains("0.59 may not understand what 1.6 has written"), "{text}");
    }

    #[test]
    fn the_same_release_and_one_that_nobody_knows_are_no_change() {
        let image = |image: &str| side(image, "r", None);
        assert_eq!(words(&image("a/openhands:0.59"), &image("b/openhands:0.59.1")), None);
        assert_eq!(words(&image("a/openhands:main"), &image("a/openhands:0.59")), None);
    }
}
