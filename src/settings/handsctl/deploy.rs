//! `[deploy]`: what is deployed, and how.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::limits::{Thresholds, Tolerate};
use super::resources::Resources;
use super::scheduling::{LimitRange, Quota, Toleration, TopologySpread};
use super::state::{Autoscaling, Database, Storage};
use crate::settings::format::{
    DnsLabel, DnsName, Duration, ImageRef, LabelKey, LabelValue, OwnedField, Quantity, VariableName,
};
use crate::settings::openhands::FreeTable;
use crate::settings::secrets::value::Value;

/// What is deployed, and how.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Deploy {
    /// Name of the set and of most of its objects.
    pub name: DnsLabel,
    /// Namespace of the application.
    pub namespace: DnsLabel,
    /// What is set where this file says nothing: for a cluster like any other, for `OpenShift`, for GKE.
    pub profile: Profile,
    /// Image of the application. 0.45 to 1.6 have the Kubernetes runtime.
    #[schemars(extend("x-fields" = ["deployment spec.template.spec.containers[0].image"]))]
    pub image: ImageRef,
    /// When the kubelet pulls the image.
    #[schemars(extend("x-fields" = ["deployment spec.template.spec.containers[0].imagePullPolicy"]))]
    pub image_pull_policy: ImagePullPolicy,
    /// Names of pull secrets in the application's namespace.
    #[schemars(extend("x-fields" = ["deployment spec.template.spec.imagePullSecrets"]))]
    pub image_pull_secrets: Vec<DnsName>,
    /// Pods of the application. More than one is refused while state is local.
    #[schemars(range(min = 1))]
    #[schemars(extend("x-fields" = ["deployment spec.replicas"]))]
    pub replicas: u32,
    /// How the application is reached; it decides the Service's type.
    #[schemars(extend("x-fields" = ["service spec.type"]))]
    pub expose: Expose,
    /// Host name of the Ingress.
    #[schemars(extend("x-fields" = ["ingress spec.rules"]))]
    pub host: DnsName,
    /// IngressClass of the Ingress; empty: the cluster's default class.
    #[schemars(extend("x-fields" = ["ingress spec.ingressClassName"]))]
    pub ingress_class: Option<DnsName>,
    /// Namespace of the ingress controller: only from there may sandboxes' port 8081 be reached. Empty: from everywhere.
    #[schemars(extend("x-fields" = ["networkpolicy spec.ingress"]))]
    pub ingress_namespace: Option<DnsLabel>,
    /// Port of every node with `expose = "nodeport"`; 0: the cluster chooses.
    #[schemars(range(min = 0, max = 65535))]
    #[schemars(extend("x-fields" = ["service spec.ports"]))]
    pub node_port: u16,
    /// TLS Secret of the Ingress, in the application's namespace.
    #[schemars(extend("x-fields" = ["ingress spec.tls"]))]
    pub tls_secret: Option<DnsName>,
    /// Size of the volume that keeps settings and conversations.
    #[schemars(extend("x-fields" = ["persistentvolumeclaim spec.resources.requests.storage"]))]
    pub storage_size: Quantity,
    /// StorageClass of that volume; empty: the cluster's default class.
    #[schemars(extend("x-fields" = ["persistentvolumeclaim spec.storageClassName"]))]
    pub storage_class: Option<DnsName>,
    /// Name of a `PersistentVolume` that an administrator has made for this application: the claim binds to it and to
    /// no other. A volume of the kind `hostPath` belongs to root, and the application cannot write to it.
    #[schemars(extend("x-fields" = ["persistentvolumeclaim spec.volumeName"]))]
    pub volume: Option<DnsName>,
    /// A claim that exists and is used instead of one of our own.
    #[schemars(extend("x-fields" = ["deployment spec.template.spec.volumes"]))]
    pub existing_claim: Option<DnsName>,
    /// Where settings and conversations are kept.
    #[schemars(extend("x-fields" = ["deployment spec.template.spec.containers[0].env"]))]
    pub storage: Storage,
    /// The database of releases from 0.60 on.
    #[schemars(extend("x-fields" = ["deployment spec.template.spec.containers[0].env"]))]
    pub database: Database,
    /// How many pods the application has, by their use of cpu. Refused while state is local.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-fields" = ["horizontalpodautoscaler spec"]))]
    pub autoscaling: Option<Autoscaling>,
    /// Requests and limits of the application's container.
    #[schemars(extend("x-fields" = ["deployment spec.template.spec.containers[0].resources"]))]
    pub resources: Resources,
    /// Labels that a node must have to run the application.
    #[schemars(extend("propertyNames" = {"type": "string", "format": "label-key"}))]
    #[schemars(extend("x-fields" = ["deployment spec.template.spec.nodeSelector"]))]
    pub node_selector: BTreeMap<LabelKey, LabelValue>,
    /// Taints that the application's pods tolerate; those of sandboxes are `kubernetes.tolerations_yaml`.
    #[schemars(extend("x-fields" = ["deployment spec.template.spec.tolerations"]))]
    pub tolerations: Vec<Toleration>,
    /// Affinity of the application's pods, as Kubernetes writes it: `nodeAffinity`, `podAffinity`, `podAntiAffinity`.
    #[schemars(extend("x-fields" = ["deployment spec.template.spec.affinity"]))]
    pub affinity: FreeTable,
    /// How the application's pods are spread over nodes, zones or regions.
    #[schemars(extend("x-fields" = ["deployment spec.template.spec.topologySpreadConstraints"]))]
    pub topology_spread: Vec<TopologySpread>,
    /// What the sandboxes' namespace may use altogether, by the names of a `ResourceQuota`:
    /// `{ pods = "20", "requests.cpu" = "8" }`. Empty: no quota.
    #[schemars(extend("propertyNames" = {"type": "string", "format": "resource-name"}))]
    #[schemars(extend("x-fields" = ["resourcequota spec.hard"]))]
    pub quota: Quota,
    /// What one container in the sandboxes' namespace gets and may have. Empty: no limit range.
    #[schemars(extend("x-fields" = ["limitrange spec.limits"]))]
    pub limit_range: LimitRange,
    /// Whether sandboxes may be reached from the application and the ingress controller only.
    #[schemars(extend("x-fields" = ["networkpolicy spec"]))]
    pub network_policy: bool,
    /// How pods are replaced. `Recreate` stops the old pod first: the volume can be mounted once.
    #[schemars(extend("x-fields" = ["deployment spec.strategy"]))]
    pub strategy: Strategy,
    /// Seconds that a new pod must be ready before it counts as available.
    #[schemars(extend("x-fields" = ["deployment spec.minReadySeconds"]))]
    pub min_ready_seconds: u32,
    /// Revisions that are kept beside the present one, with their configuration: so far back a rollback goes.
    #[schemars(range(min = 0, max = 100))]
    #[schemars(extend("x-fields" = ["deployment spec.revisionHistoryLimit"]))]
    pub revision_history: u32,
    /// Time without progress after which the Deployment counts as failed.
    #[schemars(extend("x-fields" = ["deployment spec.progressDeadlineSeconds"]))]
    pub progress_deadline: Duration,
    /// Whether a rollout that fails brings back the last good revision. `auto`: where there is one and the strategy is
    /// `Recreate`, which has stopped the old pod by then.
    pub rollback_on_failure: RollbackOnFailure,
    /// Whether a changed image is pulled by a short-lived pod before the old pod is stopped.
    pub prepull: bool,
    /// What the application does when its pod stops.
    #[schemars(extend("x-fields" = ["deployment spec.template.spec.containers[0].command"]))]
    pub on_stop: OnStop,
    /// Whether model and key of `[llm]` are given to the application, which takes them from nowhere else.
    pub seed_settings: SeedSettings,
    /// Extra environment variables of the application; a value may be a secret reference.
    #[schemars(extend("propertyNames" = {"type": "string", "format": "variable-name"}))]
    #[schemars(extend("x-fields" = ["deployment spec.template.spec.containers[0].env"]))]
    pub env: BTreeMap<VariableName, Value>,
    /// What is done about a field that others manage, by object and field, as in
    /// `"deployment/openhands:spec.replicas" = "yield"`. The field is written as the API server writes it in a
    /// conflict, without the dot at its beginning, and stands for everything under it; of several that fit, the
    /// longest counts. Without a rule a conflict is an error, or is forced with `--force-conflicts`.
    #[schemars(extend("propertyNames" = {"type": "string", "format": "owned-field"}))]
    pub ownership: BTreeMap<OwnedField, OwnershipRule>,
    /// Files with objects of your own, or folders of such files, relative to this file: applied, watched and pruned with
    /// the set. No Secret, no Namespace, and nothing that is in no namespace.
    pub extra_manifests: Vec<String>,
    /// How long what may heal by itself is waited for.
    pub tolerate: Tolerate,
    /// When `status` calls a running application degraded.
    pub thresholds: Thresholds,
}

impl Default for Deploy {
    fn default() -> Self {
        Self {
            name: DnsLabel::from_static("openhands"),
            namespace: DnsLabel::from_static("openhands"),
            profile: Profile::App,
            image: ImageRef::from_static("docker.all-hands.dev/all-hands-ai/openhands:0.59"),
            image_pull_policy: ImagePullPolicy::IfNotPresent,
            image_pull_secrets: Vec::new(),
            replicas: 1,
            expose: Expose::Ingress,
            host: DnsName::from_static("localhost"),
            ingress_class: None,
            ingress_namespace: None,
            node_port: 0,
            tls_secret: None,
            storage_size: Quantity::from_static("5Gi"),
            storage_class: None,
            volume: None,
            existing_claim: None,
            storage: Storage::default(),
            database: Database::default(),
            autoscaling: None,
            resources: Resources::default(),
            node_selector: BTreeMap::new(),
            tolerations: Vec::new(),
            affinity: FreeTable::default(),
            topology_spread: Vec::new(),
            quota: Quota::new(),
            limit_range: LimitRange::default(),
            network_policy: true,
            strategy: Strategy::Recreate,
            min_ready_seconds: 0,
            revision_history: 3,
            progress_deadline: Duration::from_secs(600),
            rollback_on_failure: RollbackOnFailure::Auto,
            prepull: true,
            on_stop: OnStop::Keep,
            seed_settings: SeedSettings::IfMissing,
            env: BTreeMap::new(),
            ownership: BTreeMap::new(),
            extra_manifests: Vec::new(),
            tolerate: Tolerate::default(),
            thresholds: Thresholds::default(),
        }
    }
}

/// A kind of cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// A cluster like any other.
    App,
    /// Not OpenHands but the pod `ubuntu-dev`, for an OpenHands that runs on this computer under mirrord: `handsctl dev`.
    Dev,
    /// `OpenShift`: a Route instead of an Ingress.
    OpenShift,
    /// Google's: a load balancer, and the key file of the Secret `google-cloud-key` where `storage.credentials.key_json`
    /// is not set; an empty text there leaves it out.
    Gke,
}

/// When the kubelet pulls an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ImagePullPolicy {
    /// Every time a container starts.
    Always,
    /// When the node does not have it.
    IfNotPresent,
    /// Never.
    Never,
}

/// How the application is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Expose {
    /// An Ingress; Service of type `ClusterIP`.
    Ingress,
    /// A port of every node.
    NodePort,
    /// A load balancer of the cloud.
    LoadBalancer,
    /// A Route of `OpenShift`.
    Route,
    /// Only from inside the cluster.
    None,
}

/// How pods are replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Strategy {
    /// The old pod first.
    Recreate,
    /// The new pod first; refused while state is on a volume that can be mounted once.
    RollingUpdate,
}

/// Whether a failed rollout is undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RollbackOnFailure {
    /// Where a good revision is kept and the strategy is `Recreate`.
    Auto,
    /// What was applied stays.
    Never,
}

/// What the application does when its pod stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnStop {
    /// It is not told, so every conversation's pod and volume stay.
    Keep,
    /// It is told, and deletes the first conversation's pod and volume.
    Clean,
}

/// Whether the application is given model and key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SeedSettings {
    /// Where it has no settings yet.
    IfMissing,
    /// With every deploy: what was changed in its own settings page is overwritten.
    Always,
    /// Never: settings are made in its own page.
    Never,
}

/// What is done about a field that others manage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OwnershipRule {
    /// The field is taken over, where every other conflict of the object may be taken over too.
    Take,
    /// The field is left to whoever manages it. Where nobody else does, it keeps the value that it has.
    Yield,
    /// A conflict is an error, also with `--force-conflicts`.
    Fail,
}
