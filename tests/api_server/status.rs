//! `status` on a real API server: exit codes of the verdicts, their reasons, and the kinds that cannot be read.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::refusals::{FinalizedObject, account, run_with_kubeconfig, wait_for_output};
use crate::bed::{Bed, Namespace, Run, in_home, render};

/// Time limit of a command whose server or pod does not respond.
const UNREACHABLE_LIMIT: Duration = Duration::from_secs(60);
/// An image that the simulated kubelet cannot pull, and one whose container crashes.
const MISSING: &str = "*=registry.example/simulate-image-pull-backoff:1";
const CRASHES: &str = "*=registry.example/simulate-crash-loop-backoff:1";

fn deployed(test: &str) -> Namespace {
    let namespace = Bed::shared().namespace(test);
    namespace.handsctl(&["deploy"]).exits(0);
    namespace
}

fn kubectl(namespace: &Namespace, arguments: &[&str]) -> String {
    namespace.bed.kubectl(&[arguments, &["-n", &namespace.name]].concat())
}

/// Waits until the Deployment has this number of ready replicas.
fn wait_for_ready(namespace: &Namespace, ready: &str) {
    let path = "jsonpath={.status.readyReplicas}";
    wait_for_output(namespace.bed, &["get", "deployment/oh", "-n", &namespace.name, "-o", path], |text| {
        text == ready
    });
}

/// Waits until a container is waiting with this reason.
fn wait_for_reason(namespace: &Namespace, reason: &str) {
    let path = "jsonpath={.items[*].status.containerStatuses[*].state.waiting.reason}";
    wait_for_output(namespace.bed, &["get", "pods", "-n", &namespace.name, "-o", path], |text| {
        text.contains(reason)
    });
}

fn first_line(run: &Run) -> &str {
    run.stdout.lines().next().unwrap_or_default()
}

#[test]
fn healthy_set_exits_0_with_all_parts() {
    let namespace = deployed("status-healthy");
    let run = namespace.handsctl(&["status"]).exits(0);
    assert_eq!(run.stderr, "", "stdout is the result");
    let target = format!("{} / {}", namespace.bed.context, namespace.name);
    let line = first_line(&run);
    assert!(
        line.starts_with(&format!("oh  healthy (simulated)   {target} · revision 1, "))
            && line.contains(" ago by "),
        "{line}"
    );
    for part in [
        "app        1/1   docker",
        "volume     oh-state  5Gi",
        "endpoint   service/oh  1/1",
        "OpenHands itself does not run",
    ] {
        assert!(run.stdout.contains(part), "{part} in {}", run.stdout);
    }
    let status = namespace.handsctl(&["status", "-o", "json"]).exits(0).json();
    assert_eq!(status["verdict"], "healthy");
    assert_eq!((&status["name"], &status["namespace"]), (&json!("oh"), &json!(namespace.name)));
    assert_eq!((&status["context"], &status["simulated"]), (&json!(namespace.bed.context), &json!(true)));
    assert_eq!(
        (&status["revision"]["number"], &status["revision"]["result"]),
        (&json!(1), &json!("good")),
        "{status}"
    );
    for empty in ["reasons", "findings", "unknown"] {
        assert_eq!(status[empty], json!([]), "{empty}");
    }
    let app = &status["components"][0];
    assert_eq!(
        (&app["object"], &app["desired"], &app["ready"]),
        (&json!("deployment.apps/oh"), &json!(1), &json!(1))
    );
    assert_eq!((&app["restarts"], app["image"].is_string()), (&json!(0), true));
    let volume = &status["volumes"][0];
    assert_eq!(
        (&volume["name"], &volume["phase"], &volume["capacity"]),
        (&json!("oh-state"), &json!("Bound"), &json!("5Gi"))
    );
    assert_eq!(status["endpoints"], json!([{ "service": "oh", "ready": 1, "all": 1 }]));
    let yaml = namespace.handsctl(&["status", "-o", "yaml"]).exits(0).stdout;
    assert!(yaml.starts_with("v: 1\nverdict: healthy\n"), "{yaml}");
}

#[test]
fn missing_set_exits_12_with_deploy_hint() {
    let namespace = Bed::shared().namespace("status-nothing");
    for namespace_exists in [false, true] {
        if namespace_exists {
            namespace.create(&[]);
        }
        let run = namespace.handsctl(&["status"]).exits(12);
        assert!(first_line(&run).starts_with("oh  not deployed"), "{}", run.stdout);
        assert!(run.stdout.contains(&namespace.suggested("deploy", "creates it")), "{}", run.stdout);
        let status = namespace.handsctl(&["status", "-o", "json"]).exits(12).json();
        assert_eq!((&status["verdict"], &status["components"]), (&json!("not deployed"), &json!([])));
    }
    // A foreign Deployment with the same name is not the set.
    kubectl(&namespace, &["create", "deployment", "oh", "--image=registry.example/other:1"]);
    namespace.handsctl(&["status"]).exits(12);
}

#[test]
fn set_after_teardown_exits_12() {
    let namespace = deployed("status-teardown");
    namespace.handsctl(&["teardown"]).exits(0);
    let run = namespace.handsctl(&["status"]).exits(12);
    assert!(first_line(&run).starts_with("oh  not deployed"), "{}", run.stdout);
}

#[test]
fn set_scaled_to_zero_is_down() {
    let namespace = deployed("status-zero");
    kubectl(&namespace, &["scale", "deployment/oh", "--replicas=0"]);
    wait_for_ready(&namespace, "");
    let run = namespace.handsctl(&["status"]).exits(12);
    assert!(first_line(&run).contains("down: app 0/0, scaled to zero"), "{}", run.stdout);
    let command =
        format!("{} scale deployment/oh -n {} --replicas=1", namespace.suggested_kubectl(), namespace.name);
    run.prints("error[HC4022]").prints("scaled to 0").prints(&command);
}

#[test]
fn missing_image_is_down_with_finding() {
    let namespace = deployed("status-image");
    kubectl(&namespace, &["set", "image", "deployment/oh", MISSING]);
    wait_for_reason(&namespace, "ImagePull");
    let run = namespace.handsctl(&["status"]).exits(12);
    assert!(first_line(&run).starts_with("oh  down: app 0/1"), "{}", run.stdout);
    assert!(run.stdout.contains("error[HC41"), "{}", run.stdout);
    let status = namespace.handsctl(&["status", "-o", "json"]).exits(12).json();
    assert_eq!(status["verdict"], "down");
    let finding = &status["findings"][0];
    assert!(finding["id"].as_str().unwrap().starts_with("HC41"), "{finding}");
    assert!(finding["object"].as_str().unwrap().starts_with("pod/oh-"), "{finding}");
    assert!(!finding["message"].as_str().unwrap().is_empty(), "{finding}");
    assert!(finding["hints"][0].as_str().unwrap().contains("handsctl deploy"), "{finding}");
    let note = &status["notes"][0];
    assert_eq!((&note["id"], &note["object"]), (&json!("HC4023"), &json!("deployment.apps/oh")), "{status}");
    let message = note["message"].as_str().unwrap();
    assert!(
        message.contains("].image is registry.example/simulate") && message.contains("set by kubectl-set"),
        "{message}"
    );
}

#[test]
fn deleted_members_degrade_status_with_deploy_hint() {
    let namespace = deployed("status-missing");
    let read = ["get", "list", "watch"];
    let without_secrets = json!([
        { "apiGroups": ["apps"], "resources": ["deployments", "replicasets"], "verbs": read },
        { "apiGroups": [""], "resources": ["pods", "configmaps", "services"], "verbs": read },
    ]);
    let kubeconfig = account(&namespace, &without_secrets);
    kubectl(&namespace, &["delete", "service,ingress,rolebinding,networkpolicy,serviceaccount", "oh"]);
    kubectl(&namespace, &["delete", "configmap", "-l", "app.kubernetes.io/instance=oh"]);
    let run = namespace.handsctl(&["status"]).exits(11);
    for object in [
        "service/oh",
        "ingress.networking.k8s.io/oh",
        "rolebinding.rbac.authorization.k8s.io/oh",
        "networkpolicy.networking.k8s.io/oh",
        "serviceaccount/oh",
        "configmap/oh-config-",
    ] {
        assert!(first_line(&run).contains(object), "{object} in {}", run.stdout);
    }
    let run =
        run.prints("error[HC4020]").prints(&format!("hint: {}", namespace.suggested("deploy", "creates it")));
    assert!(!first_line(&run).contains("role.rbac"), "the Role exists: {}", run.stdout);

    // An account that may not read the revisions learns it from the parent, for the kinds that it may read.
    let status = run_with_kubeconfig(&namespace, &kubeconfig, &["status", "-o", "json"]).exits(11).json();
    assert_eq!(status["reasons"], json!(["configmap/oh is missing", "service/oh is missing"]), "{status}");
    let unknown = status["unknown"].as_array().unwrap();
    assert!(unknown.contains(&json!("secrets")) && !unknown.contains(&json!("services")), "{status}");

    namespace.handsctl(&["deploy"]).exits(0);
    namespace.handsctl(&["status"]).exits(0);
}

#[test]
fn set_with_deleted_deployment_is_down() {
    let namespace = deployed("status-gone");
    kubectl(&namespace, &["delete", "deployment", "oh"]);
    let run = namespace.handsctl(&["status"]).exits(12);
    assert!(
        first_line(&run).starts_with("oh  down: its Deployment was deleted, deployment.apps/oh is missing"),
        "{}",
        run.stdout
    );
    run.prints(&format!("hint: {}", namespace.suggested("deploy", "creates it")));
}

#[test]
fn set_of_gitops_controller_is_judged_and_named() {
    let namespace = Bed::shared().namespace("status-gitops");
    namespace.create(&[]);
    let rendered = render(namespace.folder.path(), &["-n", &namespace.name, "--name", "oh"]).exits(0).stdout;
    let apply =
        ["apply", "--server-side", "--field-manager=argocd-controller", "-n", &namespace.name, "-f", "-"];
    namespace.bed.kubectl_with(&apply, &rendered);
    wait_for_ready(&namespace, "1");
    let run = namespace.handsctl(&["status"]).exits(0);
    assert!(first_line(&run).starts_with("oh  healthy"), "{}", run.stdout);
    run.prints("[HC4026]")
        .prints("installed by argocd-controller; ")
        .prints(&namespace.suggested("deploy", "--adopt makes it a member"));
}

#[test]
fn paused_rollout_is_named_with_resume_command() {
    let namespace = deployed("status-paused");
    kubectl(&namespace, &["rollout", "pause", "deployment/oh"]);
    let command =
        format!("{} rollout resume deployment/oh -n {}", namespace.suggested_kubectl(), namespace.name);
    namespace.handsctl(&["status"]).exits(0).prints("warning[HC4021]").prints(&command);
    let change = ["deploy", "--no-rollback", "--set", "deploy.env={A=\"1\"}"];
    namespace.handsctl(&change).exits(9).says("error[HC4021]: the rollout is paused").says(&command);
    kubectl(&namespace, &["rollout", "resume", "deployment/oh"]);
    namespace.handsctl(&change).exits(0);
}

/// The API server accepts such an Ingress, and no object of the installation reports that nobody serves it.
#[test]
fn ingress_that_nobody_serves_is_a_warning_with_its_key() {
    let namespace = Bed::shared().namespace("status-route");
    namespace.create(&[]);
    let certificate = rcgen::generate_simple_self_signed(vec!["other.example.org".to_owned()]).unwrap();
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "tls" }, "type": "kubernetes.io/tls",
        "stringData": { "tls.crt": certificate.cert.pem(), "tls.key": certificate.signing_key.serialize_pem() },
    });
    namespace.bed.kubectl_with(&["apply", "-n", &namespace.name, "-f", "-"], &secret.to_string());
    namespace.config(&format!(
        "[deploy]\nhost = \"{}.example.org\"\nexposure = \"acknowledged\"\ningress_class = \"nobody\"\ntls_secret = \"tls\"\n",
        namespace.name
    ));
    let not_valid = format!("its certificate is not valid for {}.example.org", namespace.name);
    namespace.handsctl(&["deploy"]).exits(0).says(&not_valid);
    namespace
        .handsctl(&["status"])
        .exits(0)
        .prints("warning[HC2072]")
        .prints("ingress class nobody does not exist: nobody serves the Ingress")
        .prints("config.toml:4:17")
        .prints("warning[HC4203]")
        .prints(&not_valid)
        .prints("config.toml:5:14");

    // Without the right to read classes the verdict is the same, and nothing is claimed.
    let admin = super::roles::account(&namespace, "admin");
    let status = run_with_kubeconfig(&namespace, &admin, &["status"]).exits(0);
    assert!(!status.stdout.contains("HC2072") && status.stdout.contains("HC4203"), "{}", status.stdout);
}

#[test]
fn two_replicas_on_one_volume_are_degraded() {
    let namespace = deployed("status-replicas");
    kubectl(&namespace, &["scale", "deployment/oh", "--replicas=2"]);
    wait_for_ready(&namespace, "2");
    let command =
        format!("{} scale deployment/oh -n {} --replicas=1", namespace.suggested_kubectl(), namespace.name);
    namespace
        .handsctl(&["status"])
        .exits(11)
        .prints("error[HC4420]")
        .prints("2 replicas mount persistentvolumeclaim/oh-state, which is ReadWriteOnce")
        .prints(&command)
        .prints(".spec.replicas is 2 instead of 1, set by kubectl (scale)")
        .prints("drift      1 field that others changed since the deploy");
    let object = |run: &Run| run.json()["drift"].clone();
    assert_eq!(object(&namespace.handsctl(&["status", "-o", "json"]).exits(11)), 1);
    kubectl(&namespace, &["scale", "deployment/oh", "--replicas=1"]);
    wait_for_ready(&namespace, "1");
    namespace.handsctl(&["deploy", "--force-conflicts"]).exits(0);
    assert_eq!(object(&namespace.handsctl(&["status", "-o", "json"]).exits(0)), 0);
}

#[test]
fn drift_degrades_only_with_its_flag() {
    let namespace = deployed("status-drift");
    kubectl(&namespace, &["annotate", "ingress/oh", "traefik.ingress.kubernetes.io/x=y"]);
    namespace.handsctl(&["status", "--drift"]).exits(0).prints("drift      none");
    let patch = r#"{"spec": {"progressDeadlineSeconds": 601}}"#;
    kubectl(&namespace, &["patch", "deployment/oh", "--field-manager=ana", "-p", patch]);
    namespace
        .handsctl(&["status"])
        .exits(0)
        .prints("drift      1 field that others changed since the deploy");
    namespace
        .handsctl(&["status", "--drift"])
        .exits(11)
        .prints("oh  degraded: deployment.apps/oh: .spec.progressDeadlineSeconds is 601 instead of 600, set by ana")
        .prints("error[HC4023]");
}

#[test]
fn terminating_namespace_is_reported_with_its_blocker() {
    let namespace = deployed("status-leaving");
    let _object = FinalizedObject::new(&namespace);
    namespace.bed.kubectl(&["delete", "namespace", &namespace.name, "--wait=false"]);
    let run = namespace.handsctl(&["status"]);
    assert!(matches!(run.code, Some(11 | 12)), "{run:?}");
    let reason = format!("namespace {} is being deleted", namespace.name);
    assert!(first_line(&run).contains(&reason), "{}", run.stdout);
    let remaining = "jsonpath={.status.conditions[?(@.type==\"NamespaceFinalizersRemaining\")].status}";
    wait_for_output(namespace.bed, &["get", "namespace", &namespace.name, "-o", remaining], |text| {
        text == "True"
    });
    let run = namespace.handsctl(&["status"]).exits(12);
    assert!(first_line(&run).contains(&reason), "{}", run.stdout);
    run.prints("error[HC3001]")
        .prints("example.io/hold")
        .prints(&format!("{} wait --for=delete", namespace.suggested_kubectl()));
}

#[test]
fn running_deploy_is_named_with_its_holder() {
    let namespace = deployed("status-running");
    let now = jiff::Timestamp::now();
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": { "name": "handsctl-oh" },
        "spec": { "holderIdentity": "ana@laptop/boot/4711/start", "leaseDurationSeconds": 3600,
            "acquireTime": format!("{now:.6}"), "renewTime": format!("{now:.6}") },
    });
    namespace.bed.kubectl_with(&["create", "-n", &namespace.name, "-f", "-"], &lease.to_string());
    namespace
        .handsctl(&["status"])
        .exits(0)
        .prints("another run changes the installation: ana@laptop, process 4711, for");
}

#[test]
fn crashing_container_is_down_with_restart_count() {
    let namespace = deployed("status-crash");
    let patch = r#"{"spec": {"template": {"metadata": {"annotations": {"handsctl.dev/backoff": "1s"}}}}}"#;
    kubectl(&namespace, &["patch", "deployment/oh", "-p", patch]);
    kubectl(&namespace, &["set", "image", "deployment/oh", CRASHES]);
    let counts = "jsonpath={.items[*].status.containerStatuses[*].restartCount}";
    wait_for_output(namespace.bed, &["get", "pods", "-n", &namespace.name, "-o", counts], |text| {
        text.split(' ').any(|count| count.parse::<u32>().is_ok_and(|count| count > 2))
    });
    wait_for_reason(&namespace, "CrashLoopBackOff");
    let run = namespace.handsctl(&["status", "-o", "json"]);
    let status = run.json();
    assert_eq!((run.code, &status["verdict"]), (Some(12), &json!("down")), "{status}");
    assert!(status["components"][0]["restarts"].as_u64() > Some(2), "{status}");
    assert!(status["findings"][0]["id"].as_str().unwrap().starts_with("HC42"), "{status}");
}

#[test]
fn one_unready_pod_of_two_is_degraded_exit_11() {
    let namespace = deployed("status-degraded");
    // Two pods become ready, then one of them reports that it is not ready.
    let first = kubectl(&namespace, &["get", "pods", "-o", "jsonpath={.items[0].metadata.name}"]);
    kubectl(&namespace, &["scale", "deployment/oh", "--replicas=2"]);
    wait_for_ready(&namespace, "2");
    let condition = |name| json!({ "type": name, "status": "False", "reason": "ContainersNotReady" });
    let conditions = [condition("Ready"), condition("ContainersReady")];
    let not_ready = json!({ "status": { "conditions": conditions } }).to_string();
    kubectl(&namespace, &["patch", "pod", &first, "--subresource=status", "-p", &not_ready]);
    wait_for_ready(&namespace, "1");
    let run = namespace.handsctl(&["status"]).exits(11);
    assert!(first_line(&run).starts_with("oh  degraded: app"), "{}", run.stdout);
    assert!(run.stdout.contains("app        1/2 "), "{}", run.stdout);
    let status = namespace.handsctl(&["status", "-o", "json"]).exits(11).json();
    assert_eq!(status["verdict"], "degraded");
    assert!(!status["reasons"].as_array().unwrap().is_empty());
}

#[test]
fn unreadable_kinds_are_listed_as_unknown() {
    let namespace = deployed("status-rights");
    let read = ["get", "list", "watch"];
    let some = json!([
        { "apiGroups": ["apps"], "resources": ["deployments"], "verbs": read },
        { "apiGroups": [""], "resources": ["pods"], "verbs": read },
    ]);
    let kubeconfig = account(&namespace, &some);
    let run = run_with_kubeconfig(&namespace, &kubeconfig, &["status"]).exits(0);
    let unknown =
        run.stdout.lines().find(|line| line.trim_start().starts_with("unknown")).unwrap_or_default();
    for kind in
        ["persistentvolumeclaims", "ingresses", "replicasets", "endpointslices", "secrets", "services"]
    {
        assert!(unknown.contains(kind), "{kind} in {}", run.stdout);
    }
    assert!(!unknown.contains("deployments") && !unknown.contains("pods"), "{unknown}");
    let status = run_with_kubeconfig(&namespace, &kubeconfig, &["status", "-o", "json"]).exits(0).json();
    assert!(status["unknown"].as_array().unwrap().len() > 4, "{status}");
    assert_eq!(status["alive"]["answers"], Value::Null, "this account may not use the proxy: {status}");
}

#[test]
fn unreadable_deployment_exits_6_without_verdict() {
    let namespace = deployed("status-blind");
    let pods = json!([{ "apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"] }]);
    let kubeconfig = account(&namespace, &pods);
    let run = run_with_kubeconfig(&namespace, &kubeconfig, &["status"]).exits(6);
    assert!(
        !run.stdout.contains("not deployed"),
        "an installation that cannot be read is not missing: {}",
        run.stdout
    );
    run.says("deployments");
}

#[test]
fn unreachable_server_exits_4() {
    let namespace = Bed::shared().namespace("status-unreachable");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let kubeconfig = namespace.folder.path().join("unreachable");
    let config = json!({
        "apiVersion": "v1", "kind": "Config",
        "clusters": [{"name": "gone", "cluster": {"server": format!("https://{address}")}}],
        "users": [{"name": "gone", "user": {}}],
        "contexts": [{"name": namespace.bed.context, "context": {"cluster": "gone", "user": "gone"}}],
    });
    std::fs::write(&kubeconfig, config.to_string()).unwrap();
    let run = run_with_kubeconfig(&namespace, &kubeconfig, &["status"]).exits(4).says(&address.to_string());
    assert_eq!(run.stdout, "");
    let run = run_with_kubeconfig(&namespace, &kubeconfig, &["status", "-o", "json"]).exits(4);
    assert_eq!(run.json()["error"]["exit"], 4);
}

#[test]
fn responding_pod_is_healthy_and_silent_pod_degraded() {
    let namespace = deployed("status-alive");
    // A node that is not simulated: handsctl probes its pods, and the test plays its kubelet.
    let node = BareNode::new(&namespace);
    // The test plays the pod. The API server does not proxy to loopback, so the test listens on another address.
    let address = local_address();
    let listener = TcpListener::bind((address, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let ports =
        json!([{ "containerPort": 3000, "$patch": "delete" }, { "containerPort": port, "name": "http" }]);
    let pod = json!({ "nodeName": node.0, "containers": [{ "name": "openhands", "ports": ports }] });
    let patch = json!({ "spec": { "template": { "spec": pod } } }).to_string();
    kubectl(&namespace, &["patch", "deployment/oh", "-p", &patch]);
    let on_node = format!("--field-selector=spec.nodeName={}", node.0);
    let get_pod = &["get", "pods", "-n", &namespace.name, &on_node, "-o", "name"][..];
    wait_for_output(namespace.bed, get_pod, |text| text.starts_with("pod/"));
    let pod = namespace.bed.kubectl(get_pod);
    let conditions = ["Ready", "ContainersReady"].map(|kind| json!({"type": kind, "status": "True"}));
    let state = json!({"status": {
        "phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "conditions": conditions,
    }});
    let state = state.to_string();
    kubectl(&namespace, &["patch", pod.trim(), "--subresource=status", "--type=strategic", "-p", &state]);
    wait_for_ready(&namespace, "1");
    wait_for_endpoint(&namespace, listener.local_addr().unwrap());

    let responder = std::thread::spawn({
        let listener = listener.try_clone().unwrap();
        move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let read = stream.read(&mut request).unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}").unwrap();
            String::from_utf8_lossy(&request[..read]).into_owned()
        }
    });
    // The latency threshold is also the time limit of each probe.
    let run_status = |more: &[&str]| {
        namespace.handsctl(&[&["status", "--set", "deploy.thresholds.latency=1s"], more].concat())
    };
    let run = run_status(&[]).exits(0);
    assert!(run.stdout.contains("disk: no answer within 1000 ms"), "{}", run.stdout);
    assert!(run.stdout.contains("service/oh  1/1 pods   /alive 200 in "), "{}", run.stdout);
    assert!(!run.stdout.contains("simulated"), "{}", run.stdout);
    assert!(responder.join().unwrap().starts_with("GET /alive "));

    // The pod accepts connections and does not respond.
    let run = run_status(&[]).exits(11).within(UNREACHABLE_LIMIT);
    assert!(first_line(&run).contains("degraded: /alive does not answer"), "{}", run.stdout);
    // The pod accepts no connections.
    drop(listener);
    let status = run_status(&["-o", "json"]).exits(11).json();
    assert_eq!(
        (&status["verdict"], &status["alive"]["answers"]),
        (&json!("degraded"), &json!(false)),
        "{status}"
    );
}

/// Waits until the Service leads to this address.
fn wait_for_endpoint(namespace: &Namespace, address: SocketAddr) {
    let path = "jsonpath={.items[*].endpoints[*].addresses[*]}:{.items[*].ports[*].port}";
    let expected = address.to_string();
    wait_for_output(namespace.bed, &["get", "endpointslices", "-n", &namespace.name, "-o", path], |text| {
        text == expected
    });
}

/// The source address of this computer for other networks. Nothing is sent.
fn local_address() -> IpAddr {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.connect("198.18.0.1:9").expect("this test needs an address that is not loopback");
    socket.local_addr().unwrap().ip()
}

/// A Node object without a kubelet. Dropping the value deletes it.
struct BareNode(String, &'static Bed);

impl BareNode {
    fn new(namespace: &Namespace) -> Self {
        let name = format!("{}-node", namespace.name);
        let node = json!({
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": name},
            "spec": {"taints": [{"key": "test", "value": "only", "effect": "NoSchedule"}]},
        });
        namespace.bed.kubectl_with(&["create", "-f", "-"], &node.to_string());
        Self(name, namespace.bed)
    }
}

impl Drop for BareNode {
    fn drop(&mut self) {
        let _already_deleted = self.1.try_kubectl(&["delete", "node", &self.0, "--wait=false"], "");
    }
}

#[test]
fn list_shows_all_namespaces_or_says_which_one() {
    let namespace = deployed("list");
    let list = |kubeconfig: &Path, arguments: &[&str]| {
        let words = [&["list", "--context", &namespace.bed.context], arguments].concat();
        in_home(namespace.folder.path(), &words).env("KUBECONFIG", kubeconfig).run()
    };
    let admin = &namespace.bed.kubeconfig;
    let table = list(admin, &[]).exits(0).stdout;
    let row = table.lines().find(|line| line.starts_with(&format!("{} ", namespace.name))).unwrap();
    let cells: Vec<&str> = row.split_whitespace().collect();
    assert_eq!((cells[1], cells[2]), ("oh", "1/1"), "{row}");
    assert!(row.ends_with("openhands:0.59"), "{row}");
    let one = list(admin, &["-n", &namespace.name, "-o", "json"]).exits(0).json();
    assert_eq!((&one[0]["name"], &one[0]["ready"]), (&json!("oh"), &json!(1)), "{one}");
    assert_eq!(one.as_array().unwrap().len(), 1);
    list(admin, &["-n", "nowhere-at-all"]).exits(0).says("no installations");

    let read = json!([{ "apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch"] }]);
    let theirs = account(&namespace, &read);
    let set = format!("deploy.namespace=\"{}\"", namespace.name);
    let text = format!("no right to list all namespaces: only namespace {} was listed", namespace.name);
    list(&theirs, &["--set", &set]).exits(0).says(&text).prints("oh ");
    list(&theirs, &["-A"]).exits(6).says("cannot list configmaps in all namespaces");
}
