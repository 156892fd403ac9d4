//! The processes of a kwok cluster.

use schemars::JsonSchema;
use serde::Serialize;

/// A process that `kwokctl` starts. kwokctl uses its name for the link in the cluster's `bin`, its log and its pid
/// file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ControlPlaneComponent {
    /// The store of the API server.
    Etcd,
    /// The API server.
    KubeApiserver,
    /// The built-in controllers.
    KubeControllerManager,
    /// The scheduler.
    KubeScheduler,
    /// kwok, which simulates the kubelets.
    KwokController,
}

impl ControlPlaneComponent {
    /// All components; each one depends on the ones before it.
    pub const ALL: [Self; 5] = [
        Self::Etcd,
        Self::KubeApiserver,
        Self::KubeControllerManager,
        Self::KubeScheduler,
        Self::KwokController,
    ];

    /// Returns the name that kwokctl uses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::KubeApiserver => "kube-apiserver",
            Self::KubeControllerManager => "kube-controller-manager",
            Self::KubeScheduler => "kube-scheduler",
            Self::KwokController => "kwok-controller",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|component| component.name() == name)
    }
}
