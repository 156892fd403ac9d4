//! The programs of a local cluster, and which of them belong together.

use std::fmt;

/// A program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Program {
    Etcd,
    KubeApiserver,
    KubeControllerManager,
    KubeScheduler,
    Kubectl,
    Kwok,
    Kwokctl,
}

impl Program {
    /// All, in the order in which they are prepared.
    pub(super) const ALL: [Self; 7] = [
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
        }
    }

    /// The Go package that it is built from.
    pub(super) const fn package(self) -> &'static str {
        match self {
            Self::Etcd => "go.etcd.io/etcd/server/v3",
            Self::KubeApiserver => "k8s.io/kubernetes/cmd/kube-apiserver",
            Self::KubeControllerManager => "k8s.io/kubernetes/cmd/kube-controller-manager",
            Self::KubeScheduler => "k8s.io/kubernetes/cmd/kube-scheduler",
            Self::Kubectl => "k8s.io/kubernetes/cmd/kubectl",
            Self::Kwok => "sigs.k8s.io/kwok/cmd/kwok",
            Self::Kwokctl => "sigs.k8s.io/kwok/cmd/kwokctl",
        }
    }

    /// What makes it print its version and nothing else.
    pub(super) const fn version_arguments(self) -> &'static [&'static str] {
        match self {
            Self::Kubectl => &["version", "--client"],
            _ => &["--version"],
        }
    }

    /// `(2 of 7)`.
    pub(super) fn position(self) -> String {
        let index = Self::ALL.iter().position(|it| *it == self).map_or(0, |index| index + 1);
        format!("{index} of {}", Self::ALL.len())
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Programs that come from one place and in one version, or not at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Set {
    Etcd,
    Kubernetes,
    Kwok,
}

impl Set {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::Kubernetes => "kubernetes",
            Self::Kwok => "kwok",
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
        }
    }
}

impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The version in what a program prints: `etcd Version: 3.6.16` → `v3.6.16`.
pub(super) fn version_in(text: &str) -> Option<String> {
    text.split_whitespace().find_map(|word| {
        let number = word.trim_start_matches('v');
        let mut parts = number.splitn(3, '.');
        let digits =
            |part: Option<&str>| part.is_some_and(|part| part.starts_with(|c: char| c.is_ascii_digit()));
        (digits(parts.next()) && digits(parts.next()) && digits(parts.next())).then(|| format!("v{number}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_as_the_programs_print_them() {
        for (text, version) in [
            ("etcd Version: 3.6.16\nGit SHA: Not provided\n", Some("v3.6.16")),
            ("Kubernetes v1.34.4\n", Some("v1.34.4")),
            ("Client Version: v1.34.4\nKustomize Version: v5.7.1\n", Some("v1.34.4")),
            ("kwokctl version v0.8.0 go1.26.8 (linux/amd64)\n", Some("v0.8.0")),
            ("Kubernetes v1.35.0-rc.1\n", Some("v1.35.0-rc.1")),
            ("usage: thing [v1]\n", None),
        ] {
            assert_eq!(version_in(text).as_deref(), version, "{text}");
        }
    }

    #[test]
    fn every_program_is_in_one_set() {
        let sets = [Set::Etcd, Set::Kubernetes, Set::Kwok];
        for program in Program::ALL {
            assert_eq!(sets.iter().filter(|set| set.programs().contains(&program)).count(), 1, "{program}");
        }
        assert_eq!(Program::Kubectl.position(), "5 of 7");
    }
}
