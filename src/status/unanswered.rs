//! A ready application that does not answer → a finding.

use k8s_openapi::api::core::v1::Pod;

use super::finding::{Finding, LogRun, Lookup};
use super::observed::first_seen::statuses;
use crate::catalogue::Id;
use crate::object::kind::{DEPLOYMENT, INGRESS, POD, SERVICE};
use crate::object::{ObjectId, container_names};

/// Returns the finding of an application that does not answer inside the cluster, with the log of its ready pod.
#[must_use]
pub fn unanswered_probe(
    pod: Option<&Pod>,
    namespace: &str,
    application: &str,
    path: &str,
    why: &str,
) -> Finding {
    let message = format!("the pod is ready, but {path} does not answer: {why}");
    let name = pod.and_then(|pod| pod.metadata.name.as_deref());
    let Some((pod, name)) = pod.zip(name) else {
        return Finding::new(Id::ProbeFailed, SERVICE.id(namespace, application), message)
            .hint("handsctl logs --tail 50");
    };
    let id = POD.id(namespace, name);
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
    let status = statuses(pod).find(|status| status.name == container_names::APP);
    let restarts = status.map_or(0, |status| status.restart_count);
    let log = Lookup::Log {
        pod: id.clone(),
        container: container_names::APP.to_owned(),
        node: node.clone(),
        run: LogRun::of_running(restarts),
    };
    Finding {
        container: Some(container_names::APP.to_owned()),
        // A pod on a lost node counts as ready until the node controller notices.
        lookups: [Some(log), node.map(Lookup::NodeFaults)].into_iter().flatten().collect(),
        member: Some(DEPLOYMENT.id(namespace, application)),
        ..Finding::new(Id::ProbeFailed, id, message).hint("handsctl logs --tail 50")
    }
}

/// Returns the finding of an application that answers inside the cluster, but not at the URL that the local cluster
/// serves.
#[must_use]
pub fn unreachable_url(namespace: &str, application: &str, url: &str, why: &str) -> Finding {
    let ingress: ObjectId = INGRESS.id(namespace, application);
    let message = format!("the application answers inside the cluster, but not at {url}: {why}");
    Finding {
        member: Some(ingress.clone()),
        lookups: vec![Lookup::Route(ingress.clone())],
        ..Finding::new(Id::UrlUnreachable, ingress, message)
    }
    .hint("handsctl cluster up repairs the ingress controller")
    .hint("handsctl open forwards a port to the application without it")
}

/// Returns the finding for an application that answers, but whose automation does not at this path.
#[must_use]
pub fn automation_down(namespace: &str, application: &str, path: &str, why: &str) -> Finding {
    let message = format!("the application answers, but not its automation at {path}: {why}");
    Finding::new(Id::AutomationDown, DEPLOYMENT.id(namespace, application), message)
        .hint("handsctl logs --tail 50")
        .hint("handsctl restart starts it again")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn unanswered_probe_reads_the_log_and_the_node_of_the_ready_pod() {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": { "name": "oh-1", "namespace": "n" },
            "spec": { "nodeName": "node-1", "containers": [{ "name": "istio-proxy" }, { "name": "openhands" }] },
            "status": { "containerStatuses": [{ "name": "openhands", "image": "a", "imageID": "", "ready": true,
                "restartCount": 1 }] },
        }))
        .unwrap();
        let finding = unanswered_probe(Some(&pod), "n", "oh", "/alive", "no response");
        assert_eq!((finding.object, finding.container.as_deref()), (POD.id("n", "oh-1"), Some("openhands")));
        let log = Lookup::Log {
            pod: POD.id("n", "oh-1"),
            container: "openhands".to_owned(),
            node: Some("node-1".to_owned()),
            run: LogRun::LatestAndPrevious,
        };
        assert_eq!(finding.lookups, [log, Lookup::NodeFaults("node-1".to_owned())]);
        let without_pod = unanswered_probe(None, "n", "oh", "/alive", "no response");
        assert_eq!((without_pod.object, without_pod.lookups), (SERVICE.id("n", "oh"), Vec::new()));
    }
}
