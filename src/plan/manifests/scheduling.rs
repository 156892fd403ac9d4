//! Scheduling constraints of pods, and limits of a namespace, in the API's form.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::object::labels::{self, Component};
use crate::settings::format::Quantity;
use crate::settings::handsctl::{LimitRange, Quota, ResourceList, Toleration, TopologySpread};

/// Builds the `tolerations` of a pod.
pub(crate) fn tolerations(tolerations: &[Toleration]) -> Vec<Value> {
    let to_value = |toleration: &Toleration| {
        let mut fields = Map::new();
        let mut insert = |name: &str, value: Value| {
            if !value.is_null() {
                fields.insert(name.to_owned(), value);
            }
        };
        insert("key", json!(toleration.key));
        insert("operator", json!(toleration.operator));
        // The API server drops an empty string.
        insert("value", json!(toleration.value.as_ref().filter(|value| !value.as_str().is_empty())));
        insert("effect", json!(toleration.effect));
        insert("tolerationSeconds", json!(toleration.toleration_seconds));
        Value::Object(fields)
    };
    tolerations.iter().map(to_value).collect()
}

/// Builds the `topologySpreadConstraints` of the application's pods.
pub(crate) fn topology_spread(spread: &[TopologySpread], set: &str) -> Vec<Value> {
    let to_value = |spread: &TopologySpread| {
        json!({
            "maxSkew": spread.max_skew,
            "topologyKey": spread.topology_key,
            "whenUnsatisfiable": spread.when_unsatisfiable,
            "labelSelector": { "matchLabels": labels::selector(set, Component::App) },
        })
    };
    spread.iter().map(to_value).collect()
}

/// Builds the `spec.hard` of a `ResourceQuota`.
pub(crate) fn quota(quota: &Quota) -> BTreeMap<&str, String> {
    quota.iter().map(|(name, amount)| (name.as_str(), amount.canonical())).collect()
}

/// Builds the item of a `LimitRange`, including the API server's defaults (`SetDefaults_LimitRangeItem` in
/// `pkg/apis/core/v1/defaults.go`). The list is atomic: without the defaults, the live list would differ from the
/// manifest and every deploy would send it again.
pub(crate) fn limit_range(range: &LimitRange) -> Value {
    let (min, max) = (amounts(&range.min), amounts(&range.max));
    let mut default = amounts(&range.default);
    insert_missing(&mut default, &max);
    let mut request = amounts(&range.default_request);
    insert_missing(&mut request, &default);
    insert_missing(&mut request, &min);
    let mut item = json!({ "type": "Container" });
    for (name, list) in [("default", default), ("defaultRequest", request), ("max", max), ("min", min)] {
        if !list.is_empty() {
            item[name] = json!(list);
        }
    }
    item
}

fn amounts(list: &ResourceList) -> BTreeMap<&'static str, String> {
    list.amounts().map(|(name, amount)| (name, Quantity::canonical(amount))).collect()
}

fn insert_missing(list: &mut BTreeMap<&'static str, String>, from: &BTreeMap<&'static str, String>) {
    for (name, amount) in from {
        list.entry(name).or_insert_with(|| amount.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(cpu: Option<&'static str>, memory: Option<&'static str>) -> ResourceList {
        ResourceList { cpu: cpu.map(Quantity::from_static), memory: memory.map(Quantity::from_static) }
    }

    #[test]
    fn limit_range_includes_server_defaults() {
        let range = LimitRange {
            max: list(Some("2"), None),
            min: list(None, Some("64Mi")),
            default: list(None, Some("1024Mi")),
            default_request: ResourceList::default(),
        };
        let expected = json!({
            "type": "Container",
            "default": { "cpu": "2", "memory": "1Gi" },
            "defaultRequest": { "cpu": "2", "memory": "1Gi" },
            "max": { "cpu": "2" },
            "min": { "memory": "64Mi" },
        });
        assert_eq!(limit_range(&range), expected);
    }

    #[test]
    fn tolerations_use_api_names_and_omit_empty_values() {
        let toleration = Toleration {
            key: Some(crate::settings::format::LabelKey::from_static("a")),
            toleration_seconds: Some(30),
            value: Some(crate::settings::format::LabelValue::from_static("")),
            ..Toleration::default()
        };
        assert_eq!(tolerations(&[toleration]), [json!({ "key": "a", "tolerationSeconds": 30 })]);
    }
}
