//! Fields of the user's manifests that no API server accepts: names, labels, quantities. By the rules of apimachinery's
//! `validation` package. Pure.

use serde_json::Value;

use super::format::{DnsLabel, DnsName, FormatError, LabelKey, LabelValue, Quantity};

/// Returns the first mistake, as a clause about the object: `has the label "a b"…`.
///
/// # Errors
/// A field that every cluster would reject.
pub(super) fn check(object: &Value) -> Result<(), String> {
    name(object)?;
    labels(object)?;
    annotations(object)?;
    quantities(object)
}

/// The groups whose names are DNS names. A custom resource may have its own rules, and RBAC allows almost every name.
const DNS_NAMED: &[&str] =
    &["", "apps", "batch", "autoscaling", "policy", "networking.k8s.io", "coordination.k8s.io"];

/// Returns the API group of an object; empty for `v1`.
fn group(object: &Value) -> &str {
    let version = object["apiVersion"].as_str().unwrap_or_default();
    version.split_once('/').map_or("", |(group, _)| group)
}

fn name(object: &Value) -> Result<(), String> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let group = group(object);
    let invalid = |error: FormatError| format!("has the invalid `metadata.name` `{name}`: {}", error.message);
    if group.is_empty() && object["kind"] == "Service" {
        return DnsLabel::check(name).map_err(invalid);
    }
    if DNS_NAMED.contains(&group) {
        return DnsName::check(name).map_err(invalid);
    }
    if matches!(name, "." | "..") || name.contains(['/', '%']) {
        return Err(format!("has the invalid `metadata.name` `{name}`: `/` and `%` are not allowed"));
    }
    Ok(())
}

fn labels(object: &Value) -> Result<(), String> {
    let mut fields = vec![("metadata.labels", &object["metadata"]["labels"])];
    // A custom resource may mean something else by the same names.
    if DNS_NAMED.contains(&group(object)) {
        fields.push(("spec.template.metadata.labels", &object["spec"]["template"]["metadata"]["labels"]));
        fields.push(("spec.selector.matchLabels", &object["spec"]["selector"]["matchLabels"]));
    }
    for (field, labels) in fields {
        for (key, value) in entries(field, labels)? {
            let invalid =
                |error: FormatError| format!("has the invalid label `{key}` in `{field}`: {}", error.message);
            LabelKey::check(key).map_err(invalid)?;
            let Some(value) = value.as_str() else {
                return Err(format!(
                    "has a label `{key}` in `{field}` that is not a string: put it in quotes"
                ));
            };
            LabelValue::check(value).map_err(invalid)?;
        }
    }
    Ok(())
}

fn annotations(object: &Value) -> Result<(), String> {
    let field = "metadata.annotations";
    for (key, value) in entries(field, &object["metadata"]["annotations"])? {
        LabelKey::check(&key.to_ascii_lowercase())
            .map_err(|error| format!("has the invalid annotation `{key}`: {}", error.message))?;
        if !value.is_string() {
            return Err(format!("has an annotation `{key}` that is not a string: put it in quotes"));
        }
    }
    Ok(())
}

/// Returns the entries of a map of strings.
fn entries<'a>(field: &str, map: &'a Value) -> Result<impl Iterator<Item = (&'a String, &'a Value)>, String> {
    if !map.is_null() && !map.is_object() {
        return Err(format!("has a `{field}` that is not a map"));
    }
    Ok(map.as_object().into_iter().flatten())
}

/// The pointers to maps of quantities, outside of containers.
const QUANTITIES: &[&str] =
    &["/spec/hard", "/spec/resources/requests", "/spec/resources/limits", "/spec/capacity"];
/// The pointers to specifications of pods.
const POD_SPECS: &[&str] =
    &["/spec", "/spec/template/spec", "/spec/jobTemplate/spec/template/spec", "/template/spec"];

fn quantities(object: &Value) -> Result<(), String> {
    // A custom resource may mean something else by the same names.
    if !DNS_NAMED.contains(&group(object)) {
        return Ok(());
    }
    for pointer in QUANTITIES {
        quantities_of(&pointer[1..].replace('/', "."), object.pointer(pointer))?;
    }
    for spec in POD_SPECS.iter().filter_map(|pointer| object.pointer(pointer)) {
        let lists = ["initContainers", "containers"].map(|list| spec[list].as_array());
        for container in lists.into_iter().flatten().flatten() {
            for field in ["requests", "limits"] {
                let name = container["name"].as_str().unwrap_or_default();
                quantities_of(
                    &format!("resources.{field} of container {name}"),
                    container["resources"].get(field),
                )?;
            }
        }
    }
    Ok(())
}

fn quantities_of(field: &str, map: Option<&Value>) -> Result<(), String> {
    for (name, value) in map.and_then(Value::as_object).into_iter().flatten() {
        let result = match value {
            Value::String(text) => {
                Quantity::check(text).map_err(|error| format!("`{text}`: {}", error.message))
            }
            Value::Number(_) => Ok(()),
            _ => Err("a quantity is expected".to_owned()),
        };
        result.map_err(|reason| format!("has an invalid quantity `{name}` in `{field}`: {reason}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn config_map(metadata: &Value) -> Value {
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata })
    }

    #[test]
    fn names_and_labels_that_no_cluster_accepts_are_rejected() {
        let long = "a".repeat(64);
        for (object, reason) in [
            (config_map(&json!({ "name": "My_Map" })), "uppercase `M`"),
            (config_map(&json!({ "name": "a".repeat(254) })), "at most 253"),
            (
                json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "a.b" } }),
                "`.` is not allowed",
            ),
            (config_map(&json!({ "name": "a", "labels": { "team": "a b" } })), "label `team`"),
            (config_map(&json!({ "name": "a", "labels": { "team": &long } })), "at most 63"),
            (config_map(&json!({ "name": "a", "labels": { "team": true } })), "put it in quotes"),
            (config_map(&json!({ "name": "a", "labels": { "a/b/c": "d" } })), "label `a/b/c`"),
            (config_map(&json!({ "name": "a", "labels": ["b"] })), "is not a map"),
            (config_map(&json!({ "name": "a", "annotations": { "b c": "d" } })), "annotation `b c`"),
            (config_map(&json!({ "name": "a", "annotations": { "b": 1 } })), "put it in quotes"),
            (
                json!({ "apiVersion": "example.com/v1", "kind": "A", "metadata": { "name": "a/b" } }),
                "`/` and `%`",
            ),
        ] {
            let mistake = check(&object).expect_err(reason);
            assert!(mistake.contains(reason), "{mistake}");
        }
        for object in [
            config_map(&json!({ "name": "a.b", "labels": { "example.com/team": "on", "empty": "" } })),
            config_map(&json!({ "name": "a", "annotations": { "Example.com/X": "any text" } })),
            json!({ "apiVersion": "argoproj.io/v1alpha1", "kind": "ApplicationSet", "metadata": { "name": "a" },
                "spec": { "template": { "metadata": { "labels": { "team": "{{team}}" } } } } }),
            json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": { "name": "system:A" } }),
        ] {
            assert_eq!(check(&object), Ok(()), "{object}");
        }
    }

    #[test]
    fn quantities_that_no_cluster_accepts_are_rejected() {
        let quota = |text: &Value| {
            json!({ "apiVersion": "v1", "kind": "ResourceQuota", "metadata": { "name": "a" },
                "spec": { "hard": { "requests.cpu": text } } })
        };
        let job = |text: &str| {
            let container = json!({ "name": "c", "resources": { "limits": { "memory": text } } });
            json!({ "apiVersion": "batch/v1", "kind": "CronJob", "metadata": { "name": "a" },
                "spec": { "jobTemplate": { "spec": { "template": { "spec": { "containers": [container] } } } } } })
        };
        assert_eq!(check(&quota(&json!("1"))).and(check(&quota(&json!(1)))).and(check(&job("1Gi"))), Ok(()));
        let mistake = check(&quota(&json!("2 cores"))).unwrap_err();
        assert!(
            mistake.starts_with("has an invalid quantity `requests.cpu` in `spec.hard`: `2 cores`"),
            "{mistake}"
        );
        assert!(check(&quota(&json!(["1"]))).is_err());
        let mistake = check(&job("1GB")).unwrap_err();
        assert!(mistake.contains("`resources.limits of container c`: `1GB`"), "{mistake}");
        let custom = json!({ "apiVersion": "example.com/v1", "kind": "A", "metadata": { "name": "a" }, "spec": { "hard": { "a": "x" } } });
        assert_eq!(check(&custom), Ok(()));
    }
}
