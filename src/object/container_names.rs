//! Names of the containers of pods. Pure.

use std::collections::BTreeSet;

use serde_json::Value;

/// Returns the names of all containers of these pods, init containers included.
#[must_use]
pub fn container_names(pods: &[Value]) -> BTreeSet<&str> {
    ["initContainers", "containers"]
        .into_iter()
        .flat_map(|list| pods.iter().flat_map(move |pod| pod["spec"][list].as_array().into_iter().flatten()))
        .filter_map(|container| container["name"].as_str())
        .collect()
}
