//! Rollouts that fail, each with what causes it on simulated nodes and what handsctl must say. The suite runs them through
//! the binary; the bench `diagnosis` compares the same failures with `kubectl` and `helm`.
//!
//! No container runs on a simulated node. The API server, the scheduler and the controllers are real, and where a kubelet
//! would report, the test writes the same status or Event.

use std::cell::RefCell;
use std::io::BufReader;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::bed::{Bed, Namespace};
use crate::kubelet::{
    BareNode, backing_off, event, kubelet_event, patch_pod, report, report_ready, seconds_ago, wait_for_pod,
    waiting,
};

/// One way in which a rollout fails.
pub(crate) struct Failure {
    /// Prefix of its namespaces.
    pub(crate) key: &'static str,
    /// What fails, in a few words.
    pub(crate) name: &'static str,
    /// The id of the finding.
    pub(crate) id: &'static str,
    pub(crate) exit: i32,
    /// The configuration; `NAMESPACE` stands for the namespace's name.
    config: &'static str,
    /// Whether the application's pod waits until the test binds it to the bare node. Its configuration begins with
    /// [`ON_BARE_NODE`].
    bare: bool,
    /// Whether there is a bare node beside the simulated ones.
    helper: bool,
    /// Whether the application is deployed with the default configuration first.
    pub(crate) is_update: bool,
    /// A manifest of the user's own, which the configuration names as `extra.yaml`.
    pub(crate) extra: &'static str,
    /// Flags of `deploy`.
    pub(crate) flags: &'static [&'static str],
    pub(crate) grace: Grace,
    /// Texts of the finding's evidence.
    says: &'static [&'static str],
    /// The setting that the finding names, as `--> FILE:LINE:COLUMN` or with its default; empty: no setting causes it.
    pub(crate) setting: &'static str,
    /// The kind and a text of the object that reports the failure. A later object of the kind has the text, too.
    seen: (&'static str, &'static str),
    /// Prepares the cluster before the run.
    pub(crate) prepare: fn(&Site),
    /// Does what the kubelet does during the run.
    pub(crate) play: fn(&Site),
}

/// How long a fault may last before it ends the rollout.
#[derive(Clone, Copy)]
pub(crate) enum Grace {
    /// The cause is final.
    None,
    /// A key of `[deploy.tolerate]` with its default in seconds.
    Key(&'static str, u64),
    /// A fixed number of seconds.
    Fixed(u64),
    /// The run ends at `--timeout`, so many seconds after its start.
    Timeout(u64),
}

const ON_BARE_NODE: &str =
    "[deploy]\nnode_selector = { \"example.io/bare\" = \"yes\" }\ntolerate = { unschedulable = \"10m\" }\n";

const SIMULATED: Failure = Failure {
    key: "",
    name: "",
    id: "",
    exit: 9,
    config: "",
    bare: false,
    helper: false,
    is_update: false,
    extra: "",
    flags: &[],
    grace: Grace::None,
    says: &[],
    setting: "",
    seen: ("pods", ""),
    prepare: |_| {},
    play: |_| {},
};
const BARE: Failure = Failure { bare: true, ..SIMULATED };

const EXTRA: &str = "[deploy]\nextra_manifests = [\"extra.yaml\"]\n";
const HELPER: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: helper }\nspec:\n  \
    selector: { matchLabels: { app: helper } }\n  template:\n    metadata: { labels: { app: helper } }\n    spec:\n      \
    nodeName: bare-NAMESPACE\n      initContainers: [{ name: migrate, image: \"registry.example/helper:1\" }]\n      \
    containers: [{ name: a, image: \"registry.example/helper:1\" }]\n";
const JOB: &str = "apiVersion: batch/v1\nkind: Job\nmetadata: { name: migrate }\nspec:\n  backoffLimit: 0\n  template:\n    \
    metadata: { labels: { app: helper } }\n    spec:\n      nodeName: bare-NAMESPACE\n      restartPolicy: Never\n      \
    containers: [{ name: a, image: \"registry.example/migrate:1\" }]\n";
const CLAIM: &str = "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: { name: cache }\nspec:\n  storageClassName: \"\"\n  \
    accessModes: [ReadWriteOnce]\n  resources: { requests: { storage: 1Gi } }\n";

/// The failures, in the order of their ids.
pub(crate) const FAILURES: &[Failure] = &[
    Failure {
        key: "no-progress",
        name: "no progress before the Deployment's deadline",
        id: "HC4001",
        config: "[deploy]\nprogress_deadline = \"4s\"\nnode_selector = { disk = \"gold\" }\ntolerate = { unschedulable = \"10m\" }\n",
        says: &["has timed out progressing", "no node matches its selector"],
        setting: "--> config.toml:2:21",
        seen: ("deployments", "ProgressDeadlineExceeded"),
        ..SIMULATED
    },
    Failure {
        key: "node-lost",
        name: "the pod's node is lost",
        id: "HC4002",
        exit: 10,
        flags: &["--timeout", "15s"],
        grace: Grace::Timeout(15),
        says: &["its node bare-NAMESPACE is not ready"],
        seen: ("events", "NodeNotReady"),
        play: |site| {
            let pod = site.bind_pod();
            let condition = json!({ "type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown",
                "message": "Kubelet stopped posting node status.",
                "lastHeartbeatTime": seconds_ago(60), "lastTransitionTime": seconds_ago(0) });
            site.node().patch_status(&json!({ "status": { "conditions": [condition] } }));
            // The node controller reports it 50 s after the last heartbeat.
            kubelet_event(&site.namespace, &pod, "NodeNotReady", None, "Node is not ready");
        },
        ..BARE
    },
    Failure {
        key: "startup",
        name: "the startup probe fails",
        id: "HC4003",
        says: &[
            "Startup probe failed: HTTP probe failed with statuscode: 500",
            "startup probe: GET :http/alive",
        ],
        seen: ("pods", "\"startedAt\""),
        play: |site| {
            let pod = site.bind_pod();
            let message = "Startup probe failed: HTTP probe failed with statuscode: 500";
            kubelet_event(&site.namespace, &pod, "Unhealthy", Some("openhands"), message);
            // 60 failures, 5 s apart, are over.
            let running = json!({ "state": { "running": { "startedAt": seconds_ago(600) } } });
            report(&site.namespace, &pod, &running);
        },
        ..BARE
    },
    Failure {
        key: "readiness",
        name: "the readiness probe fails",
        id: "HC4003",
        says: &["a container runs but does not become ready", "readiness probe: GET :http/alive"],
        seen: ("pods", "\"started\":true"),
        play: |site| {
            let pod = site.bind_pod();
            let running =
                json!({ "started": true, "state": { "running": { "startedAt": seconds_ago(600) } } });
            report(&site.namespace, &pod, &running);
        },
        ..BARE
    },
    Failure {
        key: "held",
        name: "the old pod does not terminate: a finalizer holds it",
        id: "HC4004",
        config: "[llm]\nmodel = \"anthropic/claude-sonnet-4\"\n",
        is_update: true,
        // The pod's own 5 s to stop, and 15 s more.
        grace: Grace::Fixed(20),
        says: &["held by the finalizer example.io/hold"],
        seen: ("pods", "deletionTimestamp"),
        prepare: |site| {
            let pod = wait_for_pod(&site.namespace, APP);
            site.patch_pod_metadata(&pod, r#"{"metadata":{"finalizers":["example.io/hold"]}}"#);
            site.held.borrow_mut().push(pod);
        },
        ..SIMULATED
    },
    Failure {
        key: "evicted",
        name: "the pod is evicted: its node is low on disk",
        id: "HC4005",
        flags: &["--set", "deploy.tolerate.crash_restarts=1"],
        says: &["Evicted: The node was low on resource: ephemeral-storage"],
        seen: ("pods", "Evicted"),
        play: |site| {
            let pod = site.bind_pod();
            let message =
                "The node was low on resource: ephemeral-storage. Threshold quantity: 10Gi, available: 9Gi.";
            let status = json!({ "phase": "Failed", "reason": "Evicted", "message": message });
            patch_pod(&site.namespace, &pod, &status);
        },
        ..BARE
    },
    Failure {
        key: "job",
        name: "a Job beside the application fails",
        id: "HC4006",
        config: EXTRA,
        extra: JOB,
        helper: true,
        says: &["BackoffLimitExceeded", "exit code 3"],
        setting: "--> config.toml:2:",
        seen: ("jobs", "BackoffLimitExceeded"),
        play: |site| {
            let pod = wait_for_pod(&site.namespace, "app=helper");
            let end = json!({ "exitCode": 3, "reason": "Error", "startedAt": seconds_ago(2), "finishedAt": seconds_ago(1) });
            let container = json!({ "name": "a", "image": "x", "imageID": "", "ready": false, "restartCount": 0,
                "state": { "terminated": end } });
            let status = json!({ "phase": "Failed", "containerStatuses": [container] });
            patch_pod(&site.namespace, &pod, &status);
        },
        ..SIMULATED
    },
    Failure {
        key: "image-name",
        name: "the image's name is not valid",
        id: "HC4101",
        says: &["couldn't parse image"],
        setting: "[deploy].image",
        seen: ("pods", "InvalidImageName"),
        play: |site| {
            let message = "Failed to apply default image tag \"registry.example/Open:1\": couldn't parse image name: repository name must be lowercase";
            site.report(&waiting("InvalidImageName", message));
        },
        ..BARE
    },
    Failure {
        key: "image-never",
        name: "the image is not on the node, and its pull policy is Never",
        id: "HC4102",
        config: "image_pull_policy = \"Never\"\n",
        says: &["is not present with pull policy of Never"],
        setting: "--> config.toml:4:21",
        seen: ("pods", "ErrImageNeverPull"),
        play: |site| {
            let message = "Container image \"x\" is not present with pull policy of Never";
            site.report(&waiting("ErrImageNeverPull", message));
        },
        ..BARE
    },
    Failure {
        key: "image-absent",
        name: "the image does not exist",
        id: "HC4103",
        config: "[deploy]\nimage = \"registry.example/simulate-image-pull-backoff:0.59\"\n",
        says: &["simulate-image-pull-backoff:0.59: not found"],
        setting: "--> config.toml:2:9",
        seen: ("pods", "not found"),
        ..SIMULATED
    },
    Failure {
        key: "image-private",
        name: "the registry denies access to the image",
        id: "HC4104",
        says: &["401 Unauthorized"],
        setting: "setting   [deploy].image_pull_secrets",
        seen: ("pods", "401 Unauthorized"),
        play: |site| {
            let message = "failed to authorize: unexpected status from GET request to https://registry.example/token: 401 Unauthorized";
            site.report(&waiting("ErrImagePull", message));
        },
        ..BARE
    },
    Failure {
        key: "registry",
        name: "the image's registry is unreachable",
        id: "HC4105",
        grace: Grace::Key("image_pull", 60),
        says: &["i/o timeout"],
        setting: "deploy",
        seen: ("pods", "i/o timeout"),
        play: |site| {
            let message = "failed to pull and unpack image \"x\": failed to do request: Head \"https://registry.example/v2/\": dial tcp 192.0.2.1:443: i/o timeout";
            site.report(&waiting("ErrImagePull", message));
        },
        ..BARE
    },
    Failure {
        key: "crash",
        name: "the application exits with an error again and again",
        id: "HC4201",
        config: "[deploy]\nimage = \"registry.example/simulate-crash-loop-backoff:0.59\"\n",
        says: &["exit code 1", "2 restarts in"],
        setting: "deploy",
        seen: ("pods", "\"restartCount\":2"),
        ..SIMULATED
    },
    Failure {
        key: "signal",
        name: "the application dies of a segmentation fault",
        id: "HC4201",
        says: &["SIGSEGV", "2 restarts"],
        setting: "deploy",
        seen: ("pods", "\"restartCount\":2"),
        play: |site| site.report(&backing_off(2, "Error", 139)),
        ..BARE
    },
    Failure {
        key: "liveness",
        name: "the liveness probe fails and the kubelet restarts the container",
        id: "HC4201",
        says: &[
            "Liveness probe failed: HTTP probe failed with statuscode: 500",
            "liveness probe: GET :http/alive",
        ],
        setting: "",
        seen: ("pods", "\"restartCount\":2"),
        play: |site| {
            let pod = site.bind_pod();
            let message = "Liveness probe failed: HTTP probe failed with statuscode: 500";
            kubelet_event(&site.namespace, &pod, "Unhealthy", Some("openhands"), message);
            let message = "Container openhands failed liveness probe, will be restarted";
            kubelet_event(&site.namespace, &pod, "Killing", Some("openhands"), message);
            report(&site.namespace, &pod, &backing_off(2, "Error", 143));
        },
        ..BARE
    },
    Failure {
        key: "init",
        name: "an init container fails",
        id: "HC4201",
        config: EXTRA,
        extra: HELPER,
        helper: true,
        says: &["container migrate", "exit code 2"],
        setting: "--> config.toml:2:",
        seen: ("pods", "\"restartCount\":2"),
        play: |site| {
            let pod = wait_for_pod(&site.namespace, "app=helper");
            let mut container = backing_off(2, "Error", 2);
            container["name"] = json!("migrate");
            container["image"] = json!("x");
            container["imageID"] = json!("");
            container["ready"] = json!(false);
            let waiting = json!({ "name": "a", "image": "x", "imageID": "", "ready": false, "restartCount": 0,
                "state": { "waiting": { "reason": "PodInitializing" } } });
            let status = json!({ "phase": "Pending", "startTime": seconds_ago(5),
                "initContainerStatuses": [container], "containerStatuses": [waiting] });
            patch_pod(&site.namespace, &pod, &status);
        },
        ..SIMULATED
    },
    Failure {
        key: "memory",
        name: "the kernel kills the application for memory",
        id: "HC4202",
        says: &["memory limit 4Gi"],
        setting: "setting   [deploy.resources.limits].memory = \"4Gi\" (default)",
        seen: ("pods", "OOMKilled"),
        play: |site| site.report(&backing_off(1, "OOMKilled", 137)),
        ..BARE
    },
    Failure {
        key: "secret-key",
        name: "a key of a Secret is missing",
        id: "HC4203",
        config: "[llm]\napi_key = { secret = \"llm\", key = \"token\" }\n",
        says: &["couldn't find key token in Secret NAMESPACE/llm"],
        setting: "--> config.toml:5:1",
        seen: ("pods", "couldn't find key token"),
        prepare: |site| {
            let create = ["create", "secret", "generic", "llm", "--from-literal=token=x", "-n"];
            site.namespace.bed.kubectl(&[&create[..], &[&site.namespace.name]].concat());
        },
        play: |site| {
            let message = format!("couldn't find key token in Secret {}/llm", site.namespace.name);
            site.report(&waiting("CreateContainerConfigError", &message));
        },
        ..BARE
    },
    Failure {
        key: "config-map",
        name: "a mounted ConfigMap is missing",
        id: "HC4203",
        says: &["configmap \"oh-config\" not found"],
        seen: ("events", "FailedMount"),
        play: |site| {
            let message =
                "MountVolume.SetUp failed for volume \"config\" : configmap \"oh-config\" not found";
            kubelet_event(&site.namespace, &site.bind_pod(), "FailedMount", None, message);
        },
        ..BARE
    },
    Failure {
        key: "mount",
        name: "another node has the volume attached",
        id: "HC4204",
        grace: Grace::Key("image_pull", 60),
        says: &["Multi-Attach error", "mounts the volume claim oh-state"],
        seen: ("events", "FailedAttachVolume"),
        play: |site| {
            let pod = site.bind_pod();
            let other = json!({ "apiVersion": "v1", "kind": "Pod",
                "metadata": { "name": "theirs", "namespace": site.namespace.name },
                "spec": {
                    "containers": [{ "name": "a", "image": "registry.example/a:1" }],
                    "volumes": [{ "name": "v", "persistentVolumeClaim": { "claimName": "oh-state" } }],
                } });
            site.create(&other);
            let message = "Multi-Attach error for volume \"pvc-1\" Volume is already used by pod(s) theirs";
            kubelet_event(&site.namespace, &pod, "FailedAttachVolume", None, message);
        },
        ..BARE
    },
    Failure {
        key: "command",
        name: "the container's command does not exist in the image",
        id: "HC4205",
        says: &["executable file not found"],
        seen: ("pods", "executable file not found"),
        play: |site| {
            let message =
                "failed to create containerd task: exec: \"sh\": executable file not found in $PATH";
            site.report(&waiting("RunContainerError", message));
        },
        ..BARE
    },
    Failure {
        key: "platform",
        name: "the image is for another architecture",
        id: "HC4205",
        says: &[
            "exec format error",
            "node bare-NAMESPACE is linux/arm64, and the image may be for another platform",
        ],
        seen: ("pods", "exec format error"),
        prepare: |site| {
            let info = json!({ "operatingSystem": "linux", "architecture": "arm64" });
            site.node().patch_status(&json!({ "status": { "nodeInfo": info } }));
        },
        play: |site| {
            let message = "failed to create containerd task: exec /app/start: exec format error";
            site.report(&waiting("RunContainerError", message));
        },
        ..BARE
    },
    Failure {
        key: "root",
        name: "the image runs as root and the pod may not",
        id: "HC4205",
        says: &["container has runAsNonRoot and image will run as root"],
        seen: ("pods", "runAsNonRoot"),
        play: |site| {
            let message =
                "container has runAsNonRoot and image will run as root (pod: \"oh\", container: openhands)";
            site.report(&waiting("CreateContainerConfigError", message));
        },
        ..BARE
    },
    Failure {
        key: "sandbox",
        name: "the pod gets no network: its CNI plugin fails",
        id: "HC4205",
        grace: Grace::Key("image_pull", 60),
        says: &["failed to setup network for sandbox"],
        seen: ("events", "FailedCreatePodSandBox"),
        play: |site| {
            let message = "Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox: no IP addresses available";
            kubelet_event(&site.namespace, &site.bind_pod(), "FailedCreatePodSandBox", None, message);
        },
        ..BARE
    },
    Failure {
        key: "cpu",
        name: "no node has enough CPU",
        id: "HC4301",
        config: "[deploy.resources]\nrequests = { cpu = \"100000\", memory = \"1Gi\" }\nlimits = { memory = \"4Gi\" }\n",
        grace: Grace::Key("unschedulable", 15),
        says: &["Insufficient cpu", "cpu: the largest node that accepts the pod, "],
        setting: "--> config.toml:2:20",
        seen: ("pods", "Insufficient cpu"),
        ..SIMULATED
    },
    Failure {
        key: "selector",
        name: "no node has the labels of the node selector",
        id: "HC4301",
        config: "[deploy]\nnode_selector = { disk = \"gold\" }\n",
        grace: Grace::Key("unschedulable", 15),
        says: &["didn't match Pod's node affinity/selector"],
        setting: "--> config.toml:2:1",
        seen: ("pods", "node affinity/selector"),
        ..SIMULATED
    },
    Failure {
        key: "affinity",
        name: "no node matches the node affinity",
        id: "HC4301",
        config: "[deploy]\naffinity = { nodeAffinity = { requiredDuringSchedulingIgnoredDuringExecution = { nodeSelectorTerms = [{ matchExpressions = [{ key = \"disk\", operator = \"In\", values = [\"gold\"] }] }] } } }\n",
        grace: Grace::Key("unschedulable", 15),
        says: &["didn't match Pod's node affinity/selector"],
        setting: "--> config.toml:2:",
        seen: ("pods", "node affinity/selector"),
        ..SIMULATED
    },
    Failure {
        key: "taint",
        name: "the only matching node has a taint",
        id: "HC4301",
        config: "[deploy]\nnode_selector = { \"example.io/node\" = \"NAMESPACE\" }\n",
        helper: true,
        grace: Grace::Key("unschedulable", 15),
        says: &["untolerated taint", "example.io/bare"],
        setting: "[deploy].tolerations",
        seen: ("pods", "untolerated taint"),
        ..SIMULATED
    },
    Failure {
        key: "no-class",
        name: "a claim has no storage class",
        id: "HC4401",
        config: EXTRA,
        extra: CLAIM,
        grace: Grace::Key("no_storage_class", 15),
        says: &["no storage class is set"],
        setting: "--> config.toml:2:",
        seen: ("events", "no storage class is set"),
        ..SIMULATED
    },
    Failure {
        key: "class",
        name: "the storage class does not exist",
        id: "HC4402",
        config: "[deploy]\nstorage_class = \"gold\"\n",
        says: &["storageclass.storage.k8s.io \"gold\" not found"],
        setting: "--> config.toml:2:17",
        seen: ("events", "\\\"gold\\\" not found"),
        ..SIMULATED
    },
    Failure {
        key: "provision",
        name: "the volume cannot be provisioned",
        id: "HC4403",
        config: "[deploy]\nstorage_class = \"NAMESPACE\"\n",
        flags: &["--set", "deploy.tolerate.image_pull=\"3s\""],
        grace: Grace::Fixed(3),
        says: &["rpc error: code = ResourceExhausted desc = no capacity left in pool"],
        setting: "--> config.toml:2:17",
        seen: ("events", "ResourceExhausted"),
        prepare: |site| {
            let name = &site.namespace.name;
            let class = json!({ "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
                "metadata": { "name": name }, "provisioner": "example.io/none", "volumeBindingMode": "Immediate" });
            site.create(&class);
            site.deletes(&format!("storageclass/{name}"));
        },
        play: |site| {
            site.wait_for(&["get", "pvc", "oh-state"], |claim| !claim.is_empty());
            let message = "failed to provision volume with StorageClass: rpc error: code = ResourceExhausted desc = no capacity left in pool";
            let claim = ("PersistentVolumeClaim", "oh-state");
            event(&site.namespace, claim, ("ProvisioningFailed", message), Value::Null);
        },
        ..SIMULATED
    },
    Failure {
        key: "lost",
        name: "the claim loses its volume",
        id: "HC4404",
        says: &["no longer exists"],
        seen: ("pvc", "\"phase\":\"Lost\""),
        play: |site| {
            let claim = site.bind_claim();
            let volume = claim.as_str();
            let bed = site.namespace.bed;
            bed.kubectl(&["delete", "pv", volume, "--wait=false"]);
            let patch = r#"{"metadata":{"finalizers":null}}"#;
            let _gone_already = bed.try_kubectl(&["patch", "pv", volume, "--type=merge", "-p", patch], "");
        },
        ..BARE
    },
    Failure {
        key: "quota",
        name: "a quota rejects the pods",
        id: "HC4501",
        grace: Grace::Fixed(5),
        says: &["exceeded quota: tight, requested: pods=1, used: pods=0, limited: pods=0"],
        setting: "setting   [deploy].replicas = 1 (default)",
        seen: ("replicasets", "exceeded quota"),
        prepare: |site| {
            // Of a quota without scopes, the check before the first write knows.
            let hard = ["--hard=pods=0", "--scopes=NotTerminating"];
            let create = ["create", "quota", "tight", "-n", &site.namespace.name];
            site.namespace.bed.kubectl(&[&create[..], &hard].concat());
            let read = ["get", "quota", "tight", "-o", "jsonpath={.status.hard}"];
            site.wait_for(&read, |hard| hard.contains("pods"));
        },
        ..SIMULATED
    },
    Failure {
        key: "limit-range",
        name: "a limit range rejects the pods",
        id: "HC4503",
        says: &["maximum memory usage per Container is 2Gi, but limit is 4Gi"],
        setting: "setting   [deploy.resources.limits].memory = \"4Gi\" (default)",
        seen: ("replicasets", "maximum memory usage"),
        prepare: |site| {
            site.create(&json!({ "apiVersion": "v1", "kind": "LimitRange",
                "metadata": { "name": "small", "namespace": site.namespace.name },
                "spec": { "limits": [{ "type": "Container", "max": { "memory": "2Gi" } }] } }));
        },
        ..SIMULATED
    },
    Failure {
        key: "policy",
        name: "an admission policy denies the pods",
        id: "HC4503",
        says: &["this namespace accepts no pods"],
        seen: ("replicasets", "this namespace accepts no pods"),
        prepare: |site| {
            let name = &site.namespace.name;
            deny_pods(&site.namespace);
            site.deletes(&format!("validatingadmissionpolicy/{name}"));
            site.deletes(&format!("validatingadmissionpolicybinding/{name}"));
        },
        ..SIMULATED
    },
    Failure {
        key: "webhook",
        name: "an admission webhook for pods does not respond",
        id: "HC4503",
        grace: Grace::Key("image_pull", 60),
        says: &[
            "failed calling webhook",
            "webhook pods.example.io is of validatingwebhookconfiguration.admissionregistration.k8s.io/NAMESPACE, whose \
             service/none in namespace NAMESPACE does not exist",
        ],
        seen: ("replicasets", "failed calling webhook"),
        prepare: |site| {
            let name = &site.namespace.name;
            let rule = json!({ "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"] });
            let service = json!({ "namespace": name, "name": "none" });
            site.create(&json!({ "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
                "metadata": { "name": name },
                "webhooks": [{
                    "name": "pods.example.io", "admissionReviewVersions": ["v1"], "sideEffects": "None",
                    "clientConfig": { "service": service }, "rules": [rule], "timeoutSeconds": 2,
                    "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": name } },
                }] }));
            site.deletes(&format!("validatingwebhookconfiguration/{name}"));
        },
        ..SIMULATED
    },
    Failure {
        key: "silent",
        name: "the pod is ready, and the application does not answer",
        id: "HC4601",
        flags: &["--probe", "always"],
        says: &["the pod is ready, but /alive does not answer"],
        seen: ("pods", "\"status\":\"True\",\"type\":\"Ready\""),
        ..SIMULATED
    },
];

/// The label of the application's pods.
const APP: &str = "app.kubernetes.io/component=app";

/// A rollout that does not fail: the pod becomes ready when the test reports it.
pub(crate) const READY: Failure = Failure {
    key: "ready",
    name: "none: the last pod becomes ready",
    exit: 0,
    flags: &["--probe", "never"],
    seen: ("pods", "\"status\":\"True\",\"type\":\"Ready\""),
    play: |site| {
        let pod = site.bind_pod();
        site.bind_claim();
        report_ready(&site.namespace, &pod);
    },
    ..BARE
};

impl Failure {
    /// The configuration in this namespace.
    pub(crate) fn config(&self, namespace: &str) -> String {
        let prefix = if self.bare { ON_BARE_NODE } else { "" };
        format!("{prefix}{}", self.config.replace("NAMESPACE", namespace))
    }

    /// The texts that stderr must contain.
    pub(crate) fn expected(&self, namespace: &str) -> Vec<String> {
        let title = format!("error[{}]", self.id);
        let says = self.says.iter().chain([&self.setting]).map(|text| text.replace("NAMESPACE", namespace));
        std::iter::once(title).chain(says).collect()
    }

    /// How long the fault may last, and the flags of `deploy` that set this time for a grace that can be set.
    pub(crate) fn grace_of(&self, seconds: Option<u64>) -> (Duration, Vec<String>) {
        match self.grace {
            Grace::None | Grace::Timeout(_) => (Duration::ZERO, Vec::new()),
            Grace::Fixed(fixed) => (Duration::from_secs(fixed), Vec::new()),
            Grace::Key(key, default) => {
                let flags = seconds
                    .map(|seconds| vec!["--set".to_owned(), format!("deploy.tolerate.{key}=\"{seconds}s\"")]);
                (Duration::from_secs(seconds.unwrap_or(default)), flags.unwrap_or_default())
            }
        }
    }
}

/// A namespace in which a rollout fails. Dropping the value deletes what was created for it.
pub(crate) struct Site {
    // Its pods are deleted before their namespace.
    node: Option<BareNode>,
    pub(crate) namespace: Namespace,
    /// Cluster-scoped objects to delete.
    objects: RefCell<Vec<String>>,
    /// Pods with a finalizer.
    held: RefCell<Vec<String>>,
}

impl Site {
    /// Creates the namespace, its configuration, and its node where there is one.
    pub(crate) fn new(bed: &'static Bed, failure: &Failure) -> Self {
        let namespace = bed.namespace(failure.key);
        namespace.create(&[]);
        let name = namespace.name.clone();
        std::fs::write(namespace.folder.path().join("extra.yaml"), failure.extra.replace("NAMESPACE", &name))
            .unwrap();
        if !failure.is_update {
            namespace.config(&failure.config(&name));
        }
        let labels = json!({ "example.io/node": name });
        let node = (failure.bare || failure.helper).then(|| BareNode::with_labels(&namespace, &labels));
        Self { node, namespace, objects: RefCell::default(), held: RefCell::default() }
    }

    fn node(&self) -> &BareNode {
        self.node.as_ref().unwrap()
    }

    /// Binds the application's pod to the bare node and returns its name.
    fn bind_pod(&self) -> String {
        self.node().bind_pod(&self.namespace)
    }

    /// Binds the application's pod to the bare node and reports this state of its container.
    fn report(&self, container: &Value) {
        report(&self.namespace, &self.bind_pod(), container);
    }

    /// Selects a node for the application's claim, as the scheduler does with its pod. Returns the name of the claim's volume.
    fn bind_claim(&self) -> String {
        self.wait_for(&["get", "pvc", "oh-state", "-o", "name"], |claim| !claim.is_empty());
        let selected = format!("volume.kubernetes.io/selected-node={}", self.node().name);
        self.namespace.bed.kubectl(&["annotate", "pvc", "oh-state", &selected, "-n", &self.namespace.name]);
        let read = ["get", "pvc", "oh-state", "-o", "jsonpath={.status.phase}={.spec.volumeName}"];
        let claim = self.wait_for(&read, |claim| claim.starts_with("Bound="));
        claim.trim_start_matches("Bound=").to_owned()
    }

    fn create(&self, object: &Value) {
        self.namespace.bed.kubectl_with(&["create", "-f", "-"], &object.to_string());
    }

    /// Deletes the cluster-scoped object at the end.
    fn deletes(&self, object: &str) {
        self.objects.borrow_mut().push(object.to_owned());
    }

    fn patch_pod_metadata(&self, pod: &str, patch: &str) {
        let namespace = &self.namespace.name;
        let arguments = ["patch", "pod", pod, "-n", namespace, "--type=merge", "-p", patch];
        let _gone_already = self.namespace.bed.try_kubectl(&arguments, "");
    }

    /// Waits until this kubectl command prints what is expected, and returns it.
    fn wait_for(&self, arguments: &[&str], is_expected: impl Fn(&str) -> bool) -> String {
        let arguments = [arguments, &["-n", &self.namespace.name]].concat();
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let output = self.namespace.bed.try_kubectl(&arguments, "");
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            if is_expected(&text) {
                return text;
            }
            assert!(Instant::now() < deadline, "{arguments:?}: {text}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Watches for the report of this failure.
    pub(crate) fn sighting(&self, failure: &Failure) -> Sighting {
        Sighting::new(&self.namespace, failure.seen)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        for pod in self.held.borrow().iter() {
            self.patch_pod_metadata(pod, r#"{"metadata":{"finalizers":null}}"#);
        }
        for object in self.objects.borrow().iter() {
            let delete = ["delete", object, "--ignore-not-found", "--wait=false"];
            let _already_deleted = self.namespace.bed.try_kubectl(&delete, "");
        }
    }
}

/// A watch for the object that reports a failure. Dropping the value ends it.
pub(crate) struct Sighting {
    kubectl: Child,
    time: Receiver<Instant>,
}

impl Sighting {
    fn new(namespace: &Namespace, (kind, text): (&str, &'static str)) -> Self {
        let watch = ["get", kind, "-n", &namespace.name, "--watch", "-o", "json"];
        let mut kubectl = namespace.bed.kubectl_command(&watch);
        let mut kubectl =
            kubectl.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let stdout = BufReader::new(kubectl.stdout.take().unwrap());
        let (sender, time) = channel();
        std::thread::spawn(move || {
            let objects = serde_json::Deserializer::from_reader(stdout).into_iter::<Value>();
            for object in objects.map_while(Result::ok) {
                if object.to_string().contains(text) {
                    let _nobody_asks = sender.send(Instant::now());
                    return;
                }
            }
        });
        Self { kubectl, time }
    }

    /// The time of the first report. Panics if there is none within 60 s.
    pub(crate) fn time(&self) -> Instant {
        self.time.recv_timeout(Duration::from_secs(60)).unwrap()
    }
}

impl Drop for Sighting {
    fn drop(&mut self) {
        let _ended_already = self.kubectl.kill();
        let _status = self.kubectl.wait();
    }
}

/// Creates a policy of the namespace's name that rejects every pod of the namespace, and waits until the server enforces
/// it.
pub(crate) fn deny_pods(namespace: &Namespace) {
    let name = &namespace.name;
    let pods = json!([{ "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"] }]);
    let group = "admissionregistration.k8s.io/v1";
    let objects = json!({ "apiVersion": "v1", "kind": "List", "items": [
        {
            "apiVersion": group, "kind": "ValidatingAdmissionPolicy", "metadata": { "name": name },
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": { "resourceRules": pods },
                "validations": [{ "expression": "false", "message": "this namespace accepts no pods" }],
            },
        },
        {
            "apiVersion": group, "kind": "ValidatingAdmissionPolicyBinding", "metadata": { "name": name },
            "spec": {
                "policyName": name,
                "validationActions": ["Deny"],
                "matchResources": { "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": name } } },
            },
        },
    ] });
    namespace.bed.kubectl_with(&["create", "-f", "-"], &objects.to_string());
    let dry_run = ["run", "probe", "-n", name, "--image=registry.example/probe:1", "--dry-run=server"];
    let deadline = Instant::now() + Duration::from_secs(30);
    while namespace.bed.try_kubectl(&dry_run, "").status.success() {
        assert!(Instant::now() < deadline, "the policy is not enforced");
        std::thread::sleep(Duration::from_millis(100));
    }
}
