//! An object of the set: its identity and its manifest.

use std::fmt;

use serde_json::Value;

/// Which object it is. The version is left out: the same object can be read in several.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectId {
    /// API group; empty for the core group.
    pub group: String,
    /// `Deployment`.
    pub kind: String,
    /// None for cluster-scoped objects.
    pub namespace: Option<String>,
    /// `metadata.name`.
    pub name: String,
}

impl ObjectId {
    /// An object in a namespace.
    pub fn namespaced(
        group: impl Into<String>,
        kind: impl Into<String>,
        namespace: impl Into<String>,
        name: impl Into<String>,
    ) -> Self {
        Self { group: group.into(), kind: kind.into(), namespace: Some(namespace.into()), name: name.into() }
    }

    /// An object of the cluster.
    pub fn cluster(group: impl Into<String>, kind: impl Into<String>, name: impl Into<String>) -> Self {
        Self { group: group.into(), kind: kind.into(), namespace: None, name: name.into() }
    }

    /// `Deployment.apps`, as an ApplySet names kinds; the core group has no suffix.
    #[must_use]
    pub fn group_kind(&self) -> String {
        if self.group.is_empty() { self.kind.clone() } else { format!("{}.{}", self.kind, self.group) }
    }

    /// The identity of a manifest or a live object; None where `kind` or `metadata.name` is missing.
    #[must_use]
    pub fn of_object(object: &Value) -> Option<Self> {
        let api_version = object["apiVersion"].as_str()?;
        let metadata = &object["metadata"];
        Some(Self {
            group: api_version.split_once('/').map_or("", |(group, _)| group).to_owned(),
            kind: object["kind"].as_str()?.to_owned(),
            namespace: metadata["namespace"].as_str().map(str::to_owned),
            name: metadata["name"].as_str()?.to_owned(),
        })
    }
}

/// As kubectl prints it: `deployment.apps/openhands`, `configmap/openhands`.
impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind.to_ascii_lowercase();
        if self.group.is_empty() {
            write!(f, "{kind}/{}", self.name)
        } else {
            write!(f, "{kind}.{}/{}", self.group, self.name)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn identity_leaves_out_the_version() {
        let id = ObjectId::of_object(&json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "openhands", "namespace": "hands"}}));
        assert_eq!(id, Some(ObjectId::namespaced("apps", "Deployment", "hands", "openhands")));
        assert_eq!(ObjectId::of_object(&json!({"kind": "Pod"})), None);
    }

    #[test]
    fn printed_as_kubectl_does() {
        assert_eq!(ObjectId::namespaced("apps", "Deployment", "a", "b").to_string(), "deployment.apps/b");
        assert_eq!(ObjectId::cluster("", "Node", "n").to_string(), "node/n");
    }
}
