//! The identity of an object.

use std::fmt;

use serde_json::Value;

use crate::error::RejectedObject;

/// An object's group, kind, namespace and name. It has no version, because the API serves one object in several.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectId {
    /// API group; empty for the core group.
    pub group: String,
    /// Such as `Deployment`.
    pub kind: String,
    /// `None` for cluster-scoped objects.
    pub namespace: Option<String>,
    /// `metadata.name`.
    pub name: String,
}

impl ObjectId {
    /// Describes this member of an installation for an error about its rejection; `kind` is the one whose fields the server
    /// names.
    #[must_use]
    pub fn rejected_as(&self, kind: &str) -> RejectedObject {
        RejectedObject {
            kind: kind.to_owned(),
            group: self.group.clone(),
            member_kind: self.kind.clone(),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
        }
    }

    /// Formats the object with its namespace: `service/oh in namespace n`.
    #[must_use]
    pub fn with_namespace(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{self} in namespace {namespace}"),
            None => self.to_string(),
        }
    }

    /// Returns the member that was rejected.
    #[must_use]
    pub fn of_rejected(rejected: &RejectedObject) -> Self {
        Self {
            group: rejected.group.clone(),
            kind: rejected.member_kind.clone(),
            namespace: rejected.namespace.clone(),
            name: rejected.name.clone(),
        }
    }

    /// Identifies a namespaced object.
    pub fn namespaced(
        group: impl Into<String>,
        kind: impl Into<String>,
        namespace: impl Into<String>,
        name: impl Into<String>,
    ) -> Self {
        Self { group: group.into(), kind: kind.into(), namespace: Some(namespace.into()), name: name.into() }
    }

    /// Identifies a cluster-scoped object.
    pub fn cluster(group: impl Into<String>, kind: impl Into<String>, name: impl Into<String>) -> Self {
        Self { group: group.into(), kind: kind.into(), namespace: None, name: name.into() }
    }

    /// Returns `Deployment.apps`, as ApplySets name kinds; the core group has no suffix.
    #[must_use]
    pub fn group_kind(&self) -> String {
        if self.group.is_empty() { self.kind.clone() } else { format!("{}.{}", self.kind, self.group) }
    }

    /// Reads the identity of a manifest or a live object; `None` if `apiVersion`, `kind` or `metadata.name` is missing.
    #[must_use]
    pub fn from_object(object: &Value) -> Option<Self> {
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

/// Prints the identity as kubectl does: `deployment.apps/openhands`, `configmap/openhands`.
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
    fn identity_has_no_version() {
        let id = ObjectId::from_object(&json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "openhands", "namespace": "hands"}}));
        assert_eq!(id, Some(ObjectId::namespaced("apps", "Deployment", "hands", "openhands")));
        assert_eq!(ObjectId::from_object(&json!({"kind": "Pod"})), None);
    }

    #[test]
    fn display_is_the_name_that_kubectl_prints() {
        assert_eq!(ObjectId::namespaced("apps", "Deployment", "a", "b").to_string(), "deployment.apps/b");
        assert_eq!(ObjectId::cluster("", "Node", "n").to_string(), "node/n");
    }
}
