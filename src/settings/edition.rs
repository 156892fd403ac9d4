//! The editions of OpenHands, one row each: what handsctl must know to deploy an edition and to send requests to it.

use std::ops::RangeInclusive;

/// The first two numbers of a version, which determine its features.
pub type ReleaseNumbers = (u32, u32);

/// A value that changed with a release: the value, and the first release that has it. The newest stands last.
pub type ByRelease = &'static [(ReleaseNumbers, &'static str)];

/// One edition of OpenHands.
#[derive(Debug, PartialEq, Eq)]
pub struct Edition {
    /// The application's image, unless `[deploy].image` names another.
    pub image: &'static str,
    /// The supported releases.
    pub releases: RangeInclusive<ReleaseNumbers>,
    /// The user and the group under which the image's program runs.
    pub user: u32,
    /// The command that starts the application.
    pub start: &'static str,
    /// The port of the page and of the API.
    pub port: u16,
    /// The path of the page.
    pub page: &'static str,
    /// The paths that the kubelet requests.
    pub probes: Probes,
    /// The path whose answer proves more than that the server listens.
    pub proof: ByRelease,
    /// The path of the application's settings.
    pub settings: &'static str,
    /// The mount path of the application's volume.
    pub state: &'static str,
    /// The size of the application's volume, unless `[deploy].storage_size` names another.
    pub state_size: &'static str,
    /// The repository of the sandboxes' image; the tag follows from the release.
    pub sandbox_image: ByRelease,
    /// The templates of its objects. The configuration decides which of them are used.
    pub templates: &'static [&'static str],
}

/// The paths that the kubelet requests. An error status there means that the pod has not started, must be restarted, or
/// gets no traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probes {
    /// Until the application has started.
    pub startup: &'static str,
    /// Afterwards. handsctl requests it too, because it needs neither a login nor the page.
    pub liveness: &'static str,
    /// Decides whether the Service leads to the pod.
    pub readiness: &'static str,
}

/// OpenHands with the Kubernetes runtime: each conversation has a pod of its own.
///
/// 0.45 added the runtime, 1.7.0 removed it. The registry changed with 0.60. `/ready` proves nothing below 1.5.
pub static CLASSIC: Edition = Edition {
    image: "docker.all-hands.dev/all-hands-ai/openhands:0.59",
    releases: RangeInclusive::new((0, 45), (1, 6)),
    user: 42420,
    start: "uvicorn openhands.server.listen:app --host 0.0.0.0 --port 3000",
    port: 3000,
    page: "/",
    probes: Probes { startup: "/alive", liveness: "/alive", readiness: "/alive" },
    proof: &[((0, 0), "/api/options/config"), ((1, 3), "/api/v1/web-client/config")],
    settings: "/api/settings",
    state: "/.openhands",
    state_size: "5Gi",
    sandbox_image: &[
        ((0, 0), "docker.all-hands.dev/all-hands-ai/runtime"),
        ((0, 60), "docker.openhands.dev/openhands/runtime"),
    ],
    templates: &[
        "app/config-map.yaml",
        "app/deployment.yaml",
        "app/horizontal-pod-autoscaler.yaml",
        "app/ingress.yaml",
        "app/limit-range.yaml",
        "app/network-policy-app.yaml",
        "app/network-policy.yaml",
        "app/persistent-volume-claim.yaml",
        "app/resource-quota.yaml",
        "app/role-binding.yaml",
        "app/role.yaml",
        "app/route.yaml",
        "app/secret.yaml",
        "app/service-account.yaml",
        "app/service.yaml",
    ],
};

/// Returns the value of this release; None if only later releases have one.
#[must_use]
pub fn in_release(values: ByRelease, release: ReleaseNumbers) -> Option<&'static str> {
    values.iter().rev().find(|(since, _)| *since <= release).map(|(_, value)| *value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newest_value_that_a_release_has_counts() {
        let values: ByRelease = &[((0, 50), "old"), ((1, 3), "new")];
        let found = [(0, 49), (0, 50), (1, 2), (1, 3), (2, 0)].map(|release| in_release(values, release));
        assert_eq!(found, [None, Some("old"), Some("old"), Some("new"), Some("new")]);
    }

    #[test]
    fn start_command_listens_on_the_port_of_the_edition() {
        let start = CLASSIC.start;
        assert!(start.ends_with(&format!(" --port {}", CLASSIC.port)), "{start}");
    }
}
