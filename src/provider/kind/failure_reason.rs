//! Derives a one-line reason from the output of a failed `kind create cluster`. Pure.

use crate::error::Error;
use crate::provider::engine::Engine;

/// Why the creation failed, and a hint to fix it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FailureReason {
    pub(super) text: String,
    hint: String,
    /// Whether the engine lacks the node image and cannot pull it.
    pub(super) lacks_image: bool,
    /// The end of what the engine wrote to kind; empty if kind does not quote it. The end of kind's own output may be a
    /// stack trace.
    engine: Vec<String>,
}

impl FailureReason {
    /// Adds the engine's own words and the hint to the error.
    pub(super) fn add_to(self, error: Error) -> Error {
        let error = if self.engine.is_empty() { error } else { error.fact("engine", self.engine.join("\n")) };
        error.hint(self.hint)
    }

    /// Proposes the newest of these node images, which the engine has. `is_configured`: a key names the image, which has
    /// priority over the variable.
    pub(super) fn proposing(mut self, engine: Engine, images: &[String], is_configured: bool) -> Self {
        let Some(image) = images.iter().max_by_key(|image| version(image)) else { return self };
        self.hint = if is_configured {
            format!("handsctl up --set cluster.node_image={image} uses an image that {engine} has")
        } else {
            format!("KIND_NODE_IMAGE={image} handsctl up uses an image that {engine} has")
        };
        self
    }

    /// Returns the output of kind without what the error repeats, and without lines that explain no failure. The evidence
    /// has all lines.
    pub(super) fn without_repetition(&self, output: &str) -> String {
        let end = if self.engine.is_empty() { STACK } else { QUOTE };
        let own = output.split_once(end).map_or(output, |(own, _)| own);
        let is_noise = |line: &str| line.contains(PROVIDER_VARIABLE) || line.contains("deprecated");
        own.lines().filter(|line| !is_noise(line)).collect::<Vec<_>>().join("\n")
    }
}

/// Returns the numbers in the tag of an image: 1, 34, 4 for `kindest/node:v1.34.4`.
fn version(image: &str) -> Vec<u64> {
    let tag = image.rsplit(':').next().unwrap_or_default();
    tag.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect()
}

/// kind reports that it read this variable, which handsctl sets.
const PROVIDER_VARIABLE: &str = "KIND_EXPERIMENTAL_PROVIDER";

/// The node image does not exist in the registry.
const NO_IMAGE: &str = "the node image does not exist";
/// The registry does not respond, or not to this user.
const NOT_PULLED: &str = "the node image cannot be pulled";

/// Stands for the name of the engine in a hint.
const ENGINE: &str = "ENGINE";

/// A known error of kind, the engine or kubeadm: lowercase patterns of its output, its meaning and a hint to fix it.
struct KnownFailure {
    patterns: &'static [&'static str],
    text: &'static str,
    hint: &'static str,
}

const RETRY: &str = "fix it and run the command again";

/// Begins the output of a command that kind quotes (`pkg/exec/types.go`), up to [`STACK`].
const QUOTE: &str = "Command Output:";
/// Begins kind's stack trace.
const STACK: &str = "Stack Trace:";
/// How many lines of the engine's output are kept.
const ENGINE_LINES: usize = 5;

/// All known failures. The first match counts.
const KNOWN_FAILURES: &[KnownFailure] = &[
    KnownFailure {
        patterns: &[
            "port is already allocated",
            "address already in use",
            "failed to bind host port",
            "bind: permission denied",
        ],
        text: "a port that the cluster maps is in use, or this user may not listen on it",
        hint: "handsctl up --set cluster.http_port=8080 uses another port",
    },
    KnownFailure {
        patterns: &["address pools have been fully subnetted", "non-overlapping ipv4 address pool"],
        text: "the engine has no free address range for kind's network",
        hint: "docker network prune deletes networks that no container uses; a VPN may take ranges, too; default-address-pools in docker's daemon.json adds some",
    },
    KnownFailure {
        patterns: &["no space left on device"],
        text: "the disk is full",
        hint: "ENGINE system prune deletes data that no container uses",
    },
    KnownFailure {
        patterns: &["too many open files", "inotify"],
        text: "the kernel's inotify limits are too low",
        hint: "sudo sysctl fs.inotify.max_user_watches=524288 fs.inotify.max_user_instances=512",
    },
    KnownFailure {
        patterns: &["manifest unknown", "manifest for", "pull access denied", "repository does not exist"],
        text: NO_IMAGE,
        hint: "[cluster] node_image sets another image: https://github.com/kubernetes-sigs/kind/releases lists the images of kind",
    },
    KnownFailure {
        patterns: &["failed to pull image", "no such host", "i/o timeout", "tls handshake timeout"],
        text: NOT_PULLED,
        hint: "[cluster] node_image, or KIND_NODE_IMAGE, can name an image that the engine has; provider = \"kwok\" needs no image",
    },
    KnownFailure {
        patterns: &["is already in use by container", "node(s) already exist"],
        text: "containers with these names already exist",
        hint: RETRY,
    },
    KnownFailure {
        patterns: &["cannot connect to the docker daemon", "is the docker daemon running"],
        text: "the container engine became unreachable",
        hint: RETRY,
    },
    KnownFailure {
        patterns: &["could not find a log line that matches", "could not find a line that matches"],
        text: "the node's system did not start; cgroups or the kernel do not fit the node image",
        hint: "https://kind.sigs.k8s.io/docs/user/known-issues lists the requirements of each engine",
    },
    KnownFailure {
        patterns: &[
            "kubelet is not running",
            "kubelet isn't running",
            "kubelet is not healthy",
            "kubelet-check",
        ],
        text: "the node's kubelet did not get healthy",
        hint: RETRY,
    },
    KnownFailure {
        patterns: &["failed to init node with kubeadm", "timed out waiting for the condition"],
        text: "the node's control plane did not start in time",
        hint: RETRY,
    },
    KnownFailure {
        patterns: &["cgroup"],
        text: "the engine's cgroups do not meet kind's requirements",
        hint: RETRY,
    },
];

/// Returns the reason of a known failure of kind with this engine, else kind's own error line.
pub(super) fn from_output(program: Engine, output: &str) -> FailureReason {
    // Deprecation warnings are not the cause of a failure.
    let lines = output.lines().filter(|line| !line.contains("is deprecated"));
    let lowercase = lines.map(str::to_lowercase).collect::<Vec<_>>().join("\n");
    let known = KNOWN_FAILURES
        .iter()
        .find(|failure| failure.patterns.iter().any(|pattern| lowercase.contains(pattern)));
    let engine = engine_lines(output);
    match known {
        Some(failure) => FailureReason {
            text: failure.text.to_owned(),
            hint: failure.hint.replace(ENGINE, program.name()),
            lacks_image: [NO_IMAGE, NOT_PULLED].contains(&failure.text),
            engine,
        },
        None => FailureReason {
            text: engine_error(&engine).unwrap_or_else(|| error_line(output)),
            hint: RETRY.to_owned(),
            lacks_image: false,
            engine,
        },
    }
}

/// Returns the last lines of the command's output that kind quotes.
fn engine_lines(output: &str) -> Vec<String> {
    let Some((_, quoted)) = output.split_once(QUOTE) else { return Vec::new() };
    let quoted = quoted.split_once(STACK).map_or(quoted, |(quoted, _)| quoted);
    let lines: Vec<&str> = quoted.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(ENGINE_LINES)..].iter().map(|line| (*line).to_owned()).collect()
}

/// Returns the line of the engine's output that reports its error. It says more than kind's own line, which has the
/// command.
fn engine_error(lines: &[String]) -> Option<String> {
    let line = lines.iter().rfind(|line| line.contains("Error"))?;
    let line = line.trim_start_matches("docker: ").trim_start_matches("Error: ");
    Some(line.trim_start_matches("Error response from daemon: ").to_owned())
}

/// Returns the line `ERROR: failed to create cluster: …` without its prefix, else the last line.
fn error_line(output: &str) -> String {
    let line = output.lines().find(|line| line.starts_with("ERROR:"));
    let line = line.or_else(|| output.lines().rfind(|line| !line.trim().is_empty())).unwrap_or_default();
    let line = line.trim().trim_start_matches("ERROR:").trim();
    line.strip_prefix("failed to create cluster:").unwrap_or(line).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reason_is_found_in_kind_engine_and_node_output() {
        for (output, reason) in [
            (
                "ERROR: failed to create cluster: command \"docker run …\" failed with error: exit status 125\nCommand Output: docker: Error response from daemon: driver failed programming external connectivity on endpoint x-control-plane: Bind for 127.0.0.1:80 failed: port is already allocated.",
                "a port that the cluster maps is in use, or this user may not listen on it",
            ),
            (
                "ERROR: failed to create cluster: failed to pull image \"kindest/node:v9\": …\nCommand Output: Error response from daemon: manifest for kindest/node:v9 not found: manifest unknown",
                "the node image does not exist",
            ),
            (
                "ERROR: failed to create cluster: failed to pull image \"kindest/node:v9\": …\nCommand Output: Error response from daemon: Get \"https://registry-1.docker.io/v2/\": dial tcp: lookup registry-1.docker.io: no such host",
                "the node image cannot be pulled",
            ),
            (
                "ERROR: failed to create cluster: could not find a log line that matches \"Reached target .*Multi-User System.*|detected cgroup v1\"",
                "the node's system did not start; cgroups or the kernel do not fit the node image",
            ),
            (
                "cgroup v1 is deprecated in Kubernetes\nERROR: failed to create cluster: something new\nStack Trace:",
                "something new",
            ),
            ("", ""),
        ] {
            assert_eq!(from_output(Engine::Docker, output).text, reason, "{output}");
        }
    }

    /// The output of kind for a command of the engine that failed, with the stack trace that ends it.
    fn kind_output(engine: &str) -> String {
        let stack = "sigs.k8s.io/kind/pkg/errors.WithStack\n".repeat(20);
        format!(
            "ERROR: failed to create cluster: command \"docker run --name x\" failed with error: exit status 125\n\
             Command Output: {engine}\nStack Trace: \n{stack}"
        )
    }

    #[test]
    fn used_up_address_pools_are_named_with_the_engines_words() {
        for words in [
            "Error response from daemon: all predefined address pools have been fully subnetted",
            "Error response from daemon: could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network",
        ] {
            let reason = from_output(Engine::Docker, &kind_output(words));
            assert_eq!(reason.text, "the engine has no free address range for kind's network");
            assert_eq!(reason.engine, [words]);
            let error =
                Error::new(crate::catalogue::Id::ClusterCreateFailed, crate::error::Kind::Prerequisite, "x");
            let error = reason.add_to(error);
            assert_eq!(error.facts()[0].text, words);
            assert!(error.hints()[0].starts_with("docker network prune"), "{:?}", error.hints());
        }
    }

    #[test]
    fn unknown_error_of_the_engine_is_the_reason() {
        let id = "4f6e0a";
        let words = "docker: Error response from daemon: OCI runtime create failed: something new";
        let reason = from_output(Engine::Docker, &kind_output(&format!("{id}\n{words}")));
        assert_eq!(reason.text, "OCI runtime create failed: something new");
        assert_eq!(reason.engine[0], id, "the other lines are kept");
        let long: Vec<String> = (0..40).map(|line| format!("line {line}")).collect();
        assert_eq!(from_output(Engine::Docker, &kind_output(&long.join("\n"))).engine.len(), ENGINE_LINES);
    }

    #[test]
    fn hint_names_the_engine_that_runs_the_nodes() {
        for engine in Engine::ALL {
            let reason = from_output(engine, "write /x: no space left on device");
            assert_eq!(reason.hint, format!("{engine} system prune deletes data that no container uses"));
        }
    }

    #[test]
    fn failed_pull_proposes_the_newest_image_of_the_engine() {
        let words = "Error response from daemon: dial tcp: lookup registry-1.docker.io: no such host";
        let output = format!(
            "using docker due to {PROVIDER_VARIABLE}\ncgroup v1 is deprecated\n{}",
            kind_output(words)
        );
        let reason = from_output(Engine::Docker, &output);
        assert!(reason.lacks_image);
        let shown = reason.without_repetition(&output);
        assert!(shown.starts_with("ERROR: failed to create cluster: "), "{shown}");
        assert!(!shown.contains(words) && !shown.contains("WithStack"), "{shown}");
        let images =
            ["kindest/node:v1.9.9", "kindest/node:v1.34.4", "kindest/node:v1.34.0"].map(str::to_owned);
        let hint = |is_configured| reason.clone().proposing(Engine::Docker, &images, is_configured).hint;
        assert_eq!(
            hint(false),
            "KIND_NODE_IMAGE=kindest/node:v1.34.4 handsctl up uses an image that docker has"
        );
        assert!(hint(true).starts_with("handsctl up --set cluster.node_image=kindest/node:v1.34.4 "));
        assert_eq!(reason.clone().proposing(Engine::Docker, &[], false), reason, "the engine has none");
        assert!(!from_output(Engine::Docker, "no space left on device").lacks_image);
    }

    #[test]
    fn unquoted_output_has_no_engine_lines() {
        assert_eq!(
            from_output(Engine::Docker, "ERROR: failed to create cluster: something new").engine,
            Vec::<String>::new()
        );
    }
}
