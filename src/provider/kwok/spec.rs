//! What a cluster was made from, as its record keeps it, and how that differs from what is wanted now.

use serde::{Deserialize, Serialize};

use crate::provider::assets::component::Component;
use crate::provider::cluster_spec::ClusterSpec;
use crate::provider::local_cluster::LocalProvider;
use crate::provider::state_file::{self, ProviderState};

/// What a cluster was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KwokSpec {
    /// Nodes beside the first one.
    pub workers: u32,
    /// Version of the control plane: `v1.34.4`.
    pub kubernetes: String,
}

/// The ports of a cluster, all on loopback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KwokPorts {
    pub(super) etcd: u16,
    pub(super) etcd_peer: u16,
    pub(super) kube_apiserver: u16,
    pub(super) kube_controller_manager: u16,
    pub(super) kube_scheduler: u16,
    pub(super) kwok_controller: u16,
}

impl KwokPorts {
    pub(super) const COUNT: usize = 6;

    pub(super) const fn from_array(ports: [u16; Self::COUNT]) -> Self {
        let [etcd, etcd_peer, kube_apiserver, kube_controller_manager, kube_scheduler, kwok_controller] =
            ports;
        Self { etcd, etcd_peer, kube_apiserver, kube_controller_manager, kube_scheduler, kwok_controller }
    }

    /// The port that a component serves.
    pub(super) const fn of(self, component: Component) -> u16 {
        match component {
            Component::Etcd => self.etcd,
            Component::KubeApiserver => self.kube_apiserver,
            Component::KubeControllerManager => self.kube_controller_manager,
            Component::KubeScheduler => self.kube_scheduler,
            Component::KwokController => self.kwok_controller,
        }
    }

    pub(super) const fn to_array(self) -> [u16; Self::COUNT] {
        [
            self.etcd,
            self.etcd_peer,
            self.kube_apiserver,
            self.kube_controller_manager,
            self.kube_scheduler,
            self.kwok_controller,
        ]
    }
}

/// What a record keeps of a cluster of this provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KwokState {
    pub(super) spec: KwokSpec,
    pub(super) ports: KwokPorts,
}

impl ProviderState for KwokState {
    const MAKER: LocalProvider = LocalProvider::Kwok;
}

pub(super) type KwokStateFile = state_file::StateFile<KwokState>;

/// What is wanted and is not so, each as `workers: 0, wanted 2`.
pub(super) fn differences(spec: &KwokSpec, wanted: &ClusterSpec) -> Vec<String> {
    let mut found = Vec::new();
    if spec.workers != wanted.workers {
        found.push(format!("workers: {}, wanted {}", spec.workers, wanted.workers));
    }
    if let Some(version) = wanted.kubernetes.as_ref().filter(|version| **version != spec.kubernetes) {
        found.push(format!("kubernetes_version: {}, wanted {version}", spec.kubernetes));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_asked_for_can_differ() {
        let spec = KwokSpec { workers: 1, kubernetes: "v1.34.4".into() };
        let wanted = |workers, kubernetes: Option<&str>| ClusterSpec {
            workers,
            kubernetes: kubernetes.map(str::to_owned),
            ..ClusterSpec::named("x")
        };
        assert!(differences(&spec, &wanted(1, None)).is_empty());
        assert!(differences(&spec, &wanted(1, Some("v1.34.4"))).is_empty());
        assert_eq!(
            differences(&spec, &wanted(2, Some("v1.35.0"))),
            ["workers: 1, wanted 2", "kubernetes_version: v1.34.4, wanted v1.35.0"]
        );
    }
}
