//! The kinds that the templates use, so that the main path needs no discovery.

use super::id::ObjectId;

/// How a kind is addressed at the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KindInfo {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// Version within the group.
    pub version: &'static str,
    /// `Deployment`.
    pub kind: &'static str,
    /// `deployments`.
    pub plural: &'static str,
    /// Whether objects live in a namespace.
    pub namespaced: bool,
    /// When it is sent.
    pub wave: Wave,
    /// Whether deleting it deletes data.
    pub holds_data: bool,
}

/// Where the objects of a kind are in the API, in a namespace or in the cluster
/// (<https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-uris>).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collection(String);

/// Objects of one wave are sent at the same time; a wave begins when the one before has been answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Wave {
    /// The namespace, the set's parent and its key.
    Foundation,
    /// Everything that workloads refer to.
    Configuration,
    /// What starts pods, and what sends traffic to them.
    Workload,
}

const fn core(kind: &'static str, plural: &'static str) -> KindInfo {
    KindInfo {
        group: "",
        version: "v1",
        kind,
        plural,
        namespaced: true,
        wave: Wave::Configuration,
        holds_data: false,
    }
}

const fn grouped(group: &'static str, kind: &'static str, plural: &'static str) -> KindInfo {
    KindInfo { group, ..core(kind, plural) }
}

/// `apps/v1 Deployment`.
pub const DEPLOYMENT: KindInfo =
    KindInfo { wave: Wave::Workload, ..grouped("apps", "Deployment", "deployments") };
/// `networking.k8s.io/v1 Ingress`.
pub const INGRESS: KindInfo =
    KindInfo { wave: Wave::Workload, ..grouped("networking.k8s.io", "Ingress", "ingresses") };
/// `v1 PersistentVolumeClaim`.
pub const CLAIM: KindInfo =
    KindInfo { holds_data: true, ..core("PersistentVolumeClaim", "persistentvolumeclaims") };
/// `v1 ConfigMap`.
pub const CONFIG_MAP: KindInfo = core("ConfigMap", "configmaps");
/// `v1 Secret`.
pub const SECRET: KindInfo = core("Secret", "secrets");
/// `v1 Service`.
pub const SERVICE: KindInfo = core("Service", "services");
/// `v1 ServiceAccount`.
pub const SERVICE_ACCOUNT: KindInfo = core("ServiceAccount", "serviceaccounts");
/// `rbac.authorization.k8s.io/v1 Role`.
pub const ROLE: KindInfo = grouped("rbac.authorization.k8s.io", "Role", "roles");
/// `rbac.authorization.k8s.io/v1 RoleBinding`.
pub const ROLE_BINDING: KindInfo = grouped("rbac.authorization.k8s.io", "RoleBinding", "rolebindings");
/// `networking.k8s.io/v1 NetworkPolicy`.
pub const NETWORK_POLICY: KindInfo = grouped("networking.k8s.io", "NetworkPolicy", "networkpolicies");
/// `v1 Namespace`: made where it is missing, never a member.
pub const NAMESPACE: KindInfo =
    KindInfo { namespaced: false, wave: Wave::Foundation, ..core("Namespace", "namespaces") };
/// `v1 Node`, made for simulated clusters only.
pub const NODE: KindInfo = KindInfo { namespaced: false, ..core("Node", "nodes") };
/// `storage.k8s.io/v1 StorageClass`, made for simulated clusters only.
pub const STORAGE_CLASS: KindInfo =
    KindInfo { namespaced: false, ..grouped("storage.k8s.io", "StorageClass", "storageclasses") };
/// `coordination.k8s.io/v1 Lease`: the lock of a set, heartbeats of nodes.
pub const LEASE: KindInfo = grouped("coordination.k8s.io", "Lease", "leases");
/// `batch/v1 Job`, of ingress-nginx only.
pub const JOB: KindInfo = KindInfo { wave: Wave::Workload, ..grouped("batch", "Job", "jobs") };
/// `rbac.authorization.k8s.io/v1 ClusterRole`, of ingress controllers of local clusters only.
pub const CLUSTER_ROLE: KindInfo =
    KindInfo { namespaced: false, ..grouped("rbac.authorization.k8s.io", "ClusterRole", "clusterroles") };
/// `rbac.authorization.k8s.io/v1 ClusterRoleBinding`, the same.
pub const CLUSTER_ROLE_BINDING: KindInfo = KindInfo {
    namespaced: false,
    ..grouped("rbac.authorization.k8s.io", "ClusterRoleBinding", "clusterrolebindings")
};
/// `networking.k8s.io/v1 IngressClass`, the same.
pub const INGRESS_CLASS: KindInfo =
    KindInfo { namespaced: false, ..grouped("networking.k8s.io", "IngressClass", "ingressclasses") };
/// `admissionregistration.k8s.io/v1 ValidatingWebhookConfiguration`, of ingress-nginx only.
pub const VALIDATING_WEBHOOK: KindInfo = KindInfo {
    namespaced: false,
    ..grouped(
        "admissionregistration.k8s.io",
        "ValidatingWebhookConfiguration",
        "validatingwebhookconfigurations",
    )
};
/// `v1 ResourceQuota`.
pub const RESOURCE_QUOTA: KindInfo = core("ResourceQuota", "resourcequotas");
/// `v1 LimitRange`.
pub const LIMIT_RANGE: KindInfo = core("LimitRange", "limitranges");
/// `autoscaling/v2 HorizontalPodAutoscaler`.
pub const AUTOSCALER: KindInfo = KindInfo {
    version: "v2",
    wave: Wave::Workload,
    ..grouped("autoscaling", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
};
/// `route.openshift.io/v1 Route`, of `OpenShift` only.
pub const ROUTE: KindInfo =
    KindInfo { wave: Wave::Workload, ..grouped("route.openshift.io", "Route", "routes") };
/// `metrics.k8s.io/v1beta1 PodMetrics`, served by metrics-server.
pub const POD_METRICS: KindInfo =
    KindInfo { version: "v1beta1", ..grouped("metrics.k8s.io", "PodMetrics", "pods") };
/// `authorization.k8s.io/v1 SelfSubjectRulesReview`: what the account may do in a namespace.
pub const SELF_RULES_REVIEW: KindInfo = KindInfo {
    namespaced: false,
    ..grouped("authorization.k8s.io", "SelfSubjectRulesReview", "selfsubjectrulesreviews")
};
/// `authorization.k8s.io/v1 SelfSubjectAccessReview`: whether the account may do one thing.
pub const SELF_ACCESS_REVIEW: KindInfo = KindInfo {
    namespaced: false,
    ..grouped("authorization.k8s.io", "SelfSubjectAccessReview", "selfsubjectaccessreviews")
};
/// `v1 Pod`, watched; made only to pull an image.
pub const POD: KindInfo = core("Pod", "pods");
/// `apps/v1 ReplicaSet`, only watched.
pub const REPLICA_SET: KindInfo = grouped("apps", "ReplicaSet", "replicasets");
/// `discovery.k8s.io/v1 EndpointSlice`, only watched.
pub const ENDPOINT_SLICE: KindInfo = grouped("discovery.k8s.io", "EndpointSlice", "endpointslices");
/// `v1 Event`, only watched.
pub const EVENT: KindInfo = core("Event", "events");

/// The kinds that are always looked for, in the order in which they are sent.
pub const MEMBERS: &[KindInfo] = &[
    SERVICE_ACCOUNT,
    ROLE,
    ROLE_BINDING,
    SECRET,
    CONFIG_MAP,
    CLAIM,
    NETWORK_POLICY,
    SERVICE,
    DEPLOYMENT,
    INGRESS,
];

/// The kinds that are looked for where the plan or the set's parent names them.
pub const FURTHER: &[KindInfo] = &[RESOURCE_QUOTA, LIMIT_RANGE, AUTOSCALER, ROUTE];

/// The kinds of members that can stand in the sandboxes' namespace, where that is another one.
pub const BESIDE_SANDBOXES: &[KindInfo] = &[ROLE, ROLE_BINDING, NETWORK_POLICY];

/// What is sent besides members: namespaces, what a simulated cluster lacks, and what ingress controllers consist of.
const AROUND: &[KindInfo] = &[
    NAMESPACE,
    NODE,
    STORAGE_CLASS,
    JOB,
    CLUSTER_ROLE,
    CLUSTER_ROLE_BINDING,
    INGRESS_CLASS,
    VALIDATING_WEBHOOK,
];

impl KindInfo {
    /// The kind of an object, where it is one that handsctl sends.
    #[must_use]
    pub fn of_id(id: &ObjectId) -> Option<Self> {
        let all = MEMBERS.iter().chain(FURTHER).chain(AROUND);
        all.copied().find(|info| info.group == id.group && info.kind == id.kind)
    }

    /// A kind that a server has named. Its few texts stay for as long as the program runs: kinds are passed by value
    /// everywhere, and a run meets a handful of those that are not known beforehand.
    #[must_use]
    pub fn discovered(api_version: &str, kind: &str, plural: &str, namespaced: bool) -> Self {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let known = Self::of_id(&ObjectId::cluster(group, kind, ""));
        if let Some(known) = known.filter(|known| known.version == version) {
            return known;
        }
        let stays = |text: &str| -> &'static str { Box::leak(text.to_owned().into_boxed_str()) };
        let wave = if matches!(group, "apps" | "batch") || kind == POD.kind && group.is_empty() {
            Wave::Workload
        } else {
            Wave::Configuration
        };
        Self {
            group: stays(group),
            version: stays(version),
            kind: stays(kind),
            plural: stays(plural),
            namespaced,
            wave,
            holds_data: false,
        }
    }

    /// A kind that nobody was asked about, for texts that name it and for nothing that is sent.
    #[must_use]
    pub fn assumed(api_version: &str, kind: &str) -> Self {
        Self::discovered(api_version, kind, &format!("{}s", kind.to_ascii_lowercase()), true)
    }

    /// `apps/v1`, or `v1` for the core group.
    #[must_use]
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// `Deployment.apps`, as an ApplySet names kinds; the core group has no suffix.
    #[must_use]
    pub fn group_kind(&self) -> String {
        if self.group.is_empty() { self.kind.to_owned() } else { format!("{}.{}", self.kind, self.group) }
    }

    /// The collection of this kind in a namespace; None, and kinds of the cluster: in the cluster.
    #[must_use]
    pub fn collection(&self, namespace: Option<&str>) -> Collection {
        let root = if self.group.is_empty() { "/api" } else { "/apis" };
        let version = self.api_version();
        Collection(match namespace.filter(|_| self.namespaced) {
            Some(namespace) => format!("{root}/{version}/namespaces/{namespace}/{}", self.plural),
            None => format!("{root}/{version}/{}", self.plural),
        })
    }

    /// The collection of this kind in this namespace.
    #[must_use]
    pub fn in_namespace(&self, namespace: &str) -> Collection {
        self.collection(Some(namespace))
    }

    /// An object of this kind.
    #[must_use]
    pub fn id(&self, namespace: &str, name: &str) -> ObjectId {
        if self.namespaced {
            ObjectId::namespaced(self.group, self.kind, namespace, name)
        } else {
            ObjectId::cluster(self.group, self.kind, name)
        }
    }
}

impl Collection {
    /// `/api/v1/namespaces/a/pods`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_api() {
        assert_eq!(DEPLOYMENT.collection(Some("a")).path(), "/apis/apps/v1/namespaces/a/deployments");
        assert_eq!(SECRET.collection(Some("a")).path(), "/api/v1/namespaces/a/secrets");
        assert_eq!(NODE.collection(None).path(), "/api/v1/nodes");
        assert_eq!(NAMESPACE.collection(Some("ignored")).path(), "/api/v1/namespaces");
    }

    #[test]
    fn members_are_listed_in_the_order_of_their_waves() {
        assert!(MEMBERS.is_sorted_by_key(|info| info.wave) && FURTHER.is_sorted_by_key(|info| info.wave));
    }

    #[test]
    fn a_known_object_finds_its_kind() {
        assert_eq!(KindInfo::of_id(&DEPLOYMENT.id("a", "b")), Some(DEPLOYMENT));
        assert_eq!(KindInfo::of_id(&ObjectId::cluster("example.org", "Deployment", "x")), None);
    }
}
