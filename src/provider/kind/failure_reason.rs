//! Derives a one-line reason from the output of a failed `kind create cluster`. Pure.

/// Why the creation failed, and a hint to fix it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FailureReason {
    pub(super) text: String,
    pub(super) hint: &'static str,
}

/// A known error of kind, the engine or kubeadm: lowercase patterns of its output, its meaning and a hint to fix it.
struct KnownFailure {
    patterns: &'static [&'static str],
    text: &'static str,
    hint: &'static str,
}

const RETRY: &str = "fix it and run the command again";

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
        hint: "[cluster] http_port = 8080, or another free port",
    },
    KnownFailure {
        patterns: &["no space left on device"],
        text: "the disk is full",
        hint: "docker system prune deletes data that no container uses",
    },
    KnownFailure {
        patterns: &["too many open files", "inotify"],
        text: "the kernel's inotify limits are too low",
        hint: "sudo sysctl fs.inotify.max_user_watches=524288 fs.inotify.max_user_instances=512",
    },
    KnownFailure {
        patterns: &["manifest unknown", "manifest for", "pull access denied", "repository does not exist"],
        text: "the node image does not exist",
        hint: "[cluster] node_image sets another image: https://github.com/kubernetes-sigs/kind/releases lists the images of kind",
    },
    KnownFailure {
        patterns: &["failed to pull image", "no such host", "i/o timeout", "tls handshake timeout"],
        text: "the node image cannot be pulled",
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

/// Returns the reason of a known failure, else kind's own error line.
pub(super) fn from_output(output: &str) -> FailureReason {
    // Deprecation warnings are not the cause of a failure.
    let lines = output.lines().filter(|line| !line.contains("is deprecated"));
    let lowercase = lines.map(str::to_lowercase).collect::<Vec<_>>().join("\n");
    let known = KNOWN_FAILURES
        .iter()
        .find(|failure| failure.patterns.iter().any(|pattern| lowercase.contains(pattern)));
    match known {
        Some(failure) => FailureReason { text: failure.text.to_owned(), hint: failure.hint },
        None => FailureReason { text: error_line(output), hint: RETRY },
    }
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
            assert_eq!(from_output(output).text, reason, "{output}");
        }
    }
}
