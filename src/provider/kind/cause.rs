//! Why kind could not make a cluster, in one line, from what it printed. Pure.

/// Words of kind, its engine or kubeadm, and what they mean. The first that is found counts.
const MEANINGS: &[(&[&str], &str)] = &[
    (
        &[
            "port is already allocated",
            "address already in use",
            "failed to bind host port",
            "bind: permission denied",
        ],
        "a port that it maps was taken, or may not be used, on this computer",
    ),
    (&["no space left on device"], "the disk is full"),
    (
        &["too many open files", "inotify"],
        "the kernel's inotify limits are too low: raise fs.inotify.max_user_watches and max_user_instances",
    ),
    (
        &["manifest unknown", "manifest for", "pull access denied", "repository does not exist"],
        "the node image does not exist",
    ),
    (
        &["failed to pull image", "no such host", "i/o timeout", "TLS handshake timeout"],
        "the node image cannot be pulled",
    ),
    (
        &["is already in use by container", "node(s) already exist"],
        "containers of that name are there already",
    ),
    (
        &["cannot connect to the docker daemon", "is the docker daemon running"],
        "the container engine went away",
    ),
    (
        &["could not find a log line that matches", "could not find a line that matches"],
        "the node's system did not start; cgroups or the kernel do not fit the node image",
    ),
    (
        &["kubelet is not running", "kubelet isn't running", "kubelet is not healthy", "kubelet-check"],
        "the node's kubelet did not get healthy",
    ),
    (
        &["failed to init node with kubeadm", "timed out waiting for the condition"],
        "the node's control plane did not start in time",
    ),
    (&["cgroup"], "the engine's cgroups do not fit what kind needs"),
];

/// One line: what the known words mean, else kind's own last words.
pub(super) fn of(said: &str) -> String {
    let words = said.to_lowercase();
    let known = MEANINGS.iter().find(|(signs, _)| signs.iter().any(|sign| words.contains(sign)));
    match known {
        Some((_, meaning)) => (*meaning).to_owned(),
        None => last_words(said),
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
            ("ERROR: failed to create cluster: something new\nStack Trace:", "something new"),
            ("", ""),
        ] {
            assert_eq!(of(said), cause, "{said}");
        }
    }
}
