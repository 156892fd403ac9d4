//! Failures of real containers, of their nodes and of admission: each ends with its id, its evidence, the key of
//! config.toml and its exit code, soon after the cluster has reported the cause.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::kind::{BUSYBOX, READY, Registry, Site, docker, wait_until};
use super::volumes::two_nodes;
use crate::bed::Run;

/// Stands in for the application: serves its paths, or fails as the variable `FAULT` tells.
const STAND_IN: &str = r#"#!/bin/sh
www=/tmp/www
mkdir -p $www/api/options && echo ok >$www/alive && echo '{}' >$www/api/options/config
case "$FAULT" in
    crash) echo "RuntimeError: the database is down" >&2; exit 3 ;;
    crash-later) httpd -p 3000 -h $www; sleep 4; echo "RuntimeError: lost the database" >&2; exit 3 ;;
    # The first process outlives the killed one: with cgroup v1 its end may hide the reason.
    memory) echo "loading the model"; tail /dev/zero; code=$?; sleep 1; exit $code ;;
    read-only) touch /app/state || exit 1 ;;
    other-port) exec httpd -f -p 3001 -h $www ;;
    partial) rm -r $www/api ;;
    error) FAULT=500 exec nc -ll -p 3000 -e "$0" ;;
    500)
        while read -r line && [ ${#line} -gt 1 ]; do :; done
        printf 'HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n'
        exit ;;
esac
exec httpd -f -p 3000 -h $www
"#;
/// The head of a program for another processor (ELF, `EM_S390`).
const FOREIGN_PROGRAM: &[u8] = b"\x7fELF\x02\x02\x01\0\0\0\0\0\0\0\0\0\0\x02\0\x16";

/// The number of failures at a time. Nearly all of their time is a wait.
const AT_A_TIME: usize = 4;
/// Time limit of half of the failures, from the cluster's report of a cause, or the end of its grace, to the exit: 2 s,
/// and the second to which Kubernetes cuts its times.
const LIMIT: SignedDuration = SignedDuration::from_secs(3);
/// Time limit of every failure. A computer that is busy stalls the cluster: an Event arrives seconds after its time.
const STALLED: SignedDuration = SignedDuration::from_secs(20);
/// Time limit of the Event about a failure that the deploy has reported.
const EVENT_LIMIT: Duration = Duration::from_secs(30);
/// The grace of a claim counts from its creation, shortly before the first Event about it.
const CREATION_TO_REPORT: SignedDuration = SignedDuration::from_millis(-1500);
/// How long the kubelet takes to report a container's end: it lists the containers every second
/// (`pkg/kubelet/pleg/generic.go`), and then sends the pod's status.
const END_TO_REPORT: SignedDuration = SignedDuration::from_secs(2);

/// What the cluster reported first about a cause.
#[derive(Clone, Copy)]
enum Report {
    /// The first Event with this reason.
    Event(&'static str),
    /// The last end of a container.
    End,
    /// The start of the container of this name.
    Start(&'static str),
    /// The last change of an object's condition.
    Condition(&'static str, &'static str),
    /// What the test did during the rollout.
    Disruption,
    /// Nothing: the run ended before the rollout, or its own deadline passed.
    Nothing,
}

impl Report {
    /// Whether the cluster is to report something.
    fn is_awaited(self) -> bool {
        !matches!(self, Self::Nothing | Self::Disruption)
    }
}

/// A failure, and what handsctl must report about it.
struct Failure {
    /// Its name, which is its namespace.
    name: &'static str,
    id: &'static str,
    exit: i32,
    /// Further lines of `[deploy]`.
    deploy: String,
    /// The manifest of `[deploy].extra_manifests`.
    extra: Option<Value>,
    /// Objects that exist before.
    before: Vec<Value>,
    arguments: &'static [&'static str],
    texts: Vec<String>,
    report: Report,
    grace: i64,
}

impl Failure {
    /// A failure that ends the rollout with exit code 9.
    fn new(name: &'static str, id: &'static str, deploy: impl Into<String>) -> Self {
        Self {
            name,
            id,
            exit: 9,
            deploy: deploy.into(),
            extra: None,
            before: Vec::new(),
            arguments: &[],
            texts: Vec::new(),
            report: Report::Nothing,
            grace: 0,
        }
    }

    /// A failure of the application's stand-in.
    fn of_application(name: &'static str, id: &'static str, fault: &str) -> Self {
        Self::new(name, id, format!("env = {{ FAULT = \"{fault}\" }}\n"))
    }

    /// A failure of an extra object.
    fn of_extra(name: &'static str, id: &'static str, extra: Value) -> Self {
        let mut failure = Self::new(name, id, "extra_manifests = [\"extra.json\"]\n").at("extra_manifests");
        failure.extra = Some(extra);
        failure
    }

    fn exits(mut self, code: i32) -> Self {
        self.exit = code;
        self
    }

    fn says(mut self, text: &str) -> Self {
        self.texts.push(text.to_owned());
        self
    }

    /// The key below whose value the carets are.
    fn at(self, key: &str) -> Self {
        self.says(&format!("^ [deploy].{key}"))
    }

    fn after(mut self, report: Report) -> Self {
        self.report = report;
        self
    }

    /// Seconds of grace after the report.
    fn grace(mut self, seconds: i64) -> Self {
        self.grace = seconds;
        self
    }

    fn beside(mut self, object: Value) -> Self {
        self.before.push(object);
        self
    }

    fn with(mut self, arguments: &'static [&'static str]) -> Self {
        self.arguments = arguments;
        self
    }

    /// Adds a line to `[deploy]`.
    fn also(mut self, line: &str) -> Self {
        self.deploy += line;
        self.deploy.push('\n');
        self
    }
}

/// A workload whose pods have one container of this kind, named `main`.
fn workload(kind: &str, name: &str, container: &Value, pod: &Value, spec: &Value) -> Value {
    let mut own = json!({ "name": "main", "image": BUSYBOX, "command": ["sleep", "99"] });
    merge(&mut own, container);
    let mut template = json!({ "containers": [own], "terminationGracePeriodSeconds": 1 });
    merge(&mut template, pod);
    if kind == "Pod" {
        return json!({ "apiVersion": "v1", "kind": kind, "metadata": { "name": name }, "spec": template });
    }
    let labels = json!({ "app": name });
    let mut all = json!({ "template": { "metadata": { "labels": labels }, "spec": template } });
    let api = if kind == "Job" { "batch/v1" } else { "apps/v1" };
    if kind != "Job" {
        all["selector"] = json!({ "matchLabels": labels });
    }
    merge(&mut all, spec);
    json!({ "apiVersion": api, "kind": kind, "metadata": { "name": name }, "spec": all })
}

/// A Deployment named `side` with one container of this kind.
fn side(container: &Value, pod: &Value) -> Value {
    workload("Deployment", "side", container, pod, &json!({}))
}

fn merge(target: &mut Value, fields: &Value) {
    for (name, value) in fields.as_object().unwrap() {
        target[name] = value.clone();
    }
}

fn shell(script: &str) -> Value {
    json!({ "command": ["sh", "-c", script] })
}

fn claim(name: &str, spec: &Value) -> Value {
    let mut all =
        json!({ "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } });
    merge(&mut all, spec);
    json!({ "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": { "name": name }, "spec": all })
}

/// A webhook without a server that is called for this resource of the namespace.
fn webhook(namespace: &str, group: &str, resource: &str) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": { "name": namespace },
        "webhooks": [{
            "name": format!("{namespace}.example.com"),
            "clientConfig": { "service": { "name": "gone", "namespace": namespace } },
            "rules": [{ "apiGroups": [group], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": [resource] }],
            "failurePolicy": "Fail", "sideEffects": "None", "admissionReviewVersions": ["v1"],
            "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": namespace } },
        }],
    })
}

fn limit(kind: &str, spec: &Value) -> Value {
    json!({ "apiVersion": "v1", "kind": kind, "metadata": { "name": "small" }, "spec": spec })
}

/// An object that makes the namespace, which then has no Pod Security level.
fn marker() -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "marker" } })
}

fn crashes() -> Vec<Failure> {
    vec![
        Failure::of_application("crash", "HC4201", "crash")
            .says("exit code 3")
            .says("RuntimeError: the database is down")
            .after(Report::End),
        Failure::of_application("crash-later", "HC4201", "crash-later")
            .also("min_ready_seconds = 30")
            .says("RuntimeError: lost the database")
            .after(Report::End),
        Failure::of_application("read-only", "HC4201", "read-only")
            .says("Read-only file system")
            .after(Report::End),
        Failure::of_application("memory", "HC4202", "memory")
            .says("memory limit 64Mi")
            .says("loading the model")
            .says("^ [deploy.resources.limits].memory")
            .after(Report::End),
        Failure::of_extra(
            "init",
            "HC4201",
            side(
                &json!({}),
                &json!({ "initContainers": [{ "name": "prepare", "image": BUSYBOX,
                    "command": ["sh", "-c", "echo no route to the licence server; exit 4"] }] }),
            ),
        )
        .says("container prepare")
        .says("exit code 4")
        .says("no route to the licence server")
        .says("the application's new pod is serving")
        .after(Report::End),
        Failure::of_extra(
            "liveness",
            "HC4201",
            side(
                &json!({ "livenessProbe": { "httpGet": { "path": "/", "port": 80 }, "periodSeconds": 1, "failureThreshold": 2 } }),
                &json!({}),
            ),
        )
        .says("Liveness probe failed")
        .says("liveness probe: GET :80/ every 1 s, 2 failures allowed")
        .after(Report::End),
        Failure::of_extra(
            "stateful",
            "HC4201",
            workload("StatefulSet", "db", &shell("echo disk is corrupt; exit 6"), &json!({}), &json!({ "serviceName": "db" })),
        )
        .says("pod/db-0")
        .says("disk is corrupt")
        .after(Report::End),
        Failure::of_extra(
            "daemon",
            "HC4201",
            workload("DaemonSet", "agent", &shell("echo no kernel module; exit 7"), &json!({}), &json!({})),
        )
        .says("no kernel module")
        .after(Report::End),
    ]
}

fn not_ready() -> Vec<Failure> {
    let probe = |port: u16, failures: u32| json!({ "tcpSocket": { "port": port }, "periodSeconds": 1, "failureThreshold": failures });
    vec![
        Failure::of_extra("slow-start", "HC4003", side(&json!({ "startupProbe": probe(80, 5) }), &json!({})))
            .says("Startup probe failed")
            .says("connection refused")
            .after(Report::Start("main"))
            .grace(5),
        Failure::of_extra("unready", "HC4003", side(&json!({ "readinessProbe": probe(80, 3) }), &json!({})))
            .says("Readiness probe failed")
            .says("connection refused")
            .after(Report::Start("main"))
            .grace(30),
        Failure::of_application("error", "HC4002", "error")
            .with(&["--timeout", "25s"])
            .exits(10)
            .says("cause     a container runs but does not become ready")
            .says("Startup probe failed: HTTP probe failed with statuscode: 500"),
        Failure::of_application("other-port", "HC4002", "other-port")
            .with(&["--timeout", "25s"])
            .exits(10)
            .says("3000: connect: connection refused"),
        Failure::of_application("progress", "HC4001", "error")
            .also("progress_deadline = \"20s\"")
            .at("progress_deadline")
            .says("Startup probe failed: HTTP probe failed with statuscode: 500")
            .after(Report::Condition("deployment/openhands", "Progressing")),
    ]
}

fn ended() -> Vec<Failure> {
    vec![
        Failure::of_extra(
            "job",
            "HC4006",
            workload(
                "Job",
                "migrate",
                &shell("echo no such table; exit 5"),
                &json!({ "restartPolicy": "Never" }),
                &json!({ "backoffLimit": 0 }),
            ),
        )
        .says("BackoffLimitExceeded")
        .says("exit code 5")
        .says("no such table")
        .after(Report::Condition("job/migrate", "FailureTarget")),
        Failure::of_extra(
            "job-deadline",
            "HC4006",
            workload(
                "Job",
                "migrate",
                &json!({}),
                &json!({ "restartPolicy": "Never" }),
                &json!({ "activeDeadlineSeconds": 5 }),
            ),
        )
        .says("DeadlineExceeded")
        .after(Report::Condition("job/migrate", "FailureTarget")),
        Failure::of_extra(
            "pod",
            "HC4005",
            workload("Pod", "once", &shell("echo cannot migrate; exit 9"), &json!({ "restartPolicy": "Never" }), &json!({})),
        )
        .says("cannot migrate")
        .after(Report::Condition("pod/once", "PodReadyToStartContainers")),
        Failure::of_extra(
            "evicted",
            "HC4005",
            workload(
                "Pod",
                "full",
                &json!({
                    "command": ["sh", "-c", "dd if=/dev/zero of=/v/f bs=1M count=9; sleep 99"],
                    "readinessProbe": { "exec": { "command": ["test", "-e", "/v/ready"] }, "failureThreshold": 30 },
                    "volumeMounts": [{ "name": "v", "mountPath": "/v" }],
                }),
                &json!({ "volumes": [{ "name": "v", "emptyDir": { "sizeLimit": "1Mi" } }] }),
                &json!({}),
            ),
        )
        .says("Evicted: Usage of EmptyDir volume")
        .says("describe pod/full"),
        Failure::of_application("deleted", "HC4007", "error").says("the object was deleted").after(Report::Disruption),
    ]
}

fn images(site: &Site, registry: &Registry) -> Vec<Failure> {
    let of = |repository: &str| format!("image = \"{}/{repository}/openhands:0.59\"\n", registry.address);
    vec![
        Failure::new("image-absent", "HC4103", of("absent"))
            .at("image")
            .says(": not found")
            .after(Report::Event("Failed")),
        Failure::new("image-denied", "HC4104", of("denied"))
            .at("image")
            .says("403 Forbidden")
            .says("setting   [deploy].image_pull_secrets")
            .after(Report::Event("Failed")),
        Failure::new("image-platform", "HC4103", of("platform"))
            .at("image")
            .says("no match for platform in manifest")
            .says("is linux/")
            .says("set [deploy].image to an image for the node's platform")
            .after(Report::Event("Failed")),
        Failure::new("image-busy", "HC4105", of("busy"))
            .also("tolerate = { image_pull = \"10s\" }")
            .at("image")
            .says("503 Service Unavailable")
            .says("warning   HC4105")
            .after(Report::Event("Failed"))
            .grace(10),
        Failure::new(
            "image-never",
            "HC4102",
            "image = \"acme/absent:0.59\"\nimage_pull_policy = \"Never\"\n",
        )
        .at("image_pull_policy")
        .after(Report::Event("ErrImageNeverPull")),
        Failure::new("image-name", "HC0111", "image = \"Acme/Failing:0.59\"\n").exits(3).says("uppercase"),
        Failure::of_extra(
            "extra-image-name",
            "HC4101",
            side(&json!({ "image": "Acme/UPPER:1" }), &json!({})),
        )
        .says("must be lowercase")
        .after(Report::Event("InspectFailed")),
        Failure::of_extra("command", "HC4205", side(&json!({ "command": ["/no/such/program"] }), &json!({})))
            .says("no such file or directory")
            .after(Report::Event("Failed")),
        Failure::of_extra(
            "foreign-program",
            "HC4205",
            side(&json!({ "image": image_name(site), "command": ["/bin/foreign"] }), &json!({})),
        )
        .says("exec format error")
        .says("is linux/")
        .after(Report::End),
        Failure::of_extra(
            "root",
            "HC4205",
            side(&json!({}), &json!({ "securityContext": { "runAsNonRoot": true } })),
        )
        .says("image will run as root")
        .after(Report::Event("Failed")),
    ]
}

fn references() -> Vec<Failure> {
    let mounted = |volume: &Value| {
        let mut volume = volume.clone();
        volume["name"] = "v".into();
        side(
            &json!({ "volumeMounts": [{ "name": "v", "mountPath": "/v" }] }),
            &json!({ "volumes": [volume] }),
        )
    };
    let keys = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "keys" }, "stringData": { "present": "x" } });
    vec![
        Failure::new("secret-key", "HC4203", "env = { TOKEN = { secret = \"keys\", key = \"absent\" } }\n")
            .beside(keys)
            .exits(14)
            .says("secret/keys in namespace secret-key has no entry \"absent\"; it has \"present\"")
            .says("^ [deploy.env].TOKEN"),
        Failure::of_extra(
            "config-map",
            "HC4203",
            side(&json!({ "envFrom": [{ "configMapRef": { "name": "absent" } }] }), &json!({})),
        )
        .says("configmap \"absent\" not found")
        .says("create configmap absent -n config-map")
        .after(Report::Event("Failed")),
        Failure::of_extra(
            "secret-volume",
            "HC4203",
            mounted(&json!({ "secret": { "secretName": "absent" } })),
        )
        .says("secret \"absent\" not found")
        .after(Report::Event("FailedMount")),
        Failure::of_extra(
            "mount",
            "HC4204",
            mounted(&json!({ "hostPath": { "path": "/no/such", "type": "Directory" } })),
        )
        .beside(marker())
        .also("tolerate = { image_pull = \"3s\" }")
        .says("/no/such is not a directory")
        .after(Report::Event("FailedMount"))
        .grace(3),
        Failure::new("class-absent", "HC4402", "storage_class = \"gold\"\n")
            .at("storage_class")
            .says("\"gold\" not found")
            .after(Report::Event("ProvisioningFailed")),
        Failure::of_extra("no-class", "HC4401", claim("shared", &json!({ "storageClassName": "" })))
            .also("tolerate = { no_storage_class = \"3s\" }")
            .after(Report::Event("FailedBinding"))
            .grace(3),
        Failure::of_extra("provisioning", "HC4403", {
            let shared = claim("shared", &json!({ "accessModes": ["ReadWriteMany"] }));
            let user = mounted(&json!({ "persistentVolumeClaim": { "claimName": "shared" } }));
            json!({ "apiVersion": "v1", "kind": "List", "items": [shared, user] })
        })
        .also("tolerate = { image_pull = \"10s\" }")
        .says("access modes")
        .after(Report::Event("ProvisioningFailed"))
        .grace(10),
        Failure::new("claim-absent", "HC2052", "existing_claim = \"mine\"\n")
            .exits(14)
            .at("existing_claim")
            .says("persistentvolumeclaim/mine does not exist in namespace claim-absent"),
        Failure::new(
            "claim-lost",
            "HC4301",
            "existing_claim = \"mine\"\ntolerate = { unschedulable = \"3s\" }\n",
        )
        .beside({
            let mut lost = claim("mine", &json!({ "volumeName": "absent", "storageClassName": "standard" }));
            lost["metadata"]["annotations"] = json!({ "pv.kubernetes.io/bind-completed": "yes" });
            lost
        })
        .at("existing_claim")
        .says("bound to non-existent persistentvolume")
        .after(Report::Event("FailedScheduling"))
        .grace(3),
    ]
}

fn scheduling_and_admission(site: &Site) -> Vec<Failure> {
    let control_plane = format!("{}-control-plane", site.own.cluster);
    let host_port = json!({ "ports": [{ "containerPort": 80, "hostPort": 9099 }] });
    let soon = "tolerate = { unschedulable = \"3s\" }";
    let scheduler = |failure: Failure| failure.also(soon).after(Report::Event("FailedScheduling")).grace(3);
    vec![
        scheduler(Failure::new("cpu", "HC4301", "resources = { requests = { cpu = \"1000\" } }\n"))
            .says("Insufficient cpu")
            .says("^ [deploy.resources.requests].cpu"),
        scheduler(Failure::new("selector", "HC4301", "node_selector = { disk = \"gold\" }\n")).at("node_selector"),
        scheduler(Failure::new(
            "taint",
            "HC4301",
            format!("node_selector = {{ \"kubernetes.io/hostname\" = \"{control_plane}\" }}\n"),
        ))
        .says(&format!("node {control_plane} has the taint node-role.kubernetes.io/control-plane:NoSchedule"))
        .at("node_selector"),
        scheduler(Failure::of_extra(
            "host-port",
            "HC4301",
            workload("Deployment", "side", &host_port, &json!({}), &json!({ "replicas": 2 })),
        ))
        .beside(marker())
        .says("didn't have free ports"),
        Failure::new("quota", "HC4501", "")
            .beside(limit("ResourceQuota", &json!({ "hard": { "limits.memory": "32Mi" }, "scopes": ["NotTerminating"] })))
            .says("exceeded quota: small")
            .says("^ [deploy.resources.limits].memory")
            .after(Report::Event("FailedCreate"))
            .grace(5),
        Failure::new("quota-of-claims", "HC4502", "")
            .beside(limit("ResourceQuota", &json!({ "hard": { "persistentvolumeclaims": "0" } })))
            .exits(8)
            .says("exceeded quota: small")
            .says("the installation was not changed"),
        Failure::new("limit-range", "HC4503", "")
            .beside(limit("LimitRange", &json!({ "limits": [{ "type": "Container", "max": { "memory": "32Mi" } }] })))
            .says("maximum memory usage per Container is 32Mi")
            .says("^ [deploy.resources.limits].memory")
            .after(Report::Event("FailedCreate")),
        Failure::new("webhook", "HC4503", "tolerate = { image_pull = \"3s\" }\n")
            .beside(webhook("webhook", "", "pods"))
            .says("service \"gone\" not found")
            .says("the webhook webhook.example.com must respond first: kubectl")
            .after(Report::Event("FailedCreate"))
            .grace(3),
        Failure::new("webhook-of-deployments", "HC3080", "")
            .beside(webhook("webhook-of-deployments", "apps", "deployments"))
            .exits(8)
            .says("service \"gone\" not found"),
        Failure::of_extra("pod-security", "HC4503", side(&json!({}), &json!({ "hostNetwork": true })))
            .exits(8)
            .says("host namespaces (hostNetwork=true)"),
        Failure::of_extra("account", "HC4503", side(&json!({}), &json!({ "serviceAccountName": "absent" })))
            .exits(8)
            .says("serviceaccount \"absent\" not found"),
        Failure::of_application("partial", "HC4601", "partial")
            .says("/api/options/config does not answer: 404")
            .says("log       "),
        Failure::new("ingress-class", "HC4602", "host = \"class.localhost\"\ningress_class = \"absent\"\n")
            .says("ingress class absent does not exist: nobody serves the Ingress")
            .at("ingress_class"),
        Failure::new("host", "HC4603", "host = \"hands.test\"\n").exits(0).says("to /etc/hosts"),
        Failure::new("certificate", "HC4203", "host = \"tls.localhost\"\ntls_secret = \"absent\"\n")
            .exits(0)
            .says("secret/absent in namespace certificate does not exist; https is served with another certificate"),
    ]
}

fn image_name(site: &Site) -> String {
    format!("acme/{}:0.59", site.own.cluster)
}

/// Builds the image of the stand-in from busybox, and loads it onto the nodes.
fn load_image(site: &Site) {
    let container = docker(&["create", BUSYBOX]);
    let container = container.trim();
    for (name, text) in [("uvicorn", STAND_IN.as_bytes()), ("foreign", FOREIGN_PROGRAM)] {
        let file = site.own.home.join(name);
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        docker(&["cp", file.to_str().unwrap(), &format!("{container}:/bin/{name}")]);
    }
    docker(&["commit", container, &image_name(site)]);
    docker(&["rm", container]);
    site.handsctl(&["image", "load", &image_name(site)]).exits(0);
    docker(&["rmi", &image_name(site)]);
}

/// A folder with the configuration of one installation in the cluster, and its namespace.
struct Installation<'a> {
    site: &'a Site,
    namespace: &'static str,
    folder: PathBuf,
}

impl<'a> Installation<'a> {
    fn new(site: &'a Site, namespace: &'static str) -> Self {
        let folder = site.own.home.join(namespace);
        std::fs::create_dir_all(&folder).unwrap();
        Self { site, namespace, folder }
    }

    /// Writes config.toml: the stand-in, small, and these lines of `[deploy]`, which replace the ones of the same keys.
    fn configure(&self, deploy: &str) {
        let image = format!("image = \"{}\"", image_name(self.site));
        let small =
            "resources = { requests = { cpu = \"10m\", memory = \"16Mi\" }, limits = { memory = \"64Mi\" } }";
        let mut config = format!("{}[deploy]\n", self.site.cluster_table());
        for line in [image.as_str(), small, "expose = \"none\""] {
            let key = line.split(' ').next().unwrap();
            let is_replaced = |own: &str| {
                own.starts_with(&format!("{key} ")) || key == "expose" && own.starts_with("host ")
            };
            if !deploy.lines().any(is_replaced) {
                writeln!(config, "{line}").unwrap();
            }
        }
        std::fs::write(self.folder.join("config.toml"), config + deploy).unwrap();
    }

    fn handsctl(&self, arguments: &[&str]) -> Run {
        let config = self.folder.join("config.toml");
        let chosen = ["--config", config.to_str().unwrap(), "-n", self.namespace];
        self.site.own.command(&[arguments, &chosen].concat()).run()
    }

    fn kubectl(&self, arguments: &[&str]) -> String {
        self.site.kubectl(&[arguments, &["-n", self.namespace]].concat())
    }

    fn get(&self, arguments: &[&str]) -> Vec<Value> {
        let list = self.site.get(&[arguments, &["-n", self.namespace]].concat());
        list["items"].as_array().cloned().unwrap_or_else(|| vec![list])
    }

    /// Waits until the namespace has a pod of the application that is not being deleted.
    fn await_pod(&self) -> Value {
        let mut pods = Vec::new();
        wait_until("the application has a pod", READY, || {
            pods = self.get(&["pods", "-l", "app.kubernetes.io/component=app"]);
            pods.retain(|pod| pod["metadata"]["deletionTimestamp"].is_null());
            !pods.is_empty()
        });
        pods.swap_remove(0)
    }

    /// When the cluster reported what this names. The kubelet changes the pod's status first and sends the Event later, on a
    /// busy node only after the deploy has ended.
    fn await_report(&self, report: Report) -> Option<Timestamp> {
        let begin = Instant::now();
        loop {
            let reported = self.reported(report);
            if reported.is_some() || !report.is_awaited() || begin.elapsed() > EVENT_LIMIT {
                return reported;
            }
            std::thread::sleep(Duration::from_millis(300));
        }
    }

    /// The same of what the cluster has reported until now.
    fn reported(&self, report: Report) -> Option<Timestamp> {
        match report {
            Report::Nothing | Report::Disruption => None,
            Report::Event(reason) => {
                let events = self.get(&["events"]);
                let events = events.iter().filter(|event| event["reason"] == reason);
                events.filter_map(|event| first_time(event, &["/firstTimestamp", "/eventTime"])).min()
            }
            Report::End => {
                let ends = ["/state/terminated/finishedAt", "/lastState/terminated/finishedAt"];
                self.containers().iter().filter_map(|status| first_time(status, &ends)).max()
            }
            Report::Start(name) => {
                let starts = ["lastState/terminated", "state/terminated", "state/running"]
                    .map(|state| format!("/{state}/startedAt"));
                let own = self.containers();
                let own = own.iter().filter(|status| status["name"] == name);
                own.filter_map(|status| first_time(status, &starts.each_ref().map(String::as_str))).min()
            }
            Report::Condition(object, kind) => {
                let object = self.get(&[object]).swap_remove(0);
                let conditions = object["status"]["conditions"].as_array().unwrap();
                let condition = conditions.iter().find(|condition| condition["type"] == kind)?;
                first_time(condition, &["/lastTransitionTime"])
            }
        }
    }

    /// The statuses of all containers.
    fn containers(&self) -> Vec<Value> {
        let lists = ["/status/initContainerStatuses", "/status/containerStatuses"];
        let of = |pod: &Value| {
            lists
                .map(|list| pod.pointer(list).and_then(Value::as_array).cloned().unwrap_or_default())
                .concat()
        };
        self.get(&["pods"]).iter().flat_map(of).collect()
    }
}

/// The first of these times that an object has.
fn first_time(object: &Value, paths: &[&str]) -> Option<Timestamp> {
    paths.iter().filter_map(|path| object.pointer(path)).find(|time| time.is_string()).map(second)
}

/// Parses a time without its fraction of a second, which most of Kubernetes' times lack.
fn second(time: &Value) -> Timestamp {
    let time: Timestamp = time.as_str().unwrap().parse().unwrap();
    Timestamp::from_second(time.as_second()).unwrap()
}

/// What handsctl said about a failure: its first evidence, else the sentence with its id.
fn message<'a>(stderr: &'a str, id: &str) -> &'a str {
    let of = |mark: &str| stderr.lines().rev().find_map(|line| line.trim_start().strip_prefix(mark));
    let sentence = || {
        let mut named =
            stderr.lines().filter(|line| line.starts_with("error[") || line.contains(" warning "));
        let rest = named.find_map(|line| line.split_once(id).map(|(_, rest)| rest))?;
        Some(rest.trim_start_matches([']', ':', ' ']))
    };
    of("evidence  ").or_else(|| of("caused by: ")).or_else(sentence).unwrap_or_default()
}

/// Produces one failure. Panics unless handsctl reports it; returns a row of a table with its measured time, and the time
/// from the report or the end of its grace to the exit.
fn assert_reported(site: &Site, failure: &Failure) -> (String, Option<SignedDuration>) {
    let own = Installation::new(site, failure.name);
    own.configure(&failure.deploy);
    if let Some(extra) = &failure.extra {
        std::fs::write(own.folder.join("extra.json"), extra.to_string()).unwrap();
    }
    if !failure.before.is_empty() {
        own.kubectl(&["create", "namespace", failure.name]);
        site.create(failure.name, &json!({ "apiVersion": "v1", "kind": "List", "items": failure.before }));
    }
    let arguments = [&["deploy"], failure.arguments].concat();
    let is_disrupted = matches!(failure.report, Report::Disruption);
    let (run, disrupted) = std::thread::scope(|scope| {
        let disruption = is_disrupted.then(|| {
            scope.spawn(|| {
                own.await_pod();
                let time = Timestamp::now();
                own.kubectl(&["delete", "deployment/openhands", "--wait=false"]);
                time
            })
        });
        let run = own.handsctl(&arguments);
        (run, disruption.map(|thread| thread.join().unwrap()))
    });
    let exit = Timestamp::now();
    let reported = disrupted.or_else(|| own.await_report(failure.report));
    own.kubectl(&["delete", "namespace", failure.name, "--ignore-not-found", "--wait=false"]);
    site.kubectl(&["delete", "validatingwebhookconfiguration", failure.name, "--ignore-not-found"]);

    let took = run.took;
    let mut run = run.exits(failure.exit).says(failure.id);
    if failure.exit != 0 {
        run = run.says(&format!("error[{}]", failure.id));
    }
    for text in &failure.texts {
        run = run.says(text);
    }
    let Failure { name, id, exit: code, grace, .. } = failure;
    let said = message(&run.stderr, id);
    if matches!(failure.report, Report::Nothing) {
        return (format!("| {name} | {id} | {code} | run of {:.1} s | {said} |", took.as_secs_f64()), None);
    }
    let reported = reported.unwrap_or_else(|| panic!("{name}: nothing was reported:\n{}", run.stderr));
    let delay = exit.duration_since(reported) - SignedDuration::from_secs(*grace);
    assert!(
        delay > CREATION_TO_REPORT,
        "{name}: exit {delay:#} before the end of its grace:\n{}",
        run.stderr
    );
    let lag = if matches!(failure.report, Report::End) { END_TO_REPORT } else { SignedDuration::ZERO };
    assert!(delay <= STALLED + lag, "{name}: exit {delay:#} after the report and its grace:\n{}", run.stderr);
    let time = if *grace == 0 { String::new() } else { format!("{grace} s + ") };
    let line = format!("| {name} | {id} | {code} | {time}{:.1} s | {said} |", delay.as_secs_f64());
    (line, Some(delay - lag))
}

#[test]
#[ignore = "needs a container engine and OpenHands' images, see CONTRIBUTING.md"]
fn every_failure_is_reported_with_id_evidence_and_key() {
    let (site, _guard) = two_nodes();
    load_image(site);
    let registry = Registry::for_site(site);
    let mut failures: VecDeque<Failure> = crashes().into();
    failures.extend(not_ready());
    failures.extend(ended());
    failures.extend(images(site, &registry));
    failures.extend(references());
    failures.extend(scheduling_and_admission(site));
    let number = failures.len();
    let (queue, reported, wrong) = (Mutex::new(failures), Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    let begin = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                loop {
                    let Some(failure) = queue.lock().unwrap().pop_front() else { return };
                    match catch_unwind(AssertUnwindSafe(|| assert_reported(site, &failure))) {
                        Ok(row) => reported.lock().unwrap().push(row),
                        Err(_) => wrong.lock().unwrap().push(failure.name),
                    }
                }
            });
        }
    });
    let (lines, delays): (Vec<_>, Vec<_>) = reported.into_inner().unwrap().into_iter().unzip();
    eprintln!("{number} failures in {:.0?}:\n{}", begin.elapsed(), lines.join("\n"));
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "reported wrongly: {}", wrong.join(", "));
    let mut delays: Vec<SignedDuration> = delays.into_iter().flatten().collect();
    delays.sort_unstable();
    let median = delays[delays.len() / 2];
    assert!(median <= LIMIT, "half of the failures were reported later than {median:#}");
}

#[test]
#[ignore = "needs a container engine and OpenHands' images, see CONTRIBUTING.md"]
fn old_pod_that_stays_is_reported_with_what_holds_it() {
    let (site, _guard) = two_nodes();
    load_image(site);
    let own = Installation::new(site, "held");
    own.configure("");
    own.handsctl(&["deploy"]).exits(0);
    let path = |pod: &Value| format!("pod/{}", pod["metadata"]["name"].as_str().unwrap());
    let pod = path(&own.await_pod());
    // The exit is within the limit after the pod's own grace and the one for finalizers and unmounts.
    let assert_soon = |pod: &str| {
        let exit = Timestamp::now();
        let deleted = second(&own.get(&[pod])[0]["metadata"]["deletionTimestamp"]);
        let delay = exit.duration_since(deleted) - SignedDuration::from_secs(15);
        assert!(delay <= STALLED, "{pod}: {delay:#}");
    };

    own.kubectl(&[
        "patch",
        &pod,
        "--type=merge",
        "-p",
        r#"{"metadata":{"finalizers":["example.com/hold"]}}"#,
    ]);
    own.configure("env = { ROUND = \"1\" }\n");
    let run = own.handsctl(&["deploy", "--no-rollback"]);
    assert_soon(&pod);
    run.exits(9)
        .says("error[HC4004]: an old pod does not terminate")
        .says("the pod is deleted but held by the finalizer example.com/hold")
        .says("no pod is serving");
    own.kubectl(&["patch", &pod, "--type=merge", "-p", r#"{"metadata":{"finalizers":null}}"#]);
    own.handsctl(&["deploy"]).exits(0);

    let pod = path(&own.await_pod());
    let worker = format!("{}-worker", site.own.cluster);
    docker(&["pause", &worker]);
    own.configure("env = { ROUND = \"2\" }\n");
    let run = own.handsctl(&["deploy", "--no-rollback"]);
    assert_soon(&pod);
    docker(&["unpause", &worker]);
    run.exits(9)
        .says("error[HC4004]: an old pod does not terminate")
        .says(&format!("its node {worker} has not stopped it"));
    wait_until("the node stops the pod", READY, || {
        own.kubectl(&["get", &pod, "--ignore-not-found"]).is_empty()
    });
    own.handsctl(&["deploy"]).exits(0);
    own.kubectl(&["delete", "namespace", "held", "--wait=false"]);
}
