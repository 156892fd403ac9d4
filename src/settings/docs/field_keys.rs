//! Which key of config.toml sets a field, a variable or an object: the key reference, read backwards.

use std::collections::BTreeMap;

use super::reference::KeyReference;
use crate::settings::load::toml_key::dotted;
use crate::settings::secrets::extract;

/// The key that decides whether an object of this kind exists.
const OBJECT_KEYS: &[(&str, &str)] = &[
    ("Ingress", "deploy.expose"),
    ("Route", "deploy.expose"),
    ("PersistentVolumeClaim", "deploy.existing_claim"),
    ("ServiceAccount", "deploy.service_account"),
    ("Role", "deploy.service_account"),
    ("RoleBinding", "deploy.service_account"),
    ("NetworkPolicy", "deploy.network_policy"),
    ("HorizontalPodAutoscaler", "deploy.autoscaling"),
    ("ResourceQuota", "deploy.quota"),
    ("LimitRange", "deploy.limit_range"),
];
/// The table whose keys set a variable. Others of similar names are those of `[deploy].env`.
const VARIABLE_TABLES: &[(&str, &str)] = &[
    ("DB_HOST", "deploy.database"),
    ("DB_PORT", "deploy.database"),
    ("DB_NAME", "deploy.database"),
    ("DB_USER", "deploy.database"),
    ("DB_PASS", "deploy.database"),
    ("PGSSLMODE", "deploy.database"),
    ("FILE_STORE", "deploy.storage"),
    ("FILE_STORE_PATH", "deploy.storage"),
    ("AWS_S3_ENDPOINT", "deploy.storage"),
    ("AWS_S3_SECURE", "deploy.storage"),
    ("GOOGLE_APPLICATION_CREDENTIALS", "deploy.storage"),
];
/// Variables that follow from the application's version alone.
const VERSION_VARIABLES: &[&str] =
    &["OH_PERSISTENCE_DIR", "ENABLE_V1", "OH_SANDBOX_KIND", "OH_SANDBOX_SPEC_KIND"];
/// The number of names in a key of `[deploy]`: `deploy.host`.
const KEY_LENGTH: usize = 2;

/// The keys of config.toml by what they set in the objects.
#[derive(Debug)]
pub struct FieldKeys {
    reference: KeyReference,
    /// Fields that a key of `[deploy]` sets, with everything below them.
    fields: Vec<FieldKey>,
    /// Keys of OpenHands by their variable.
    variables: BTreeMap<String, String>,
}

/// A field of a kind of object, and its key.
#[derive(Debug)]
struct FieldKey {
    /// The kind in lowercase.
    kind: String,
    path: Vec<String>,
    key: String,
}

impl Default for FieldKeys {
    fn default() -> Self {
        let reference = KeyReference::default();
        let (mut fields, mut variables) = (Vec::new(), BTreeMap::new());
        for key in reference.keys() {
            let path: Vec<String> = key.split('.').map(str::to_owned).collect();
            if path.first().is_none_or(|table| table != "deploy") {
                variables.extend(extract::variable(&path).map(|variable| (variable, key)));
                continue;
            }
            let names: Vec<&str> = path.iter().map(String::as_str).collect();
            let doc = reference.doc(&names).filter(|_| path.len() == KEY_LENGTH);
            let own = doc.into_iter().flat_map(|doc| doc.fields);
            fields.extend(own.filter_map(|field| FieldKey::parse(&field, &key)));
        }
        Self { reference, fields, variables }
    }
}

impl FieldKey {
    /// Parses `deployment spec.template.spec.containers[0].image`.
    fn parse(field: &str, key: &str) -> Option<Self> {
        let (kind, path) = field.split_once(' ')?;
        let step = |step: &str| step.split('[').next().unwrap_or(step).to_owned();
        Some(Self { kind: kind.to_owned(), path: path.split('.').map(step).collect(), key: key.to_owned() })
    }

    fn contains(&self, kind: &str, path: &[&str]) -> bool {
        self.kind == kind
            && self.path.len() <= path.len()
            && self.path.iter().zip(path).all(|(own, name)| own == name)
    }
}

impl FieldKeys {
    /// Returns each field of an object, without its list items, with its key: kind, path, key.
    #[cfg(test)]
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&str, String, &str)> {
        self.fields.iter().map(|field| (field.kind.as_str(), field.path.join("."), field.key.as_str()))
    }

    /// Returns the key that sets a field of a built-in object; the path has no list items. None if no key does, or
    /// several do.
    #[must_use]
    pub fn of_field(&self, kind: &str, path: &[&str]) -> Option<String> {
        let kind = kind.to_ascii_lowercase();
        let containing = || self.fields.iter().filter(|field| field.contains(&kind, path));
        let depth = containing().map(|field| field.path.len()).max()?;
        let mut deepest = containing().filter(|field| field.path.len() == depth);
        let field = deepest.next().filter(|_| deepest.next().is_none())?;
        Some(self.with_rest(&field.key, &path[depth..]))
    }

    /// Appends the rest of a field's path to its key, as far as the key has such keys: `deploy.resources` and `limits`.
    fn with_rest(&self, key: &str, rest: &[&str]) -> String {
        let mut names: Vec<&str> = key.split('.').collect();
        for name in rest {
            names.push(name);
            if self.reference.doc(&names).is_none() {
                names.pop();
                break;
            }
        }
        dotted(&names)
    }

    /// Returns the key that sets a variable of the application; None if its version alone does.
    #[must_use]
    pub fn of_variable(&self, name: &str) -> Option<String> {
        if VERSION_VARIABLES.contains(&name) {
            return None;
        }
        let table = || VARIABLE_TABLES.iter().find(|(known, _)| *known == name).map(|(_, table)| *table);
        let key = self.variables.get(name).map(String::as_str).or_else(table);
        Some(key.map_or_else(|| dotted(&["deploy", "env", name]), str::to_owned))
    }

    /// Returns the key that decides whether an object of this kind exists.
    #[must_use]
    pub fn of_object(&self, kind: &str) -> Option<&'static str> {
        OBJECT_KEYS.iter().find(|(known, _)| *known == kind).map(|(_, key)| *key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_belongs_to_the_key_with_the_longest_path() {
        let keys = FieldKeys::default();
        let of = |kind, path: &str| keys.of_field(kind, &path.split('.').collect::<Vec<_>>());
        for (kind, path, key) in [
            ("Deployment", "spec.template.spec.containers.image", "deploy.image"),
            (
                "Deployment",
                "spec.template.spec.containers.resources.limits.memory",
                "deploy.resources.limits.memory",
            ),
            ("Deployment", "spec.template.spec.nodeSelector.disk", "deploy.node_selector.disk"),
            ("Ingress", "spec.rules.host", "deploy.host"),
            ("NetworkPolicy", "spec.egress", "deploy.sandbox_egress"),
            ("NetworkPolicy", "spec.podSelector", "deploy.network_policy"),
            ("PersistentVolumeClaim", "spec.resources.requests.storage", "deploy.storage_size"),
        ] {
            assert_eq!(of(kind, path).as_deref(), Some(key), "{kind} {path}");
        }
        assert_eq!(of("Deployment", "spec.template.spec.enableServiceLinks"), None);
        assert_eq!(of("NetworkPolicy", "spec.ingress"), None, "two keys set it");
    }

    #[test]
    fn variable_belongs_to_a_key_a_table_or_deploy_env() {
        let keys = FieldKeys::default();
        for (variable, key) in [
            ("LLM_API_KEY", Some("llm.api_key")),
            ("DB_HOST", Some("deploy.database")),
            ("AWS_S3_ENDPOINT", Some("deploy.storage")),
            ("DB_PASSWORD", Some("deploy.env.DB_PASSWORD")),
            ("DB_PASS", Some("deploy.database")),
            ("FILE_STORE_CACHE", Some("deploy.env.FILE_STORE_CACHE")),
            ("HTTP_PROXY", Some("deploy.env.HTTP_PROXY")),
            ("ENABLE_V1", None),
        ] {
            assert_eq!(keys.of_variable(variable).as_deref(), key, "{variable}");
        }
    }

    #[test]
    fn every_named_key_exists() {
        let keys = FieldKeys::default();
        let named = OBJECT_KEYS.iter().chain(VARIABLE_TABLES).map(|(_, key)| *key);
        for key in named {
            let path: Vec<&str> = key.split('.').collect();
            assert_eq!(keys.reference.doc(&path).map(|doc| doc.key).as_deref(), Some(key));
        }
    }
}
