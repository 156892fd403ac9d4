//! Names of the containers of pods, and those of handsctl's templates. Pure.

use std::collections::BTreeSet;

use serde_json::Value;

/// The application's container; see `templates/app/deployment.yaml`.
pub const APP: &str = "openhands";
/// The container of profile `dev`; see `templates/dev/deployment.yaml`.
pub const DEV: &str = "ubuntu";
/// The container of the pods that pull an image.
pub const PULL: &str = "pull";
/// The container of the pods that mount a volume for a backup.
pub const VOLUME: &str = "volume";

/// Returns whether handsctl defines a container of this name. A webhook or another tool adds others, such as the proxy
/// of a service mesh.
#[must_use]
pub fn is_of_template(name: &str) -> bool {
    [APP, DEV, PULL, VOLUME].contains(&name)
}

/// Returns the names of all containers of these pods, with init containers and those of `kubectl debug`.
#[must_use]
pub fn container_names(pods: &[Value]) -> BTreeSet<&str> {
    ["initContainers", "containers", "ephemeralContainers"]
        .into_iter()
        .flat_map(|list| pods.iter().flat_map(move |pod| pod["spec"][list].as_array().into_iter().flatten()))
        .filter_map(|container| container["name"].as_str())
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_kind_of_container_has_its_name() {
        let named = |name: &str| json!([{ "name": name }]);
        let pods = [
            json!({"spec": {"initContainers": named("init"), "containers": named("app")}}),
            json!({"spec": {"containers": named("app"), "ephemeralContainers": named("debugger")}}),
        ];
        assert_eq!(container_names(&pods), BTreeSet::from(["app", "debugger", "init"]));
    }
}
