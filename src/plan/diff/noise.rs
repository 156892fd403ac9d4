//! Removes the fields of an object that the API server and its controllers maintain.

use serde_json::Value;

/// Annotations that repeat the manifest or count revisions.
const NOISY_ANNOTATIONS: &[&str] =
    &["kubectl.kubernetes.io/last-applied-configuration", "deployment.kubernetes.io/revision"];

/// Returns the object without the fields that the API server and its controllers maintain.
pub(super) fn without_noise(object: &Value) -> Value {
    let mut object = object.clone();
    let Some(map) = object.as_object_mut() else { return object };
    for key in ["status", "apiVersion", "kind"] {
        map.remove(key);
    }
    let Some(metadata) = map.get_mut("metadata").and_then(Value::as_object_mut) else { return object };
    for key in ["managedFields", "resourceVersion", "uid", "generation", "creationTimestamp", "selfLink"] {
        metadata.remove(key);
    }
    if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
        annotations.retain(|key, _| !NOISY_ANNOTATIONS.contains(&key.as_str()));
        if annotations.is_empty() {
            metadata.remove("annotations");
        }
    }
    object
}
