//! The spec of a cluster as its record keeps it, and its differences from the desired state.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::provider::assets::component::ControlPlaneComponent;
use crate::provider::cluster_spec::ClusterSpec;
use crate::provider::local_cluster::LocalProvider;
use crate::provider::state_file::{self, ProviderState};

/// The spec that a cluster was created from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KwokSpec {
    /// Number of nodes in addition to the first one.
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

    /// Returns the port that a component listens on.
    pub(super) const fn port(self, component: ControlPlaneComponent) -> u16 {
        match component {
            ControlPlaneComponent::Etcd => self.etcd,
            ControlPlaneComponent::KubeApiserver => self.kube_apiserver,
            ControlPlaneComponent::KubeControllerManager => self.kube_controller_manager,
            ControlPlaneComponent::KubeScheduler => self.kube_scheduler,
            ControlPlaneComponent::KwokController => self.kwok_controller,
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

/// The part of a record that only kwok clusters have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KwokState {
    pub(super) spec: KwokSpec,
    pub(super) ports: KwokPorts,
}

impl ProviderState for KwokState {
    const PROVIDER: LocalProvider = LocalProvider::Kwok;
}

pub(super) type KwokStateFile = state_file::StateFile<KwokState>;

/// Lists the differences from the desired state, each as `workers: 0, configured 2`.
pub(super) fn differences(spec: &KwokSpec, desired: &ClusterSpec) -> Vec<String> {
    let mut differences = Vec::new();
    if spec.workers != desired.workers {
        differences.push(format!("workers: {}, configured {}", spec.workers, desired.workers));
    }
    if let Some(version) = desired.kubernetes.as_ref().filter(|version| **version != spec.kubernetes) {
        differences.push(format!("kubernetes_version: {}, configured {version}", spec.kubernetes));
    }
    differences
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_configured_values_can_differ() {
        let spec = KwokSpec { workers: 1, kubernetes: "v1.34.4".into() };
        let desired = |workers, kubernetes: Option<&str>| ClusterSpec {
            workers,
            kubernetes: kubernetes.map(str::to_owned),
            ..ClusterSpec::named("x")
        };
        assert!(differences(&spec, &desired(1, None)).is_empty());
        assert!(differences(&spec, &desired(1, Some("v1.34.4"))).is_empty());
        assert_eq!(
            differences(&spec, &desired(2, Some("v1.35.0"))),
            ["workers: 1, configured 2", "kubernetes_version: v1.34.4, configured v1.35.0"]
        );
    }
}
