//! The versions that handsctl is tested with, and the Go modules that pin them (`kind/assets`).

use std::collections::BTreeMap;

use serde::Deserialize;

use super::program::ProgramSet;
use crate::error::{Error, Result};

/// `kind/assets/versions.toml`.
#[derive(Debug, Deserialize)]
pub(super) struct Pinned {
    etcd: Pin,
    kubernetes: Pin,
    kwok: Pin,
    kind: Pin,
}

/// The pinned version of one set.
#[derive(Debug, Deserialize)]
pub(super) struct Pin {
    /// `v1.34.4`.
    pub(super) version: String,
    /// SHA-256 in hex by the end of the file's URL.
    #[serde(default)]
    pub(super) sha256: BTreeMap<String, String>,
}

impl Pinned {
    pub(super) fn read() -> Result<Self> {
        toml::from_str(include_str!("../../../kind/assets/versions.toml"))
            .map_err(|error| Error::internal("cannot read the embedded versions.toml").caused_by(error))
    }

    pub(super) const fn pin(&self, set: ProgramSet) -> &Pin {
        match set {
            ProgramSet::Etcd => &self.etcd,
            ProgramSet::Kubernetes => &self.kubernetes,
            ProgramSet::Kwok => &self.kwok,
            ProgramSet::Kind => &self.kind,
        }
    }
}

/// A Go module that pins a set: `go.mod` and `go.sum`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Module {
    pub(super) manifest: &'static str,
    pub(super) sums: &'static str,
}

pub(super) const fn module(set: ProgramSet) -> Module {
    match set {
        ProgramSet::Etcd => Module {
            manifest: include_str!("../../../kind/assets/etcd/go.mod"),
            sums: include_str!("../../../kind/assets/etcd/go.sum"),
        },
        ProgramSet::Kubernetes => Module {
            manifest: include_str!("../../../kind/assets/kubernetes/go.mod"),
            sums: include_str!("../../../kind/assets/kubernetes/go.sum"),
        },
        ProgramSet::Kwok => Module {
            manifest: include_str!("../../../kind/assets/kwok/go.mod"),
            sums: include_str!("../../../kind/assets/kwok/go.sum"),
        },
        ProgramSet::Kind => Module {
            manifest: include_str!("../../../kind/assets/kind/go.mod"),
            sums: include_str!("../../../kind/assets/kind/go.sum"),
        },
    }
}

impl Module {
    /// Returns the Go version that the module requires: `1.26.0`.
    pub(super) fn go(self) -> Option<&'static str> {
        self.manifest.lines().find_map(|line| line.strip_prefix("go "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_modules_pin_the_versions_of_versions_toml() {
        let pinned = Pinned::read().unwrap();
        for (set, path) in [
            (ProgramSet::Etcd, "go.etcd.io/etcd/server/v3"),
            (ProgramSet::Kubernetes, "k8s.io/kubernetes"),
            (ProgramSet::Kwok, "sigs.k8s.io/kwok"),
            (ProgramSet::Kind, "sigs.k8s.io/kind"),
        ] {
            let line = format!("require {path} {}", pinned.pin(set).version);
            assert!(module(set).manifest.lines().any(|it| it == line), "{set}: {line}");
            assert!(module(set).go().is_some());
            assert!(module(set).sums.contains(&format!("{path} {} h1:", pinned.pin(set).version)), "{set}");
        }
    }
}
