//! Decides whether a node accepts a pod. Pure.

use serde_json::Value;

use super::pod_resources::amount;
use crate::object::{condition, taint};
use crate::phrase;
use crate::plan::manifests::scheduling;
use crate::settings::Settings;
use crate::settings::format::Quantity;

/// The node selector and the tolerations of a pod.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeFit {
    selector: Vec<(String, String)>,
    tolerations: Vec<Value>,
}

impl NodeFit {
    /// Returns the constraints of sandbox pods, from `[kubernetes]`.
    #[must_use]
    pub fn of_sandboxes(settings: &Settings) -> Self {
        let kubernetes = &settings.openhands.kubernetes;
        let selector = kubernetes.node_selector_key.as_ref().zip(kubernetes.node_selector_val.as_ref());
        let selector = selector.map(|(key, value)| (key.to_string(), value.to_string()));
        Self { selector: selector.into_iter().collect(), tolerations: settings.sandbox_tolerations() }
    }

    /// Returns the constraints of the application's pods, from `[deploy]`.
    #[must_use]
    pub fn of_application(settings: &Settings) -> Self {
        let selector = settings.deploy.node_selector.iter();
        let selector = selector.map(|(key, value)| (key.to_string(), value.to_string())).collect();
        Self { selector, tolerations: scheduling::tolerations(&settings.deploy.tolerations) }
    }

    /// Returns the constraints of the pods of a template, from its `spec`.
    #[must_use]
    pub fn of_template(spec: &Value) -> Self {
        let selector = spec["nodeSelector"].as_object().into_iter().flatten();
        let selector = selector.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
        let tolerations = spec["tolerations"].as_array().cloned().unwrap_or_default();
        Self { selector: selector.collect(), tolerations }
    }

    /// Returns the reason why a node does not accept the pod; `None` if it does. Free resources are not considered.
    #[must_use]
    pub fn mismatch(&self, node: &Value) -> Option<String> {
        if !condition::is_ready(node) {
            return Some("not ready".to_owned());
        }
        if node["spec"]["unschedulable"] == true {
            return Some("cordoned".to_owned());
        }
        let labels = &node["metadata"]["labels"];
        if let Some((key, value)) = self.selector.iter().find(|(key, value)| labels[key] != value.as_str()) {
            return Some(format!("not {key}={value}"));
        }
        let taints = node["spec"]["taints"].as_array().into_iter().flatten();
        let taint = taints.into_iter().find(|taint| taint::repels(taint, &self.tolerations))?;
        Some(format!("tainted {}", taint["key"].as_str().unwrap_or_default()))
    }

    /// Describes how much of a resource the largest node has that accepts the pod; `None` if none accepts it.
    #[must_use]
    pub fn most_of(&self, nodes: &[Value], resource: &str) -> Option<String> {
        let accepting = nodes.iter().filter(|node| self.mismatch(node).is_none());
        let size = |node: &Value| node["status"]["allocatable"][resource].clone();
        let largest = accepting.max_by_key(|node| amount(&size(node)))?;
        let most = amount(&size(largest));
        if most == 0 {
            return Some(format!("{resource}: no node that accepts the pod has any"));
        }
        let most = match resource {
            "memory" | "ephemeral-storage" => phrase::size(u64::try_from(most / Quantity::ONE).ok()?),
            _ => size(largest).as_str()?.to_owned(),
        };
        let name = largest["metadata"]["name"].as_str().unwrap_or_default();
        Some(format!("{resource}: the largest node that accepts the pod, {name}, has {most}"))
    }
}

/// Returns whether kwok simulates the node's kubelet.
#[must_use]
pub fn is_simulated(node: &Value) -> bool {
    node["metadata"]["annotations"]["kwok.x-k8s.io/node"].is_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn node() -> Value {
        json!({
            "metadata": { "name": "a", "labels": { "zone": "a" } },
            "status": { "conditions": [{ "type": "Ready", "status": "True" }] },
        })
    }

    #[test]
    fn untolerated_taint_is_a_refusal() {
        let mut tainted = node();
        tainted["spec"]["taints"] = json!([{ "key": "gpu", "value": "yes", "effect": "NoSchedule" }]);
        assert_eq!(NodeFit::default().mismatch(&tainted).as_deref(), Some("tainted gpu"));
        for toleration in [json!({ "key": "gpu", "value": "yes" }), json!({ "operator": "Exists" })] {
            let tolerant = NodeFit { tolerations: vec![toleration], ..NodeFit::default() };
            assert_eq!(tolerant.mismatch(&tainted), None);
        }
        let other_effect = json!({ "key": "gpu", "value": "yes", "effect": "NoExecute" });
        let other_effect = NodeFit { tolerations: vec![other_effect], ..NodeFit::default() };
        assert_eq!(other_effect.mismatch(&tainted).as_deref(), Some("tainted gpu"));
        tainted["spec"]["taints"][0]["effect"] = json!("PreferNoSchedule");
        assert_eq!(NodeFit::default().mismatch(&tainted), None);
    }

    #[test]
    fn largest_node_that_accepts_the_pod_is_named() {
        let sized = |name: &str, cpu: &str, memory: &str| {
            let mut node = node();
            node["metadata"]["name"] = json!(name);
            node["status"]["allocatable"] = json!({ "cpu": cpu, "memory": memory });
            node
        };
        let mut cordoned = sized("c", "64", "64Gi");
        cordoned["spec"]["unschedulable"] = json!(true);
        let nodes = [sized("a", "3920m", "8388608Ki"), sized("b", "2", "16Gi"), cordoned];
        let most = |resource: &str| NodeFit::default().most_of(&nodes, resource).unwrap();
        assert_eq!(most("cpu"), "cpu: the largest node that accepts the pod, a, has 3920m");
        assert_eq!(most("memory"), "memory: the largest node that accepts the pod, b, has 16.0 GiB");
        assert_eq!(most("nvidia.com/gpu"), "nvidia.com/gpu: no node that accepts the pod has any");
        let other_zone = NodeFit { selector: vec![("zone".into(), "b".into())], ..NodeFit::default() };
        assert_eq!(other_zone.most_of(&nodes, "cpu"), None);
    }

    #[test]
    fn cordoned_unready_and_unselected_nodes_are_refusals() {
        let mut cordoned = node();
        cordoned["spec"]["unschedulable"] = json!(true);
        assert_eq!(NodeFit::default().mismatch(&cordoned).as_deref(), Some("cordoned"));
        let mut unready = node();
        unready["status"]["conditions"][0]["status"] = json!("Unknown");
        assert_eq!(NodeFit::default().mismatch(&unready).as_deref(), Some("not ready"));
        let other_zone = NodeFit { selector: vec![("zone".into(), "b".into())], ..NodeFit::default() };
        assert_eq!(other_zone.mismatch(&node()).as_deref(), Some("not zone=b"));
    }
}
