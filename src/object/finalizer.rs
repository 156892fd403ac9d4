//! Finalizers: who set each, and which controller removes it and when. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use super::list_items::items;

/// A finalizer that keeps a deleted object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finalizer<'a> {
    /// `example.io/hold`.
    pub name: &'a str,
    /// The manager that set it, as far as the managed fields tell.
    pub manager: Option<&'a str>,
}

/// What removes a finalizer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remover {
    /// The controller of Kubernetes, once nothing mounts the claim any more.
    ClaimProtection,
    /// Another controller of Kubernetes or of the cloud, with its work as a clause.
    Known(&'static str),
    /// A controller that nothing but the name of the finalizer and of its manager tells.
    Unknown,
}

/// The finalizers of Kubernetes (<https://kubernetes.io/docs/reference/labels-annotations-taints/>) and of its storage
/// sidecars, and what removes each.
const KNOWN: &[(&str, &str)] = &[
    ("kubernetes.io/pv-protection", "the controller manager removes it once no claim is bound to the volume"),
    (
        "external-provisioner.volume.kubernetes.io/finalizer",
        "the volume's CSI provisioner removes it once it has deleted the volume",
    ),
    (
        "service.kubernetes.io/load-balancer-cleanup",
        "the cloud's controller removes it once the load balancer is deleted",
    ),
    ("batch.kubernetes.io/job-tracking", "the Job controller removes it once it has counted the pod"),
    ("orphan", "the garbage collector removes it once the dependents have no owner"),
];

/// Returns the finalizers that keep an object, without the garbage collector's own of a foreground deletion.
pub fn finalizers(object: &Value) -> impl Iterator<Item = Finalizer<'_>> {
    let names = items(&object["metadata"]["finalizers"]).filter_map(Value::as_str);
    names
        .filter(|name| *name != "foregroundDeletion")
        .map(|name| Finalizer { name, manager: manager_of(object, name) })
}

/// Returns the manager that set a finalizer of an object.
#[must_use]
pub fn manager_of<'a>(object: &'a Value, finalizer: &str) -> Option<&'a str> {
    let mut entries = items(&object["metadata"]["managedFields"]);
    entries.find(|entry| sets(&entry["fieldsV1"], finalizer))?["manager"].as_str()
}

/// Returns who set each finalizer of a watched object, as far as its managed fields tell.
#[must_use]
pub fn managers(metadata: &ObjectMeta) -> Vec<String> {
    let manager = |finalizer: &String| {
        let mut entries = metadata.managed_fields.iter().flatten();
        let owner = entries
            .find(|entry| entry.fields_v1.as_ref().is_some_and(|fields| sets(&fields.0, finalizer)))?;
        Some(describe_manager(finalizer, owner.manager.as_deref()?))
    };
    metadata.finalizers.iter().flatten().filter_map(manager).collect()
}

/// Whether these fields of a manager have the finalizer.
fn sets(fields: &Value, finalizer: &str) -> bool {
    !fields["f:metadata"]["f:finalizers"][format!("v:\"{finalizer}\"")].is_null()
}

/// Formats who set a finalizer.
#[must_use]
pub fn describe_manager(finalizer: &str, manager: &str) -> String {
    format!("finalizer {finalizer} was set by manager {manager}")
}

impl Finalizer<'_> {
    /// Returns what removes it.
    #[must_use]
    pub fn remover(&self) -> Remover {
        if self.name == "kubernetes.io/pvc-protection" {
            return Remover::ClaimProtection;
        }
        let known = KNOWN.iter().find(|(name, _)| *name == self.name);
        known.map_or(Remover::Unknown, |(_, work)| Remover::Known(work))
    }

    /// Returns the words that the names of its controller's pods may contain: the manager's name, and the first label of
    /// its domain. `traefik` of `traefik.io/route`.
    #[must_use]
    pub fn controller_words(&self) -> Vec<String> {
        let domain = self.name.split('/').next().unwrap_or_default();
        let label = domain.split('.').next().filter(|_| domain != self.name);
        let words = self.manager.into_iter().chain(label).map(str::to_lowercase);
        let mut words: Vec<String> = words.filter(|word| word.len() > 2 && !is_client(word)).collect();
        words.dedup();
        words
    }
}

/// Whether a manager is a client that somebody typed: no controller with a pod.
fn is_client(manager: &str) -> bool {
    manager.starts_with("kubectl") || matches!(manager, "unknown" | "helm" | "before-first-apply")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn remover_is_known_for_the_finalizers_of_kubernetes() {
        let object = json!({ "metadata": {
            "finalizers": ["foregroundDeletion", "kubernetes.io/pvc-protection", "orphan", "traefik.io/route"],
        } });
        let removers: Vec<Remover> = finalizers(&object).map(|finalizer| finalizer.remover()).collect();
        assert_eq!(removers[0], Remover::ClaimProtection);
        assert!(matches!(removers[1], Remover::Known(work) if work.starts_with("the garbage collector")));
        assert_eq!(removers[2..], [Remover::Unknown]);
    }

    #[test]
    fn controller_is_searched_by_manager_and_domain() {
        let words = |name, manager| Finalizer { name, manager }.controller_words();
        assert_eq!(words("traefik.io/route", Some("traefik")), ["traefik"]);
        assert_eq!(words("example.io/hold", Some("other")), ["other", "example"]);
        assert_eq!(words("example.io/hold", Some("kubectl-patch")), ["example"]);
        assert_eq!(words("hold", None), [""; 0]);
    }
}
