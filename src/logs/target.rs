//! What the command line names: a component, a pod, or an object with pods. Pure.

use serde_json::Value;

/// Whose logs are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogTarget {
    /// The application's pods.
    App,
    /// The pods of the local cluster's ingress controller.
    Ingress,
    /// The pods of the conversations' sandboxes.
    Sandboxes,
    /// A pod, also a later one of the same name.
    Pod(String),
    /// The pods of a workload, also later ones.
    Workload(WorkloadKind, String),
}

/// A kind of object that has pods by a label selector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkloadKind {
    /// `apps/v1 Deployment`.
    Deployment,
    /// `apps/v1 StatefulSet`.
    StatefulSet,
    /// `apps/v1 DaemonSet`.
    DaemonSet,
    /// `apps/v1 ReplicaSet`.
    ReplicaSet,
    /// `batch/v1 Job`.
    Job,
}

/// The words for components.
pub const COMPONENTS: [(&str, &str); 3] = [
    ("app", "the application's pods"),
    ("ingress", "the pods of the ingress controller"),
    ("sandbox", "the pods of the conversations' sandboxes"),
];

/// The names of the kinds, as kubectl accepts them.
const KINDS: [(WorkloadKind, &[&str]); 5] = [
    (
        WorkloadKind::Deployment,
        &["deployment", "deployments", "deploy", "deployment.apps", "deployments.apps"],
    ),
    (
        WorkloadKind::StatefulSet,
        &["statefulset", "statefulsets", "sts", "statefulset.apps", "statefulsets.apps"],
    ),
    (WorkloadKind::DaemonSet, &["daemonset", "daemonsets", "ds", "daemonset.apps", "daemonsets.apps"]),
    (WorkloadKind::ReplicaSet, &["replicaset", "replicasets", "rs", "replicaset.apps", "replicasets.apps"]),
    (WorkloadKind::Job, &["job", "jobs", "job.batch", "jobs.batch"]),
];

impl LogTarget {
    /// Parses a word of the command line.
    ///
    /// # Errors
    /// Fails if it names an unknown kind, or no name.
    pub fn parse(word: &str) -> Result<Self, String> {
        match word {
            "app" => return Ok(Self::App),
            "ingress" => return Ok(Self::Ingress),
            "sandbox" | "sandboxes" => return Ok(Self::Sandboxes),
            "" => return Err("a component, a pod or KIND/NAME is expected".to_owned()),
            _ => {}
        }
        let Some((kind, name)) = word.split_once('/') else { return Ok(Self::Pod(word.to_owned())) };
        if name.is_empty() || name.contains('/') {
            return Err(format!("KIND/NAME is expected, such as {kind}/openhands"));
        }
        let kind = kind.to_ascii_lowercase();
        if ["pod", "pods", "po"].contains(&kind.as_str()) {
            return Ok(Self::Pod(name.to_owned()));
        }
        let known = KINDS.iter().find(|(_, names)| names.contains(&kind.as_str()));
        known.map(|(known, _)| Self::Workload(*known, name.to_owned())).ok_or_else(|| {
            format!(
                "`{kind}` has no pods; pod, deployment, statefulset, daemonset, replicaset and job have some"
            )
        })
    }
}

/// Returns the label selector of a workload's pods, in the form of a request. None if it selects none
/// (<https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors>).
#[must_use]
pub fn pod_selector(workload: &Value) -> Option<String> {
    let selector = &workload["spec"]["selector"];
    let labels = selector["matchLabels"].as_object().into_iter().flatten();
    let mut terms: Vec<String> =
        labels.filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?))).collect();
    for expression in selector["matchExpressions"].as_array().into_iter().flatten() {
        let key = expression["key"].as_str()?;
        let values = expression["values"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let values = values.collect::<Vec<_>>().join(",");
        terms.push(match expression["operator"].as_str()? {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "Exists" => key.to_owned(),
            "DoesNotExist" => format!("!{key}"),
            _ => return None,
        });
    }
    (!terms.is_empty()).then(|| terms.join(","))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn word_is_a_component_a_pod_or_a_workload() {
        for (word, expected) in [
            ("app", LogTarget::App),
            ("ingress", LogTarget::Ingress),
            ("sandbox", LogTarget::Sandboxes),
            ("openhands-5f4dcc-x", LogTarget::Pod("openhands-5f4dcc-x".to_owned())),
            ("pod/app", LogTarget::Pod("app".to_owned())),
            ("deploy/x", LogTarget::Workload(WorkloadKind::Deployment, "x".to_owned())),
            ("Deployment.apps/x", LogTarget::Workload(WorkloadKind::Deployment, "x".to_owned())),
            ("sts/x", LogTarget::Workload(WorkloadKind::StatefulSet, "x".to_owned())),
            ("job/x", LogTarget::Workload(WorkloadKind::Job, "x".to_owned())),
        ] {
            assert_eq!(LogTarget::parse(word), Ok(expected), "{word}");
        }
        for (word, why) in [
            ("", "expected"),
            ("service/x", "`service` has no pods"),
            ("job/", "KIND/NAME"),
            ("a/b/c", "KIND/NAME"),
        ] {
            assert!(LogTarget::parse(word).unwrap_err().contains(why), "{word}");
        }
        assert!(COMPONENTS.iter().all(|(word, _)| !matches!(LogTarget::parse(word), Ok(LogTarget::Pod(_)))));
    }

    #[test]
    fn selector_of_a_workload_has_all_terms() {
        let workload = json!({"spec": {"selector": {
            "matchLabels": {"app": "a"},
            "matchExpressions": [
                {"key": "tier", "operator": "In", "values": ["x", "y"]},
                {"key": "old", "operator": "DoesNotExist"},
                {"key": "new", "operator": "Exists"},
                {"key": "b", "operator": "NotIn", "values": ["z"]},
            ],
        }}});
        let selector = pod_selector(&workload);
        assert_eq!(selector.as_deref(), Some("app=a,tier in (x,y),!old,new,b notin (z)"));
        assert_eq!(pod_selector(&json!({"spec": {"selector": {}}})), None);
    }
}
