//! The kinds that handsctl sends or watches. They are compiled in, so that a deploy needs no API discovery.

use super::id::ObjectId;

/// A kind's coordinates in the API, and how handsctl treats its objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KindInfo {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// Version within the group.
    pub version: &'static str,
    /// Such as `Deployment`.
    pub kind: &'static str,
    /// Such as `deployments`.
    pub plural: &'static str,
    /// Whether objects of the kind are namespaced.
    pub namespaced: bool,
    /// The wave in which objects of the kind are sent.
    pub wave: Wave,
    /// Whether deleting an object of the kind deletes data.
    pub holds_data: bool,
}

/// The path of a collection: the objects of one kind, in a namespace or in the cluster
/// (<https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-uris>).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collection(String);

/// A step of the apply order. Objects of one wave are sent concurrently; a wave starts when the API server has
/// responded to the previous one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Wave {
    /// The namespace, the set's parent and its key.
    Foundation,
    /// The objects that workloads refer to.
    Configuration,
    /// Objects that start pods, and objects that route traffic to them.
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
/// `v1 Namespace`: created if it is missing, never a member.
pub const NAMESPACE: KindInfo =
    KindInfo { namespaced: false, wave: Wave::Foundation, ..core("Namespace", "namespaces") };
/// `v1 Node`, created in simulated clusters only.
pub const NODE: KindInfo = KindInfo { namespaced: false, ..core("Node", "nodes") };
/// `v1 PersistentVolume`, read only.
pub const PERSISTENT_VOLUME: KindInfo =
    KindInfo { namespaced: false, ..core("PersistentVolume", "persistentvolumes") };
/// `storage.k8s.io/v1 StorageClass`, created in simulated clusters only.
pub const STORAGE_CLASS: KindInfo =
    KindInfo { namespaced: false, ..grouped("storage.k8s.io", "StorageClass", "storageclasses") };
/// `snapshot.storage.k8s.io/v1 VolumeSnapshot`, where the cluster has this API
/// (<https://kubernetes.io/docs/concepts/storage/volume-snapshots/>).
pub const VOLUME_SNAPSHOT: KindInfo =
    KindInfo { holds_data: true, ..grouped("snapshot.storage.k8s.io", "VolumeSnapshot", "volumesnapshots") };
/// `snapshot.storage.k8s.io/v1 VolumeSnapshotClass`, read only.
pub const VOLUME_SNAPSHOT_CLASS: KindInfo = KindInfo {
    namespaced: false,
    ..grouped("snapshot.storage.k8s.io", "VolumeSnapshotClass", "volumesnapshotclasses")
};
/// `snapshot.storage.k8s.io/v1 VolumeSnapshotContent`, read only.
pub const VOLUME_SNAPSHOT_CONTENT: KindInfo = KindInfo {
    namespaced: false,
    ..grouped("snapshot.storage.k8s.io", "VolumeSnapshotContent", "volumesnapshotcontents")
};
/// `coordination.k8s.io/v1 Lease`: a set's lock, and the heartbeats of nodes.
pub const LEASE: KindInfo = grouped("coordination.k8s.io", "Lease", "leases");
/// `batch/v1 Job`, for ingress-nginx only.
pub const JOB: KindInfo = KindInfo { wave: Wave::Workload, ..grouped("batch", "Job", "jobs") };
/// `rbac.authorization.k8s.io/v1 ClusterRole`, for ingress controllers of local clusters only.
pub const CLUSTER_ROLE: KindInfo =
    KindInfo { namespaced: false, ..grouped("rbac.authorization.k8s.io", "ClusterRole", "clusterroles") };
/// `rbac.authorization.k8s.io/v1 ClusterRoleBinding`, for ingress controllers of local clusters only.
pub const CLUSTER_ROLE_BINDING: KindInfo = KindInfo {
    namespaced: false,
    ..grouped("rbac.authorization.k8s.io", "ClusterRoleBinding", "clusterrolebindings")
};
/// `networking.k8s.io/v1 IngressClass`, for ingress controllers of local clusters only.
pub const INGRESS_CLASS: KindInfo =
    KindInfo { namespaced: false, ..grouped("networking.k8s.io", "IngressClass", "ingressclasses") };
/// `admissionregistration.k8s.io/v1 ValidatingWebhookConfiguration`, for ingress-nginx only.
pub const VALIDATING_WEBHOOK: KindInfo = KindInfo {
    namespaced: false,
    ..grouped(
        "admissionregistration.k8s.io",
        "ValidatingWebhookConfiguration",
        "validatingwebhookconfigurations",
    )
};
/// `admissionregistration.k8s.io/v1 MutatingWebhookConfiguration`, for `doctor` only.
pub const MUTATING_WEBHOOK: KindInfo = KindInfo {
    namespaced: false,
    ..grouped("admissionregistration.k8s.io", "MutatingWebhookConfiguration", "mutatingwebhookconfigurations")
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
/// `route.openshift.io/v1 Route`, on `OpenShift` only.
pub const ROUTE: KindInfo =
    KindInfo { wave: Wave::Workload, ..grouped("route.openshift.io", "Route", "routes") };
/// `metrics.k8s.io/v1beta1 PodMetrics`, served by metrics-server.
pub const POD_METRICS: KindInfo =
    KindInfo { version: "v1beta1", ..grouped("metrics.k8s.io", "PodMetrics", "pods") };
/// `authorization.k8s.io/v1 SelfSubjectRulesReview`: lists the current user's permissions in a namespace.
pub const SELF_RULES_REVIEW: KindInfo = KindInfo {
    namespaced: false,
    ..grouped("authorization.k8s.io", "SelfSubjectRulesReview", "selfsubjectrulesreviews")
};
/// `authorization.k8s.io/v1 SelfSubjectAccessReview`: checks one permission of the current user.
pub const SELF_ACCESS_REVIEW: KindInfo = KindInfo {
    namespaced: false,
    ..grouped("authorization.k8s.io", "SelfSubjectAccessReview", "selfsubjectaccessreviews")
};
/// `v1 Pod`, watched; created only to pull an image.
pub const POD: KindInfo = core("Pod", "pods");
/// `apps/v1 StatefulSet`, only read.
pub const STATEFUL_SET: KindInfo = grouped("apps", "StatefulSet", "statefulsets");
/// `apps/v1 DaemonSet`, only read.
pub const DAEMON_SET: KindInfo = grouped("apps", "DaemonSet", "daemonsets");
/// `apps/v1 ReplicaSet`, only watched.
pub const REPLICA_SET: KindInfo = grouped("apps", "ReplicaSet", "replicasets");
/// `discovery.k8s.io/v1 EndpointSlice`, only watched.
pub const ENDPOINT_SLICE: KindInfo = grouped("discovery.k8s.io", "EndpointSlice", "endpointslices");
/// `v1 Event`, only watched.
pub const EVENT: KindInfo = core("Event", "events");

/// The kinds whose members are always listed, in the order in which they are sent.
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

/// The kinds whose members are listed only if the plan or the set's parent names them.
pub const OPTIONAL_MEMBERS: &[KindInfo] = &[RESOURCE_QUOTA, LIMIT_RANGE, AUTOSCALER, ROUTE];

/// The kinds of members that a separate namespace of the sandboxes can contain.
pub const SANDBOX_NAMESPACE_MEMBERS: &[KindInfo] = &[ROLE, ROLE_BINDING, NETWORK_POLICY];

/// The kinds that are sent or read but are never members: namespaces, nodes and storage of simulated clusters, and parts of
/// ingress controllers.
const NON_MEMBERS: &[KindInfo] = &[
    NAMESPACE,
    NODE,
    PERSISTENT_VOLUME,
    STORAGE_CLASS,
    JOB,
    CLUSTER_ROLE,
    CLUSTER_ROLE_BINDING,
    INGRESS_CLASS,
    VALIDATING_WEBHOOK,
];

/// The other kinds whose objects hold no data, as group and kind; `*` stands for all kinds of a group. Deleting such an
/// object deletes no volume and nothing that its manifest does not have.
const STATELESS: &[(&str, &[&str])] = &[
    ("", &["PodTemplate", "Pod", "ReplicationController", "Endpoints"]),
    ("apps", &["DaemonSet", "ReplicaSet", "StatefulSet", "ControllerRevision"]),
    ("batch", &["CronJob"]),
    ("policy", &["*"]),
    ("networking.k8s.io", &["*"]),
    ("gateway.networking.k8s.io", &["*"]),
    ("discovery.k8s.io", &["*"]),
    ("coordination.k8s.io", &["*"]),
    ("autoscaling", &["*"]),
    ("autoscaling.k8s.io", &["*"]),
    ("keda.sh", &["ScaledObject", "ScaledJob", "TriggerAuthentication"]),
    ("monitoring.coreos.com", &["ServiceMonitor", "PodMonitor", "PrometheusRule", "Probe", "ScrapeConfig"]),
    ("cert-manager.io", &["Certificate", "Issuer"]),
    ("external-secrets.io", &["ExternalSecret", "SecretStore"]),
    ("traefik.io", &["*"]),
    ("networking.istio.io", &["*"]),
    ("security.istio.io", &["*"]),
    ("cilium.io", &["CiliumNetworkPolicy"]),
];

/// Groups of Kubernetes itself besides `*.k8s.io`. Most of their objects only hold data, and work as soon as they exist.
const OWN_GROUPS: &[&str] = &["", "apps", "batch", "autoscaling", "policy"];

/// Returns whether an object is of another controller's kind. Only that controller knows whether the object works.
#[must_use]
pub fn is_custom(id: &ObjectId) -> bool {
    let group = id.group.as_str();
    // OpenShift's router admits a Route; its URL is probed.
    !OWN_GROUPS.contains(&group) && !group.ends_with(".k8s.io") && group != ROUTE.group
}

/// The kinds of every cluster whose objects have no namespace, as group and kind, besides those that handsctl sends.
const CLUSTER_SCOPED: &[(&str, &[&str])] = &[
    ("", &["PersistentVolume", "ComponentStatus"]),
    ("admissionregistration.k8s.io", &["*"]),
    ("apiextensions.k8s.io", &["*"]),
    ("apiregistration.k8s.io", &["*"]),
    ("certificates.k8s.io", &["CertificateSigningRequest", "ClusterTrustBundle"]),
    ("flowcontrol.apiserver.k8s.io", &["*"]),
    ("networking.k8s.io", &["IPAddress", "ServiceCIDR"]),
    ("node.k8s.io", &["*"]),
    ("scheduling.k8s.io", &["*"]),
    ("storage.k8s.io", &["CSIDriver", "CSINode", "VolumeAttachment", "VolumeAttributesClass"]),
];

fn is_cluster_scoped(group: &str, kind: &str) -> bool {
    let kinds = CLUSTER_SCOPED.iter().filter(|(name, _)| *name == group).flat_map(|(_, kinds)| *kinds);
    kinds.into_iter().any(|name| *name == "*" || *name == kind)
}

/// Returns whether deleting an object of this kind may delete data. A kind that handsctl does not know may: the operator
/// of a custom resource such as a database deletes its data with the resource.
#[must_use]
pub fn may_hold_data(id: &ObjectId) -> bool {
    if let Some(kind) = KindInfo::for_id(id) {
        return kind.holds_data;
    }
    let kinds = STATELESS.iter().filter(|(group, _)| *group == id.group).flat_map(|(_, kinds)| *kinds);
    !kinds.into_iter().any(|kind| *kind == "*" || *kind == id.kind)
}

impl KindInfo {
    /// Returns the kind of an object, if it is one that handsctl sends.
    #[must_use]
    pub fn for_id(id: &ObjectId) -> Option<Self> {
        let all = MEMBERS.iter().chain(OPTIONAL_MEMBERS).chain(NON_MEMBERS);
        all.copied().find(|info| info.group == id.group && info.kind == id.kind)
    }

    /// Builds a kind that API discovery reported. Its strings are leaked on purpose: `KindInfo` is passed by value
    /// everywhere, and one run discovers only a handful of kinds.
    #[must_use]
    pub fn discovered(api_version: &str, kind: &str, plural: &str, namespaced: bool) -> Self {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let built_in = Self::for_id(&ObjectId::cluster(group, kind, ""));
        if let Some(built_in) = built_in.filter(|info| info.version == version) {
            return built_in;
        }
        let leak = |text: &str| -> &'static str { Box::leak(text.to_owned().into_boxed_str()) };
        let wave = if matches!(group, "apps" | "batch") || kind == POD.kind && group.is_empty() {
            Wave::Workload
        } else {
            Wave::Configuration
        };
        Self {
            group: leak(group),
            version: leak(version),
            kind: leak(kind),
            plural: leak(plural),
            namespaced,
            wave,
            holds_data: false,
        }
    }

    /// Guesses a kind (plural = kind + "s"), for display only; never use it in a request.
    #[must_use]
    pub fn guessed(api_version: &str, kind: &str) -> Self {
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        let is_namespaced = !is_cluster_scoped(group, kind);
        Self::discovered(api_version, kind, &format!("{}s", kind.to_ascii_lowercase()), is_namespaced)
    }

    /// Returns `apps/v1`, or `v1` for the core group.
    #[must_use]
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// Returns `Deployment.apps`, as ApplySets name kinds; the core group has no suffix.
    #[must_use]
    pub fn group_kind(&self) -> String {
        if self.group.is_empty() { self.kind.to_owned() } else { format!("{}.{}", self.kind, self.group) }
    }

    /// Returns the collection of this kind in a namespace. Without a namespace, and for cluster-scoped kinds, it spans
    /// the cluster.
    #[must_use]
    pub fn collection(&self, namespace: Option<&str>) -> Collection {
        let root = if self.group.is_empty() { "/api" } else { "/apis" };
        let version = self.api_version();
        Collection(match namespace.filter(|_| self.namespaced) {
            Some(namespace) => format!("{root}/{version}/namespaces/{namespace}/{}", self.plural),
            None => format!("{root}/{version}/{}", self.plural),
        })
    }

    /// Returns the collection of this kind in a namespace.
    #[must_use]
    pub fn in_namespace(&self, namespace: &str) -> Collection {
        self.collection(Some(namespace))
    }

    /// Identifies an object of this kind; the namespace is ignored for cluster-scoped kinds.
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
    /// Returns the URL path, such as `/api/v1/namespaces/a/pods`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collection_paths_match_the_api() {
        assert_eq!(DEPLOYMENT.collection(Some("a")).path(), "/apis/apps/v1/namespaces/a/deployments");
        assert_eq!(SECRET.collection(Some("a")).path(), "/api/v1/namespaces/a/secrets");
        assert_eq!(NODE.collection(None).path(), "/api/v1/nodes");
        assert_eq!(NAMESPACE.collection(Some("ignored")).path(), "/api/v1/namespaces");
    }

    #[test]
    fn members_are_ordered_by_wave() {
        assert!(
            MEMBERS.is_sorted_by_key(|info| info.wave) && OPTIONAL_MEMBERS.is_sorted_by_key(|info| info.wave)
        );
    }

    #[test]
    fn of_id_returns_the_built_in_kind() {
        assert_eq!(KindInfo::for_id(&DEPLOYMENT.id("a", "b")), Some(DEPLOYMENT));
        assert_eq!(KindInfo::for_id(&ObjectId::cluster("example.org", "Deployment", "x")), None);
    }

    #[test]
    fn unknown_kind_may_hold_data() {
        for (group, kind, may) in [
            ("", "PersistentVolumeClaim", true),
            ("", "PodTemplate", false),
            ("apps", "Deployment", false),
            ("policy", "PodDisruptionBudget", false),
            ("postgresql.cnpg.io", "Cluster", true),
            ("monitoring.coreos.com", "ServiceMonitor", false),
            ("monitoring.coreos.com", "Prometheus", true),
            ("snapshot.storage.k8s.io", "VolumeSnapshot", true),
            ("example.org", "Deployment", true),
        ] {
            assert_eq!(may_hold_data(&ObjectId::namespaced(group, kind, "n", "a")), may, "{kind}.{group}");
        }
    }
}
