//! The images that pods run.

use serde_json::Value;

/// The image of a running container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningImage {
    /// The pod's name.
    pub pod: String,
    /// The pod's node.
    pub node: String,
    /// The image's name in the pod's spec.
    pub image: String,
    /// The digest that the kubelet reports, without `sha256:`. A rebuilt image has the same name and another digest.
    pub digest: String,
}

/// Returns the images of all running containers of pods that are not being deleted.
#[must_use]
pub fn running_images(pods: &[Value]) -> Vec<RunningImage> {
    let live = pods.iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
    live.flat_map(|pod| {
        let statuses = pod["status"]["containerStatuses"].as_array().into_iter().flatten();
        statuses.filter_map(|status| running_image(pod, status))
    })
    .collect()
}

fn running_image(pod: &Value, status: &Value) -> Option<RunningImage> {
    status["state"].get("running")?;
    let containers = pod["spec"]["containers"].as_array()?;
    let spec = containers.iter().find(|container| container["name"] == status["name"])?;
    // `repository@sha256:…`; for a loaded image the digest alone.
    let digest = status["imageID"].as_str()?.rsplit_once("sha256:")?.1;
    Some(RunningImage {
        pod: pod["metadata"]["name"].as_str()?.to_owned(),
        node: pod["spec"]["nodeName"].as_str()?.to_owned(),
        image: spec["image"].as_str()?.to_owned(),
        digest: digest.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn image_of_a_running_container_has_its_digest() {
        let mut pod = json!({
            "metadata": { "name": "oh-1" },
            "spec": { "nodeName": "n", "containers": [{ "name": "openhands", "image": "acme/oh:dev" }] },
            "status": { "containerStatuses": [
                { "name": "openhands", "imageID": "sha256:aa", "state": { "running": {} } },
            ] },
        });
        let digests = |pod: &Value| -> Vec<String> {
            running_images(std::slice::from_ref(pod)).into_iter().map(|it| it.digest).collect()
        };
        let image = running_images(std::slice::from_ref(&pod)).remove(0);
        assert_eq!(
            (image.pod.as_str(), image.node.as_str(), image.image.as_str()),
            ("oh-1", "n", "acme/oh:dev")
        );
        pod["status"]["containerStatuses"][0]["imageID"] = json!("docker.io/acme/oh@sha256:bb");
        assert_eq!(digests(&pod), ["bb"]);
        pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        assert!(digests(&pod).is_empty());
        pod["metadata"] = json!({ "name": "oh-1" });
        pod["status"]["containerStatuses"][0]["state"] = json!({ "waiting": {} });
        assert!(digests(&pod).is_empty());
    }
}
