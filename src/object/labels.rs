//! Labels and annotations that mark the set's objects and the application's pods.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};

/// The label with the set's name, on all of the set's objects except extra manifests.
pub const INSTANCE: &str = "app.kubernetes.io/instance";
/// The label with the component that an object belongs to.
pub const COMPONENT: &str = "app.kubernetes.io/component";
/// The label of every sandbox pod (`openhands/runtime/impl/kubernetes/kubernetes_runtime.py`). A sandbox cannot change
/// its own labels. The application labels no other object of a conversation (same file).
pub const SANDBOX: (&str, &str) = ("app", "openhands-runtime");
/// The label of an `EndpointSlice` that names its Service
/// (<https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/#ownership>).
pub const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// The annotation of the default storage class
/// (<https://kubernetes.io/docs/concepts/storage/storage-classes/#default-storageclass>).
pub const DEFAULT_STORAGE_CLASS: &str = "storageclass.kubernetes.io/is-default-class";
/// The label selector of all sandbox pods.
pub const SANDBOX_SELECTOR: &str = "app=openhands-runtime";
/// The label selector of the objects that handsctl manages.
pub const MANAGED_BY_HANDSCTL: &str = "app.kubernetes.io/managed-by=handsctl";
/// The label with the name of the application.
const NAME: &str = "app.kubernetes.io/name";
/// The label with the product that an object is a part of.
const PART_OF_PRODUCT: &str = "app.kubernetes.io/part-of";
/// The label with the tool that manages an object.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The annotation with an object's creator: `handsctl/v0.1.0` on namespaces and the set's key, `ana@laptop` on
/// revisions.
pub const CREATED_BY: &str = "handsctl.dev/created-by";
/// With the value `disabled` on a live object, neither prune nor teardown deletes it.
pub const PRUNE: &str = "handsctl.dev/prune";
/// With the value `none`, an extra manifest has no secret in clear text, whatever its values look like.
pub const SECRETS: &str = "handsctl.dev/secrets";
/// Prefix of the pod template's annotations with the versions of referenced Secrets.
pub const SECRET_VERSION_PREFIX: &str = "handsctl.dev/secret-";
/// The pod template's annotation with the name of the ConfigMap whose config.toml is mounted from the Secret, with its
/// secrets.
pub const POD_CONFIG: &str = "handsctl.dev/config";
/// The annotation of the application's Deployment with its edition; without it, `classic`.
pub const EDITION: &str = "handsctl.dev/edition";
/// The annotation of an application's claim with the fingerprint of the key that encrypts the secrets on its volume.
pub const ENCRYPTED_BY: &str = "handsctl.dev/encrypted-by";
/// The annotation of an application's claim with a MAC of the settings that the application on its volume got.
pub const GIVEN_SETTINGS: &str = "handsctl.dev/given-settings";
/// The annotation beside it with the names of these settings, without their values.
pub const GIVEN_FIELDS: &str = "handsctl.dev/given-fields";
/// The field manager, and the value of `managed-by`.
pub const MANAGER: &str = "handsctl";

/// A component of the set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Component {
    /// The web application.
    App,
    /// Objects that only its sandboxes need.
    Sandbox,
    /// Objects of the `dev` profile, for developing OpenHands itself.
    Dev,
}

impl Component {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Component::App => "app",
            Component::Sandbox => "sandbox",
            Component::Dev => "dev",
        }
    }
}

/// Returns the labels of a member (<https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/>).
#[must_use]
pub fn member_labels(set: &str, component: Component) -> BTreeMap<&'static str, String> {
    let mut labels = selector(set, component);
    labels.insert(PART_OF_PRODUCT, "openhands".to_owned());
    labels.insert(MANAGED_BY, MANAGER.to_owned());
    labels
}

/// Returns the labels that select the pods. A Deployment's selector is immutable, so they must never change.
#[must_use]
pub fn selector(set: &str, component: Component) -> BTreeMap<&'static str, String> {
    BTreeMap::from([
        (NAME, "openhands".to_owned()),
        (INSTANCE, set.to_owned()),
        (COMPONENT, component.as_str().to_owned()),
    ])
}

/// Returns the label selector of all objects that carry the set's name.
#[must_use]
pub fn instance_selector(set: &str) -> String {
    format!("{INSTANCE}={set}")
}

/// Returns the label selector of the set's objects that handsctl manages.
#[must_use]
pub fn managed_selector(set: &str) -> String {
    format!("{INSTANCE}={set},{MANAGED_BY}={MANAGER}")
}

/// Returns whether an object belongs to the application, not to the user's extra manifests.
#[must_use]
pub fn is_of_application(object: &Value) -> bool {
    object["metadata"]["labels"][COMPONENT] == Component::App.as_str()
}

/// Returns whether a manifest has the labels that every planned member has, also an extra manifest.
#[must_use]
pub fn is_marked(manifest: &Value) -> bool {
    [PART_OF_PRODUCT, MANAGED_BY].iter().all(|label| manifest["metadata"]["labels"][label].is_string())
}

/// Returns whether an object is the set's own, not an extra manifest: it has the labels of all of them and a name that
/// begins with the set's. A user may give an extra manifest the label with the set's name.
#[must_use]
pub fn is_own(object: &Value, set: &str) -> bool {
    let metadata = &object["metadata"];
    let has_labels = [NAME, COMPONENT].iter().all(|label| metadata["labels"][label].is_string());
    let rest = metadata["name"].as_str().and_then(|name| name.strip_prefix(set));
    is_instance(object, set)
        && has_labels
        && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// Returns whether an object carries the name of this set.
#[must_use]
pub fn is_instance(object: &Value, set: &str) -> bool {
    object["metadata"]["labels"][INSTANCE] == set
}

/// Returns whether the selector of a Service selects a pod. An empty one selects none
/// (<https://kubernetes.io/docs/concepts/services-networking/service/#services-without-selectors>).
#[must_use]
pub fn selects(selector: &Value, pod: &Value) -> bool {
    let labels = &pod["metadata"]["labels"];
    let has = |(key, value): (&String, &Value)| labels[key] == *value;
    selector.as_object().is_some_and(|selector| !selector.is_empty() && selector.iter().all(has))
}

/// Returns whether a typed object with this metadata carries the name of this set.
#[must_use]
pub fn is_of_instance(metadata: &ObjectMeta, set: &str) -> bool {
    metadata.labels.as_ref().and_then(|labels| labels.get(INSTANCE)).is_some_and(|instance| instance == set)
}

/// Returns the labels of a namespace that handsctl creates. Sandbox pods run as root, so `restricted` would reject
/// them; the application meets `restricted`, so that level only warns.
#[must_use]
pub fn namespace_labels(privileged: bool) -> Value {
    let level = if privileged { "privileged" } else { "baseline" };
    let warn = if privileged { "privileged" } else { "restricted" };
    json!({
        "pod-security.kubernetes.io/enforce": level,
        "pod-security.kubernetes.io/warn": warn,
    })
}
