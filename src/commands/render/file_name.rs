//! The name of each object's file, and which files of a former render are left over. Pure.

use super::rendering::RenderedObject;
use crate::object::kind::{KindInfo, Wave};
use crate::object::{ObjectId, labels, manifest_yaml};

/// Returns the name of an object's file: `20-deployment.apps-openhands.yaml`. `kubectl apply -f DIR` reads the files in the
/// order of their names, so each begins with the number of its wave. An object of another namespace than the first one has
/// its namespace next.
pub(super) fn file_name(id: &ObjectId, wave: Wave, first_namespace: Option<&str>) -> String {
    let number = match wave {
        Wave::Foundation => "00",
        Wave::Configuration => "10",
        Wave::Workload => "20",
    };
    let other_namespace = id.namespace.as_deref().filter(|namespace| Some(*namespace) != first_namespace);
    let prefix = other_namespace.map(|namespace| format!("{namespace}.")).unwrap_or_default();
    format!("{number}-{prefix}{}.yaml", id.to_string().replace('/', "-"))
}

/// Returns the namespace that the names leave out.
pub(super) fn first_namespace(documents: &[RenderedObject]) -> Option<&str> {
    documents.iter().find_map(|document| document.id.namespace.as_deref())
}

/// Whether a former render of the installation `set` wrote this file: it holds one object that handsctl manages for the
/// installation, and has the name of that object. Nobody else's file is both.
pub(super) fn is_of_former_render(name: &str, text: &str, set: &str, first_namespace: Option<&str>) -> bool {
    let Ok(documents) = manifest_yaml::read_all(text) else { return false };
    let [manifest] = &documents[..] else { return false };
    let is_managed = manifest["metadata"]["labels"][labels::MANAGED_BY] == labels::MANAGER;
    if !is_managed || !labels::is_instance(manifest, set) {
        return false;
    }
    let Some(id) = ObjectId::from_object(manifest) else { return false };
    let namespace = id.namespace.as_deref();
    let wave = KindInfo::for_id(&id).map(|kind| kind.wave);
    (namespace.is_none() || namespace == first_namespace)
        && wave.is_some_and(|wave| file_name(&id, wave, first_namespace) == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::kind::DEPLOYMENT;

    fn config_map(name: &str, manager: &str, instance: &str, namespace: &str) -> String {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n  namespace: {namespace}\n  labels:\n    \
             app.kubernetes.io/managed-by: {manager}\n    app.kubernetes.io/instance: {instance}\n"
        )
    }

    #[test]
    fn names_sort_by_wave_and_name_another_namespace() {
        let id = DEPLOYMENT.id("n", "oh");
        assert_eq!(file_name(&id, Wave::Workload, Some("n")), "20-deployment.apps-oh.yaml");
        assert_eq!(file_name(&id, Wave::Workload, Some("m")), "20-n.deployment.apps-oh.yaml");
    }

    #[test]
    fn only_a_file_of_the_same_installation_is_of_a_former_render() {
        let name = "10-configmap-oh-config-1.yaml";
        let is_ours = |name: &str, text: &str| is_of_former_render(name, text, "oh", Some("n"));
        assert!(is_ours(name, &config_map("oh-config-1", "handsctl", "oh", "n")));
        for (name, text) in [
            (name, config_map("oh-config-1", "Helm", "oh", "n")),
            (name, config_map("oh-config-1", "handsctl", "other", "n")),
            (name, config_map("oh-config-1", "handsctl", "oh", "m")),
            (name, config_map("oh-config-2", "handsctl", "oh", "n")),
            ("my-configmap.yaml", config_map("oh-config-1", "handsctl", "oh", "n")),
            (
                name,
                config_map("oh-config-1", "handsctl", "oh", "n").repeat(2).replacen(
                    "apiVersion",
                    "---\napiVersion",
                    1,
                ),
            ),
            (name, "not: [yaml".to_owned()),
            (name, String::new()),
        ] {
            assert!(!is_ours(name, &text), "{name}: {text}");
        }
    }
}
