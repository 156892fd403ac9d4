//! The editions of OpenHands, one row each: what handsctl must know to deploy an edition and to send requests to it.

use std::ops::RangeInclusive;

use serde_json::Value;

use super::format::ImageRef;
use crate::object::labels;

/// The first two numbers of a version, which determine its features.
pub type ReleaseNumbers = (u32, u32);

/// A value that changed with a release: the value, and the first release that has it. The newest stands last.
pub type ByRelease = &'static [(ReleaseNumbers, &'static str)];

/// The key of the Secret `NAME-keys` with the key that encrypts the secrets on the application's volume.
pub const SECRET_KEY: &str = "secret-key";
/// The key of the Secret `NAME-keys` with the key that the application's API requires.
pub const API_KEY: &str = "api-key";
/// The key of that Secret with the key that [`API_KEY`] replaced, as long as the API accepts it as well.
pub const PREVIOUS_API_KEY: &str = "previous-api-key";

/// One edition of OpenHands.
#[derive(Debug, PartialEq, Eq)]
pub struct Edition {
    /// Its value of `[deploy].edition`, which its Deployment has as an annotation.
    pub name: &'static str,
    /// The name of the product, for messages.
    pub product: &'static str,
    /// The application's image, unless `[deploy].image` names another.
    pub image: &'static str,
    /// The supported releases.
    pub releases: RangeInclusive<ReleaseNumbers>,
    /// Why earlier releases are not among them, as a clause.
    pub earlier_releases: &'static str,
    /// The release that is assumed of an image whose tag is not a version.
    pub assumed_release: ReleaseNumbers,
    /// Where conversations run.
    pub sandboxes: SandboxPlace,
    /// How the application gets its settings and secrets.
    pub configuration: Configuration,
    /// The variables of the container with keys of the Secret `NAME-keys`, and these keys; empty: it has no such Secret.
    pub key_variables: &'static [(&'static str, &'static str)],
    /// The variable with [`PREVIOUS_API_KEY`]; None: the application has no key, or accepts one only.
    pub previous_key_variable: Option<&'static str>,
    /// The user and the group under which the image's program runs.
    pub user: u32,
    /// The command that starts the application; None: the image's own.
    pub start: Option<&'static str>,
    /// The port of the page and of the API.
    pub port: u16,
    /// The path that people open, or under which programs find the API.
    pub page: &'static str,
    /// What requires the key that `open --key` prints, as a clause; None: the application has no login.
    pub login: Option<&'static str>,
    /// A port of the pod that leads past the login, in some releases at least.
    pub port_past_login: Option<u16>,
    /// The paths that the kubelet requests.
    pub probes: Probes,
    /// The path whose answer proves more than that the server listens.
    pub proof: ByRelease,
    /// The path of a part that can be down alone, without a login.
    pub beside: Option<&'static str>,
    /// The variables of the container with which the image runs as its user, without a writable root, and on its volume.
    /// Those of [`Configuration::File`] depend on further keys, see `app_env`.
    pub variables: &'static [&'static [(&'static str, &'static str)]],
    /// The path of the application's settings.
    pub settings: &'static str,
    /// The end of the name of the application's claim, after the name of the installation.
    pub claim: &'static str,
    /// The mount path of the application's volume.
    pub state: &'static str,
    /// The size of the application's volume, unless `[deploy].storage_size` names another.
    pub state_size: &'static str,
    /// The repository of the sandboxes' image; the tag follows from the release.
    pub sandbox_image: ByRelease,
    /// The templates of its objects. The configuration decides which of them are used.
    pub templates: &'static [&'static str],
}

/// Where the commands of a conversation run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SandboxPlace {
    /// In a pod of its own, which the application creates.
    OwnPods,
    /// In the application's pod, with all other conversations.
    ApplicationPod {
        /// The folder in which they work unless they name another, a folder of the application's volume.
        workspace: &'static str,
    },
}

/// How the application gets its settings and secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Configuration {
    /// It reads config.toml and environment variables.
    File,
    /// It keeps them on its volume, encrypted with a key of the Secret `NAME-keys`, and takes them by its API, which the
    /// other key of that Secret opens.
    Api,
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
    name: "classic",
    product: "OpenHands",
    image: "docker.all-hands.dev/all-hands-ai/openhands:0.59",
    releases: RangeInclusive::new((0, 45), (1, 6)),
    earlier_releases: "added in 0.45",
    assumed_release: (1, 6),
    sandboxes: SandboxPlace::OwnPods,
    configuration: Configuration::File,
    key_variables: &[],
    previous_key_variable: None,
    user: 42420,
    start: Some("uvicorn openhands.server.listen:app --host 0.0.0.0 --port 3000"),
    port: 3000,
    page: "/",
    login: None,
    port_past_login: None,
    probes: Probes { startup: "/alive", liveness: "/alive", readiness: "/alive" },
    proof: &[((0, 0), "/api/options/config"), ((1, 3), "/api/v1/web-client/config")],
    beside: None,
    variables: &[],
    settings: "/api/settings",
    claim: "state",
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

/// Agent Canvas: one pod is the application and the sandbox of all conversations.
///
/// 1.6 is the first release whose start script was read to serve the page with a login, on `PUBLIC_MODE_PORT`; the page
/// on the image's other port, 8000, gives its key to whoever loads it in releases up to 1.20 at least
/// (`OpenHands#16879`). The image's user is 10001.
pub static CANVAS: Edition = Edition {
    name: "canvas",
    product: "Agent Canvas",
    image: "ghcr.io/openhands/agent-canvas:1.20.0",
    releases: RangeInclusive::new((1, 6), (u32::MAX, u32::MAX)),
    earlier_releases: "earlier releases serve no page with a login",
    assumed_release: (1, 20),
    sandboxes: SandboxPlace::ApplicationPod { workspace: "/home/openhands/workspace" },
    configuration: Configuration::Api,
    key_variables: KEY_VARIABLES,
    previous_key_variable: Some("OH_SESSION_API_KEYS_1"),
    user: 10001,
    start: None,
    port: 8002,
    page: "/canvas/",
    login: Some("its page asks for a key"),
    port_past_login: Some(8000),
    probes: Probes { startup: "/ready", liveness: "/alive", readiness: "/ready" },
    proof: &[((0, 0), "/server_info")],
    beside: Some("/api/automation/ready"),
    variables: &[
        OF_SERVER,
        &[
            // Port 8000 puts the key into the page in some releases; this one asks for it in all of them.
            ("PUBLIC_MODE_PORT", "8002"),
            ("VITE_DO_NOT_TRACK", "1"),
        ],
    ],
    settings: "/api/settings",
    claim: "canvas",
    state: "/home/openhands/.openhands",
    state_size: "20Gi",
    sandbox_image: &[],
    templates: &[
        "app/ingress.yaml",
        "app/persistent-volume-claim.yaml",
        "app/route.yaml",
        "app/secret.yaml",
        "app/service.yaml",
        "one-pod/deployment.yaml",
        "one-pod/network-policy.yaml",
    ],
};

/// The server of Agent Canvas alone, without its page and its automation: a backend for the page of an Agent Canvas that
/// runs elsewhere, and for programs.
///
/// Agent Canvas 1.20 requires 1.28 of its backends (`config/defaults.json`). Without the paths below, the server writes to
/// the folder `workspace` of the folder that it is started in, `/` (`config.py` of agent-server 1.49.1).
pub static AGENT_SERVER: Edition = Edition {
    name: "agent-server",
    product: "Agent Server",
    image: "ghcr.io/openhands/agent-server:1.49.1-python",
    releases: RangeInclusive::new((1, 28), (u32::MAX, u32::MAX)),
    earlier_releases: "Agent Canvas requires 1.28 of a backend",
    assumed_release: (1, 49),
    port: 8000,
    page: "/",
    login: Some("its API requires a key"),
    port_past_login: None,
    sandboxes: SandboxPlace::ApplicationPod { workspace: "/workspace" },
    beside: None,
    variables: &[
        OF_SERVER,
        &[
            ("OH_PERSISTENCE_DIR", "/home/openhands/.openhands"),
            ("OH_CONVERSATIONS_PATH", "/home/openhands/.openhands/conversations"),
            ("OH_BASH_EVENTS_DIR", "/home/openhands/.openhands/bash_events"),
        ],
    ],
    claim: "agent-server",
    ..CANVAS
};

/// The variables with the keys of a server that keeps its settings itself. The API's first key is the one to set: with
/// others alone, Agent Canvas before 1.7 starts its server without any (`docker/entrypoint.sh`).
const KEY_VARIABLES: &[(&str, &str)] = &[("OH_SECRET_KEY", SECRET_KEY), ("OH_SESSION_API_KEYS_0", API_KEY)];
/// The variables of each image with agent-server.
const OF_SERVER: &[(&str, &str)] = &[
    // With a lease, the conversations of a killed pod answer 404 for up to 45 seconds.
    ("OH_LEASE_TTL_SECONDS", "0"),
    // The root of the file system is read-only.
    ("XDG_CONFIG_HOME", "/home/openhands/.openhands/xdg"),
    ("GIT_CONFIG_GLOBAL", "/home/openhands/.openhands/gitconfig"),
    // The root of a volume belongs to root, and git refuses a repository there.
    ("GIT_CONFIG_COUNT", "1"),
    ("GIT_CONFIG_KEY_0", "safe.directory"),
    ("GIT_CONFIG_VALUE_0", "*"),
    // Without it litellm downloads a price list from the internet at every start.
    ("LITELLM_LOCAL_MODEL_COST_MAP", "True"),
    // Without it, and `VITE_DO_NOT_TRACK`, the start script of Agent Canvas reports what people do to PostHog.
    ("DO_NOT_TRACK", "1"),
];

/// All editions.
pub static ALL: [&Edition; 3] = [&CLASSIC, &CANVAS, &AGENT_SERVER];

impl Edition {
    /// Returns the edition whose image has this name; None for an image of one's own.
    #[must_use]
    pub fn of_image(image: &ImageRef) -> Option<&'static Self> {
        ALL.into_iter().find(|edition| ImageRef::from_static(edition.image).name() == image.name())
    }

    /// Returns the edition of a Deployment of the application, also of one that an earlier version of handsctl made.
    #[must_use]
    pub fn of_deployment(deployment: &Value) -> &'static Self {
        let name = deployment["metadata"]["annotations"][labels::EDITION].as_str();
        ALL.into_iter().find(|edition| Some(edition.name) == name).unwrap_or(&CLASSIC)
    }

    /// Whether handsctl supports this release of the edition.
    #[must_use]
    pub fn supports(&self, release: ReleaseNumbers) -> bool {
        self.releases.contains(&release)
    }

    /// Returns the supported releases as text: `0.45 to 1.6`, `1.6 and later`.
    #[must_use]
    pub fn supported_releases(&self) -> String {
        let text = |(major, minor): &ReleaseNumbers| format!("{major}.{minor}");
        match self.releases.end() {
            (u32::MAX, _) => format!("{} and later", text(self.releases.start())),
            end => format!("{} to {}", text(self.releases.start()), text(end)),
        }
    }

    /// Whether the application has keys of its own: its page and its API require one, and another encrypts its secrets.
    #[must_use]
    pub const fn has_keys(&self) -> bool {
        !self.key_variables.is_empty()
    }

    /// Whether a conversation runs in a pod of its own.
    #[must_use]
    pub fn has_sandbox_pods(&self) -> bool {
        self.sandboxes == SandboxPlace::OwnPods
    }
}

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
    fn deployment_names_its_edition() {
        let deployment =
            |name: &str| serde_json::json!({ "metadata": { "annotations": { labels::EDITION: name } } });
        assert_eq!(Edition::of_deployment(&deployment("canvas")), &CANVAS);
        assert_eq!(Edition::of_deployment(&deployment("later")), &CLASSIC);
        assert_eq!(Edition::of_deployment(&serde_json::json!({})), &CLASSIC);
    }

    #[test]
    fn releases_are_named_with_their_end() {
        assert_eq!(CLASSIC.supported_releases(), "0.45 to 1.6");
        assert_eq!(CANVAS.supported_releases(), "1.6 and later");
        assert!(CANVAS.supports((1, 40)) && CANVAS.supports((2, 0)) && !CANVAS.supports((1, 5)));
    }

    #[test]
    fn start_command_listens_on_the_port_of_the_edition() {
        let start = CLASSIC.start.unwrap();
        assert!(start.ends_with(&format!(" --port {}", CLASSIC.port)), "{start}");
    }
}
