//! Whether the cluster's network plugin enforces `NetworkPolicy` objects. The API never says so: known plugins are recognised by
//! the images of their pods. Pure.

use super::check::{Category, Check, Listed};
use crate::catalogue::Id;
use crate::error::{Error, Kind};
use crate::settings::Settings;

/// Parts of image names of plugins that enforce policies. Of each project's own manifests.
const ENFORCING: &[(&str, &str)] = &[
    ("calico/node", "calico"),
    ("cilium/cilium", "cilium"),
    ("antrea/antrea", "antrea"),
    ("kube-router", "kube-router"),
    ("ovn-kube", "ovn-kubernetes"),
    ("ovn-kubernetes", "ovn-kubernetes"),
    ("weave-npc", "weave"),
    ("kube-network-policies", "kube-network-policies"),
    ("aws-network-policy-agent", "the AWS VPC CNI"),
    ("azure-npm", "Azure NPM"),
    // Since kind 0.24 (https://github.com/kubernetes-sigs/kind/releases/tag/v0.24.0).
    ("kindest/kindnetd", "kindnet"),
];
/// Parts of image names of plugins that enforce none.
const NOT_ENFORCING: &[(&str, &str)] = &[("flannel", "flannel")];

/// Checks the plugin, for a configuration that limits sandboxes by a policy. `pods` are those of the whole cluster.
pub(super) fn enforced(pods: &Listed, settings: &Settings) -> Check {
    let (category, name) = (Category::Network, "network policies");
    let pods = match pods {
        Ok(pods) => pods,
        Err(reason) => return Check::unknown(category, name, reason.as_str()),
    };
    let images: Vec<&str> = pods
        .iter()
        .filter_map(|pod| pod["spec"]["containers"].as_array())
        .flatten()
        .filter_map(|container| container["image"].as_str())
        .collect();
    let runs = |plugins: &[(&'static str, &'static str)]| {
        plugins
            .iter()
            .find(|(part, _)| images.iter().any(|image| image.contains(part)))
            .map(|(_, plugin)| *plugin)
    };
    if let Some(plugin) = runs(ENFORCING) {
        return Check::passed(category, name, format!("{plugin} enforces them"));
    }
    if let Some(plugin) = runs(NOT_ENFORCING) {
        let message = format!(
            "{plugin} enforces no NetworkPolicy: sandboxes reach everything that the cluster reaches"
        );
        let error = Error::new(Id::PoliciesNotEnforced, Kind::Prerequisite, message)
            .with_keys(settings.config_keys(&["deploy.network_policy".to_owned()]))
            .hint("an administrator installs a network plugin, or an agent beside this one, that enforces policies");
        return Check::warning(category, name, error);
    }
    Check::unknown(category, name, "no pod of a known network plugin was found")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::check::Outcome;
    use crate::settings::tests::settings_of;
    use serde_json::{Value, json};

    #[test]
    fn plugin_is_recognised_by_its_image() {
        let settings = settings_of("");
        let pod = |image: &str| json!({ "spec": { "containers": [{ "image": image }] } });
        let outcome = |pods: Vec<Value>| enforced(&Ok(pods), &settings).outcome;
        assert!(matches!(outcome(vec![pod("docker.io/kindest/kindnetd:v2")]), Outcome::Passed(_)));
        assert!(matches!(outcome(vec![pod("ghcr.io/flannel-io/flannel:v0.26")]), Outcome::Warning(_)));
        let canal = vec![pod("ghcr.io/flannel-io/flannel:v0.26"), pod("quay.io/calico/node:v3")];
        assert!(
            matches!(outcome(canal), Outcome::Passed(_)),
            "calico enforces the policies of flannel's pods"
        );
        assert!(matches!(outcome(vec![pod("acme/cni")]), Outcome::Unknown(_)));
    }
}
