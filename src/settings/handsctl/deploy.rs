//! `[deploy]`: the objects of the set, and how they are rolled out.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::limits::{Thresholds, Tolerate};
use super::resources::Resources;
use super::scheduling::{LimitRange, Quota, Toleration, TopologySpread};
use super::state::{Autoscaling, Database, Storage};
use crate::settings::edition::{AGENT_SERVER, CANVAS, CLASSIC, Edition};
use crate::settings::format::{
    AppRelease, DnsLabel, DnsName, Duration, ImageRef, IpRange, LabelKey, LabelValue, OwnedField, Quantity,
    VariableName,
};
use crate::settings::openhands::FreeTable;
use crate::settings::secrets::value::Value;

/// Objects that handsctl deploys, and how it rolls them out.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Deploy {
    /// Name of the installation and of most of its objects.
    pub name: DnsLabel,
    /// Namespace of the application.
    pub namespace: DnsLabel,
    /// Presets for a kind of cluster. A key that is set explicitly overrides its preset.
    pub profile: Profile,
    /// Edition of OpenHands. `auto`: the one whose image `image` names, otherwise `classic`.
    pub edition: EditionChoice,
    /// Image of the application: OpenHands 0.45 to 1.6, which have the Kubernetes runtime, Agent Canvas, or its
    /// server alone.
    #[schemars(extend("x-fields" = ["deployment spec.template.spec.containers[0].image"]))]
    pub image: ImageRef,
    /// Version of OpenHands in `image`, as in "0.59". Empty: the version in the image's tag (`0.59`, `v0.59`, `0.59-dev`).
    pub version: Option<AppRelease>,
    /// When the kubelet pulls the application's image.
    #[schemars(extend("x-fields" = ["deployment spec.template.spec.containers[0].imagePullPolicy"]))]
    pub image_pull_policy: ImagePullPolicy,
    /// Names of pull secrets in the application's namespace.
    #[schemars(extend("x-fields" = ["deployment spec.template.spec.imagePullSecrets"]))]
    pub image_pull_secrets: Vec<DnsName>,
    /// Number of the application's pods. More than 1 requires a bucket in `[deploy.storage]`, a host in
    /// `[deploy.database]` and OpenHands 0.60 or later.
    #[schemars(range(min = 1))]
    #[schemars(extend("x-fields" = ["deployment spec.replicas"]))]
    pub replicas: u32,
    /// How the application is exposed; decides the Service's type.
    #[schemars(extend("x-fields" = ["service spec.type"]))]
    pub expose: Expose,
    /// Whether the application may be reachable from other computers. OpenHands has no login: whoever reaches it runs
    /// commands in sandboxes and uses its API key.
    pub exposure: ExposureConsent,
    /// Kind of the load balancer with `expose = "loadbalancer"`.
    #[schemars(extend("x-fields" = ["service metadata.annotations"]))]
    pub load_balancer: LoadBalancer,
    /// Ranges of addresses from which the load balancer accepts connections, as in `["203.0.113.0/24"]`. Empty: from
    /// everywhere.
    #[schemars(extend("x-fields" = ["service spec.loadBalancerSourceRanges"]))]
    pub source_ranges: Vec<IpRange>,
    /// Host name of the application's URL, in its Ingress or Route.
    #[schemars(extend("x-fields" = ["ingress spec.rules"]))]
    pub host: DnsName,
    /// IngressClass of the Ingress; empty: the cluster's default class.
    #[schemars(extend("x-fields" = ["ingress spec.ingressClassName"]))]
    pub ingress_class: Option<DnsName>,
    /// Namespace of the ingress controller, the only one from which the `NetworkPolicies` admit connections to port 8081
    /// of sandboxes, and with `client_namespaces` to the application. Empty: connections from everywhere; to the
    /// application, except from sandboxes.
    #[schemars(extend("x-fields" = ["networkpolicy spec.ingress"]))]
    pub ingress_namespace: Option<DnsLabel>,
    /// Further namespaces whose pods may connect to the application, such as that of a proxy with a login. If a namespace
    /// is named here or in `ingress_namespace`, only these and the application's own may, and never a sandbox.
    #[schemars(extend("x-fields" = ["networkpolicy spec.ingress"]))]
    pub client_namespaces: Vec<DnsLabel>,
    /// Node port of the Service with `expose = "nodeport"`; 0: the cluster chooses one.
    #[schemars(range(min = 0, max = 65535))]
    #[schemars(extend("x-fields" = ["service spec.ports[0].nodePort"]))]
    pub node_port: u16,
    /// TLS Secret of the Ingress, in the application's namespace.
    #[schemars(extend("x-fields" = ["ingress spec.tls"]))]
    pub tls_secret: Option<DnsName>,
    /// Size of the application's volume, which stores settings and conversations.
    #[schemars(extend("x-fields" = ["persistentvolumeclaim spec.resources.requests.storage"]))]
    pub storage_size: Quantity,
    /// StorageClass of the application's volume; empty: the cluster's default class.
    #[schemars(extend("x-fields" = ["persistentvolumeclaim spec.storageClassName"]))]
    pub storage_class: Option<DnsName>,
    /// Name of an existing `PersistentVolume`, the only one to which the application's claim binds. A `hostPath` volume
    /// belongs to root, so the application cannot write to it.
    #[schemars(extend("x-fields" = ["persistentvolumeclaim spec.volumeName"]))]
    pub volume: Option<DnsName>,
    /// Name of an existing `PersistentVolumeClaim`, used instead of one that handsctl creates.
    #[schemars(extend("x-fields" = ["deployment spec.template.spec.volumes"]))]
    pub existing_claim: Option<DnsName>,
    /// Store of settings and conversations: the application's volume or a bucket.
    #[schemars(extend("x-fields" = ["deployment spec.template.spec.containers[0].env"]))]
    pub storage: Storage,
    /// Database of OpenHands 0.60 and later.
    #[schemars(extend("x-fields" = ["deployment spec.template.spec.containers[0].env"]))]
    pub database: Database,
    /// Autoscaling of the application's pods by cpu usage. Requires the same shared state as `replicas` above 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-fields" = ["horizontalpodautoscaler spec"]))]
    pub autoscaling: Option<Autoscaling>,
    /// Requests and limits of the application's container.
    #[schemars(extend("x-fields" = ["deployment spec.template.spec.containers[0].resources"]))]
    pub resources: Resources,
    /// Name of an existing ServiceAccount in the application's namespace, used instead of one that handsctl creates with
    /// its Role and RoleBinding. It needs the rights of that Role in the sandboxes' namespace.
    #[schemars(extend("x-fields" = ["deployment spec.template.spec.serviceAccountName"]))]
    pub service_account: Option<DnsLabel>,
    /// Labels that a node must have to run the application.
    #[schemars(extend("propertyNames" = {"type": "string", "format": "label-key"}))]
    #[schemars(extend("x-fields" = ["deployment spec.template.spec.nodeSelector"]))]
    pub node_selector: BTreeMap<LabelKey, LabelValue>,
    /// Tolerations of the application's pods; those of sandboxes are `kubernetes.tolerations_yaml`.
    #[schemars(extend("x-fields" = ["deployment spec.template.spec.tolerations"]))]
    pub tolerations: Vec<Toleration>,
    /// Affinity of the application's pods, with Kubernetes' field names: `nodeAffinity`, `podAffinity`,
    /// `podAntiAffinity`.
    #[schemars(extend("x-fields" = ["deployment spec.template.spec.affinity"]))]
    pub affinity: FreeTable,
    /// Constraints that spread the application's pods over nodes, zones or regions.
    #[schemars(extend("x-fields" = ["deployment spec.template.spec.topologySpreadConstraints"]))]
    pub topology_spread: Vec<TopologySpread>,
    /// Hard limits of the `ResourceQuota` in the sandboxes' namespace: `{ pods = "20", "requests.cpu" = "8" }`. Empty:
    /// no quota.
    #[schemars(extend("propertyNames" = {"type": "string", "format": "resource-name"}))]
    #[schemars(extend("x-fields" = ["resourcequota spec.hard"]))]
    pub quota: Quota,
    /// Defaults and bounds of one container in the sandboxes' namespace, as a `LimitRange`. Empty: no limit range.
    #[schemars(extend("x-fields" = ["limitrange spec.limits"]))]
    pub limit_range: LimitRange,
    /// Whether `NetworkPolicies` restrict who connects to sandboxes and to the application, and where sandboxes connect
    /// to. A network plugin without support for policies enforces none of them.
    #[schemars(extend("x-fields" = ["networkpolicy spec"]))]
    pub network_policy: bool,
    /// Where sandboxes may connect to. A sandbox runs commands that a model wrote.
    #[schemars(extend("x-fields" = ["networkpolicy spec.egress"]))]
    pub sandbox_egress: SandboxEgress,
    /// How the application's pods are replaced. `Recreate` stops the old pod first, because the volume can be mounted
    /// only once.
    #[schemars(extend("x-fields" = ["deployment spec.strategy"]))]
    pub strategy: Strategy,
    /// Seconds that a new pod must be ready before it counts as available.
    #[schemars(extend("x-fields" = ["deployment spec.minReadySeconds"]))]
    pub min_ready_seconds: u32,
    /// Number of earlier good revisions with different content that are kept with their configuration, as targets of a
    /// rollback.
    #[schemars(range(min = 0, max = 100))]
    #[schemars(extend("x-fields" = ["deployment spec.revisionHistoryLimit"]))]
    pub revision_history: u32,
    /// Time without progress after which the Deployment counts as failed.
    #[schemars(extend("x-fields" = ["deployment spec.progressDeadlineSeconds"]))]
    pub progress_deadline: Duration,
    /// Whether a failed rollout is rolled back to the last good revision. `auto`: if there is one and the strategy is
    /// `Recreate`, which has stopped the old pod by then.
    pub rollback_on_failure: RollbackOnFailure,
    /// Whether a short-lived pod pulls a changed image before the old pod is stopped.
    pub prepull: bool,
    /// Whether the application deletes the pod and volume of the first conversation when its own pod stops.
    #[schemars(extend("x-fields" = ["deployment spec.template.spec.containers[0].command"]))]
    pub on_stop: OnStop,
    /// Whether handsctl sends model and API key of `[llm]` to the application's own settings, the only place from which
    /// conversations take them.
    pub seed_settings: SeedSettings,
    /// Extra environment variables of the application; a value may be a secret reference.
    #[schemars(extend("propertyNames" = {"type": "string", "format": "variable-name"}))]
    #[schemars(extend("x-fields" = ["deployment spec.template.spec.containers[0].env"]))]
    pub env: BTreeMap<VariableName, Value>,
    /// Rules for fields that another manager owns, by object and field, as in
    /// `"deployment/openhands:spec.replicas" = "yield"`. Write the field as the API server does in a conflict, without
    /// the leading dot. A rule covers everything under its field; of several matching rules the longest wins. Without a
    /// rule a conflict is an error, unless `--force-conflicts` is given.
    #[schemars(extend("propertyNames" = {"type": "string", "format": "owned-field"}))]
    pub ownership: BTreeMap<OwnedField, OwnershipRule>,
    /// Manifest files with your own objects, or folders of such files, relative to this file. The objects are applied,
    /// watched and removed with the application. Secrets, Namespaces and cluster-scoped objects are rejected.
    pub extra_manifests: Vec<String>,
    /// How long a rollout waits while something is wrong that may heal by itself.
    pub tolerate: Tolerate,
    /// Measurements beyond which `status` reports a running application as degraded.
    pub thresholds: Thresholds,
}

impl Default for Deploy {
    fn default() -> Self {
        Self {
            name: DnsLabel::from_static("openhands"),
            namespace: DnsLabel::from_static("openhands"),
            profile: Profile::App,
            edition: EditionChoice::Auto,
            image: ImageRef::from_static(CLASSIC.image),
            version: None,
            image_pull_policy: ImagePullPolicy::IfNotPresent,
            image_pull_secrets: Vec::new(),
            replicas: 1,
            expose: Expose::Ingress,
            exposure: ExposureConsent::Rejected,
            load_balancer: LoadBalancer::Public,
            source_ranges: Vec::new(),
            host: DnsName::from_static("localhost"),
            ingress_class: None,
            ingress_namespace: None,
            client_namespaces: Vec::new(),
            node_port: 0,
            tls_secret: None,
            storage_size: Quantity::from_static(CLASSIC.state_size),
            storage_class: None,
            volume: None,
            existing_claim: None,
            storage: Storage::default(),
            database: Database::default(),
            autoscaling: None,
            resources: Resources::default(),
            service_account: None,
            node_selector: BTreeMap::new(),
            tolerations: Vec::new(),
            affinity: FreeTable::default(),
            topology_spread: Vec::new(),
            quota: Quota::new(),
            limit_range: LimitRange::default(),
            network_policy: true,
            sandbox_egress: SandboxEgress::Internet,
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

/// Presets for a kind of cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// Any cluster; no presets.
    App,
    /// The pod `ubuntu-dev` instead of OpenHands, for an OpenHands on this computer that runs under mirrord: `handsctl
    /// dev`.
    Dev,
    /// `OpenShift`: a Route instead of an Ingress.
    OpenShift,
    /// Google Kubernetes Engine: a load balancer, and the key file of the Secret `google-cloud-key` unless
    /// `storage.credentials.key_json` is set; an empty string there leaves the key file out.
    Gke,
}

/// An edition of OpenHands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EditionChoice {
    /// The edition whose image is configured; without an image, `classic`.
    Auto,
    /// OpenHands 0.45 to 1.6: each conversation has a pod of its own.
    Classic,
    /// Agent Canvas: one pod is the application and the sandbox of all its conversations.
    Canvas,
    /// The server of Agent Canvas alone, for the page of another Agent Canvas and for programs.
    AgentServer,
}

impl EditionChoice {
    /// Returns the chosen edition. `image` is `[deploy].image`, if it is configured: a mirror keeps the last part of the
    /// repository.
    #[must_use]
    pub fn edition(self, image: Option<&ImageRef>) -> &'static Edition {
        match self {
            Self::Classic => &CLASSIC,
            Self::Canvas => &CANVAS,
            Self::AgentServer => &AGENT_SERVER,
            Self::Auto => image.and_then(Edition::of_image).unwrap_or(&CLASSIC),
        }
    }
}

/// When the kubelet pulls an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ImagePullPolicy {
    /// At every start of a container.
    Always,
    /// If the node does not have the image.
    IfNotPresent,
    /// Never: the node must have the image.
    Never,
}

/// How the application is exposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Expose {
    /// An Ingress; Service of type `ClusterIP`.
    Ingress,
    /// A port of every node.
    NodePort,
    /// A load balancer of the cloud provider.
    LoadBalancer,
    /// A Route of `OpenShift`.
    Route,
    /// Not at all: reachable only from inside the cluster.
    None,
}

/// Whether the application may be reachable from other computers without a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ExposureConsent {
    /// A configuration that exposes it is an error. Where only the cluster decides that, it is a warning.
    Rejected,
    /// The application is exposed as configured, without a warning.
    Acknowledged,
}

/// Kind of a load balancer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LoadBalancer {
    /// The cloud's default, usually with an address on the internet.
    Public,
    /// With an address of the private network only. Sets the annotations of AWS, Azure, Google, Alibaba, Oracle and
    /// `OpenStack`; each cloud reads its own.
    Internal,
}

/// Where sandboxes may connect to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SandboxEgress {
    /// To DNS and to the internet: not to private and link-local addresses, so neither to other pods, to the cloud's
    /// metadata server nor to the application.
    Internet,
    /// Nowhere, not even to DNS.
    None,
    /// Everywhere, so also to the application through an ingress controller, a node port or a load balancer.
    All,
}

/// How pods are replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Strategy {
    /// The old pod is stopped before the new pod starts.
    Recreate,
    /// The new pod starts before the old pod is stopped; rejected while state is on a volume that can be mounted only
    /// once.
    RollingUpdate,
}

/// Whether a failed rollout is rolled back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RollbackOnFailure {
    /// If a good revision is kept and the strategy is `Recreate`.
    Auto,
    /// Never: the failed revision stays applied.
    Never,
}

/// Whether the application deletes the pod and volume of the first conversation when its own pod stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnStop {
    /// The application gets no stop signal, so the pods and volumes of all conversations are kept.
    Keep,
    /// The application gets the stop signal and deletes the pod and volume of the first conversation.
    Clean,
}

/// Whether handsctl sends model and API key to the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SeedSettings {
    /// If the application has no settings yet.
    IfMissing,
    /// At every deploy: overwrites changes made on the application's settings page.
    Always,
    /// Never: the settings page of the application is the only source.
    Never,
}

/// How handsctl resolves a conflict about a field that another manager owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OwnershipRule {
    /// handsctl overwrites the field, if it may also overwrite every other conflicting field of the object.
    Take,
    /// The field is left to its manager. Without another manager it keeps its current value.
    Yield,
    /// A conflict is an error, even with `--force-conflicts`.
    Fail,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn image_chooses_the_edition_unless_the_key_does() {
        let chosen =
            |choice: EditionChoice, image: &str| choice.edition(Some(&ImageRef::parse(image).unwrap())).name;
        let digest = format!("@sha256:{}", "0".repeat(64));
        for image in [
            "ghcr.io/openhands/agent-canvas:1.20.0",
            "mirror.example:5000/ghcr/agent-canvas:latest",
            "agent-canvas",
            &format!("ghcr.io/openhands/agent-canvas{digest}"),
            &format!("mirror.example/agent-canvas:1.40.0{digest}"),
        ] {
            assert_eq!(chosen(EditionChoice::Auto, image), "canvas", "{image}");
            assert_eq!(chosen(EditionChoice::Classic, image), "classic", "{image}");
        }
        for image in [
            "docker.all-hands.dev/all-hands-ai/openhands:0.59",
            "openhands",
            "acme/own:1",
            "acme/agent-canvas-old:1.20.0",
            "agent-canvas/openhands:1.6",
        ] {
            assert_eq!(chosen(EditionChoice::Auto, image), "classic", "{image}");
            assert_eq!(chosen(EditionChoice::Canvas, image), "canvas", "{image}");
        }
        let server = "ghcr.io/openhands/agent-server:1.49.1-python";
        assert_eq!(chosen(EditionChoice::Auto, server), "agent-server");
        assert_eq!(chosen(EditionChoice::Canvas, server), "canvas");
        assert_eq!(EditionChoice::Auto.edition(None), &CLASSIC);
    }
}
