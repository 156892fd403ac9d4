//! Pods that run an earlier build of their image: the node has got another image of the same name since.

use serde_json::Value;

use super::finding::Finding;
use super::observed::state::ObservedState;
use crate::catalogue::Id;
use crate::object::kind::POD;
use crate::object::labels;
use crate::object::running_image::{self, RunningImage};

/// Returns the images that the pods of a set run.
#[must_use]
pub fn running_images(observed: &ObservedState, set: &str) -> Vec<RunningImage> {
    let pods = observed.pods().filter_map(|pod| serde_json::to_value(pod).ok());
    let pods: Vec<Value> = pods.filter(|pod| labels::is_instance(pod, set)).collect();
    running_image::running_images(&pods)
}

/// Returns the finding about a pod whose image was replaced on its node.
#[must_use]
pub fn replaced_image_finding(image: &RunningImage, namespace: &str) -> Finding {
    let message = format!(
        "it runs an earlier build of {}: node {} has another image of that name",
        image.image, image.node
    );
    Finding::new(Id::ImageReplaced, POD.id(namespace, &image.pod), message)
        .hint("handsctl restart replaces the pod")
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::status::TrackedKind;

    /// A pod on a kind node, as its kubelet reports a loaded image.
    fn pod(name: &str, set: &str) -> Value {
        json!({
            "metadata": { "name": name, "namespace": "n", "uid": name, "labels": { labels::INSTANCE: set } },
            "spec": { "nodeName": "kl1-control-plane", "containers": [{ "name": "openhands", "image": "acme/openhands:0.59-dev" }] },
            "status": { "phase": "Running", "containerStatuses": [{
                "name": "openhands", "image": "docker.io/acme/openhands:0.59-dev", "ready": true, "restartCount": 0,
                "imageID": "sha256:7d2b4c1f0e9a", "state": { "running": { "startedAt": "2026-01-01T00:00:00Z" } },
            }] },
        })
    }

    #[test]
    fn replaced_image_names_pod_node_and_restart() {
        let mut observed = ObservedState::default();
        for pod in [pod("oh-1", "oh"), pod("copy-1", "copy")] {
            observed.apply(0, TrackedKind::Pod, &pod, Timestamp::UNIX_EPOCH).unwrap();
        }
        let running = running_images(&observed, "oh");
        let digests: Vec<&str> = running.iter().map(|image| image.digest.as_str()).collect();
        assert_eq!(digests, ["7d2b4c1f0e9a"]);
        let finding = replaced_image_finding(&running[0], "n");
        assert_eq!((finding.id, finding.object), (Id::ImageReplaced, POD.id("n", "oh-1")));
        let message = "it runs an earlier build of acme/openhands:0.59-dev: node kl1-control-plane has another image of that name";
        assert_eq!(finding.message, message);
        assert_eq!(finding.hints, ["handsctl restart replaces the pod"]);
    }
}
