//! The programs of a local cluster, and the sets that they belong to.

use std::fmt;

/// A program of a local cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Program {
    Etcd,
    KubeApiserver,
    KubeControllerManager,
    KubeScheduler,
    Kubectl,
    Kwok,
    Kwokctl,
    Kind,
}

impl Program {
    /// The programs of a kwok cluster, in the order in which they are prepared.
    pub(super) const SIMULATED: [Self; 7] = [
        Self::Etcd,
        Self::KubeApiserver,
        Self::KubeControllerManager,
        Self::KubeScheduler,
        Self::Kubectl,
        Self::Kwok,
        Self::Kwokctl,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::KubeApiserver => "kube-apiserver",
            Self::KubeControllerManager => "kube-controller-manager",
            Self::KubeScheduler => "kube-scheduler",
            Self::Kubectl => "kubectl",
            Self::Kwok => "kwok",
            Self::Kwokctl => "kwokctl",
            Self::Kind => "kind",
        }
    }

    /// Returns the Go package that the program is built from.
    pub(super) const fn package(self) -> &'static str {
        match self {
            Self::Etcd => "go.etcd.io/etcd/server/v3",
            Self::KubeApiserver => "k8s.io/kubernetes/cmd/kube-apiserver",
            Self::KubeControllerManager => "k8s.io/kubernetes/cmd/kube-controller-manager",
            Self::KubeScheduler => "k8s.io/kubernetes/cmd/kube-scheduler",
            Self::Kubectl => "k8s.io/kubernetes/cmd/kubectl",
            Self::Kwok => "sigs.k8s.io/kwok/cmd/kwok",
            Self::Kwokctl => "sigs.k8s.io/kwok/cmd/kwokctl",
            Self::Kind => "sigs.k8s.io/kind",
        }
    }

    /// Returns the arguments with which the program prints its version and exits.
    pub(super) const fn version_arguments(self) -> &'static [&'static str] {
        match self {
            Self::Kubectl => &["version", "--client"],
            Self::Kind => &["version"],
            _ => &["--version"],
        }
    }

    /// Returns the program's position among the programs of its cluster: `2 of 7`.
    pub(super) fn position(self) -> String {
        match Self::SIMULATED.iter().position(|it| *it == self) {
            Some(index) => format!("{} of {}", index + 1, Self::SIMULATED.len()),
            None => "1 of 1".to_owned(),
        }
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Programs that must come from the same folder and have the same version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProgramSet {
    Etcd,
    Kubernetes,
    Kwok,
    Kind,
}

impl ProgramSet {
    /// All sets.
    #[cfg(test)]
    pub(super) const ALL: [Self; 4] = [Self::Etcd, Self::Kubernetes, Self::Kwok, Self::Kind];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::Kubernetes => "kubernetes",
            Self::Kwok => "kwok",
            Self::Kind => "kind",
        }
    }

    /// Returns the oldest installed version that is accepted; None: only the exact version is accepted.
    pub(super) const fn minimum_version(self) -> Option<&'static str> {
        match self {
            // The first version whose `kind load` supports current node images (containerd 2,
            // https://github.com/kubernetes-sigs/kind/releases/tag/v0.27.0).
            Self::Kind => Some("v0.27.0"),
            Self::Etcd | Self::Kubernetes | Self::Kwok => None,
        }
    }

    pub(super) const fn programs(self) -> &'static [Program] {
        match self {
            Self::Etcd => &[Program::Etcd],
            Self::Kubernetes => &[
                Program::KubeApiserver,
                Program::KubeControllerManager,
                Program::KubeScheduler,
                Program::Kubectl,
            ],
            Self::Kwok => &[Program::Kwok, Program::Kwokctl],
            Self::Kind => &[Program::Kind],
        }
    }
}

impl fmt::Display for ProgramSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Finds the version in a program's output: `etcd Version: 3.6.16` → `v3.6.16`.
pub(super) fn version_in(text: &str) -> Option<String> {
    text.split_whitespace().find_map(|word| {
        let number = word.trim_start_matches('v');
        let mut parts = number.splitn(3, '.');
        let digits =
            |part: Option<&str>| part.is_some_and(|part| part.starts_with(|c: char| c.is_ascii_digit()));
        (digits(parts.next()) && digits(parts.next()) && digits(parts.next())).then(|| format!("v{number}"))
    })
}

/// Whether a version is `least` or newer.
pub(super) fn is_at_least(version: &str, least: &str) -> bool {
    let numbers = |text: &str| -> Vec<u64> {
        let text = text.trim_start_matches('v').split(['-', '+']).next().unwrap_or_default();
        text.split('.').map(|part| part.parse().unwrap_or_default()).collect()
    };
    numbers(version) >= numbers(least)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_is_found_in_the_output_of_each_program() {
        for (text, version) in [
            ("etcd Version: 3.6.16\nGit SHA: Not provided\n", Some("v3.6.16")),
            ("Kubernetes v1.34.4\n", Some("v1.34.4")),
            ("Client Version: v1.34.4\nKustomize Version: v5.7.1\n", Some("v1.34.4")),
            ("kwokctl version v0.8.0 go1.26.8 (linux/amd64)\n", Some("v0.8.0")),
            ("kind v0.33.0 go1.26.8 linux/amd64\n", Some("v0.33.0")),
            ("Kubernetes v1.35.0-rc.1\n", Some("v1.35.0-rc.1")),
            ("usage: program [v1]\n", None),
        ] {
            assert_eq!(version_in(text).as_deref(), version, "{text}");
        }
    }

    #[test]
    fn every_program_is_in_one_set() {
        for program in Program::SIMULATED.into_iter().chain([Program::Kind]) {
            let sets = ProgramSet::ALL.into_iter().filter(|set| set.programs().contains(&program));
            assert_eq!(sets.count(), 1, "{program}");
        }
        assert_eq!(Program::Kubectl.position(), "5 of 7");
        assert_eq!(Program::Kind.position(), "1 of 1");
    }

    #[test]
    fn versions_are_compared_by_their_numbers() {
        assert!(is_at_least("v0.33.0", "v0.27.0") && is_at_least("v0.27.0", "v0.27.0"));
        assert!(!is_at_least("v0.9.1", "v0.27.0") && is_at_least("v1.0.0-alpha", "v0.27.0"));
    }
}
