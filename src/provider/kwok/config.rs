//! Renders the configuration for `kwokctl create cluster`. It sets every path and port, so that kwokctl downloads
//! nothing and all components listen on loopback only.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::folder::KwokFolder;
use super::spec::{KwokPorts, KwokSpec};
use crate::provider::assets::Programs;

/// The Stages that simulate the kubelets. Custom Stages replace all of kwok's built-in ones.
const STAGES: [&str; 5] = [
    include_str!("../../../kind/kwok/nodes.yaml"),
    include_str!("../../../kind/kwok/pods.yaml"),
    include_str!("../../../kind/kwok/volumes.yaml"),
    include_str!("../../../kind/kwok/image-pull-backoff.yaml"),
    include_str!("../../../kind/kwok/crash-loop-backoff.yaml"),
];

/// Renders the configuration as one file of YAML documents.
pub(super) fn configuration(
    folder: &KwokFolder,
    spec: &KwokSpec,
    ports: &KwokPorts,
    programs: &Programs,
) -> String {
    let mut text = String::from("# Written by handsctl for kwokctl.\n");
    for document in [cluster(folder, spec, ports, programs), logs(folder)] {
        // JSON is valid YAML, and its strings need no further quoting.
        let _a_string_never_fails = writeln!(text, "---\n{document:#}");
    }
    for stage in STAGES {
        let _a_string_never_fails = writeln!(text, "---\n{stage}");
    }
    text
}

fn cluster(folder: &KwokFolder, spec: &KwokSpec, ports: &KwokPorts, programs: &Programs) -> Value {
    let pki = |file: &str| folder.cluster.join("pki").join(file).to_string_lossy().into_owned();
    let (authority, certificate, key) = (pki("ca.crt"), pki("admin.crt"), pki("admin.key"));
    let etcd = format!("https://127.0.0.1:{}", ports.etcd);
    let etcd_peer = format!("https://127.0.0.1:{}", ports.etcd_peer);
    let initial_cluster = format!("node0={etcd_peer}");
    json!({
        "apiVersion": "config.kwok.x-k8s.io/v1alpha1",
        "kind": "KwokctlConfiguration",
        "options": {
            "runtime": "binary",
            // By default all components, including etcd, listen on every interface.
            "bindAddress": "127.0.0.1",
            "kubeVersion": spec.kubernetes,
            "etcdBinary": programs.etcd,
            "kubeApiserverBinary": programs.kube_apiserver,
            "kubeControllerManagerBinary": programs.kube_controller_manager,
            "kubeSchedulerBinary": programs.kube_scheduler,
            "kwokControllerBinary": programs.kwok,
            "kubectlBinary": programs.kubectl,
            "etcdPort": ports.etcd,
            "etcdPeerPort": ports.etcd_peer,
            "kubeApiserverPort": ports.kube_apiserver,
            "kubeControllerManagerPort": ports.kube_controller_manager,
            "kubeSchedulerPort": ports.kube_scheduler,
            "kwokControllerPort": ports.kwok_controller,
            "kubeAuthorization": true,
            "kubeAdmission": true,
            // By default kwokctl multiplies the periods of node monitoring by 5. These are the values of a real
            // cluster.
            "heartbeatFactor": 1,
            "nodeLeaseDurationSeconds": 40,
            "kubeControllerManagerNodeMonitorPeriodMilliseconds": 5000,
            "kubeControllerManagerNodeMonitorGracePeriodMilliseconds": 50000,
        },
        "componentsPatches": [
            // Data of a simulated cluster need not survive a power failure, and without fsync etcd is faster.
            // etcd contains the Secrets. kwokctl would start it with http and without credentials, for every user of
            // this computer.
            patch("etcd", &[
                ("unsafe-no-fsync", "true"),
                ("listen-client-urls", &etcd),
                ("advertise-client-urls", &etcd),
                ("client-cert-auth", "true"),
                ("trusted-ca-file", &authority),
                ("cert-file", &certificate),
                ("key-file", &key),
                ("listen-peer-urls", &etcd_peer),
                ("initial-advertise-peer-urls", &etcd_peer),
                ("initial-cluster", &initial_cluster),
                ("peer-client-cert-auth", "true"),
                ("peer-trusted-ca-file", &authority),
                ("peer-cert-file", &certificate),
                ("peer-key-file", &key),
            ]),
            patch("kube-apiserver", &[
                ("etcd-servers", &etcd),
                ("etcd-cafile", &authority),
                ("etcd-certfile", &certificate),
                ("etcd-keyfile", &key),
                ("enable-admission-plugins", "NodeRestriction"),
                ("service-cluster-ip-range", "10.96.0.0/16"),
                ("profiling", "false"),
                // Endpoints must not be loopback addresses. Nothing connects to this one (TEST-NET-1, RFC 5737).
                ("advertise-address", "192.0.2.1"),
            ]),
            // kwok ignores nodes without the annotation, so that a test can simulate their pods itself.
            patch("kwok-controller", &[
                ("manage-all-nodes", "false"),
                ("manage-nodes-with-annotation-selector", "kwok.x-k8s.io/node=fake"),
            ]),
            patch("kube-controller-manager", &[
                // There is only one instance. With leader election, a restart would wait 15 s for the old lease.
                ("leader-elect", "false"),
                ("use-service-account-credentials", "true"),
                // The defaults (20, 30) would double the start time.
                ("kube-api-qps", "200"),
                ("kube-api-burst", "400"),
                ("cluster-signing-cert-file", &authority),
                ("cluster-signing-key-file", &pki("ca.key")),
            ]),
            patch("kube-scheduler", &[("leader-elect", "false")]),
            // Without it nodes have no address and pods no hostIP.
            patch("kwok-controller", &[("node-ip", "127.0.0.1")]),
        ],
    })
}

/// Arguments that kwokctl sets, too. Without `override` it passes its own value in addition to ours.
const OVERRIDDEN: &[&str] = &[
    "manage-all-nodes",
    "listen-client-urls",
    "advertise-client-urls",
    "listen-peer-urls",
    "initial-advertise-peer-urls",
    "initial-cluster",
    "etcd-servers",
];

fn patch(component: &str, arguments: &[(&str, &str)]) -> Value {
    let arguments: Vec<Value> = arguments
        .iter()
        .map(|(key, value)| json!({"key": key, "value": value, "override": OVERRIDDEN.contains(key)}))
        .collect();
    json!({"name": component, "extraArgs": arguments})
}

/// The `ClusterLogs` resource. No container runs, so every pod's log is the same file, to which a test or a demo appends
/// lines in the CRI format.
fn logs(folder: &KwokFolder) -> Value {
    json!({
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "ClusterLogs",
        "metadata": {"name": "every-pod"},
        "spec": {"logs": [{"logsFile": folder.pod_log(), "previousLogsFile": folder.pod_log(), "follow": true}]},
    })
}
