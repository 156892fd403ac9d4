//! What `kwokctl create cluster` is told. Everything by path and port, so that it downloads nothing and nothing but
//! loopback is bound.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::folder::KwokFolder;
use super::spec::{KwokPorts, KwokSpec};
use crate::provider::assets::Programs;

/// The simulated kubelets. With Stages of our own, none of kwok's built-in ones remain.
const STAGES: [&str; 5] = [
    include_str!("../../../kind/kwok/nodes.yaml"),
    include_str!("../../../kind/kwok/pods.yaml"),
    include_str!("../../../kind/kwok/volumes.yaml"),
    include_str!("../../../kind/kwok/image-pull-backoff.yaml"),
    include_str!("../../../kind/kwok/crash-loop-backoff.yaml"),
];

/// One file of YAML documents.
pub(super) fn configuration(
    folder: &KwokFolder,
    spec: &KwokSpec,
    ports: &KwokPorts,
    programs: &Programs,
) -> String {
    let mut text = String::from("# Written by handsctl for kwokctl.\n");
    for document in [cluster(folder, spec, ports, programs), logs(folder)] {
        // JSON is YAML, and its strings need no thought about quoting.
        let _a_string_never_fails = writeln!(text, "---\n{document:#}");
    }
    for stage in STAGES {
        let _a_string_never_fails = writeln!(text, "---\n{stage}");
    }
    text
}

fn cluster(folder: &KwokFolder, spec: &KwokSpec, ports: &KwokPorts, programs: &Programs) -> Value {
    json!({
        "apiVersion": "config.kwok.x-k8s.io/v1alpha1",
        "kind": "KwokctlConfiguration",
        "options": {
            "runtime": "binary",
            // The default is every interface, etcd's included.
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
            // kwokctl multiplies every time of node monitoring by 5 unless told not to; these are a real cluster's.
            "heartbeatFactor": 1,
            "nodeLeaseDurationSeconds": 40,
            "kubeControllerManagerNodeMonitorPeriodMilliseconds": 5000,
            "kubeControllerManagerNodeMonitorGracePeriodMilliseconds": 50000,
        },
        "componentsPatches": [
            // A cluster without containers is worth a faster disk more than surviving a power cut.
            patch("etcd", &[("unsafe-no-fsync", "true")]),
            patch("kube-apiserver", &[
                ("enable-admission-plugins", "NodeRestriction"),
                ("service-cluster-ip-range", "10.96.0.0/16"),
                ("profiling", "false"),
                // The kubernetes Service may not point to loopback; nobody connects to this (TEST-NET-1, RFC 5737).
                ("advertise-address", "192.0.2.1"),
            ]),
            // A node without the annotation is somebody else's: a test answers for its pods itself.
            patch("kwok-controller", &[
                ("manage-all-nodes", "false"),
                ("manage-nodes-with-annotation-selector", "kwok.x-k8s.io/node=fake"),
            ]),
            patch("kube-controller-manager", &[
                // There is one of it. With an election, a restart waits 15 s for the predecessor's lease.
                ("leader-elect", "false"),
                ("use-service-account-credentials", "true"),
                // The defaults (20, 30) double the time of the start.
                ("kube-api-qps", "200"),
                ("kube-api-burst", "400"),
                ("cluster-signing-cert-file", &folder.cluster.join("pki/ca.crt").to_string_lossy()),
                ("cluster-signing-key-file", &folder.cluster.join("pki/ca.key").to_string_lossy()),
            ]),
            patch("kube-scheduler", &[("leader-elect", "false")]),
            // Otherwise nodes have no address and pods no hostIP.
            patch("kwok-controller", &[("node-ip", "127.0.0.1")]),
        ],
    })
}

fn patch(component: &str, arguments: &[(&str, &str)]) -> Value {
    // Without `override` kwokctl keeps its own value beside ours.
    let arguments: Vec<Value> = arguments
        .iter()
        .map(|(key, value)| json!({"key": key, "value": value, "override": *key == "manage-all-nodes"}))
        .collect();
    json!({"name": component, "extraArgs": arguments})
}

/// No container runs, so every pod shows one file: a test or a demo appends lines in the CRI format.
fn logs(folder: &KwokFolder) -> Value {
    json!({
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "ClusterLogs",
        "metadata": {"name": "every-pod"},
        "spec": {"logs": [{"logsFile": folder.pod_log(), "previousLogsFile": folder.pod_log(), "follow": true}]},
    })
}
