//! Unreachable clusters, accounts without rights, and rejections by the server: exit code, message and hint, and no
//! unreported change.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::doctor::ClusterObject;
use crate::bed::{Bed, Namespace, Run, run_in_home};
use crate::fault::{ErrorResponse, Fault, Proxy, Request};
use crate::planted;

/// Time limit of a command whose server never responds: far below the default `--timeout`.
const UNREACHABLE_LIMIT: Duration = Duration::from_secs(60);

/// All objects of the namespace except Events, and the namespace itself, with all fields.
fn all_objects(namespace: &Namespace) -> BTreeMap<String, Value> {
    static KINDS: OnceLock<String> = OnceLock::new();
    let kinds = KINDS.get_or_init(|| {
        let all = namespace.bed.kubectl(&["api-resources", "--namespaced", "--verbs=list", "-o", "name"]);
        all.lines().filter(|kind| !kind.starts_with("events")).collect::<Vec<_>>().join(",")
    });
    let list = namespace.bed.get(&[kinds, "-n", &namespace.name]);
    let namespace_object = namespace.bed.get(&["namespace", &namespace.name]);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let all = list["items"].as_array().unwrap().iter().chain([&namespace_object]);
    all.map(|object| {
        let key = format!("{}/{}", text(&object["kind"]), text(&object["metadata"]["name"]));
        (key, object.clone())
    })
    .collect()
}

/// Writes a changed copy of the shared cluster's kubeconfig into the test's folder.
fn kubeconfig(namespace: &Namespace, change: impl FnOnce(&mut Value)) -> PathBuf {
    let mut config: Value =
        serde_json::from_str(&namespace.bed.kubectl(&["config", "view", "--raw", "-o", "json"])).unwrap();
    change(&mut config);
    let path = namespace.folder.path().join("kubeconfig.json");
    std::fs::write(&path, config.to_string()).unwrap();
    path
}

/// Writes a copy of the shared cluster's kubeconfig with this token.
pub(crate) fn with_token(namespace: &Namespace, token: &str) -> PathBuf {
    kubeconfig(namespace, |config| config["users"][0]["user"] = json!({ "token": token }))
}

/// Writes a kubeconfig without a login.
pub(crate) fn without_login(namespace: &Namespace) -> PathBuf {
    kubeconfig(namespace, |config| config["users"][0]["user"] = json!({}))
}

/// Runs the binary with another kubeconfig on this namespace's set.
pub(crate) fn run_with_kubeconfig(namespace: &Namespace, kubeconfig: &Path, arguments: &[&str]) -> Run {
    let mut arguments = arguments.to_vec();
    arguments.extend(["--kubeconfig", kubeconfig.to_str().unwrap()]);
    namespace.handsctl(&arguments)
}

/// Waits until kubectl with these arguments prints the expected output.
pub(crate) fn wait_for_output(bed: &Bed, arguments: &[&str], is_expected: impl Fn(&str) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let output = bed.try_kubectl(arguments, "");
        let text = String::from_utf8_lossy(&output.stdout);
        if output.status.success() && is_expected(&text) {
            return;
        }
        assert!(Instant::now() < deadline, "kubectl {arguments:?} still prints {text}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Rules for all requests of a deploy in its namespace; `policies` are the verbs on `NetworkPolicies`.
fn rules(policies: &[&str]) -> Value {
    json!([
        {
            "apiGroups": [""],
            "resources": [
                "configmaps", "events", "persistentvolumeclaims", "pods", "secrets", "serviceaccounts", "services",
            ],
            "verbs": ["*"],
        },
        { "apiGroups": ["apps"], "resources": ["deployments", "replicasets"], "verbs": ["*"] },
        { "apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["*"] },
        { "apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["*"] },
        { "apiGroups": ["networking.k8s.io"], "resources": ["ingresses"], "verbs": ["*"] },
        { "apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"], "verbs": policies },
        { "apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles", "rolebindings"], "verbs": ["*"] },
    ])
}

/// Creates an account with exactly these rights in its namespace; returns its kubeconfig.
pub(crate) fn account(namespace: &Namespace, rules: &Value) -> PathBuf {
    let objects = json!({ "apiVersion": "v1", "kind": "List", "items": [
        { "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "tester" } },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": { "name": "tester" },
            "rules": rules,
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": { "name": "tester" },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "tester" },
            "subjects": [{ "kind": "ServiceAccount", "name": "tester", "namespace": namespace.name }],
        },
    ] });
    namespace.bed.kubectl_with(&["apply", "-n", &namespace.name, "-f", "-"], &objects.to_string());
    with_token(namespace, token(namespace).trim())
}

fn token(namespace: &Namespace) -> String {
    namespace.bed.kubectl(&["create", "token", "tester", "-n", &namespace.name])
}

/// An account of one namespace with rights in all namespaces. Dropping the value deletes its roles.
struct ClusterAccount<'a> {
    home: &'a Namespace,
    kubeconfig: PathBuf,
}

impl<'a> ClusterAccount<'a> {
    fn new(home: &'a Namespace, rules: &Value) -> Self {
        let name = &home.name;
        let objects = json!({ "apiVersion": "v1", "kind": "List", "items": [
            { "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "tester", "namespace": name } },
            {
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": { "name": name },
                "rules": rules,
            },
            {
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
                "metadata": { "name": name },
                "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name },
                "subjects": [{ "kind": "ServiceAccount", "name": "tester", "namespace": name }],
            },
        ] });
        let account = Self { home, kubeconfig: home.folder.path().join("kubeconfig.json") };
        home.bed.kubectl_with(&["apply", "-f", "-"], &objects.to_string());
        with_token(home, token(home).trim());
        account
    }
}

impl Drop for ClusterAccount<'_> {
    fn drop(&mut self) {
        let name = &self.home.name;
        let _already_deleted = self
            .home
            .bed
            .try_kubectl(&["delete", "--ignore-not-found", "clusterrole,clusterrolebinding", name], "");
    }
}

#[test]
fn refused_connection_exits_4_with_server_and_hint() {
    let namespace = Bed::shared().namespace("refused");
    // No process listens on this port any more.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = format!("https://127.0.0.1:{port}");
    let config = kubeconfig(&namespace, |config| config["clusters"][0]["cluster"]["server"] = json!(server));
    for command in ["deploy", "diff", "status", "teardown", "logs"] {
        run_with_kubeconfig(&namespace, &config, &[command])
            .exits(4)
            .within(UNREACHABLE_LIMIT)
            .says("error[HC1010]: cannot reach the cluster of context")
            .says(&format!("server    {server}"))
            .says("caused by: nothing listens there (connection refused)")
            .says("hint: is the cluster running, and is this the right context?")
            .never_says("ServiceError")
            .never_says("os error");
    }
}

#[test]
fn unreachable_existing_cluster_does_not_hint_up() {
    let namespace = Bed::shared().namespace("existing");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = format!("https://127.0.0.1:{port}");
    let config = kubeconfig(&namespace, |config| config["clusters"][0]["cluster"]["server"] = json!(server));
    let hint = " starts the local cluster";
    run_with_kubeconfig(&namespace, &config, &["status"]).exits(4).says(hint);
    namespace.config("[cluster]\nprovider = \"existing\"\n");
    run_with_kubeconfig(&namespace, &config, &["status"]).exits(4).never_says(hint);
}

#[test]
fn missing_kubeconfig_exits_4_and_hints_up() {
    let namespace = Bed::shared().namespace("nothing");
    for command in ["deploy", "diff", "status", "teardown"] {
        run_in_home(namespace.folder.path(), &[command, "-n", "x", "--name", "oh"])
            .exits(4)
            .says("error[HC1001]: cannot choose a cluster")
            .says("hint: handsctl up -n x --name oh creates a local cluster");
    }
    run_in_home(
        namespace.folder.path(),
        &["deploy", "--kubeconfig", "absent.yaml", "-n", "x", "--name", "oh"],
    )
    .exits(4)
    .says("absent.yaml")
    .says("hint: ")
    .never_says("'\"");
}

#[test]
fn unknown_context_exits_3_and_lists_contexts() {
    let bed = Bed::shared();
    let namespace = bed.namespace("context");
    let kubeconfig = bed.kubeconfig.to_str().unwrap();
    let names = ["-n", &namespace.name, "--name", "oh", "--kubeconfig", kubeconfig];
    let deploy = |first: &[&str]| run_in_home(namespace.folder.path(), &[first, &names].concat());
    deploy(&["deploy", "--context", "prod"])
        .exits(3)
        .says("error[HC0151]: the kubeconfig has no context `prod` (from --context)")
        .says(&format!("hint: the kubeconfig has {}; --context NAME chooses one", bed.context));
    deploy(&["deploy", "--set", "cluster.context=\"prod\""])
        .exits(3)
        .says("error[HC0151]: the kubeconfig has no context `prod` (from [cluster].context)");
    assert_absent(&namespace);
}

#[test]
fn context_other_than_pinned_exits_3_with_working_hint() {
    let bed = Bed::shared();
    let namespace = bed.namespace("pinned");
    namespace.config("[cluster]\ncontext = \"prod\"\n");
    let run = namespace
        .handsctl(&["deploy"])
        .exits(3)
        .says(&format!("error[HC0150]: --context {} contradicts [cluster].context", bed.context))
        .says(&format!("--set cluster.context={} changes it for this run", bed.context));
    assert!(run.stderr.contains("\"prod\""), "{}", run.stderr);
    assert_absent(&namespace);
    // The hint fixes the error.
    let set = format!("cluster.context={}", bed.context);
    namespace.handsctl(&["deploy", "--set", &set, "--dry-run"]).exits(0);
}

#[test]
fn current_context_is_not_changed_without_consent() {
    let bed = Bed::shared();
    let namespace = bed.namespace("current");
    let config = kubeconfig(&namespace, |config| config["current-context"] = json!(bed.context));
    let names = ["-n", &namespace.name, "--name", "oh", "--kubeconfig", config.to_str().unwrap()];
    for command in ["deploy", "teardown"] {
        run_in_home(namespace.folder.path(), &[&[command], &names[..]].concat())
            .exits(3)
            .says(&format!("error[HC0152]: no cluster was chosen, and the current context `{}`", bed.context))
            .says(&format!("hint: --context {} uses it", bed.context));
    }
    assert_absent(&namespace);
    // Commands that only read may use the current context.
    run_in_home(namespace.folder.path(), &[&["status"], &names[..]].concat()).exits(12);
}

fn assert_absent(namespace: &Namespace) {
    let output = namespace.bed.kubectl(&["get", "namespace", &namespace.name, "--ignore-not-found"]);
    assert_eq!(output, "", "the namespace was created");
}

#[test]
fn invalid_token_exits_5() {
    let namespace = Bed::shared().namespace("garbage");
    let config = with_token(&namespace, "garbage");
    for command in ["deploy", "diff", "status", "teardown", "logs"] {
        run_with_kubeconfig(&namespace, &config, &[command])
            .exits(5)
            .says("error[HC1020]: cannot reach the cluster of context")
            .says("the cluster did not accept your credentials: Unauthorized")
            .says("hint: log in again");
    }
    assert_absent(&namespace);
}

#[test]
fn expired_token_exits_5_with_expiry_time() {
    let namespace = Bed::shared().namespace("expired");
    namespace.create(&[]);
    account(&namespace, &json!([]));
    let now = Timestamp::now().as_second();
    // Key and claims are valid; only the expiry differs.
    run_with_kubeconfig(&namespace, &with_token(&namespace, &signed(&namespace, now + 600)), &["deploy"])
        .exits(6);
    let expiry = now - 3 * 3600;
    let config = with_token(&namespace, &signed(&namespace, expiry));
    for command in ["deploy", "diff", "status", "teardown"] {
        run_with_kubeconfig(&namespace, &config, &[command])
            .exits(5)
            .says("error[HC1021]: cannot reach the cluster of context")
            .says(&format!("expired 3 h ago ({})", Timestamp::from_second(expiry).unwrap()))
            .says("hint: log in again to get a new token");
    }
}

/// Signs a token of the namespace's account with the cluster's key and this expiry.
fn signed(namespace: &Namespace, expiry: i64) -> String {
    let bed = namespace.bed;
    let issued = token(namespace);
    let decode =
        |part: &str| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
    let parts: Vec<&str> = issued.trim().split('.').collect();
    let (header, mut claims) = (decode(parts[0]), decode(parts[1]));
    for (claim, at) in [("exp", expiry), ("iat", expiry - 3600), ("nbf", expiry - 3600)] {
        claims[claim] = json!(at);
    }
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", encode(&header), encode(&claims));
    // kwokctl signs the accounts' tokens with the key of its administrator (--service-account-signing-key-file).
    let pem = std::fs::read_to_string(bed.kubeconfig_folder().join("pki/admin.key")).unwrap();
    let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let key = ring::signature::RsaKeyPair::from_der(&STANDARD.decode(body).unwrap()).unwrap();
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(
        &ring::signature::RSA_PKCS1_SHA256,
        &ring::rand::SystemRandom::new(),
        text.as_bytes(),
        &mut signature,
    )
    .unwrap();
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[test]
fn unknown_certificate_authority_exits_4() {
    let namespace = Bed::shared().namespace("authority");
    let other = rcgen::generate_simple_self_signed(["other".to_owned()]).unwrap().cert.pem();
    let config = kubeconfig(&namespace, |config| {
        config["clusters"][0]["cluster"]["certificate-authority-data"] = json!(STANDARD.encode(other));
    });
    for command in ["deploy", "diff", "status", "teardown"] {
        run_with_kubeconfig(&namespace, &config, &[command])
            .exits(4)
            .says("error[HC1011]: cannot reach the cluster of context")
            .says("certificate")
            .says("hint: the cluster may have been recreated: refresh its entry in the kubeconfig")
            .never_says("ServiceError");
    }
    assert_absent(&namespace);
}

#[test]
fn unresponsive_server_exits_4_at_the_deadline() {
    let namespace = Bed::shared().namespace("silent");
    // The kernel accepts the connections; no process reads them.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // During the TLS handshake, and after the connection is open.
    for (scheme, command) in [("https", "deploy"), ("http", "status")] {
        let server = format!("{scheme}://{address}");
        let config =
            kubeconfig(&namespace, |config| config["clusters"][0]["cluster"]["server"] = json!(server));
        run_with_kubeconfig(&namespace, &config, &[command, "--timeout", "4s"])
            .exits(4)
            .within(UNREACHABLE_LIMIT)
            .says("error[HC1010]: cannot reach the cluster of context")
            .says(&format!("server    {server}"))
            .says("did not respond within 4 s")
            .says("hint: is the cluster running, and is a VPN or proxy needed?");
    }
}

#[test]
fn missing_right_on_one_kind_exits_6_before_changes() {
    let namespace = Bed::shared().namespace("rights");
    namespace.create(&[]);
    let config = account(&namespace, &rules(&["get", "list", "watch", "create"]));
    let before = all_objects(&namespace);
    run_with_kubeconfig(&namespace, &config, &["deploy"])
        .exits(6)
        .says(&format!(
            "error[HC1030]: this account is not allowed to patch networkpolicies in namespace {}; nothing was changed",
            namespace.name
        ))
        .says(r#"{apiGroups: ["networking.k8s.io"], resources: ["networkpolicies"], verbs: ["patch"]}"#)
        .says("hint: an administrator can add these rules to a Role");
    assert_eq!(all_objects(&namespace), before);

    let config = account(&namespace, &rules(&["get", "create", "patch"]));
    let before = all_objects(&namespace);
    run_with_kubeconfig(&namespace, &config, &["deploy"])
        .exits(6)
        .says("error[HC1030]: this account is not allowed to list networkpolicies in namespace")
        .says("and 1 more; nothing was changed")
        .says(
            r#"{apiGroups: ["networking.k8s.io"], resources: ["networkpolicies"], verbs: ["list", "watch"]}"#,
        )
        .says("hint: handsctl rbac ")
        .says("prints the smallest Roles for this configuration");
    assert_eq!(all_objects(&namespace), before);

    // The listed rules suffice, although the account sees neither namespaces nor nodes. The right to proxy is not used:
    // the pod is marked as simulated.
    let mut rules = rules(&["get", "list", "watch", "create", "patch"]);
    let may_proxy = json!({ "apiGroups": [""], "resources": ["services/proxy"], "verbs": ["get"] });
    rules.as_array_mut().unwrap().push(may_proxy);
    let config = account(&namespace, &rules);
    run_with_kubeconfig(&namespace, &config, &["deploy"])
        .exits(0)
        .says("10 created")
        .says("simulated nodes: no container runs");
    run_with_kubeconfig(&namespace, &config, &["status"]).exits(0);
}

#[test]
fn missing_namespace_without_create_right_exits_6() {
    let bed = Bed::shared();
    let (home, namespace) = (bed.namespace("account"), bed.namespace("missing"));
    home.create(&[]);
    let rules_with = |more: &[Value]| {
        let mut all = rules(&["*"]);
        all.as_array_mut().unwrap().extend_from_slice(more);
        all
    };
    let may_read_namespaces =
        json!({ "apiGroups": [""], "resources": ["namespaces"], "verbs": ["get", "list"] });
    for rules in [rules_with(&[]), rules_with(&[may_read_namespaces])] {
        let account = ClusterAccount::new(&home, &rules);
        run_with_kubeconfig(&namespace, &account.kubeconfig, &["deploy"])
            .exits(6)
            .says(&format!(
                "error[HC3002]: namespace {} does not exist and this account is not allowed to create it",
                namespace.name
            ))
            .says("hint: an administrator can create it: kubectl --context ")
            .says(&format!(" create namespace {}", namespace.name));
        assert_absent(&namespace);
    }
}

#[test]
fn local_provider_does_not_excuse_exposure_on_another_cluster() {
    let namespace = Bed::shared().namespace("elsewhere");
    namespace.config("[cluster]\nprovider = \"kind\"\n[deploy]\nexpose = \"nodeport\"\n");
    let kubeconfig = std::fs::read_to_string(&namespace.bed.kubeconfig).unwrap();
    let prod = namespace.folder.path().join("prod.yaml");
    std::fs::write(&prod, kubeconfig.replace(&namespace.bed.context, "prod")).unwrap();
    let target = ["deploy", "-n", &namespace.name, "--name", "oh", "--context", "prod"];
    let deploy = |more: &[&str]| {
        let all = [&target[..], &["--kubeconfig", prod.to_str().unwrap()], more].concat();
        run_in_home(namespace.folder.path(), &all)
    };
    deploy(&[]).exits(3).says("error[HC0170]").says("exposes it at every node's address");
    assert_absent(&namespace);
    let host =
        ["--set", "deploy.expose=ingress", "--set", "deploy.host=hands.example.org", "--dry-run=client"];
    deploy(&host).exits(0).says("HC0270");
    deploy(&["--set", "deploy.exposure=acknowledged", "--dry-run=client"]).exits(0).never_says("HC0170");
}

/// Creates a quota and waits until the server enforces it.
pub(super) fn quota(namespace: &Namespace, hard: &str) {
    namespace.bed.kubectl(&["create", "quota", "tight", "-n", &namespace.name, &format!("--hard={hard}")]);
    let read = ["get", "resourcequota", "tight", "-n", &namespace.name, "-o", "jsonpath={.status.hard}"];
    wait_for_output(namespace.bed, &read, |text| !text.is_empty());
}

/// Creates a quota of the pods that run until they are deleted, as [`quota`] does. The check before the first write adds
/// up quotas without scopes only.
pub(super) fn scoped_quota(namespace: &Namespace, hard: &str) {
    let hard = format!("--hard={hard}");
    let create = ["create", "quota", "tight", "-n", &namespace.name, &hard, "--scopes=NotTerminating"];
    namespace.bed.kubectl(&create);
    let read = ["get", "resourcequota", "tight", "-n", &namespace.name, "-o", "jsonpath={.status.hard}"];
    wait_for_output(namespace.bed, &read, |text| !text.is_empty());
}

#[test]
fn quota_refusal_leaves_no_object_of_first_deploy() {
    let namespace = Bed::shared().namespace("quota");
    namespace.create(&[]);
    quota(&namespace, "count/deployments.apps=0,count/services=0");
    let before = all_objects(&namespace);
    namespace
        .handsctl(&["deploy"])
        .exits(8)
        .says(&format!("error[HC4502]: cannot apply service/oh in namespace {}", namespace.name))
        .says("exceeded quota: tight, requested: count/services=1, used: count/services=0, limited: count/services=0")
        .says(&format!("cannot apply deployment.apps/oh in namespace {}", namespace.name))
        .says("the installation was not changed: the server rejected a dry run, before the first write")
        .says(&format!("hint: {} describe resourcequota -n {}", namespace.suggested_kubectl(), namespace.name));
    assert_eq!(all_objects(&namespace), before);
    namespace.bed.kubectl(&["delete", "quota", "tight", "-n", &namespace.name]);
    namespace.handsctl(&["deploy"]).exits(0).says("deployment.apps/oh created");
}

#[test]
fn quota_without_room_for_all_secrets_exits_8_before_changes() {
    let namespace = Bed::shared().namespace("sum");
    namespace.create(&[]);
    namespace.config("[llm]\napi_key = \"sk-planted\"\n");
    quota(&namespace, "count/secrets=2");
    let before = all_objects(&namespace);
    for command in [&["deploy", "--dry-run"][..], &["deploy", "--dry-run=server"], &["deploy"]] {
        namespace
            .handsctl(command)
            .exits(8)
            .says(&format!(
                "error[HC4502]: quota \"tight\" in namespace {} has no room for 3 objects of the deploy",
                namespace.name
            ))
            .says("requested: count/secrets=3, used: count/secrets=0, limited: count/secrets=2")
            .says("the installation was not changed: this was found before the first write")
            .says(&format!(
                "hint: {} describe resourcequota tight -n {}",
                namespace.suggested_kubectl(),
                namespace.name
            ));
        assert_eq!(all_objects(&namespace), before, "{command:?}");
    }
    namespace.bed.kubectl(&["delete", "quota", "tight", "-n", &namespace.name]);
    namespace.handsctl(&["deploy"]).exits(0);
}

#[test]
fn unfinished_first_deploy_is_named_with_the_way_on() {
    let namespace = Bed::shared().namespace("half");
    namespace.create(&[]);
    let proxy = Proxy::for_cluster(namespace.bed);
    let is_deployment = |request: &Request| request.is("PATCH", "/deployments/oh") && !request.is_dry_run();
    proxy.on(is_deployment).inject(Fault::Respond(ErrorResponse::Denied("not now".to_owned())));
    proxy.command(&namespace, &["deploy"]).run().exits(8).says("applied before it stopped");
    let unfinished = "its first deploy is unfinished: revision 1 failed (HC3003)";
    for (command, code) in [("restart", 12), ("open", 12), ("rollback", 14), ("status", 12)] {
        let run = namespace.handsctl(&[command]).exits(code);
        let text = format!("{}{}", run.stdout, run.stderr);
        for part in [
            unfinished,
            &namespace.suggested("deploy", "continues from there"),
            &namespace.suggested("history", "1 shows why it failed"),
        ] {
            assert!(text.contains(part), "{command} does not say {part}:\n{text}");
        }
        assert!(!text.contains("no installation"), "{text}");
    }
    namespace.handsctl(&["deploy"]).exits(0);
    namespace.bed.kubectl(&["delete", "deployment", "oh", "-n", &namespace.name]);
    namespace.handsctl(&["restart"]).exits(12).says("does not exist any more");
}

#[test]
fn all_rejections_have_their_object_cause_and_key_also_in_a_dry_run() {
    let namespace = Bed::shared().namespace("all");
    namespace.handsctl(&["deploy"]).exits(0);
    let service = ["patch", "service", "oh", "-n", &namespace.name, "--type=json", "-p"];
    let port = r#"[{"op":"replace","path":"/spec/ports/0/port","value":8088}]"#;
    namespace.bed.kubectl(&[&service[..], &[port]].concat());
    namespace.config("[deploy]\nstorage_class = \"gold\"\n");
    let before = all_objects(&namespace);
    for flag in ["--dry-run=client", "--dry-run=server", "--force-conflicts", "--no-wait"] {
        let run = namespace.handsctl(&["deploy", flag, "-o", "json"]).exits(8);
        let error = &run.json()["error"];
        assert_eq!(error["object"]["kind"], "PersistentVolumeClaim", "{flag}: {error}");
        assert_eq!(error["keys"][0]["key"], "deploy.storage_class", "{flag}: {error}");
        assert_eq!(error["keys"][0]["location"]["line"], 2, "{flag}: {error}");
        let [also] = error["also"].as_array().unwrap().as_slice() else { panic!("{flag}: {error}") };
        assert_eq!((&also["id"], &also["object"]["kind"]), (&json!("HC3007"), &json!("Service")), "{also}");
        assert!(also["causes"][0].as_str().unwrap().contains("Duplicate value"), "{also}");
        assert_eq!(also["keys"], json!([]), "no key sets the port: {also}");
    }
    assert_eq!(all_objects(&namespace), before);
    let run = namespace.handsctl(&["deploy"]).exits(8).says("--> config.toml:2:17");
    run.says("also      cannot apply service/oh in namespace")
        .says("port 8088 of kubectl-patch has the name \"http\", which is planned for port 3000")
        .says(&format!("to give up that port: {} patch service/oh", namespace.suggested_kubectl()));
}

#[test]
fn adopted_deployment_with_another_selector_names_no_key_and_the_way_out() {
    let namespace = Bed::shared().namespace("selector");
    namespace.create(&[]);
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "oh" },
        "spec": {
            "selector": { "matchLabels": { "app": "theirs" } },
            "template": {
                "metadata": { "labels": { "app": "theirs" } },
                "spec": { "containers": [{ "name": "a", "image": "busybox:1" }] },
            },
        },
    });
    namespace.bed.kubectl_with(&["apply", "-n", &namespace.name, "-f", "-"], &deployment.to_string());
    let run = namespace.handsctl(&["deploy", "--adopt", "-o", "json"]).exits(8);
    let error = &run.json()["error"];
    assert!(error["causes"][0].as_str().unwrap().contains("field is immutable"), "{error}");
    assert_eq!(error["keys"], json!([]), "{error}");
    let name = &namespace.name;
    run.says("hint: a selector cannot be changed: choose another name").says(&format!(
        "{} delete deployment.apps/oh -n {name} --cascade=orphan",
        namespace.suggested_kubectl()
    ));
}

#[test]
fn context_of_config_toml_is_in_suggested_kubectl_commands() {
    let namespace = Bed::shared().namespace("pinned");
    namespace.create(&[]);
    let (context, name) = (&namespace.bed.context, &namespace.name);
    namespace.config(&format!(
        "[cluster]\ncontext = \"{context}\"\n[deploy]\nname = \"oh\"\nnamespace = \"{name}\"\n"
    ));
    quota(&namespace, "count/services=0");
    let mut command = std::process::Command::new(crate::bed::HANDSCTL);
    command.arg("deploy").current_dir(namespace.folder.path()).env_clear();
    command.env("HOME", namespace.folder.path()).env("KUBECONFIG", &namespace.bed.kubeconfig);
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(8), "{text}");
    let hint = format!("hint: kubectl --context {context} describe resourcequota -n {name} shows");
    assert!(text.contains(&hint), "{hint}\n{text}");
}

#[test]
fn quota_that_old_pod_uses_up_does_not_refuse_the_change() {
    let namespace = Bed::shared().namespace("full");
    namespace.handsctl(&["deploy"]).exits(0);
    quota(&namespace, "pods=1");
    let used = ["get", "resourcequota", "tight", "-n", &namespace.name, "-o", "jsonpath={.status.used.pods}"];
    wait_for_output(namespace.bed, &used, |text| text == "1");
    namespace.handsctl(&["deploy", "--set", "deploy.env={A=\"1\"}"]).exits(0).says("1 configured");
}

#[test]
fn quota_rejects_first_object_exit_8() {
    let namespace = Bed::shared().namespace("parent");
    namespace.create(&[]);
    let roots = ["get", "configmaps", "-n", &namespace.name, "-o", "name"];
    wait_for_output(namespace.bed, &roots, |text| text.contains("kube-root-ca.crt"));
    quota(&namespace, "count/configmaps=1");
    let before = all_objects(&namespace);
    namespace
        .handsctl(&["deploy"])
        .exits(8)
        .says("error[HC4502]: cannot apply configmap/oh-config-")
        .says("the installation was not changed");
    assert_eq!(all_objects(&namespace), before);
}

#[test]
fn quota_without_room_for_the_first_pod_exits_8_before_changes() {
    let namespace = Bed::shared().namespace("nopods");
    namespace.create(&[]);
    quota(&namespace, "pods=0,limits.memory=1Gi");
    let before = all_objects(&namespace);
    for command in [&["deploy", "--dry-run"][..], &["deploy"]] {
        namespace
            .handsctl(command)
            .exits(8)
            .says("error[HC4502]: quota \"tight\" in namespace ")
            .says("exceeded quota: tight, requested: pods=1, used: pods=0, limited: pods=0")
            .says("exceeded quota: tight, requested: limits.memory=4Gi, used: limits.memory=0, limited: limits.memory=1Gi")
            .says("the installation was not changed: this was found before the first write");
        assert_eq!(all_objects(&namespace), before, "{command:?}");
    }
    namespace.bed.kubectl(&["delete", "quota", "tight", "-n", &namespace.name]);
    namespace.handsctl(&["deploy"]).exits(0);
}

/// How long the product tolerates a quota that rejects pods.
const QUOTA_GRACE: Duration = Duration::from_secs(5);

#[test]
fn quota_rejects_pods_exit_9_after_grace() {
    let namespace = Bed::shared().namespace("podquota");
    namespace.create(&[]);
    scoped_quota(&namespace, "pods=0");
    let events = namespace.folder.path().join("events.ndjson");
    namespace
        .handsctl(&["deploy", "--events", events.to_str().unwrap()])
        .exits(9)
        .says("error[HC4501]: a quota rejects the pods")
        .says("object    deployment.apps/oh")
        .says("exceeded quota: tight, requested: pods=1, used: pods=0, limited: pods=0")
        .says("setting   [deploy].replicas = 1 (default)")
        .says("hint: ");
    let sets = namespace.bed.get(&["replicasets", "-n", &namespace.name]);
    let since: Timestamp =
        sets["items"][0]["status"]["conditions"][0]["lastTransitionTime"].as_str().unwrap().parse().unwrap();
    let text = std::fs::read_to_string(&events).unwrap();
    let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    let reported: Timestamp = last["ts"].as_str().unwrap().parse().unwrap();
    // The condition's time has no fraction of a second.
    let after = reported.duration_since(since).as_secs_f64();
    assert!(after >= QUOTA_GRACE.as_secs_f64(), "the verdict came {after} s after the condition: {text}");

    let status = namespace.handsctl(&["status"]).exits(12);
    assert!(
        status.stdout.contains("HC4501") && status.stdout.contains("exceeded quota: tight"),
        "{status:?}"
    );
    // The rollout recovers when the quota is deleted.
    namespace.bed.kubectl(&["delete", "quota", "tight", "-n", &namespace.name]);
    namespace.bed.kubectl(&["delete", "replicasets", "--all", "-n", &namespace.name]);
    namespace.handsctl(&["deploy"]).exits(0).says("10 unchanged");
}

#[test]
fn taken_node_port_leads_to_its_key() {
    let namespace = Bed::shared().namespace("port");
    let taken = Bed::shared().namespace("taken");
    taken.create(&[]);
    taken.bed.kubectl(&["create", "service", "nodeport", "theirs", "--tcp=80:80", "-n", &taken.name]);
    let port =
        taken.bed.get(&["service", "theirs", "-n", &taken.name])["spec"]["ports"][0]["nodePort"].clone();
    namespace.config(&format!(
        "[deploy]\nexposure = \"acknowledged\"\nexpose = \"nodeport\"\nnode_port = {port}\n"
    ));
    let run = namespace.handsctl(&["deploy", "-o", "json"]).exits(8);
    let error = &run.json()["error"];
    assert_eq!(error["keys"][0]["key"], "deploy.node_port", "{error}");
    assert_eq!(error["keys"][0]["location"], json!({ "file": "config.toml", "line": 4, "column": 13 }));
    namespace
        .handsctl(&["deploy"])
        .exits(8)
        .says("provided port is already allocated")
        .says("--> config.toml:4:13")
        .says("[deploy].node_port");

    let service = json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "extra" },
        "spec": { "type": "NodePort", "ports": [{ "port": 80, "nodePort": port }] } });
    std::fs::write(namespace.folder.path().join("extra.yaml"), service.to_string()).unwrap();
    namespace.config("[deploy]\nextra_manifests = [\"extra.yaml\"]\n");
    namespace
        .handsctl(&["deploy"])
        .exits(8)
        .says("provided port is already allocated")
        .says("--> config.toml:2:19")
        .says("[deploy].extra_manifests")
        .never_says("[deploy].node_port");
}

/// An object whose finalizer keeps its namespace terminating. Dropping the value removes the finalizer.
pub(crate) struct FinalizedObject<'a>(&'a Namespace);

impl<'a> FinalizedObject<'a> {
    pub(crate) fn new(namespace: &'a Namespace) -> Self {
        let object = json!({ "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": "held", "finalizers": ["example.io/hold"] } });
        namespace.bed.kubectl_with(&["create", "-n", &namespace.name, "-f", "-"], &object.to_string());
        Self(namespace)
    }
}

impl Drop for FinalizedObject<'_> {
    fn drop(&mut self) {
        let patch = r#"{"metadata":{"finalizers":null}}"#;
        let arguments = ["patch", "configmap", "held", "-n", &self.0.name, "--type=merge", "-p", patch];
        let _already_deleted = self.0.bed.try_kubectl(&arguments, "");
    }
}

#[test]
fn terminating_namespace_exits_10_before_changes() {
    let namespace = Bed::shared().namespace("leaving");
    namespace.create(&[]);
    let _object = FinalizedObject::new(&namespace);
    namespace.bed.kubectl(&["delete", "namespace", &namespace.name, "--wait=false"]);
    let remaining = "jsonpath={.status.conditions[?(@.type==\"NamespaceFinalizersRemaining\")].status}";
    let read = ["get", "namespace", &namespace.name, "-o", remaining];
    wait_for_output(namespace.bed, &read, |text| text == "True");
    let before = all_objects(&namespace);
    namespace
        .handsctl(&["deploy", "--timeout", "3s"])
        .exits(10)
        .says(&format!("error[HC3001]: namespace {} has been terminating since", namespace.name))
        .says("nothing was changed")
        .says("example.io/hold in 1 resource instances")
        .says("hint: wait until it is gone, then run the command again, or choose another with -n");
    namespace
        .handsctl(&["teardown"])
        .exits(8)
        .says("there is nothing left to delete")
        .says("example.io/hold in 1 resource instances");
    let after = all_objects(&namespace);
    let names = |all: &BTreeMap<String, Value>| all.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&after), names(&before));
    assert_eq!(after["ConfigMap/held"], before["ConfigMap/held"]);
}

#[test]
fn foreign_deployment_exits_7_and_is_unchanged() {
    let namespace = Bed::shared().namespace("foreign");
    namespace.create(&[]);
    let foreign = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "oh" }, "spec": {
        "selector": { "matchLabels": { "app": "theirs" } },
        "template": {
            "metadata": { "labels": { "app": "theirs" } },
            "spec": { "containers": [{ "name": "theirs", "image": "registry.example/theirs:1" }] },
        },
    } });
    namespace.bed.kubectl_with(
        &["create", "-n", &namespace.name, "--field-manager=them", "-f", "-"],
        &foreign.to_string(),
    );
    let wait = ["wait", "deployment/oh", "-n", &namespace.name, "--for=condition=Available", "--timeout=30s"];
    namespace.bed.kubectl(&wait);
    let before = all_objects(&namespace);
    let rejected_deploy = || {
        namespace.handsctl(&["deploy"]).exits(7).says(&format!(
            "error[HC3006]: deployment.apps/oh in namespace {} exists and belongs to another owner; it was not \
             changed",
            namespace.name
        ))
    };
    rejected_deploy()
        .says("managers  kube-controller-manager, them")
        .says("the installation was not changed: this was found before the first write")
        .says("hint: choose another name with --name or [deploy].name, or another namespace with -n");
    assert_eq!(all_objects(&namespace), before, "no Secret, no parent, no revision");
}

/// The requests of a first deploy of the installation alone, measured before changes were checked by dry run; two for the
/// application's NetworkPolicy, two for the key that authenticates revisions (its dry run, and its creation), and one for
/// the quotas.
const FIRST_DEPLOY_REQUESTS: usize = 53;

#[test]
fn foreign_object_among_many_new_ones_exits_7_before_changes() {
    let namespace = Bed::shared().namespace("many");
    namespace.create(&[]);
    let document = |index: usize| {
        let metadata = json!({ "name": format!("m{index:02}") });
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": { "a": "1" } })
    };
    let documents: Vec<String> = (0..60).map(|index| document(index).to_string()).collect();
    std::fs::write(namespace.folder.path().join("many.yaml"), documents.join("\n---\n")).unwrap();
    namespace.config("[deploy]\nextra_manifests = [\"many.yaml\"]\n");
    let create = ["create", "-n", &namespace.name, "--field-manager=them", "-f", "-"];
    namespace.bed.kubectl_with(&create, &document(55).to_string());
    // Controllers create these two a moment after the namespace.
    let of_controllers = ["configmap/kube-root-ca.crt", "serviceaccount/default"];
    for object in of_controllers {
        let wait = ["wait", object, "-n", &namespace.name, "--for=create", "--timeout=30s"];
        namespace.bed.kubectl(&wait);
    }
    let before = all_objects(&namespace);
    namespace.handsctl(&["deploy"]).exits(7).says("configmap/m55").says("before the first write");
    assert_eq!(all_objects(&namespace), before);

    namespace.bed.kubectl(&["delete", "configmap", "m55", "-n", &namespace.name]);
    let proxy = Proxy::for_cluster(namespace.bed);
    proxy.command(&namespace, &["deploy"]).run().exits(0);
    let mut requests = proxy.requests();
    requests.retain(|request| !request.is("PUT", "/leases/handsctl-oh"));
    // Ten of the sixty are checked, and one list tells that no other object has the names of the others.
    let limit = FIRST_DEPLOY_REQUESTS + 60 + 11;
    assert!(requests.len() <= limit, "{} requests, not {limit}", requests.len());
}

#[test]
fn first_deploy_needs_no_more_requests_than_without_dry_runs() {
    let namespace = Bed::shared().namespace("counted");
    namespace.create(&[]);
    let proxy = Proxy::for_cluster(namespace.bed);
    proxy.command(&namespace, &["deploy"]).run().exits(0);
    let requests = proxy.requests();
    let lines =
        || requests.iter().map(|it| format!("{} {}", it.method, it.path)).collect::<Vec<_>>().join("\n");
    assert!(requests.len() <= FIRST_DEPLOY_REQUESTS, "{} requests:\n{}", requests.len(), lines());
}

#[test]
fn namespace_that_rejects_sandboxes_exits_14_before_changes() {
    let namespace = Bed::shared().namespace("strict");
    namespace.create(&[("pod-security.kubernetes.io/enforce", "restricted")]);
    let before = all_objects(&namespace);
    namespace
        .handsctl(&["deploy"])
        .exits(14)
        .says("error[HC2040]:")
        .says("enforces Pod Security `restricted`, which rejects sandbox pods")
        .says("nothing was changed")
        .says("hint: [kubernetes] namespace = \"NAME\" runs the sandboxes in another namespace")
        .says("--overwrite pod-security.kubernetes.io/enforce=baseline");
    namespace
        .handsctl(&["deploy", "--set", "kubernetes.privileged=true"])
        .exits(14)
        .says("which rejects privileged sandbox pods")
        .says("--overwrite pod-security.kubernetes.io/enforce=privileged");
    assert_eq!(all_objects(&namespace), before);
}

#[test]
fn volume_deleting_pod_is_not_stopped_without_delete_data() {
    let namespace = Bed::shared().namespace("clean");
    namespace.config("[deploy]\non_stop = \"clean\"\n");
    namespace.handsctl(&["deploy"]).exits(0);
    let pod =
        namespace.bed.get(&["deployment", "oh", "-n", &namespace.name])["spec"]["template"]["spec"].clone();
    assert_eq!(pod["terminationGracePeriodSeconds"], 60);
    let command = pod["containers"][0]["command"][2].as_str().unwrap();
    assert!(command.starts_with("exec uvicorn "), "SIGTERM reaches it: {command}");
    // There is no volume yet.
    namespace.handsctl(&["restart"]).exits(0);

    let claim = json!({ "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": { "name": "openhands-runtime-abcabcabcabcabcabcabcabcabcabcab-pvc" },
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } } });
    namespace.bed.kubectl_with(&["create", "-n", &namespace.name, "-f", "-"], &claim.to_string());
    let assert_rejected = |run: Run| {
        run.exits(2)
            .says("error[HC2042]: the application would delete the volume of its first conversation when it stops")
            .says("volumes   persistentvolumeclaim/openhands-runtime-abcabcabcabcabcabcabcabcabcabcab-pvc")
            .says("--> config.toml:2:")
    };
    let generation =
        || namespace.bed.get(&["deployment", "oh", "-n", &namespace.name])["metadata"]["generation"].clone();
    let before = generation();
    assert_rejected(namespace.handsctl(&["restart"]));
    assert_rejected(namespace.handsctl(&["teardown"]));
    // An unchanged deploy does not stop the pod.
    namespace.handsctl(&["deploy"]).exits(0);
    namespace.config("[deploy]\non_stop = \"clean\"\n[llm]\nmodel = \"openai/gpt-5\"\n");
    assert_rejected(namespace.handsctl(&["deploy"]))
        .says(&namespace.suggested("deploy", "--delete-data continues, and lets the application delete it"));
    assert_eq!(generation(), before, "the Deployment was changed");
    namespace.handsctl(&["deploy", "--delete-data"]).exits(2).says("--yes");
    namespace.handsctl(&["deploy", "--delete-data", "--yes"]).exits(0);
    namespace.handsctl(&["teardown", "--delete-data", "--yes"]).exits(0);
}

#[test]
fn open_without_set_exits_12_and_simulated_exits_14() {
    let namespace = Bed::shared().namespace("open");
    namespace.config("[deploy]\nexpose = \"none\"\n");
    let run = namespace.handsctl(&["open"]).exits(12).says("error[HC4008]");
    run.says(&namespace.suggested("deploy", "creates it"));
    namespace.handsctl(&["deploy"]).exits(0);
    namespace.handsctl(&["open"]).exits(14).says("error[HC2030]: simulated nodes: no container runs");
    let no_forward = &["open", "--no-forward", "--set", "deploy.expose=nodeport"];
    namespace.handsctl(no_forward).exits(12).says("error[HC4602]: the application answers at no URL");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    namespace.bed.kubectl(&["delete", "pod", "-n", &namespace.name, "--all", "--wait=false"]);
    namespace.bed.kubectl(&["scale", "deployment", "oh", "--replicas=0", "-n", &namespace.name]);
    namespace.bed.kubectl(&["wait", "pod", "-n", &namespace.name, "--all", "--for=delete", "--timeout=30s"]);
    namespace.handsctl(&["open", "--port", &port]).exits(14).says("error[HC2006]").says(&port);
    // Without a ready pod, too: none of this cluster will ever serve.
    // Only the account that created the cluster knows without a pod that it is simulated.
    namespace.command(&["open"]).without("XDG_STATE_HOME").run().exits(14).says("error[HC2030]");
    let why = namespace.suggested("status", "shows why");
    namespace.handsctl(&["logs"]).exits(0).says("no pods of `oh`").says(&why);
}

#[test]
fn app_version_change_and_downgrade_are_reported() {
    let namespace = Bed::shared().namespace("release");
    namespace.handsctl(&["deploy"]).exits(0).never_says("HC2043");
    namespace.config("[deploy]\nimage = \"docker.openhands.dev/openhands/openhands:1.6\"\n");
    let newer = "HC2043 OpenHands 0.59 → 1.6; registry docker.all-hands.dev/all-hands-ai → docker.openhands.dev/openhands; the sandboxes' image docker.all-hands.dev/all-hands-ai/runtime:0.59-nikolaik → docker.openhands.dev/openhands/runtime:1.6-nikolaik; OH_PERSISTENCE_DIR /.openhands is new";
    namespace.handsctl(&["deploy", "--dry-run"]).exits(0).says(newer);
    namespace.handsctl(&["deploy"]).exits(0).says(newer);
    namespace.handsctl(&["deploy"]).exits(0).never_says("HC2043");
    let older = "HC2044 OpenHands 1.6 → 0.59, a downgrade";
    namespace.handsctl(&["rollback"]).exits(0).says(older).says("OH_PERSISTENCE_DIR /.openhands is removed");
}

#[test]
fn webhook_without_a_server_rejects_the_deploy_and_is_named() {
    let namespace = Bed::shared().namespace("broken-webhook");
    namespace.create(&[]);
    namespace.config("");
    let _webhook = ClusterObject::webhook_without_a_server(&namespace, "policy.gone.io", "CREATE");
    // The API server learns of the webhook a moment after its creation.
    let create = ["create", "deployment", "probe", "--image=a", "-n", &namespace.name, "--dry-run=server"];
    let begin = Instant::now();
    while namespace.bed.try_kubectl(&create, "").status.success() {
        assert!(begin.elapsed() < Duration::from_secs(30), "the webhook is never called");
        std::thread::sleep(Duration::from_millis(100));
    }
    let run = namespace.handsctl(&["deploy"]).exits(8).says("error[HC3080]");
    run.says("the webhook policy.gone.io must respond first").never_says("overloaded").says(&format!(
        "webhook policy.gone.io is of validatingwebhookconfiguration.admissionregistration.k8s.io/{0}-gone, whose \
         service/gone in namespace {0} does not exist",
        namespace.name
    ));
    assert!(!namespace.has("deployment/oh"));
    // A namespace's administrator may not list webhooks: the rejection is the same, and the line says why it lacks more.
    let admin = super::roles::account(&namespace, "admin");
    let run = namespace.command(&["deploy"]).env("KUBECONFIG", &admin).run().exits(8);
    run.says("error[HC3080]").says("who installed the webhook was not read: no right");
}

#[test]
fn secret_in_a_denial_is_hidden() {
    let namespace = Bed::shared().namespace("denied");
    let secret = planted::secret("w1");
    namespace.config(&format!("[llm]\napi_key = {secret:?}\n"));
    let proxy = Proxy::for_cluster(namespace.bed);
    let denial = planted::quotations(&secret).join("; ");
    let is_deployment =
        |request: &Request| request.method == "PATCH" && request.path.contains("/deployments/");
    proxy.on(is_deployment).inject(Fault::Respond(ErrorResponse::Denied(denial)));
    let events = namespace.folder.path().join("events");
    for more in [&[][..], &["-o", "json"], &["-v", "--events", events.to_str().unwrap()]] {
        let run = proxy.command(&namespace, &[&["deploy"], more].concat()).run().exits(8);
        run.hides(&secret).says("denied the request: key (redacted) is wrong");
    }
    planted::assert_hidden(&secret, "the events", &std::fs::read_to_string(&events).unwrap());
    proxy.command(&namespace, &["diff"]).run().hides(&secret);
}

/// A command on a copy of the kubeconfig in which the context does not have the name of a local cluster.
pub(super) fn on_another_cluster(namespace: &Namespace, arguments: &[&str]) -> Run {
    let kubeconfig = std::fs::read_to_string(&namespace.bed.kubeconfig).unwrap();
    let prod = namespace.folder.path().join("prod.yaml");
    std::fs::write(&prod, kubeconfig.replace(&namespace.bed.context, "prod")).unwrap();
    let target = ["-n", &namespace.name, "--name", "oh", "--context", "prod", "--kubeconfig"];
    run_in_home(namespace.folder.path(), &[arguments, &target, &[prod.to_str().unwrap()]].concat())
}

#[test]
fn exposure_by_others_stops_deploy_and_warns_in_status() {
    let namespace = Bed::shared().namespace("exposed");
    namespace.config("");
    on_another_cluster(&namespace, &["deploy"]).exits(0);
    let patch = |kind: &str, patch: &str| {
        let manager = "--field-manager=them";
        namespace.bed.kubectl(&[
            "patch",
            kind,
            "oh",
            "-n",
            &namespace.name,
            manager,
            "--type=merge",
            "-p",
            patch,
        ])
    };
    patch("service", "{\"spec\":{\"externalIPs\":[\"203.0.113.7\"]}}");
    on_another_cluster(&namespace, &["status"])
        .exits(0)
        .prints("HC0172")
        .prints(".spec.externalIPs has 203.0.113.7; set by them");
    let command =
        format!(" patch service/oh -n {} -p '{{\"spec\":{{\"externalIPs\":null}}}}'", namespace.name);
    on_another_cluster(&namespace, &["deploy"])
        .exits(7)
        .says(&format!(
            "error[HC0172]: OpenHands has no login, but service/oh in namespace {} exposes it at its externalIPs",
            namespace.name
        ))
        .says(".spec.externalIPs has 203.0.113.7; set by them")
        .says(&command);
    // A changed member is judged by the dry run.
    namespace.bed.kubectl(&[
        "patch",
        "service",
        "oh",
        "-n",
        &namespace.name,
        "-p",
        "{\"spec\":{\"externalIPs\":null}}",
    ]);
    let alias =
        "{\"metadata\":{\"annotations\":{\"nginx.ingress.kubernetes.io/server-alias\":\"a.example\"}}}";
    patch("ingress", alias);
    let revisions = || namespace.bed.kubectl(&["get", "secret", "-n", &namespace.name, "-o", "name"]);
    let before = revisions();
    let changed = ["deploy", "--set", "deploy.host=b.localhost"];
    on_another_cluster(&namespace, &changed)
        .exits(7)
        .says("HC0172")
        .says("server-alias leads to it from a.example");
    assert_eq!(revisions(), before, "no revision is recorded");
    // The consent allows it, and no other computer reaches a local cluster.
    on_another_cluster(&namespace, &["deploy", "--set", "deploy.exposure=acknowledged"]).exits(0);
    on_another_cluster(&namespace, &["status", "--set", "deploy.exposure=acknowledged"])
        .exits(0)
        .never_says("HC0172");
    namespace.handsctl(&["deploy"]).exits(0).never_says("HC0172");
}

#[test]
fn adopted_service_with_external_addresses_exits_7_before_changes() {
    let namespace = Bed::shared().namespace("adopt-exposed");
    namespace.create(&[]);
    namespace.config("");
    let service = json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "oh", "namespace": namespace.name },
        "spec": { "ports": [{ "name": "http", "port": 3000, "targetPort": "http" }], "externalIPs": ["203.0.113.7"],
            "selector": { "app": "theirs" } } });
    let create = ["apply", "--server-side", "--field-manager=terraform", "-f", "-"];
    namespace.bed.kubectl_with(&create, &service.to_string());
    let service = || namespace.bed.get(&["service", "oh", "-n", &namespace.name]);
    let before = service();
    on_another_cluster(&namespace, &["deploy", "--adopt", "--force-conflicts"])
        .exits(7)
        .says("error[HC0172]")
        .says("set by terraform");
    assert_eq!(service(), before);
    let list = ["get", "configmap,secret", "-n", &namespace.name, "-o", "name"];
    assert!(!namespace.bed.kubectl(&list).contains("oh"), "no record and no revision");
}

#[test]
fn foreign_secret_with_name_of_the_key_exits_7_before_changes() {
    let namespace = Bed::shared().namespace("foreign-key");
    namespace.create(&[]);
    let secret = ["create", "secret", "generic", "handsctl-oh", "--from-literal=a=1", "-n", &namespace.name];
    namespace.bed.kubectl(&secret);
    for arguments in [&["deploy"][..], &["deploy", "--dry-run=server"]] {
        namespace
            .handsctl(arguments)
            .exits(7)
            .says("error[HC3006]: secret/handsctl-oh")
            .says("the installation was not changed: this was found before the first write");
        let list = ["get", "configmap,secret,service", "-n", &namespace.name, "-o", "name"];
        let rest = namespace.bed.kubectl(&list);
        let ours: Vec<&str> = rest.lines().filter(|name| name.ends_with("oh")).collect();
        assert_eq!(ours, ["secret/handsctl-oh"]);
    }
}
