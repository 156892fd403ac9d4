//! The sets of a cluster, as their parents and Deployments describe them. Pure.

use jiff::Timestamp;
use serde_json::Value;

use super::apply_set::{self, ApplySet, ID, TOOLING};
use crate::object::labels;

/// One set that handsctl deployed, as far as its parent and its Deployment tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    /// Namespace of the parent and the application.
    pub namespace: String,
    /// Name of the set.
    pub name: String,
    /// The version of handsctl that wrote the parent: `handsctl/v0.1.0`.
    pub tooling: String,
    /// Creation time of the parent.
    pub created: Option<Timestamp>,
    /// The application's workload; None if it does not exist or may not be listed.
    pub workload: Option<InstalledWorkload>,
}

/// The application's Deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstalledWorkload {
    /// The number of ready pods.
    pub ready: u64,
    /// The number of wanted pods.
    pub desired: u64,
    /// Image of the first container.
    pub image: String,
}

/// Returns the sets of these parents, sorted by namespace and name. ConfigMaps of other tools are left out.
#[must_use]
pub fn installations(parents: &[Value], deployments: &[Value]) -> Vec<Installation> {
    let mut found: Vec<Installation> =
        parents.iter().filter_map(|parent| installation(parent, deployments)).collect();
    found.sort_by(|one, other| (&one.namespace, &one.name).cmp(&(&other.namespace, &other.name)));
    found
}

fn installation(parent: &Value, deployments: &[Value]) -> Option<Installation> {
    let metadata = &parent["metadata"];
    let tooling = metadata["annotations"][TOOLING].as_str().filter(|text| apply_set::is_handsctl(text))?;
    let namespace = metadata["namespace"].as_str()?.to_owned();
    let name = apply_set::name_of_parent(metadata["name"].as_str()?)?.to_owned();
    let set = ApplySet { name: name.clone(), namespace: namespace.clone(), ..ApplySet::default() };
    if metadata["labels"][ID] != set.id().as_str() {
        return None;
    }
    let is_workload = |deployment: &&Value| {
        deployment["metadata"]["namespace"] == namespace.as_str()
            && labels::is_instance(deployment, &name)
            && labels::is_of_application(deployment)
    };
    Some(Installation {
        tooling: tooling.to_owned(),
        created: metadata["creationTimestamp"].as_str().and_then(|text| text.parse().ok()),
        workload: deployments.iter().find(is_workload).map(workload),
        namespace,
        name,
    })
}

fn workload(deployment: &Value) -> InstalledWorkload {
    let (spec, status) = (&deployment["spec"], &deployment["status"]);
    InstalledWorkload {
        ready: status["readyReplicas"].as_u64().unwrap_or(0),
        desired: spec["replicas"].as_u64().unwrap_or(1),
        image: spec["template"]["spec"]["containers"][0]["image"].as_str().unwrap_or_default().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;
    use crate::object::labels::Component;

    fn parent(namespace: &str, name: &str) -> Value {
        let set = ApplySet { name: name.into(), namespace: namespace.into(), ..ApplySet::default() };
        let mut parent = set.manifest(&BTreeSet::new());
        parent["metadata"]["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
        parent
    }

    fn deployment(namespace: &str, name: &str) -> Value {
        json!({
            "metadata": {
                "name": name, "namespace": namespace, "labels": labels::member_labels(name, Component::App),
            },
            "spec": { "replicas": 2, "template": { "spec": { "containers": [{ "image": "oh:1" }] } } },
            "status": { "readyReplicas": 1 },
        })
    }

    #[test]
    fn installations_are_the_parents_of_handsctl_with_their_deployment() {
        let mut foreign = parent("b", "theirs");
        foreign["metadata"]["annotations"][TOOLING] = json!("kubectl/v1.34.0");
        let mut copied = parent("b", "oh");
        copied["metadata"]["namespace"] = json!("copy");
        let parents = [parent("b", "oh"), foreign, copied, parent("a", "two")];
        let found = installations(&parents, &[deployment("a", "oh"), deployment("b", "oh")]);
        let names: Vec<(&str, &str)> =
            found.iter().map(|one| (one.namespace.as_str(), one.name.as_str())).collect();
        assert_eq!(names, [("a", "two"), ("b", "oh")]);
        assert_eq!(found[0].workload, None);
        let workload = InstalledWorkload { ready: 1, desired: 2, image: "oh:1".into() };
        assert_eq!(found[1].workload, Some(workload));
    }
}
