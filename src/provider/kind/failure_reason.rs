//! Why kind could not make a cluster, in one line, from what it printed. Pure.

/// Why it could not be made, and the sentence that mends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FailureReason {
    pub(super) text: String,
    pub(super) hint: &'static str,
}

/// Words of kind, its engine or kubeadm, what they mean, and what mends it.
struct Meaning {
    signs: &'static [&'static str],
    text: &'static str,
    hint: &'static str,
}

const AGAIN: &str = "mend it and run the command again";

/// The first that is found counts.
const MEANINGS: &[Meaning] = &[
    Meaning {
        signs: &[
            "port is already allocated",
            "address already in use",
            "failed to bind host port",
            "bind: permission denied",
        ],
        text: "a port that it maps was taken, or may not be used, on this computer",
        hint: "[cluster] http_port = 8080, or another that is free",
    },
    Meaning {
        signs: &["no space left on device"],
        text: "the disk is full",
        hint: "docker system prune frees what no container uses",
    },
    Meaning {
        signs: &["too many open files", "inotify"],
        text: "the kernel's inotify limits are too low",
        hint: "sudo sysctl fs.inotify.max_user_watches=524288 fs.inotify.max_user_instances=512",
    },
    Meaning {
        signs: &["manifest unknown", "manifest for", "pull access denied", "repository does not exist"],
        text: "the node image does not exist",
        hint: "[cluster] node_image names another: https://github.com/kubernetes-sigs/kind/releases lists kind's",
    },
    Meaning {
        signs: &["failed to pull image", "no such host", "i/o timeout", "tls handshake timeout"],
        text: "the node image cannot be pulled",
        hint: "[cluster] node_image, or KIND_NODE_IMAGE, names one that the engine has; provider = \"kwok\" needs none",
    },
    Meaning {
        signs: &["is already in use by container", "node(s) already exist"],
        text: "containers of that name are there already",
        hint: AGAIN,
    },
    Meaning {
        signs: &["cannot connect to the docker daemon", "is the docker daemon running"],
        text: "the container engine went away",
        hint: AGAIN,
    },
    Meaning {
        signs: &["could not find a log line that matches", "could not find a line that matches"],
        text: "the node's system did not start; cgroups or the kernel do not fit the node image",
        hint: "https://kind.sigs.k8s.io/docs/user/known-issues says what each engine needs",
    },
    Meaning {
        signs: &[
            "kubelet is not running",
            "kubelet isn't running",
            "kubelet is not healthy",
            "kubelet-check",
        ],
        text: "the node's kubelet did not get healthy",
        hint: AGAIN,
    },
    Meaning {
        signs: &["failed to init node with kubeadm", "timed out waiting for the condition"],
        text: "the node's control plane did not start in time",
        hint: AGAIN,
    },
    Meaning { signs: &["cgroup"], text: "the engine's cgroups do not fit what kind needs", hint: AGAIN },
];

/// What the known words mean, else kind's own last words.
pub(super) fn of(said: &str) -> FailureReason {
    // That something will go one day is no reason.
    let lines = said.lines().filter(|line| !line.contains("is deprecated"));
    let words = lines.map(str::to_lowercase).collect::<Vec<_>>().join("\n");
    let known = MEANINGS.iter().find(|meaning| meaning.signs.iter().any(|sign| words.contains(sign)));
    match known {
        Some(meaning) => FailureReason { text: meaning.text.to_owned(), hint: meaning.hint },
        None => FailureReason { text: last_words(said), hint: AGAIN },
    }
}

/// `ERROR: failed to create cluster: …` without its beginning.
fn last_words(said: &str) -> String {
    let line = said.lines().find(|line| line.starts_with("ERROR:"));
    let line = line.or_else(|| said.lines().rfind(|line| !line.trim().is_empty())).unwrap_or_default();
    let line = line.trim().trim_start_matches("ERROR:").trim();
    line.strip_prefix("failed to create cluster:").unwrap_or(line).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_every_layer() {
        for (said, cause) in [
            (
                "ERROR: failed to create cluster: command \"docker run …\" failed with error: exit status 125\nCommand Output: docker: Error response from daemon: driver failed programming external connectivity on endpoint x-control-plane: Bind for 127.0.0.1:80 failed: port is already allocated.",
                "a port that it maps was taken, or may not be used, on this computer",
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
            assert_eq!(of(said).text, cause, "{said}");
        }
    }
}
