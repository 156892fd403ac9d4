//! Labels and annotations: which objects are ours, and which pods are the application's.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// The set's name on every object of it.
pub const INSTANCE: &str = "app.kubernetes.io/instance";
/// The part of the application.
pub const COMPONENT: &str = "app.kubernetes.io/component";
/// Who manages an object.
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Who made an object that is no member (the namespace) or guards it: `handsctl`.
pub const CREATED_BY: &str = "handsctl.dev/created-by";
/// `disabled` on a live object keeps it from being pruned or torn down.
pub const PRUNE: &str = "handsctl.dev/prune";
/// Prefix of the pod template's annotations that follow referenced Secrets.
pub const SECRET_VERSION_PREFIX: &str = "handsctl.dev/secret-";
/// The field manager, the value of `managed-by` and of `created-by`.
pub const MANAGER: &str = "handsctl";

/// A part of the set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Component {
    /// The web application.
    App,
    /// What is there for its sandboxes.
    Sandbox,
    /// What is there for whoever develops it.
    Dev,
}

impl Component {
    const fn word(self) -> &'static str {
        match self {
            Component::App => "app",
            Component::Sandbox => "sandbox",
            Component::Dev => "dev",
        }
    }
}

/// The labels of a member (<https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/>).
#[must_use]
pub fn of_member(set: &str, component: Component) -> BTreeMap<&'static str, String> {
    let mut labels = selector(set, component);
    labels.insert("app.kubernetes.io/part-of", "openhands".to_owned());
    labels.insert(MANAGED_BY, MANAGER.to_owned());
    labels
}

/// The labels of pods: a Deployment's selector cannot be changed, so they are few and never change.
#[must_use]
pub fn selector(set: &str, component: Component) -> BTreeMap<&'static str, String> {
    BTreeMap::from([
        ("app.kubernetes.io/name", "openhands".to_owned()),
        (INSTANCE, set.to_owned()),
        (COMPONENT, component.word().to_owned()),
    ])
}

/// The label selector of everything that carries this set's name.
#[must_use]
pub fn instance_selector(set: &str) -> String {
    format!("{INSTANCE}={set}")
}

/// The same of what handsctl manages.
#[must_use]
pub fn managed_selector(set: &str) -> String {
    format!("{INSTANCE}={set},{MANAGED_BY}={MANAGER}")
}

/// Whether an object is a part of the application itself, and not one of the user's own.
#[must_use]
pub fn is_of_application(object: &Value) -> bool {
    object["metadata"]["labels"][COMPONENT] == Component::App.word()
}

/// Labels of a namespace that handsctl makes. Sandbox pods run as root and are refused under `restricted`;
/// the application itself passes it, so it is warned about.
#[must_use]
pub fn of_namespace(privileged: bool) -> Value {
    let level = if privileged { "privileged" } else { "baseline" };
    let warn = if privileged { "privileged" } else { "restricted" };
    json!({
        "pod-security.kubernetes.io/enforce": level,
        "pod-security.kubernetes.io/warn": warn,
    })
}
