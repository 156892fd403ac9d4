//! The pod's specification inside of an object. Pure.

use serde_json::Value;

use super::list_items::items;

/// JSON pointers to the pod's specification in a workload, a Pod and a `CronJob`.
const POD_SPECS: [&str; 3] = ["/spec/template/spec", "/spec", "/spec/jobTemplate/spec/template/spec"];

/// Returns the specification of an object's pods; None if it has no pods.
#[must_use]
pub fn pod_spec(object: &Value) -> Option<&Value> {
    let mut specs = POD_SPECS.iter().filter_map(|path| object.pointer(path));
    specs.find(|spec| spec["containers"].is_array())
}

/// Returns the claims that the object's pods mount, as `NAMESPACE/NAME`.
pub fn mounted_claims(object: &Value) -> impl Iterator<Item = String> {
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
    let volumes = pod_spec(object).into_iter().flat_map(|spec| items(&spec["volumes"]));
    let names = volumes.filter_map(|volume| volume["persistentVolumeClaim"]["claimName"].as_str());
    names.map(move |name| format!("{namespace}/{name}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn claims_of_every_form_of_workload_are_returned() {
        let spec = json!({ "containers": [], "volumes": [{ "emptyDir": {} }, { "persistentVolumeClaim": { "claimName": "a" } }] });
        for spec in [
            spec.clone(),
            json!({ "template": { "spec": spec } }),
            json!({ "jobTemplate": { "spec": { "template": { "spec": spec } } } }),
        ] {
            let object = json!({ "metadata": { "namespace": "n" }, "spec": spec });
            assert_eq!(mounted_claims(&object).collect::<Vec<_>>(), ["n/a"], "{object}");
        }
        assert_eq!(mounted_claims(&json!({ "kind": "ConfigMap" })).count(), 0);
    }
}
