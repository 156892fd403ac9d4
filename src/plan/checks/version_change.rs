//! Detects a change of the app version, and what else changes with it. Pure.

use serde_json::Value;

use crate::plan::manifests::image_pull_pod::image_of;
use crate::settings::AppVersion;
use crate::settings::format::ImageRef;

/// A planned app version other than the deployed one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionChange {
    from: AppVersion,
    to: AppVersion,
    details: Vec<String>,
}

/// A Deployment and its mounted configuration, live or planned.
#[derive(Debug, Clone, Copy)]
pub struct Deployed<'a> {
    /// The Deployment.
    pub deployment: &'a Value,
    /// Its `ConfigMap`.
    pub configuration: Option<&'a Value>,
}

/// Compares the app versions. Returns `None` if the image or its version is the same, or if a version is not known.
/// `version_of` returns the version of an image.
#[must_use]
pub fn detect(
    live: Deployed<'_>,
    planned: Deployed<'_>,
    version_of: impl Fn(&ImageRef) -> AppVersion,
) -> Option<VersionChange> {
    let (before, after) = (image(live.deployment)?, image(planned.deployment)?);
    if before == after {
        return None;
    }
    let (from, to) = (version_of(&before), version_of(&after));
    if from.assumed || to.assumed || (from.major, from.minor) == (to.major, to.minor) {
        return None;
    }
    let details = [
        changed("registry", registry(before.as_str()), registry(after.as_str())),
        changed("the sandboxes' image", runtime_image(live), runtime_image(planned)),
        changed("OH_PERSISTENCE_DIR", persistence(live), persistence(planned)),
    ];
    Some(VersionChange { from, to, details: details.into_iter().flatten().collect() })
}

/// Returns the planned image of the sandboxes if it differs from the deployed one.
#[must_use]
pub fn new_runtime_image(live: Deployed<'_>, planned: Deployed<'_>) -> Option<String> {
    let (before, after) = (runtime_image(live)?, runtime_image(planned)?);
    (before != after).then_some(after)
}

impl VersionChange {
    /// Returns whether the planned version is the older one.
    #[must_use]
    pub fn is_downgrade(&self) -> bool {
        (self.to.major, self.to.minor) < (self.from.major, self.from.minor)
    }

    /// Describes the change in one sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let Self { from, to, details } = self;
        let mut parts = vec![if self.is_downgrade() {
            format!(
                "OpenHands {from} → {to}, a downgrade: {to} may not be able to read the data that {from} wrote to the volume"
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

/// Returns the image without its last part: `docker.all-hands.dev/all-hands-ai`.
fn registry(image: &str) -> Option<String> {
    image.rsplit_once('/').map(|(registry, _)| registry.to_owned())
}

fn runtime_image(deployed: Deployed<'_>) -> Option<String> {
    let files = deployed.configuration?["data"].as_object()?;
    files.values().filter_map(Value::as_str).find_map(|text| {
        let file: toml::Table = text.parse().ok()?;
        Some(file.get("sandbox")?.get("runtime_container_image")?.as_str()?.to_owned())
    })
}

/// Returns the directory of the application's database; version 0.60 and later have one.
fn persistence(deployed: Deployed<'_>) -> Option<String> {
    let containers = deployed.deployment["spec"]["template"]["spec"]["containers"].as_array()?;
    let mut variables = containers.first()?["env"].as_array()?.iter();
    let variable = variables.find(|variable| variable["name"] == "OH_PERSISTENCE_DIR")?;
    variable["value"].as_str().map(str::to_owned)
}

fn changed(what: &str, before: Option<String>, after: Option<String>) -> Option<String> {
    match (before, after) {
        (before, after) if before == after => None,
        (Some(before), Some(after)) => Some(format!("{what} {before} → {after}")),
        (None, Some(after)) => Some(format!("{what} {after} is new")),
        (Some(before), None) => Some(format!("{what} {before} is removed")),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::edition::CLASSIC;
    use serde_json::json;

    fn objects(image: &str, runtime: &str, persistence: Option<&str>) -> (Value, Value) {
        let env: Vec<Value> =
            persistence.iter().map(|value| json!({ "name": "OH_PERSISTENCE_DIR", "value": value })).collect();
        (
            json!({ "spec": { "template": { "spec": { "containers": [{ "image": image, "env": env }] } } } }),
            json!({ "data": { "config.toml": format!("[sandbox]\nruntime_container_image = \"{runtime}\"\n") } }),
        )
    }

    fn describe(before: &(Value, Value), after: &(Value, Value)) -> Option<(bool, String)> {
        let of_pair = |pair| {
            let (deployment, configuration): &(Value, Value) = pair;
            deployed(deployment, configuration)
        };
        detect(of_pair(before), of_pair(after), |image| AppVersion::from_image(image, &CLASSIC))
            .map(|change| (change.is_downgrade(), change.sentence()))
    }

    fn deployed<'a>(deployment: &'a Value, configuration: &'a Value) -> Deployed<'a> {
        Deployed { deployment, configuration: Some(configuration) }
    }

    #[test]
    fn sentence_lists_details_and_warns_of_downgrade() {
        let old =
            objects("docker.all-hands.dev/all-hands-ai/openhands:0.59", "a/runtime:0.59-nikolaik", None);
        let new = objects(
            "docker.openhands.dev/openhands/openhands:1.6.0",
            "b/runtime:1.6-nikolaik",
            Some("/.openhands"),
        );
        let details = |from: &str, to: &str| format!("{from} → {to}");
        let (downgrade, text) = describe(&old, &new).unwrap();
        assert!(!downgrade && text.starts_with("OpenHands 0.59 → 1.6; registry "), "{text}");
        assert!(text.contains(&details("a/runtime:0.59-nikolaik", "b/runtime:1.6-nikolaik")), "{text}");
        assert!(text.ends_with("OH_PERSISTENCE_DIR /.openhands is new"), "{text}");
        let (downgrade, text) = describe(&new, &old).unwrap();
        assert!(downgrade && text.contains("0.59 may not be able to read the data that 1.6 wrote"), "{text}");
    }

    #[test]
    fn changed_runtime_image_is_that_of_new_sandboxes() {
        let (old, new) =
            (objects("a/openhands:0.59", "r:0.59", None), objects("a/openhands:1.6", "r:1.6", None));
        let image = |before: &(Value, Value), after: &(Value, Value)| {
            new_runtime_image(deployed(&before.0, &before.1), deployed(&after.0, &after.1))
        };
        assert_eq!(image(&old, &new).as_deref(), Some("r:1.6"));
        assert_eq!(image(&old, &old), None);
    }

    #[test]
    fn equal_or_unknown_versions_are_not_a_change() {
        let image = |image: &str| objects(image, "r", None);
        assert_eq!(describe(&image("a/openhands:0.59"), &image("b/openhands:0.59.1")), None);
        assert_eq!(describe(&image("a/openhands:main"), &image("a/openhands:0.59")), None);
    }

    #[test]
    fn configured_version_overrides_tag_of_own_image() {
        let (old, own) = (objects("a/openhands:1.6", "r", None), objects("a/openhands:main", "r", None));
        let version_of = |image: &ImageRef| match image.tag() {
            Some("main") => AppVersion { major: 0, minor: 59, assumed: false },
            _ => AppVersion::from_image(image, &CLASSIC),
        };
        let change =
            |live: &(Value, Value)| detect(deployed(&live.0, &live.1), deployed(&own.0, &own.1), version_of);
        assert!(change(&old).unwrap().is_downgrade());
        assert_eq!(change(&own), None, "the same image has the same version");
    }
}
