//! Whether the limit ranges of the sandboxes' namespace admit a sandbox
//! (<https://kubernetes.io/docs/concepts/policy/limit-range/>). Pure.

use serde_json::Value;

use super::check::{Category, Check, Listed};
use crate::catalogue::Id;
use crate::error::{Error, Kind};
use crate::settings::Settings;
use crate::settings::format::Quantity;

/// What a sandbox asks for of one resource.
struct Ask<'a> {
    resource: &'static str,
    request: &'a Quantity,
    limit: Option<&'a Quantity>,
    request_key: &'static str,
    limit_key: &'static str,
}

/// A bound that rejects a sandbox, and the key that it rejects.
struct Violation {
    text: String,
    key: &'static str,
}

/// Checks the limit ranges: those of the namespace, and the planned one.
pub(super) fn sandbox(ranges: &Listed, settings: &Settings) -> Check {
    let (category, name) = (Category::Sandboxes, "limit range");
    let ranges = match ranges {
        Ok(ranges) => ranges,
        Err(reason) => return Check::unknown(category, name, reason.as_str()),
    };
    let namespace = settings.runtime_namespace();
    let of_containers = |item: &&Value| item["type"] == "Container";
    let defaults: Vec<&Value> = ranges.iter().flat_map(items_of).filter(of_containers).collect();
    let violations: Vec<Violation> =
        ranges.iter().flat_map(|range| violations(range, &defaults, settings)).collect();
    if violations.is_empty() {
        let text = match ranges.len() {
            0 => format!("namespace {namespace} has none"),
            count => format!("{count} of namespace {namespace}, within which a sandbox is"),
        };
        return Check::passed(category, name, text);
    }
    let mut keys: Vec<String> = violations.iter().map(|violation| violation.key.to_owned()).collect();
    keys.dedup();
    let message =
        format!("a limit range of namespace {namespace} rejects sandboxes: no conversation would start");
    let error = Error::new(Id::SandboxLimits, Kind::Prerequisite, message);
    let error = violations
        .into_iter()
        .fold(error, |error, violation| error.fact("limit range", violation.text))
        .with_keys(settings.config_keys(&keys))
        .hint(format!("kubectl describe limitrange -n {namespace}"));
    Check::failed(category, name, error)
}

fn items_of(range: &Value) -> impl Iterator<Item = &Value> {
    range["spec"]["limits"].as_array().into_iter().flatten()
}

/// `defaults` are the items that set the limits of containers before any item is compared.
fn violations(range: &Value, defaults: &[&Value], settings: &Settings) -> Vec<Violation> {
    let range_name = range["metadata"]["name"].as_str().unwrap_or_default();
    let of_item = |item: &Value| {
        let asks = asks(item["type"].as_str().unwrap_or_default(), settings);
        asks.iter().flat_map(|ask| ask.violations(item, defaults)).collect::<Vec<_>>()
    };
    items_of(range)
        .flat_map(of_item)
        .map(|violation| Violation { text: format!("{range_name}: {}", violation.text), ..violation })
        .collect()
}

/// Returns what a sandbox asks for of the objects of this type. Its pod has one container.
fn asks<'a>(kind: &str, settings: &'a Settings) -> Vec<Ask<'a>> {
    let sandbox = &settings.openhands.kubernetes;
    match kind {
        "Container" | "Pod" => vec![
            Ask {
                resource: "cpu",
                request: &sandbox.resource_cpu_request,
                limit: None,
                request_key: "kubernetes.resource_cpu_request",
                limit_key: "kubernetes.resource_cpu_request",
            },
            Ask {
                resource: "memory",
                request: &sandbox.resource_memory_request,
                limit: Some(&sandbox.resource_memory_limit),
                request_key: "kubernetes.resource_memory_request",
                limit_key: "kubernetes.resource_memory_limit",
            },
        ],
        "PersistentVolumeClaim" => vec![Ask {
            resource: "storage",
            request: &sandbox.pvc_storage_size,
            limit: None,
            request_key: "kubernetes.pvc_storage_size",
            limit_key: "kubernetes.pvc_storage_size",
        }],
        _ => Vec::new(),
    }
}

impl Ask<'_> {
    /// Compares with the bounds of one item, as the admission plugin `LimitRanger` does. A container without a limit has
    /// got the default one before, and its pod the sum of those of its containers.
    fn violations(&self, item: &Value, defaults: &[&Value]) -> Vec<Violation> {
        let resource = self.resource;
        let bound_of = |item: &Value, field: &str| {
            let text = item[field][resource].as_str()?;
            Some((text.to_owned(), Quantity::parse(text).ok()?.nanos()))
        };
        let bound = |field: &str| bound_of(item, field);
        let kind = item["type"].as_str().unwrap_or_default();
        let request = self.request.nanos();
        let default = bound("default").filter(|_| kind == "Container").map(|(_, nanos)| nanos);
        let set_before = || {
            let item = defaults.iter().find_map(|item| bound_of(item, "default"));
            item.map(|(_, nanos)| nanos)
        };
        let limit = self.limit.map(Quantity::nanos).or(default).or_else(set_before);
        let mut violations = Vec::new();
        let mut add = |text: String, key| violations.push(Violation { text, key });
        if let Some((text, min)) = bound("min")
            && request < min
        {
            add(format!("a {kind} must request at least {text} {resource}"), self.request_key);
        }
        if let Some((text, max)) = bound("max") {
            if request > max {
                add(format!("a {kind} may request at most {text} {resource}"), self.request_key);
            } else if limit.is_some_and(|limit| limit > max) {
                add(format!("a {kind} may have a limit of at most {text} {resource}"), self.limit_key);
            } else if limit.is_none() && kind == "Pod" {
                add(
                    format!("a {kind} must have a limit of {resource}, and a sandbox has none"),
                    self.limit_key,
                );
            }
        }
        if let Some((text, ratio)) = bound("maxLimitRequestRatio")
            && let Some(limit) = limit
            && request > 0
            && limit * Quantity::ONE > ratio * request
        {
            add(
                format!("the limit of {resource} of a {kind} may be at most {text} times its request"),
                self.limit_key,
            );
        }
        if self.limit.is_none() && default.is_some_and(|default| request > default) {
            let text = format!("the default limit of {resource} is below what a sandbox requests");
            add(text, self.request_key);
        }
        violations
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::check::Outcome;
    use crate::settings::tests::settings_of;
    use serde_json::json;

    const CONFIG: &str = "[kubernetes]\nresource_cpu_request = \"500m\"\nresource_memory_request = \"1Gi\"\n\
        resource_memory_limit = \"4Gi\"\npvc_storage_size = \"5Gi\"\n";

    /// The texts of a range with one item, and the first key.
    fn rejects(item: &Value) -> Option<(String, String)> {
        let range = json!({ "metadata": { "name": "r" }, "spec": { "limits": [item] } });
        match sandbox(&Ok(vec![range]), &settings_of(CONFIG)).outcome {
            Outcome::Passed(_) => None,
            Outcome::Failed(error) => Some((error.facts()[0].text.clone(), error.keys()[0].key.clone())),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn bounds_of_each_type_reject_a_sandbox() {
        let rows = [
            (json!({ "type": "Container", "min": { "cpu": "1" } }), Some("kubernetes.resource_cpu_request")),
            (json!({ "type": "Container", "min": { "cpu": "500m" } }), None),
            (
                json!({ "type": "Container", "max": { "memory": "2Gi" } }),
                Some("kubernetes.resource_memory_limit"),
            ),
            (
                json!({ "type": "Container", "max": { "memory": "512Mi" } }),
                Some("kubernetes.resource_memory_request"),
            ),
            (json!({ "type": "Container", "max": { "memory": "4Gi" } }), None),
            (
                json!({ "type": "Container", "maxLimitRequestRatio": { "memory": "2" } }),
                Some("kubernetes.resource_memory_limit"),
            ),
            (json!({ "type": "Container", "maxLimitRequestRatio": { "memory": "4" } }), None),
            (
                json!({ "type": "Container", "default": { "cpu": "250m" } }),
                Some("kubernetes.resource_cpu_request"),
            ),
            (json!({ "type": "Container", "default": { "cpu": "1" }, "max": { "cpu": "1" } }), None),
            (json!({ "type": "Pod", "max": { "cpu": "8" } }), Some("kubernetes.resource_cpu_request")),
            (
                json!({ "type": "PersistentVolumeClaim", "max": { "storage": "1Gi" } }),
                Some("kubernetes.pvc_storage_size"),
            ),
            (json!({ "type": "PersistentVolumeClaim", "min": { "storage": "5Gi" } }), None),
        ];
        for (item, key) in rows {
            let found = rejects(&item);
            assert_eq!(found.as_ref().map(|(_, key)| key.as_str()), key, "{item}: {found:?}");
        }
        let pods = |max: &str| {
            let default = json!({ "type": "Container", "default": { "cpu": "2" } });
            let items = json!([{ "type": "Pod", "max": { "cpu": max } }, default]);
            let range = json!({ "metadata": { "name": "r" }, "spec": { "limits": items } });
            matches!(sandbox(&Ok(vec![range]), &settings_of(CONFIG)).outcome, Outcome::Passed(_))
        };
        assert!(pods("2"), "the container has the default limit before its pod is compared");
        assert!(!pods("1"), "the default limit is above the pod's bound");
        let (text, _) = rejects(&json!({ "type": "Container", "min": { "cpu": "1" } })).unwrap();
        assert_eq!(text, "r: a Container must request at least 1 cpu");
    }
}
